"""Batches of unequal lengths: real steps first, then padding."""

from __future__ import annotations

import torch
from torch import Tensor


def real_steps(lengths: Tensor, steps: int) -> Tensor:
    """`(steps, batch, 1)`, True at the real steps of sequences of `lengths` `(batch,)`."""
    return (torch.arange(steps, device=lengths.device)[:, None] < lengths)[:, :, None]


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """`(steps, batch, units)` with each sequence's real steps in reverse order and its padding where it was."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    source = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, source[:, :, None].expand_as(x))


def without_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """`(steps, batch, units)` with a real step standing wherever padding did, so that no cell meets a number its
    equations are not made for: a division by zero in the padding would reach the gradients as 0 * inf.
    """
    steps, batch = x.shape[:2]
    if not steps or not batch:
        return x
    own = torch.arange(batch, device=x.device)
    sequence = torch.where(lengths > 0, own, lengths.argmax())
    time = torch.arange(steps, device=x.device)[:, None]
    real = (time < lengths)[:, :, None]
    filled = x.detach()[torch.minimum(time, (lengths[sequence] - 1).clamp(min=0)), sequence]
    return torch.where(real, x, torch.where(lengths.max() > 0, filled, 0))
