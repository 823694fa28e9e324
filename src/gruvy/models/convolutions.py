"""A linear model of many fixed convolutions: the strong, cheap branch of a series model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.data.labelled.inputs import SeriesValues
from gruvy.engines import real_steps
from gruvy.models.weighing import Loss, Weighing

_TAPS = 9
_PATTERNS = list(itertools.combinations(range(_TAPS), 3))  # the 84 kernels: 2 at three of nine steps, -1 at the others
_MOST_DILATIONS = 32
_SAMPLE, _RESPONSES = 16, 2000  # series, and about as many of their steps, whose responses give the thresholds
_AT_ONCE = 64  # series whose responses are in memory
_MOST = 3000  # series, which take half a minute; time and memory grow with the square, and faster
_CONSTANT = 1e-6  # deviation of a feature that says nothing
_RIDGES = np.logspace(-1, 5, 13)  # penalties tried


class ConvolutionFeatures(nn.Module):
    """How often 84 fixed kernels, dilated up to the length of the series, respond above thresholds.

    MiniRocket (Dempster, Schmidt & Webb 2021, arXiv:2012.08791), for series of several features and unequal lengths:
    a kernel sums the features of a subset drawn at random, and a share is one of the series' own steps.

    Args:
        count: features wanted, about.
    """

    dilations: Tensor
    subsets: Tensor
    thresholds: Tensor
    kernels: Tensor

    def __init__(self, count: int):
        super().__init__()
        self.count = count
        self.register_buffer("dilations", torch.zeros(0, dtype=torch.int64))  # (dilations,)
        self.register_buffer("subsets", torch.zeros(0, len(_PATTERNS), 0))  # (dilations, kernels, features), 0 or 1
        self.register_buffer("thresholds", torch.zeros(0, len(_PATTERNS), 0))  # (dilations, kernels, thresholds)
        kernels = torch.full((len(_PATTERNS), 1, _TAPS), -1.0)
        for kernel, places in zip(kernels, _PATTERNS, strict=True):
            kernel[0, list(places)] = 2.0
        self.register_buffer("kernels", kernels, persistent=False)

    def fit(self, series: SeriesValues, generator: torch.Generator) -> None:
        """Choose dilations, subsets and thresholds for such series."""
        widest = max(1, (int(series.lengths.max()) - 1) // (_TAPS - 1))
        most = min(_MOST_DILATIONS, max(1, self.count // len(_PATTERNS)))
        self.dilations = torch.from_numpy(np.unique(np.geomspace(1, widest, most).astype(np.int64)))
        shape = (len(self.dilations), len(_PATTERNS))
        self.subsets = _subsets(shape, series.values.shape[1], generator)
        each = max(1, round(self.count / math.prod(shape)))
        golden = (math.sqrt(5) + 1) / 2  # its multiples modulo 1 spread evenly, however many are taken
        quantiles = (torch.arange(len(_PATTERNS) * each, dtype=torch.float64) * golden % 1).view(-1, each)
        self.thresholds = torch.stack([
            self._thresholds(place, series, quantiles, generator) for place in range(len(self.dilations))
        ])  # fmt: skip

    def _thresholds(self, place: int, series: SeriesValues, quantiles: Tensor, generator: torch.Generator) -> Tensor:
        """Quantiles `(kernels, thresholds)` of the responses of series drawn at random."""
        batch = series.batch(torch.randperm(len(series), generator=generator)[:_SAMPLE].numpy())
        real = real_steps(batch["lengths"], batch["values"].shape[1]).transpose(0, 1)[:, :, 0]
        responses = self._responses(place, batch["values"]).transpose(1, 2)[real]
        responses = responses[:: max(1, len(responses) // _RESPONSES)].T.sort(1).values
        below = (quantiles * (responses.shape[1] - 1)).long()
        above = (below + 1).clamp(max=responses.shape[1] - 1)
        # Between two responses, so that how one is rounded decides nothing.
        return (responses.gather(1, below) + responses.gather(1, above)) / 2

    def _responses(self, place: int, values: Tensor) -> Tensor:
        """`(batch, steps, features)` -> `(batch, kernels, steps)`."""
        dilation = int(self.dilations[place])
        weight = self.kernels * self.subsets[place][:, :, None]
        return F.conv1d(values.transpose(1, 2), weight, padding=dilation * (_TAPS // 2), dilation=dilation)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`values` `(batch, steps, features)` and `lengths` `(batch,)` -> shares `(batch, about count)`."""
        values, lengths = batch["values"], batch["lengths"]
        padding = ~real_steps(lengths, values.shape[1]).permute(1, 2, 0)
        values = values.masked_fill(padding.transpose(1, 2), 0)
        shares = []
        for place, thresholds in enumerate(self.thresholds):
            responses = self._responses(place, values).masked_fill(padding, float("-inf"))
            shares += [(responses > threshold[:, None]).sum(2) / lengths[:, None] for threshold in thresholds.T]
        return torch.cat(shares, 1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Make room for what was saved."""
        for name in ("dilations", "subsets", "thresholds"):
            if f"{prefix}{name}" in state_dict:
                setattr(self, name, torch.empty_like(state_dict[f"{prefix}{name}"]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _subsets(shape: tuple[int, ...], features: int, generator: torch.Generator) -> Tensor:
    """0 or 1 `(*shape, features)`: as likely one feature or two as three to five or six to nine."""
    sizes = 2 ** (torch.rand(shape, generator=generator) * math.log2(min(features, _TAPS) + 1))
    ranks = torch.rand(*shape, features, generator=generator).argsort(-1).argsort(-1)
    return (ranks < sizes.long()[..., None]).float()


class ConvolutionSeries(nn.Module):
    """Ridge regression of the targets on `ConvolutionFeatures`, made to say what the loss asks for.

    Args:
        count: features, about.
        output_size: units of the answer.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, count: int, output_size: int):
        super().__init__()
        self.features = ConvolutionFeatures(count)
        self.register_buffer("center", torch.zeros(0))
        self.register_buffer("scale", torch.zeros(0))
        self.weight = nn.Parameter(torch.zeros(0, output_size))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """-> `(batch, output_size)`."""
        return (self.features(batch) - self.center) / self.scale @ self.weight + self.bias

    @torch.no_grad()
    def fit(self, series: SeriesValues, targets: Tensor, folds: Tensor, loss: Loss, seed: int) -> Tensor:
        """Find all weights; which penalty is best, and how large outputs should be, each fold tells for the others.

        Args:
            series: with their targets `(series,)`, whole numbers for classes; at most `_MOST` of them, drawn at random,
            are learned from.
            folds: int64 `(series,)`, the fold each is held out in; -1 for none, but not for all.
            loss: the mean loss of outputs `(series, output_size)`.

        Returns:
            What models fitted without a series' fold say of it, for those held out, in order.
        """
        generator = torch.Generator().manual_seed(seed)
        self.features.fit(series, generator)
        kept = torch.randperm(len(series), generator=generator)[:_MOST].sort().values
        said = torch.zeros(len(series), len(self.bias))
        said[kept] = self._fit_weights(series.take(kept.numpy()), targets[kept], folds[kept], loss)
        unseen = np.setdiff1d(np.arange(len(series)), kept)
        for rows in (unseen[start : start + _AT_ONCE] for start in range(0, len(unseen), _AT_ONCE)):
            said[rows] = self(series.batch(rows))
        return said[folds >= 0]

    def _fit_weights(self, series: SeriesValues, targets: Tensor, folds: Tensor, loss: Loss) -> Tensor:
        """Find all weights; what models fitted without a series' fold say of it, `(series, output_size)`."""
        batches = torch.arange(len(series)).split(_AT_ONCE)
        found = torch.cat([self.features(series.batch(rows.numpy())) for rows in batches])
        self.center, deviation = found.mean(0), found.std(0, correction=0)
        self.scale = torch.where(deviation > _CONSTANT, deviation, 1.0)
        columns = targets[:, None] if targets.is_floating_point() else F.one_hot(targets, len(self.bias))
        columns = columns.double()
        mean = columns.mean(0)
        weight, said = ridge(((found - self.center) / self.scale).double(), columns - mean, folds)
        said = (said + mean).float()
        calibration = Weighing(1).fit([said[folds >= 0]], targets[folds >= 0], loss)
        self.weight = nn.Parameter(calibration.weights * weight.float())
        self.bias.copy_(calibration.weights * mean)
        return calibration(said)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Make room for as many features as were saved."""
        if f"{prefix}center" in state_dict:
            kept = len(state_dict[f"{prefix}center"])
            self.center, self.scale = torch.zeros(kept), torch.zeros(kept)
            self.weight = nn.Parameter(torch.zeros(kept, len(self.bias)))
        super()._load_from_state_dict(state_dict, prefix, *args)


def ridge(rows: Tensor, targets: Tensor, folds: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression with the one of `_RIDGES` that is best on the rows held out.

    Args:
        rows: float64 `(rows, features)` of mean 0.
        targets: float64 `(rows, outputs)` of mean 0.
        folds: int64 `(rows,)`, the fold each row is held out in; -1 for none.

    Returns:
        Weights `(features, outputs)`, and what a regression without a row's fold says of it, `(rows, outputs)`.
    """
    eigenvalues, vectors = torch.linalg.eigh(rows @ rows.T)
    eigenvalues, along = eigenvalues.clamp(min=0), vectors.T @ targets
    held_out = [torch.nonzero(folds == fold)[:, 0] for fold in folds[folds >= 0].unique()]
    best = math.inf
    for penalty in _RIDGES:
        shrinkage = eigenvalues / (eigenvalues + penalty)
        said = vectors @ (shrinkage[:, None] * along)
        for fold in held_out:
            # Without its rows the residuals would be (1 - H)^-1 times what they are, H the fold's part of the hat
            # matrix, which also holds the mean.
            hat = (vectors[fold] * shrinkage) @ vectors[fold].T + 1 / len(rows)
            residuals = torch.linalg.solve(torch.eye(len(fold)) - hat, targets[fold] - said[fold])
            said[fold] = targets[fold] - residuals
        error = float((targets - said)[folds >= 0].square().mean())
        if error < best:
            best, chosen = error, (rows.T @ (vectors @ (along / (eigenvalues + penalty)[:, None])), said)
    return chosen
