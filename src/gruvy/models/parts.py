"""What models around a recurrent layer are made of."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gruvy.engines import real_steps

POOLINGS = ("max", "mean", "last")
_FLOOR = 0.5  # share of the whole series' variance in the scale of a window, so that a flat one is not blown up


class Pooling(nn.Module):
    """A sequence of outputs as one vector, padding left out.

    Args:
        kinds: of `"max"`, `"mean"` and `"last"`; several are concatenated.
    """

    def __init__(self, kinds: tuple[str, ...]):
        super().__init__()
        self.kinds = kinds

    def forward(self, output: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, steps, units)`, 0 past the end, and lengths of at least 1 -> `(batch, kinds * units)`."""
        pooled = {
            "max": lambda: output.masked_fill(
                ~real_steps(lengths, output.shape[1]).transpose(0, 1), float("-inf")
            ).amax(1),
            "mean": lambda: output.sum(1) / lengths[:, None],
            "last": lambda: output[torch.arange(len(output), device=output.device), lengths - 1],
        }
        return torch.cat([pooled[kind]() for kind in self.kinds], -1)


class LockedDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287)."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, steps, units)` -> the same shape."""
        if not self.training or not self.probability:
            return x
        keep = 1 - self.probability
        return x * x.new_empty(len(x), 1, x.shape[2]).bernoulli_(keep).div_(keep)


class WordDropout(nn.Module):
    """Replaces whole tokens by the unknown one in training (Iyyer et al. 2015)."""

    def __init__(self, probability: float, unknown: int):
        super().__init__()
        self.probability, self.unknown = probability, unknown

    def forward(self, ids: Tensor) -> Tensor:
        """`(batch, steps)` -> the same shape; padding may change too, and is never read."""
        if not self.training or not self.probability:
            return ids
        dropped = torch.rand(ids.shape, device=ids.device) < self.probability
        return ids.masked_fill(dropped, self.unknown)


class WindowScale(nn.Module):
    """Reversible normalisation of each window (Kim et al. 2022, without its learned affine map).

    Args:
        kind: `"instance"`, by the window's own level and spread; `"series"`, by those of the series.

    Attributes:
        at_last: the level is the last value; otherwise the mean.
    """

    at_last: Tensor

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.register_buffer("at_last", torch.tensor(True))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Level and scale, both `(batch, 1, targets)`."""
        values = batch["values"]
        last = values[:, -1:]
        if self.kind == "series":
            return torch.zeros_like(last), torch.ones_like(last)
        mean = values.mean(1, keepdim=True)
        variance = values.var(1, keepdim=True, correction=0)
        return torch.where(self.at_last, last, mean), (variance * (1 - _FLOOR) + _FLOOR).sqrt()
