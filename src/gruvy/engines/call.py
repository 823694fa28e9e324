"""What passes between a layer and an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from gruvy.engines.padding import real_steps
from gruvy.language.cell import Cell
from gruvy.language.graph import Size


def transformed() -> bool:
    """Whether torch.func or forward-mode differentiation is at work, for which only plain torch calls have rules."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


@dataclass(frozen=True)
class Options:
    """What a call asks for beyond outputs and states.

    Attributes:
        record_gates: return every named gate at every step.
        training: normalisers use the batch's statistics.
        recompute: keep little for the backward pass, which computes the rest again.
    """

    record_gates: bool = False
    training: bool = False
    recompute: bool = False


@dataclass(frozen=True)
class Call:
    """One layer in one direction over one batch.

    Attributes:
        sizes: the units of `"I"` and `"H"`.
        inputs: each `(steps, batch, units)`; padding holds something the equations can take.
        states: initial states, each `(batch, units)`.
        parameters: by the names of the cell's packs; missing biases stand as zeros.
        lengths: real steps of each sequence, `(batch,)` int64 on the inputs' device; None when all are real.
        normalisers: modules by name, each `(n, units) -> (n, units)`.
        reverse: each sequence from its own end; only for engines that take lengths as they are.
    """

    cell: Cell
    sizes: Mapping[Size, int]
    inputs: Sequence[Tensor]
    states: Sequence[Tensor]
    parameters: Mapping[str, Tensor]
    lengths: Tensor | None = None
    normalisers: Mapping[str, Any] = field(default_factory=dict)
    options: Options = Options()
    reverse: bool = False

    @property
    def steps(self) -> int:
        return self.inputs[0].shape[0]

    @property
    def alive(self) -> Tensor | None:
        """`(steps, batch, 1)` bool: which steps are real; None when all are."""
        if self.lengths is None:
            return None
        return real_steps(self.lengths, self.steps)


@dataclass(frozen=True)
class Result:
    """What an engine gives back.

    Attributes:
        output: `(steps, batch, units)`, 0 past each sequence's end.
        states: each `(batch, units)`, at each sequence's own end.
        gates: `(steps, batch, units)` by name when they were asked for, 0 past the end.
    """

    output: Tensor
    states: tuple[Tensor, ...]
    gates: Mapping[str, Tensor] = field(default_factory=dict)


class Engine(Protocol):
    """Runs a cell over a sequence; equal to the reference in outputs, final states and all gradients.

    Attributes:
        name: as users write it.
        purpose: what it is for, in a few words.
        takes_lengths: reads real steps only, from either end. Others are given padding that the equations can take,
            and sequences that are reversed already.
    """

    name: str
    purpose: str
    takes_lengths: bool

    def supports(self, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> tuple[bool, str]:
        """Whether the engine can run such a call, and why (not)."""
        ...

    def run(self, call: Call) -> Result:
        """Run a call that `supports` accepted."""
        ...
