"""Attention: for each query, a mean of a sequence's vectors, weighted by how well their keys fit the query."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gruvy.engines import real_steps

KINDS = ("additive", "dot")
_MOST = 2**25  # numbers of the additive score held at once; more is computed in parts, and again for the gradient


@dataclass(frozen=True)
class Source:
    """What is attended to, prepared once for any number of queries.

    Attributes:
        keys: `(batch, sources, key units)`; values: `(batch, sources, units)`; real: bool `(batch, sources)`.
    """

    keys: Tensor
    values: Tensor
    real: Tensor

    def take(self, sequences: Tensor) -> Source:
        """Those at int64 `(n,)`, in that order."""
        return Source(self.keys[sequences], self.values[sequences], self.real[sequences])

    def mean(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `(batch, queries, sources)` -> context `(batch, queries, units)` and weights of the scores' shape."""
        weights = scores.masked_fill(~self.real[:, None], float("-inf")).softmax(-1)
        return weights @ self.values, weights


class Attention(Protocol):
    """What the kinds of attention have in common."""

    def prepare(self, values: Tensor, lengths: Tensor) -> Source:
        """Values `(batch, sources, units)` and their lengths of at least 1, with their keys."""

    def __call__(self, queries: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """Queries `(batch, queries, query units)` -> context `(batch, queries, units)`, weights `(…, sources)`."""


class AdditiveAttention(nn.Module):
    """score(q, k) = vᵀ tanh(W q + U k) (Bahdanau et al. 2015, arXiv:1409.0473)."""

    def __init__(self, query_units: int, source_units: int, units: int):
        super().__init__()
        self.query = nn.Linear(query_units, units, bias=False)
        self.key = nn.Linear(source_units, units)
        self.score = nn.Linear(units, 1, bias=False)

    def prepare(self, values: Tensor, lengths: Tensor) -> Source:
        """See `Attention.prepare`; the keys are U k."""
        return Source(self.key(values), values, real_steps(lengths, values.shape[1])[..., 0].T)

    def forward(self, queries: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """See `Attention.__call__`."""
        projected = self.query(queries)
        at_once = max(1, _MOST // max(1, source.keys.numel()))
        if projected.shape[1] <= at_once:
            return source.mean(self._scores(projected, source.keys))
        parts = [
            checkpoint(self._scores, part, source.keys, use_reentrant=False) for part in projected.split(at_once, 1)
        ]
        return source.mean(torch.cat(parts, 1))

    def _scores(self, projected: Tensor, keys: Tensor) -> Tensor:
        return self.score((projected[:, :, None] + keys[:, None]).tanh_())[..., 0]


class DotAttention(nn.Module):
    """score(q, k) = (W q)ᵀ k / √units, the form "general" of Luong et al. 2015, arXiv:1508.04025, scaled."""

    def __init__(self, query_units: int, source_units: int):
        super().__init__()
        self.query = nn.Linear(query_units, source_units, bias=False)
        self.scale = 1 / math.sqrt(source_units)

    def prepare(self, values: Tensor, lengths: Tensor) -> Source:
        """See `Attention.prepare`; the keys are the values."""
        return Source(values, values, real_steps(lengths, values.shape[1])[..., 0].T)

    def forward(self, queries: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """See `Attention.__call__`."""
        return source.mean(self.query(queries) * self.scale @ source.keys.transpose(1, 2))
