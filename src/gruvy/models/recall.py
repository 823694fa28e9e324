"""Recall: a sequence attends to its own past, and hears what came next when it was in a place like the present one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_REACH = 1024  # steps that are looked back, and that are answered at once, so that memory is bounded


@dataclass(frozen=True)
class Remembered:
    """The keys of past steps `(batch, steps, size)`, and what was heard after each but the last, `(batch, steps - 1,
    values)`."""

    keys: Tensor
    following: Tensor


class Recall(nn.Module):
    """A mean of what came after the steps before, weighted by how much they are like the present one.

    Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762) of a step to the past of its own sequence; what
    is recalled is what followed there, as in a continuous cache (Grave et al. 2017, arXiv:1612.04426), but the likeness
    is learned. A key of nothing takes the weight when no step is like the present one.

    Args:
        units: of a step; values: numbers of what is heard at a step; size: of queries and keys.

    Attributes:
        output_size: the values, and the weight of all steps together, 0 to 1.
    """

    def __init__(self, units: int, values: int, size: int):
        super().__init__()
        self.query, self.key = nn.Linear(units, size), nn.Linear(units, size)
        self.nothing = nn.Parameter(torch.zeros(size))
        self.output_size = values + 1

    def forward(self, x: Tensor, heard: Tensor) -> Tensor:
        """`(batch, steps, units)` and what is heard at these steps `(batch, steps, values)` -> `(batch, steps,
        output_size)`, which no later step changes."""
        queries, keys, following = self.query(x), self.key(x), heard[:, 1:]
        found = []
        for first in range(0, x.shape[1], _REACH):
            asked, known = slice(first, first + _REACH), slice(max(0, first - _REACH), first + _REACH - 1)
            found.append(self._mean(queries[:, asked], keys[:, :-1][:, known], following[:, known]))
        return torch.cat(found, 1)

    def step(self, x: Tensor, heard: Tensor, before: Remembered | None) -> tuple[Tensor, Remembered]:
        """One step more: `(batch, units)` and what is heard at it `(batch, values)` -> `(batch, output_size)`."""
        query, key = self.query(x)[:, None], self.key(x)[:, None]
        if before is None:
            before, following = Remembered(key[:, :0], heard[:, None][:, :0]), heard[:, None][:, :0]
        else:
            following = torch.cat([before.following, heard[:, None]], 1)
        found = self._mean(query, before.keys, following)[:, 0]
        return found, Remembered(torch.cat([before.keys, key], 1)[:, -_REACH:], following[:, 1 - _REACH :])

    def _mean(self, queries: Tensor, keys: Tensor, following: Tensor) -> Tensor:
        """Of the last step that is asked, all `keys` are past ones; of each before it, one less."""
        scores = queries @ torch.cat([self.nothing.expand(len(keys), 1, -1), keys], 1).transpose(1, 2)
        asked, known = scores.shape[1], scores.shape[2] - 1
        ago = torch.arange(known - asked + 1, known + 1, device=keys.device)[:, None] - torch.arange(
            known, device=keys.device
        )
        past = torch.nn.functional.pad((ago > 0) & (ago <= _REACH), (1, 0), value=True)
        weights = (scores / math.sqrt(keys.shape[-1])).masked_fill(~past, float("-inf")).softmax(-1)[..., 1:]
        return torch.cat([weights @ following, weights.sum(-1, keepdim=True)], -1)
