"""The eager engine: the graph evaluated with torch, one step after another.

Runs every cell on every device, with autograd, double backward and vmap, because it is made of plain torch calls.
What is free of state is computed for all steps at once, and the products of one vector share one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gruvy.engines.call import Call, Options, Result
from gruvy.language import analysis
from gruvy.language.cell import Cell, units
from gruvy.language.evaluate import evaluate
from gruvy.language.functions import ARITHMETIC_TABLE, register
from gruvy.language.graph import Node, topological


def _pairwise(function):
    """`function` of two tensors, for a tensor and a number too."""

    def of_two(a, b):
        like = a if isinstance(a, Tensor) else b
        return function(*(v if isinstance(v, Tensor) else like.new_tensor(v) for v in (a, b)))

    return of_two


def _mean(*args):
    return sum(a.sum(-1, keepdim=True) for a in args) / sum(a.shape[-1] for a in args)


TORCH = ARITHMETIC_TABLE | {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "exp": torch.exp, "expm1": torch.expm1,
    "log": torch.log, "sqrt": torch.sqrt, "abs": torch.abs, "where": torch.where, "mean": _mean,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "maximum": _pairwise(torch.maximum), "minimum": _pairwise(torch.minimum),
}  # fmt: skip
register("torch", TORCH)


class Plan:
    """What of a cell's graph is computed when.

    Attributes:
        delays: states known for all steps at once, with their updates.
        early: nodes free of carried states, in order: computed once over all steps.
        late: the other nodes, in order: computed at each step.
        handed_over: early nodes that a step needs.
        together: for each product, all products of the same vector by matrices of the same letter.
    """

    def __init__(self, cell: Cell):
        graph = cell.graph
        order = topological([*graph.gates.values(), *graph.roots])
        carried = analysis.carried_states(graph)
        sequential = analysis.depends_on(order, carried)
        self.delays = {graph.states[name]: update for name, update in analysis.delays(graph).items()}
        self.early = [n for n in order if n not in sequential]
        self.late = [n for n in order if n in sequential and n not in carried]
        needed = {a for n in self.late for a in n.args} | set(graph.roots)
        self.handed_over = [n for n in self.early if n in needed]
        alike: dict[tuple, list[Node]] = {}
        for node in (n for n in order if n.op == "product"):
            alike.setdefault((node.label[0], node.args), []).append(node)
        self.together = {node: group for group in alike.values() for node in group}


@lru_cache(maxsize=256)
def _plan(cell: Cell) -> Plan:
    return Plan(cell)


class _Evaluation:
    """Computes nodes for one call; products that go together are one matrix product."""

    def __init__(self, call: Call):
        self.call, self.plan = call, _plan(call.cell)
        self.operands = call.cell.unpack(call.parameters, call.sizes)
        self.alive = call.alive
        self.stacked: dict[Node, Tensor] = {}

    def compute(self, nodes: Iterable[Node], values: dict[Node, Any]) -> None:
        """Fill `values` for `nodes`, in their order."""
        for node in nodes:
            if node in values:
                continue
            if node.op == "product":
                self._multiply(node, values)
            elif node.op == "const":
                values[node] = self.call.inputs[0].new_tensor(node.value)  # no float: torch's functions take tensors
            elif node.op == "norm":
                values[node] = self._normalise(node, values[node.args[0]])
            else:
                evaluate((node,), values, TORCH, self.operands)

    def _multiply(self, node: Node, values: dict[Node, Any]) -> None:
        group = self.plan.together[node]
        if group[0] not in self.stacked:
            matrices = [self.operands[n.label] for n in group]
            self.stacked[group[0]] = torch.cat(matrices) if len(matrices) > 1 else matrices[0]
        product = F.linear(values[node.args[0]], self.stacked[group[0]])
        values.update(zip(group, product.chunk(len(group), -1), strict=True))

    def _normalise(self, node: Node, value: Tensor) -> Tensor:
        normaliser = self.call.normalisers[node.label.partition(".")[2]]
        if self.alive is None:
            return normaliser(value.flatten(0, 1)).view_as(value)
        real = self.alive[:, :, 0]
        return torch.zeros_like(value).index_put((real,), normaliser(value[real]))

    def leaves(self) -> dict[Node, Any]:
        """The values of inputs and vectors."""
        graph = self.call.cell.graph
        values: dict[Node, Any] = dict(zip(graph.inputs.values(), self.call.inputs, strict=True))
        for letter, members in graph.members.items():
            values |= {} if letter.isupper() else {node: self.operands[node.label] for node in members.values()}
        return values

    def over_all_steps(self, given: Mapping[Node, Tensor]) -> dict[Node, Any]:
        """The values of everything free of carried states, `(steps, batch, units)` where they vary."""
        call, graph, values = self.call, self.call.cell.graph, self.leaves() | dict(given)
        initial = dict(zip(graph.states.values(), call.states, strict=True))
        for leaf, update in self.plan.delays.items():
            self.compute(topological([update]), values)
            shifted = values[update].expand(call.steps, *initial[leaf].shape)[:-1]
            values[leaf] = torch.cat([initial[leaf][None], shifted])[: call.steps]
        self.compute(self.plan.early, values)
        return values

    def step_by_step(
        self, everywhere: dict[Node, Any], wanted: Iterable[Node]
    ) -> tuple[dict[Node, list[Tensor]], list[Tensor]]:
        """The values of `wanted` at each step, and the final states."""
        call, graph, plan, alive = self.call, self.call.cell.graph, self.plan, self.alive
        fixed = {n: everywhere[n] for n in plan.handed_over if not _varies(everywhere[n])}
        varying = {n: everywhere[n].unbind(0) for n in plan.handed_over if _varies(everywhere[n])}
        all_alive_until = 0 if call.lengths is None or not len(call.lengths) else int(call.lengths.min())
        states = list(call.states)
        seen: dict[Node, list[Tensor]] = {node: [] for node in wanted}
        for t in range(call.steps):
            values = fixed | {n: v[t] for n, v in varying.items()}
            values |= dict(zip(graph.states.values(), states, strict=True))
            self.compute(plan.late, values)
            new = [values[n] for n in graph.new_states]
            if alive is not None and t >= all_alive_until:
                new = [torch.where(alive[t], n, s) for n, s in zip(new, states, strict=True)]
            states = [n.expand_as(s) for n, s in zip(new, states, strict=True)]
            for node, at_steps in seen.items():
                at_steps.append(values[node])
        return seen, states

    def laid_out(self, node: Node, at_steps: list[Tensor] | Tensor) -> Tensor:
        """Values of `node` as `(steps, batch, units)`, 0 past each sequence's end."""
        call, batch = self.call, self.call.inputs[0].shape[1]
        width = units(node.size, call.sizes)
        if isinstance(at_steps, Tensor):
            whole = at_steps.expand(call.steps, batch, width)
        elif at_steps:
            whole = torch.stack([v.expand(batch, width) for v in at_steps])
        else:
            whole = call.inputs[0].new_zeros(0, batch, width)
        return whole if self.alive is None else whole.masked_fill(~self.alive, 0)


class EagerEngine:
    """See the module."""

    name = "eager"
    purpose = "every cell on every device, as plain torch calls"
    takes_lengths = False

    def supports(self, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> tuple[bool, str]:
        """Everything of floating point."""
        if not dtype.is_floating_point:
            return False, f"{dtype} is not a floating-point type"
        if options.recompute:
            return False, "it keeps every value for the backward pass, and recompute was asked for"
        return True, "runs every cell on every device"

    def run(self, call: Call, normalised: Mapping[str, Tensor] | None = None) -> Result:
        """Run the cell step by step; `normalised`, by name, stands in for what the normalisers would give."""
        evaluation, graph = _Evaluation(call), call.cell.graph
        given = {graph.members["N"][name]: value for name, value in (normalised or {}).items()}
        everywhere = evaluation.over_all_steps(given)
        gates = graph.gates if call.options.record_gates else {}
        late = [node for node in gates.values() if node in evaluation.plan.late]
        seen, states = evaluation.step_by_step(everywhere, dict.fromkeys((graph.output, *late)))
        recorded = {k: evaluation.laid_out(n, seen[n] if n in seen else everywhere[n]) for k, n in gates.items()}
        return Result(evaluation.laid_out(graph.output, seen[graph.output]), tuple(states), recorded)


def normalised(call: Call) -> list[Tensor]:
    """What the cell's normalisers give over all steps, each `(steps, batch, units)`."""
    nodes = list(call.cell.graph.members.get("N", {}).values())
    evaluation = _Evaluation(call)
    values = evaluation.leaves()
    evaluation.compute(topological(nodes), values)
    return [values[node] for node in nodes]


def _varies(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 3
