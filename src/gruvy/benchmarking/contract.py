"""What a peer is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gruvy.benchmarking.problem import Problem
from gruvy.cells import Cell, gru

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A peer set up for a problem.

    Attributes:
        call: what is timed.
        results: from what `call` returned to `output` (in streaming, that of the last step) and, in training, the
            gradients of `input` and of the weights, by the names torch gives them.
    """

    call: Callable[[], Any]
    results: Callable[[Any], Arrays]


class Peer(Protocol):
    """An implementation that takes part.

    Attributes:
        packages: what it needs installed.
        modes: names of the modes it has.
        tolerance: the relative error allowed in outputs and in gradients.
    """

    @property
    def name(self) -> str: ...

    @property
    def packages(self) -> Sequence[str]: ...

    @property
    def modes(self) -> Sequence[str]: ...

    @property
    def tolerance(self) -> tuple[float, float]: ...

    def runs(self, cell: Cell) -> bool:
        """Whether it has the cell's equations."""
        ...

    def available(self) -> str | None:
        """None, or why it is not here and how to get it."""
        ...

    def build(self, problem: Problem) -> Case:
        """Set it up for a problem in one of its modes; may raise anything."""
        ...


class Foreign:
    """What the peers of other libraries share: the GRU of torch, if their packages are installed."""

    packages: Sequence[str]
    tolerance = (1e-4, 1e-4)

    def runs(self, cell: Cell) -> bool:
        """Whether the equations are those of `gru`."""
        return cell.key == gru.key

    def available(self) -> str | None:
        """None, or the packages to install."""
        if all(map(importlib.util.find_spec, self.packages)):
            return None
        return f"not installed: pip install {' '.join(self.packages)}"
