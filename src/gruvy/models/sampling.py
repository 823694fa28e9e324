"""Which token comes next, drawn from what a model says of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gruvy.errors import BadInput

_LARGE = 2**20  # numbers in the matrix of a vocabulary from which on it is worth a copy in eight bits
_COLDEST, _HOTTEST = 1e-6, 1e-30  # temperature below which only the likeliest token is drawn; least factor of scores
_MOST_EXACT = 64  # tokens
_WITHIN = 4.0  # of the best score: what is scored exactly


class Scores:
    """Scores of all tokens for one state at a time, as quick as memory allows.

    The matrix of a large vocabulary is read in eight bits, a quarter of the bytes, so that scores are off by some
    hundredths; then the best tokens within 4 of the best one, at most 64, are scored again, exactly.

    Args:
        weight: `(vocabulary, units)`; bias: `(vocabulary,)`.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        self.weight, self.bias = weight.detach(), bias.detach()
        self._eight_bits: tuple[Tensor, Tensor] | None = None
        if weight.numel() >= _LARGE and hasattr(torch, "_weight_int8pack_mm") and weight.shape[1] % 64 == 0:
            scale = (self.weight.abs().amax(1) / 127).clamp(min=1e-12).bfloat16()
            rounded = (self.weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
            self._eight_bits = rounded, scale

    def __call__(self, hidden: Tensor) -> np.ndarray:
        """`(1, units)` -> `(vocabulary,)`, to be used before the next call."""
        if self._eight_bits is None:
            return torch.addmv(self.bias, self.weight, hidden[0]).numpy()
        near = torch._weight_int8pack_mm(hidden.bfloat16(), *self._eight_bits)[0].float().add_(self.bias)
        scores: np.ndarray = near.numpy()
        found = np.flatnonzero(scores > scores.max() - _WITHIN)
        if len(found) > _MOST_EXACT:
            found = found[np.argpartition(scores[found], -_MOST_EXACT)[-_MOST_EXACT:]]
        likely = torch.from_numpy(found)
        near[likely] = torch.addmv(self.bias[likely], self.weight[likely], hidden[0])
        return scores


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: scores are divided by it; 0 takes the most probable token.
        top_k: only so many tokens, the most probable ones; 0 for all.
        top_p: only the most probable tokens that together have this probability
            (Holtzman et al. 2020, arXiv:1904.09751); 1 for all.

    Raises:
        BadInput: values that cannot be.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise BadInput(f"--temperature {self.temperature:g}: expected 0 or more; 1 draws as the model says")
        if self.top_k < 0:
            raise BadInput(f"--top-k {self.top_k}: expected 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"--top-p {self.top_p:g}: expected more than 0 and at most 1")

    def draw(self, scores: np.ndarray, rng: np.random.Generator) -> int:
        """A token, given scores `(vocabulary,)`, of which -inf are never drawn."""
        if self.temperature < _COLDEST:
            return int(scores.argmax())
        kept = None
        if 0 < self.top_k < len(scores):
            kept = np.argpartition(scores, -self.top_k)[-self.top_k :]
            scores = scores[kept]
        weights = np.exp((scores - scores.max()) * np.float32(max(1 / self.temperature, _HOTTEST)))
        if self.top_p < 1:
            order = np.argsort(-weights)
            total = np.cumsum(weights[order], dtype=np.float64)
            order = order[: int(np.searchsorted(total, self.top_p * total[-1])) + 1]
            kept = order if kept is None else kept[order]
            weights = weights[order]
        total = np.cumsum(weights, dtype=np.float64)
        place = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        if place == len(total):  # the product has been rounded up to the whole
            place = int(np.flatnonzero(weights)[-1])
        return place if kept is None else int(kept[place])
