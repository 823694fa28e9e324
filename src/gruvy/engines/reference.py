"""The specification: float64 NumPy, one step after another, with a backward of its own and no torch.

Forward calls the author's function. Backward evaluates the derivative of the cell's graph, and is itself checked by
central differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gruvy.language.cell import Cell
from gruvy.language.derivative import Pullback, adjoint, pullback
from gruvy.language.evaluate import evaluate
from gruvy.language.functions import NUMPY
from gruvy.language.graph import Node, Size, topological

Array = np.ndarray


@dataclass(frozen=True)
class BatchNorm:
    """A cell's normaliser: over all real steps of the batch, or with running statistics when they are given."""

    weight: Array
    bias: Array
    mean: Array | None = None
    var: Array | None = None
    eps: float = 1e-5

    def __call__(self, values: Array) -> Array:
        """`values` (n, units) -> the same shape."""
        mean, var = self._statistics(values)
        return (values - mean) / np.sqrt(var + self.eps) * self.weight + self.bias

    def backward(self, values: Array, grad: Array) -> tuple[Array, Array, Array]:
        """Gradients of `values`, weight and bias, from the gradient of the result."""
        mean, var = self._statistics(values)
        scale = 1 / np.sqrt(var + self.eps)
        standard = (values - mean) * scale
        through = grad * self.weight
        if self.mean is None and len(values):
            through = through - through.mean(0) - standard * (through * standard).mean(0)
        return through * scale, (grad * standard).sum(0), grad.sum(0)

    def _statistics(self, values: Array) -> tuple[Array, Array]:
        if self.mean is not None and self.var is not None:
            return self.mean, self.var
        return (
            (values.mean(0), values.var(0)) if len(values) else (np.zeros_like(self.weight), np.ones_like(self.weight))
        )


@dataclass(frozen=True)
class Run:
    """What goes into a run; arrays are converted to float64.

    Attributes:
        sizes: the units of `"I"` and `"H"`.
        inputs: each `(steps, batch, units)`.
        states: initial states, each `(batch, units)`.
        parameters: by the names of the cell's packs.
        lengths: real steps of each sequence, `(batch,)`; all steps when None.
        norms: the cell's normalisers by name.
    """

    cell: Cell
    sizes: Mapping[Size, int]
    inputs: Sequence[Array]
    states: Sequence[Array]
    parameters: Mapping[str, Array]
    lengths: Array | None = None
    norms: Mapping[str, BatchNorm] = field(default_factory=dict)

    def __post_init__(self):
        as_double = lambda a: np.asarray(a, dtype=np.float64)  # noqa: E731
        object.__setattr__(self, "inputs", [as_double(a) for a in self.inputs])
        object.__setattr__(self, "states", [as_double(a) for a in self.states])
        object.__setattr__(self, "parameters", {k: as_double(v) for k, v in self.parameters.items()})

    @cached_property
    def alive(self) -> Array:
        """`(steps, batch, 1)`: which steps are real."""
        steps, batch = self.inputs[0].shape[:2]
        lengths = np.full(batch, steps) if self.lengths is None else np.asarray(self.lengths)
        return (np.arange(steps)[:, None] < lengths)[:, :, None]

    def before_normalisers(self) -> dict[Node, Array]:
        """Values over all steps of what the normalisers see."""
        values = self.cell.leaf_values(self.inputs, [None] * len(self.states), self.operands())
        nodes = self.cell.graph.members.get("N", {}).values()
        return dict(evaluate(topological([n.args[0] for n in nodes]), values, NUMPY, self.operands()))

    def operands(self) -> dict[str, Array]:
        """Matrices and vectors by label."""
        return self.cell.unpack(self.parameters, self.sizes)

    def normalised(self) -> dict[str, Array]:
        """What each normaliser gives over all steps, `(steps, batch, units)`; padding stays out of it."""
        if not self.norms:
            return {}
        values, real, result = self.before_normalisers(), self.alive[:, :, 0], {}
        for name, node in self.cell.graph.members["N"].items():
            before = values[node.args[0]]
            result[node.label] = np.zeros_like(before)
            result[node.label][real] = self.norms[name](before[real])
        return result


@dataclass(frozen=True)
class Gradients:
    """Gradients of a scalar, shaped as what they belong to; those of normalisers are `name -> (weight, bias)`."""

    inputs: list[Array]
    states: list[Array]
    parameters: dict[str, Array]
    norms: dict[str, tuple[Array, Array]]


def forward(run: Run) -> tuple[Array, list[Array]]:
    """Outputs `(steps, batch, units)`, 0 past each sequence's end, and the states at each sequence's own end."""
    operands, normalised = run.operands(), run.normalised()
    batch = run.inputs[0].shape[1]
    states, outputs = list(run.states), []
    for t, alive in enumerate(run.alive):
        at_t = {label: values[t] for label, values in normalised.items()}
        output, new = run.cell.step([x[t] for x in run.inputs], states, operands, at_t)
        outputs.append(np.where(alive, output, 0.0))
        states = [np.where(alive, n, s) for n, s in zip(new, states, strict=True)]
    if not outputs:
        return np.zeros((0, batch, _output_units(run))), states
    return np.stack(outputs), states


def backward(run: Run, grad_output: Array, grad_states: Sequence[Array]) -> Gradients:
    """Gradients of `sum(output * grad_output) + sum(final states * grad_states)`."""
    graph, operands, normalised = run.cell.graph, run.operands(), run.normalised()
    seeds, plan = _step_pullback(graph)
    steps = _record(run, operands, normalised)
    grads = Gradients(
        [np.zeros_like(x) for x in run.inputs], [], {k: np.zeros_like(v) for k, v in run.parameters.items()}, {}
    )
    into = run.cell.unpack(grads.parameters, run.sizes)
    after_norm = {node: np.zeros_like(normalised[node.label]) for node in graph.members.get("N", {}).values()}
    carried = [np.asarray(g, dtype=np.float64) for g in grad_states]
    for t in reversed(range(len(steps))):
        alive, values = run.alive[t], steps[t]
        arriving = [np.where(alive, grad_output[t], 0.0), *(np.where(alive, g, 0.0) for g in carried)]
        values |= {seed: a for (_, seed), a in zip(seeds, arriving, strict=True)}
        leaves = _flow(plan, values, operands, into)
        for x, node in zip(grads.inputs, graph.inputs.values(), strict=True):
            x[t] = leaves.get(node, 0.0)
        for node, total in after_norm.items():
            total[t] = leaves.get(node, 0.0)
        through = [leaves.get(node, 0.0) for node in graph.states.values()]
        carried = [np.where(alive, 0.0, g) + h for g, h in zip(carried, through, strict=True)]
    grads.states.extend(carried)
    _backward_normalisers(run, after_norm, operands, into, grads)
    return grads


def _step_pullback(graph) -> tuple[list[tuple[Node, Node]], Pullback]:
    """The derivative of one step: the seed of each root, and where they flow."""
    seeds = [(graph.output, adjoint("output", graph.output))]
    seeds += [(n, adjoint(f"state {s}", n)) for s, n in zip(graph.states, graph.new_states, strict=True)]
    total: dict[Node, Node] = {}
    for node, seed in seeds:
        total[node] = total[node] + seed if node in total else seed
    return seeds, pullback(total)


def _record(run: Run, operands: Mapping[str, Array], normalised: Mapping[str, Array]) -> list[dict[Node, Array]]:
    """The value of every node at every step."""
    order, states, steps = topological(run.cell.graph.roots), list(run.states), []
    for t, alive in enumerate(run.alive):
        at_t = {label: values[t] for label, values in normalised.items()}
        values = run.cell.leaf_values([x[t] for x in run.inputs], states, operands, at_t)
        evaluate(order, values, NUMPY, operands)
        states = [
            np.where(alive, values[n], s) for n, s in zip(run.cell.graph.new_states, states, strict=True)
        ]  # fmt: skip
        steps.append(values)
    return steps


def _flow(plan: Pullback, values: dict[Node, Array], operands: Mapping[str, Array], into: dict[str, Array]) -> dict:
    """Evaluate a derivative; add to the parameters' gradients `into`, return the other leaves'."""
    wanted = [*plan.leaves.values(), *(g for g, _ in plan.products.values())]
    evaluate(topological(wanted), values, NUMPY, operands)
    for label, (g, argument) in plan.products.items():
        left, right = np.broadcast_arrays(values[g][..., :, None], values[argument][..., None, :])
        into[label] += (left * right).reshape(-1, *left.shape[-2:]).sum(0)
    leaves = {node: values[g] for node, g in plan.leaves.items()}
    for node, grad in leaves.items():
        if node.op == "vector":
            into[node.label] += grad.reshape(-1, grad.shape[-1]).sum(0)
    return leaves


def _backward_normalisers(run: Run, after: dict[Node, Array], operands: dict, into: dict, grads: Gradients) -> None:
    if not after:
        return
    values, real = run.before_normalisers(), run.alive[:, :, 0]
    seeds: dict[Node, Node] = {}
    for node, grad in after.items():
        name, expression = node.label.partition(".")[2], node.args[0]
        before, seed = values[expression], adjoint(node.label, expression)
        flowing = np.zeros_like(before)
        flowing[real], weight, bias = run.norms[name].backward(before[real], grad[real])
        grads.norms[name] = (weight, bias)
        seeds[expression] = seeds[expression] + seed if expression in seeds else seed
        values[seed] = flowing
    leaves = _flow(pullback(seeds), values, operands, into)
    for x, node in zip(grads.inputs, run.cell.graph.inputs.values(), strict=True):
        x += leaves.get(node, 0.0)


def _output_units(run: Run) -> int:
    size = run.cell.graph.output.size
    return run.sizes[size] if isinstance(size, str) else size
