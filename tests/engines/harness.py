"""Random problems, the reference's answer to them, and the one table of tolerances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from tests.cells.user_cells import POSITIVE_STATES, USER_CELLS
from torch import nn

from gruvy.cells import CATALOGUE, Cell
from gruvy.engines import ENGINES, Call, Options, reference
from gruvy.language.cell import units

CELLS: dict[str, Cell] = CATALOGUE | USER_CELLS
SIZES = {"I": 3, "H": 4}
CPU = torch.device("cpu")

# The largest |difference| allowed, relative to the largest |expected| where that is above 1.
TOLERANCES = {
    torch.float64: {"value": 1e-12, "grad": 1e-12},
    torch.float32: {"value": 2e-6, "grad": 1e-5},
}

Answer = dict[str, np.ndarray]


def assert_agrees(actual: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], dtype: torch.dtype) -> None:
    """Every named array of `wanted` is there, of the same shape, and near enough."""
    assert actual.keys() == wanted.keys()
    for name, expected in wanted.items():
        got = actual[name]
        assert got.shape == expected.shape, f"{name}: {got.shape}, expected {expected.shape}"
        if not expected.size:
            continue
        error = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
        allowed = TOLERANCES[dtype]["grad" if name.startswith("grad") else "value"]
        assert error <= allowed, f"{name} is off by {error:.2g}, allowed {allowed:.2g}"


@dataclass(frozen=True)
class Problem:
    """A cell, what goes in, and the weights of the scalar whose gradients are compared; all float64 NumPy."""

    cell: Cell
    sizes: Mapping
    inputs: Sequence[np.ndarray]
    states: Sequence[np.ndarray]
    parameters: Mapping[str, np.ndarray]
    lengths: np.ndarray | None
    norms: Mapping[str, Mapping[str, np.ndarray]]
    grad_output: np.ndarray
    grad_states: Sequence[np.ndarray]
    training: bool = False

    @cached_property
    def run(self) -> reference.Run:
        norms = {
            name: reference.BatchNorm(
                n["weight"], n["bias"], *(() if self.training else (n["running_mean"], n["running_var"]))
            )
            for name, n in self.norms.items()
        }
        return reference.Run(
            self.cell, self.sizes, self.inputs, self.states, self.parameters, self.lengths, norms
        )  # fmt: skip

    def _named(self, output, states, inputs, initial, parameters, norms) -> Answer:
        cell = self.cell
        named = {"output": output}
        named |= {f"state {k}": v for k, v in zip(cell.states, states, strict=True)}
        named |= {f"grad {k}": v for k, v in zip(cell.inputs, inputs, strict=True)}
        named |= {f"grad {k} at 0": v for k, v in zip(cell.states, initial, strict=True)}
        named |= {f"grad {k}": parameters[k] for k in self.parameters}
        named |= {f"grad N.{k} {part}": norms[k][i] for k in self.norms for i, part in enumerate(("weight", "bias"))}
        return named

    def expected(self) -> Answer:
        """The reference's outputs, final states and all gradients."""
        output, states = reference.forward(self.run)
        grads = reference.backward(self.run, self.grad_output, self.grad_states)
        return self._named(output, states, grads.inputs, grads.states, grads.parameters, grads.norms)

    def call(self, dtype: torch.dtype = torch.float64, options: Options | None = None) -> Call:
        """The problem as an engine takes it; every tensor wants a gradient."""

        def leaf(array):
            return torch.tensor(array, dtype=dtype).requires_grad_()

        return Call(
            self.cell, self.sizes, [leaf(x) for x in self.inputs], [leaf(s) for s in self.states],
            {k: leaf(p) for k, p in self.parameters.items()},
            None if self.lengths is None else torch.tensor(self.lengths),
            {k: self.normaliser(k, dtype) for k in self.norms}, options or Options(training=self.training),
        )  # fmt: skip

    def normaliser(self, name: str, dtype: torch.dtype) -> nn.BatchNorm1d:
        made = nn.BatchNorm1d(len(self.norms[name]["weight"]), dtype=dtype)
        made.load_state_dict({k: torch.tensor(v) for k, v in self.norms[name].items()}, strict=False)
        return made.train(self.training)

    def answer(self, engine: str, dtype: torch.dtype) -> Answer:
        """What an engine makes of it."""
        call = self.call(dtype)
        supported, reason = ENGINES[engine].supports(self.cell, CPU, dtype, call.options)
        assert supported, reason
        result = ENGINES[engine].run(call)
        assert result.output.dtype == dtype
        loss = sum(
            (value * torch.tensor(weight, dtype=dtype)).sum()
            for value, weight in zip(
                (result.output, *result.states), (self.grad_output, *self.grad_states), strict=True
            )
        )
        norms = {k: (n.weight, n.bias) for k, n in call.normalisers.items()}
        leaves = [
            *call.inputs,
            *call.states,
            *call.parameters.values(),
            *(p for pair in norms.values() for p in pair),
        ]
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        found = {id(leaf): torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, grads, strict=True)}

        def of(tensors):
            return [found[id(t)].numpy() for t in tensors]

        parameters = dict(zip(call.parameters, of(call.parameters.values()), strict=True))
        return self._named(
            result.output.detach().numpy(), [s.detach().numpy() for s in result.states],
            of(call.inputs), of(call.states), parameters, {k: of(pair) for k, pair in norms.items()},
        )  # fmt: skip

    def rounded(self, dtype: torch.dtype) -> Problem:
        """The same with every number rounded to `dtype`, so that only the arithmetic differs."""

        def as_stored(array):
            return torch.tensor(array).to(dtype).to(torch.float64).numpy()

        return replace(
            self,
            inputs=[as_stored(x) for x in self.inputs],
            states=[as_stored(s) for s in self.states],
            parameters={k: as_stored(p) for k, p in self.parameters.items()},
            norms={k: {part: as_stored(v) for part, v in n.items()} for k, n in self.norms.items()},
            grad_output=as_stored(self.grad_output),
            grad_states=[as_stored(g) for g in self.grad_states],
        )


def problem(
    cell: Cell, steps: int = 5, batch: int = 4, lengths: Sequence[int] | None = None, sizes: Mapping = SIZES,
    training: bool = False, seed: int = 0,
) -> Problem:  # fmt: skip
    """Random numbers for a cell; padding holds zeros, as engines are promised."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int, low: float = -0.9, high: float = 0.9) -> np.ndarray:
        return rng.uniform(low, high, shape)

    inputs = [draw(steps, batch, units(size, sizes)) for size in cell.inputs.values()]
    if lengths is not None:
        real = np.arange(steps)[:, None] < np.asarray(lengths, dtype=int)
        inputs = [np.where(real[:, :, None], x, 0.0) for x in inputs]
    states = [
        draw(
            batch,
            units(size, sizes),
            **({"low": 0.5, "high": 1.5} if (cell.name, name) in POSITIVE_STATES else {}),
        )
        for name, size in cell.states.items()
    ]
    norms = {
        name: {
            "weight": draw(units(size, sizes), low=0.5, high=1.5), "bias": draw(units(size, sizes)),
            "running_mean": draw(units(size, sizes)),
            "running_var": draw(units(size, sizes), low=0.5, high=1.5),
        }
        for name, size in cell.normalisers.items()
    }  # fmt: skip
    return Problem(
        cell, sizes, inputs, states, {p.name: draw(*p.shape(sizes)) for p in cell.packs},
        None if lengths is None else np.asarray(lengths, dtype=np.int64), norms,
        draw(steps, batch, units(cell.graph.output.size, sizes)), [draw(*s.shape) for s in states], training,
    )  # fmt: skip
