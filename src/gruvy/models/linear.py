"""The linear forecast: one ridge regression from a window to its horizon, shared by all series, in closed form.

The family of DLinear and NLinear (Zeng et al. 2023, arXiv:2205.13504) without gradient steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gruvy.data.panels.windows import Windows
from gruvy.models.parts import WindowScale

_MOST = 60_000  # windows looked at
_BATCH = 4096
_CLEARLY = 0.005  # share of the error that a cycle of the calendar must save
_RIDGES = tuple(10.0**-k for k in range(7))  # shares of the mean squared input


@dataclass(frozen=True)
class Moments:
    """Sums over windows, each weighted by the square of its scale, so that errors count in the series' units.

    Attributes:
        inputs: `(n, n)`, of products of inputs, which are the window, what `known` has of the step after it, and 1.
        cross: `(n, horizon)`, of inputs and targets; targets: of squared targets; count: targets summed over.
        windows: how many.
    """

    inputs: Tensor
    cross: Tensor
    targets: Tensor
    count: int
    windows: int

    @classmethod
    def of(cls, windows: Windows, scale: WindowScale) -> Self:
        """Sum over (at most some ten thousand of) the windows."""
        windows = windows.thinned(_MOST)
        size = windows.input_size + windows.panel.known.shape[1] + 1
        inputs = torch.zeros(size, size, dtype=torch.float64)
        cross = torch.zeros(size, windows.horizon, dtype=torch.float64)
        targets, count = torch.zeros((), dtype=torch.float64), 0
        for x, y, weight in _pairs(windows, scale):
            weighted = x * weight
            inputs += (weighted.T @ weighted).double()
            cross += (weighted.T @ (y * weight)).double()
            targets += ((y * weight) ** 2).double().sum()
            count += y.numel()
        return cls(inputs, cross, targets, count, len(windows))

    def only(self, columns: Sequence[int]) -> Moments:
        """Of these inputs alone."""
        places = torch.tensor([*columns, len(self.inputs) - 1])
        return Moments(self.inputs[places][:, places], self.cross[places], self.targets, self.count, self.windows)

    def error(self, weights: Tensor) -> float:
        """Mean squared error of `weights` `(n, horizon)`, in standard deviations squared."""
        explained = 2 * (weights * self.cross).sum() - (weights * (self.inputs @ weights)).sum()
        return float((self.targets - explained) / max(1, self.count))


@dataclass(frozen=True)
class LinearFit:
    """Attributes:
    weights: `(window + 1, horizon)`, the constant last; at_last: see `WindowScale`; error: on the validation windows.
    """

    weights: Tensor
    at_last: bool
    error: float


def fit_linear(train: Windows, validation: Windows, scaling: str) -> LinearFit:
    """The ridge regression, its strength and the level of its windows chosen on the validation windows."""
    return min((fit for at_last in (True, False) for fit in _fits(train, validation, scaling, at_last)),
               key=lambda fit: fit.error)  # fmt: skip


def useful_cycles(train: Windows, validation: Windows, scaling: str, cycles: Sequence[int]) -> list[int]:
    """Which of the calendar's features, two a cycle, make the linear forecast clearly better on the validation windows.

    Args:
        cycles: the first of each pair, of the columns of `known`.
    """
    seen, held_out = (Moments.of(windows, WindowScale(scaling)) for windows in (train, validation))
    columns = list(range(train.input_size))
    best = min(fit.error for fit in _solved(seen.only(columns), held_out.only(columns), True))
    kept: list[int] = []
    for cycle in cycles:
        pair = [train.input_size + cycle, train.input_size + cycle + 1]
        more = [*columns, *pair]
        error = min(fit.error for fit in _solved(seen.only(more), held_out.only(more), True))
        if error < best * (1 - _CLEARLY):
            best, columns = error, more
            kept += [cycle, cycle + 1]
    return kept


def _fits(train: Windows, validation: Windows, scaling: str, at_last: bool) -> Iterable[LinearFit]:
    scale = WindowScale(scaling)
    scale.at_last.fill_(at_last)
    window = range(train.input_size)
    seen, held_out = (Moments.of(windows, scale).only(window) for windows in (train, validation))
    return _solved(seen, held_out, at_last)


def _solved(seen: Moments, held_out: Moments, at_last: bool) -> Iterable[LinearFit]:
    """A fit for each strength of the ridge."""
    strength = seen.inputs.diagonal().mean().clamp(min=1e-12)
    least = len(seen.inputs) / max(1, seen.windows)  # where windows are fewer than weights, more ridge
    penalised = torch.ones(len(seen.inputs), dtype=torch.float64)
    penalised[-1] = 1e-6
    for ridge in sorted({max(ridge, 1e-3 * least) if least > 1 else ridge for ridge in _RIDGES}):
        weights = torch.linalg.solve(seen.inputs + torch.diag(ridge * strength * penalised), seen.cross)
        yield LinearFit(weights, at_last, held_out.error(weights))


def _pairs(windows: Windows, scale: WindowScale) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    """Inputs `(n, window + known + 1)`, targets `(n, horizon)` and weights `(n, 1)`, normalised, a row a target."""
    for start in range(0, len(windows), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(windows)))
        batch = windows.collate(rows)
        level, spread = scale(batch)
        # What is missing in the horizon counts as unchanged.
        future = windows[rows]
        future = torch.where(future.isnan(), batch["values"][:, -1:], future)
        x = ((batch["values"] - level) / spread).transpose(1, 2).flatten(0, 1)
        known = batch["known"][:, windows.input_size].repeat_interleave(batch["values"].shape[2], 0)
        y = ((future - level) / spread).transpose(1, 2).flatten(0, 1)
        yield torch.cat([x, known, x.new_ones(len(x), 1)], 1), y, spread.transpose(1, 2).flatten(0, 1)
