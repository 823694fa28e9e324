"""The loss over a vocabulary, as its largest product allows: in half precision, or of a sample of the tokens."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihoods in nats, exactly; where gradients are taken, of products in bfloat16 if those are quick.

    Args:
        hidden: `(tokens, units)`; weight: `(vocabulary, units)`; bias: `(vocabulary,)`; targets: `(tokens,)`.
        smoothing: share of the target's probability that all tokens share (Szegedy et al. 2016, arXiv:1512.00567).

    Returns:
        `(tokens,)`
    """
    if torch.is_grad_enabled() and hidden.dtype is torch.float32 and _quick_halves(hidden.device.type):
        found: Tensor = _Halves.apply(hidden, weight, bias, targets, smoothing)
        return found
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none", label_smoothing=smoothing)


def sampled_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, samples: int) -> Tensor:
    """Negative log-likelihoods among the target and a sample of the vocabulary, the same for all tokens.

    The sample falls off as 1 / (id + 1), for ids in order of frequency, and scores are corrected by how often a token
    is to be expected in it (Jean et al. 2015, arXiv:1412.2007). For training: the gradient costs `samples` tokens
    instead of all.

    Args:
        hidden, weight, bias, targets: see `cross_entropy`.
        samples: tokens drawn, with replacement.
    """
    vocabulary = len(weight)
    drawn = torch.rand(samples, device=hidden.device).mul_(math.log(vocabulary + 1)).exp_().long().sub_(1)
    drawn = drawn.clamp_(0, vocabulary - 1).unique()
    share = torch.log1p(1 / (drawn + 1.0)) / math.log(vocabulary + 1)
    expected = -torch.expm1(samples * torch.log1p(-share))
    scores = F.linear(hidden, weight[drawn], bias[drawn] - expected.log())
    scores = scores.masked_fill(drawn == targets[:, None], float("-inf"))  # a target is no negative of itself
    chance = torch.log1p(1 / (targets + 1.0)) / math.log(vocabulary + 1)
    own = (hidden * weight[targets]).sum(-1) + bias[targets] + -torch.log(-torch.expm1(samples * torch.log1p(-chance)))
    return torch.logaddexp(own, scores.logsumexp(-1)) - own


_ROWS = 64  # that numbers of tokens are rounded up to: the library keeps some megabytes for every other shape


@functools.cache
def _quick_halves(device: str) -> bool:
    """Whether products in bfloat16 are quicker than in float32: where the processor has instructions for them."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)


class _Halves(torch.autograd.Function):
    """`cross_entropy` with the three products of the vocabulary in bfloat16, the sums within them in float32."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        rows = -len(hidden) % _ROWS
        h, w = F.pad(hidden.bfloat16(), (0, 0, 0, rows)), weight.bfloat16()
        probabilities = torch.addmm(bias.bfloat16(), h, w.T).softmax(-1)
        ctx.save_for_backward(h, w, probabilities, targets)
        ctx.smoothing = smoothing
        own = probabilities[: len(hidden)].gather(1, targets[:, None])[:, 0].float().clamp_(min=1e-37).log()
        if not smoothing:
            return -own
        middle = hidden @ weight.mean(0) + bias.mean()  # of the scores
        above = (hidden * weight[targets]).sum(-1) + bias[targets] - middle
        return smoothing * above - own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        h, w, probabilities, targets = ctx.saved_tensors
        (gradient,) = gradients
        count, each, keep = len(gradient), ctx.smoothing / len(w), 1 - ctx.smoothing
        padded = F.pad(gradient, (0, len(h) - count))
        scaled = padded[:, None] * h
        of_hidden = (probabilities @ w)[:count].float() - keep * w[targets]
        of_weight = (probabilities.T @ scaled.bfloat16()).float().index_add_(0, targets, scaled[:count], alpha=-keep)
        of_bias = (padded.bfloat16() @ probabilities).float().index_add_(0, targets, gradient, alpha=-keep)
        if each:
            of_hidden -= each * w.sum(0, dtype=torch.float32)
            of_weight -= each * scaled.sum(0)
            of_bias -= each * gradient.sum()
        return gradient[:, None] * of_hidden, of_weight, of_bias, None, None
