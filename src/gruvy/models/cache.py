"""The continuous cache of a language model: what was said lately is said again.

Grave, Joulin & Usunier 2017, "Improving neural language models with a continuous cache", arXiv:1612.04426:

    p(w) = (1 - weight) p_model(w) + weight p_cache(w)
    p_cache(w) ∝ sum over the last `size` positions i of [the token after i is w] exp(theta h_t.h_i)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from gruvy.errors import BadInput

_BLOCK = 256  # positions looked up at once
_FLATNESS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # theta, in one over the usual spread of h_t.h_i
_WEIGHTS = tuple(k / 50 for k in range(1, 26))


@dataclass(frozen=True)
class Cache:
    """Attributes:
    size: past positions looked at, at least 1.
    theta: how much alike outputs must be, from 0, which counts all positions the same.
    weight: of the cache, 0 to 1.
    """

    size: int
    theta: float
    weight: float

    def __post_init__(self):
        if not (self.size >= 1 and 0 <= self.theta < math.inf and 0 <= self.weight <= 1):
            raise BadInput(f"{self}; expected a size of at least 1, theta of at least 0 and a weight from 0 to 1")

    def log_probabilities(self, hidden: Tensor, targets: Tensor, log_probabilities: Tensor) -> Tensor:
        """Natural logarithm of the probability of each target, `(steps,)`; at the first the model speaks alone.

        Args:
            hidden: the model's outputs `(steps, units)`, in the order of the stream.
            targets: the token that came after each `(steps,)`.
            log_probabilities: what the model alone gave it `(steps,)`.

        Raises:
            BadInput: shapes that do not fit.
        """
        _check(hidden, targets, log_probabilities)
        cached = _cached(hidden, targets, self.size, [self.theta])[0]
        return _mixed(log_probabilities, cached, self.weight)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """The three numbers."""
        return asdict(self)


def fit_cache(hidden: Tensor, targets: Tensor, log_probabilities: Tensor, size: int) -> Cache:
    """The theta and weight that give a validation text the highest probability; a weight of 0 where none helps.

    Theta is tried in one over the spread of h_t.h_i as i goes through the text (its standard deviation, in root mean
    square over t), since that differs from model to model; adding a constant to all h_t.h_i changes nothing.

    Args:
        size: past positions looked at; for the others see `Cache.log_probabilities`.

    Raises:
        BadInput: shapes that do not fit, or a size below 1.
    """
    _check(hidden, targets, log_probabilities)
    spread = _spread(hidden)
    thetas = [flatness / spread for flatness in _FLATNESS] if spread > 0 else [0.0]
    best, highest = Cache(size, 0.0, 0.0), float(log_probabilities.double().sum())
    for theta, cached in zip(thetas, _cached(hidden, targets, size, thetas), strict=True):
        for weight in _WEIGHTS:
            total = float(_mixed(log_probabilities, cached, weight).double().sum())
            if total > highest:
                best, highest = Cache(size, theta, weight), total
    return best


@torch.no_grad()
def _cached(hidden: Tensor, targets: Tensor, size: int, thetas: Sequence[float]) -> Tensor:
    """Log-probabilities of the targets after the first by the cache alone, `(thetas, steps - 1)`."""
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    steps = torch.arange(len(targets), device=hidden.device)
    found = [hidden.new_empty(len(thetas), 0)]
    for start in range(1, len(targets), _BLOCK):
        now = slice(start, start + _BLOCK)
        past = slice(max(0, start - size), start + _BLOCK - 1)
        age = steps[now, None] - steps[past]
        outside = (age < 1) | (age > size)
        alike = hidden[now] @ hidden[past].T
        same = targets[now, None] == targets[past]
        shares = ((theta * alike).masked_fill(outside, -math.inf).softmax(1) for theta in thetas)
        found.append(torch.stack([(share * same).sum(1).log() for share in shares]))
    return torch.cat(found, 1)


@torch.no_grad()
def _mixed(log_probabilities: Tensor, cached: Tensor, weight: float) -> Tensor:
    weights = cached.new_tensor(weight)
    mixed = torch.logaddexp(torch.log1p(-weights) + log_probabilities[1:], torch.log(weights) + cached)
    return torch.cat([log_probabilities[:1], mixed])


def _spread(hidden: Tensor) -> float:
    """The standard deviation of h_t.h_i over i, in root mean square over t."""
    h = hidden.detach().double()
    centred = h - h.mean(0)
    return math.sqrt(max(0.0, float(((h.T @ h) * (centred.T @ centred)).sum()))) / max(1, len(h))


def _check(hidden: Tensor, targets: Tensor, log_probabilities: Tensor) -> None:
    if hidden.dim() != 2 or targets.shape != hidden.shape[:1] or log_probabilities.shape != hidden.shape[:1]:
        raise BadInput(
            f"hidden {tuple(hidden.shape)}, targets {tuple(targets.shape)} and log-probabilities "
            f"{tuple(log_probabilities.shape)} came; expected (steps, units), (steps,) and (steps,)"
        )
