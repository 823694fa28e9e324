"""What models around a recurrent layer are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gruvy.engines import real_steps

POOLINGS = ("max", "mean", "last")


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
