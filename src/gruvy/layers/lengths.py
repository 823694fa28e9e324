"""Sequences of unequal length in one batch: what is real and what is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gruvy.errors import BadInput


def check_lengths(lengths: Sequence[int] | np.ndarray | Tensor, batch: int, steps: int, device: torch.device) -> Tensor:
    """`lengths` as int64 `(batch,)` on `device`.

    Raises:
        BadInput: not one whole number between 0 and `steps` for each sequence.
    """
    try:
        given = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"lengths cannot be read ({error}); expected {batch} whole numbers") from None
    if not given.numel() and not isinstance(lengths, Tensor):
        given = given.to(torch.int64)  # [] has no whole numbers that would say so
    if given.dtype.is_floating_point or given.dtype is torch.bool or given.dim() != 1 or len(given) != batch:
        raise BadInput(
            f"lengths is {given.dtype} of shape {tuple(given.shape)}; expected {batch} whole numbers, one for each "
            "sequence of the batch"
        )
    # torch.compile cannot branch on values; the compiled kernel, which it runs, looks at them itself
    if batch and not torch.compiler.is_compiling() and (int(given.min()) < 0 or int(given.max()) > steps):
        raise BadInput(
            f"lengths run from {int(given.min())} to {int(given.max())}, but the input has {steps} steps; "
            f"give lengths between 0 and {steps}, or check that batch_first says how the input is laid out"
        )
    return given.to(device=device, dtype=torch.int64)


def lengths_from_mask(mask: Tensor) -> Tensor:
    """Lengths `(batch,)` of a mask `(batch, steps)` that is True at real steps.

    Raises:
        BadInput: a sequence does not begin with its real steps: padding on the left would be read as data.
    """
    mask = mask.bool()
    lengths = mask.sum(1)
    expected = torch.arange(mask.shape[1], device=mask.device) < lengths[:, None]
    wrong = (expected != mask).any(1).nonzero()
    if len(wrong):
        raise BadInput(
            f"sequence {int(wrong[0])} of the batch has padding before or between its real steps; padding stands at "
            "the end: use x, lengths = gruvy.layers.right_padded(x, mask)"
        )
    return lengths


def right_padded(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move the real steps of each sequence to its front.

    Args:
        x: `(batch, steps, ...)`.
        mask: `(batch, steps)`, True at real steps, wherever they stand.

    Returns:
        The sequences with zeros at the end, `(batch, steps, ...)`, and their lengths `(batch,)`.
    """
    mask = mask.bool()
    order = torch.argsort(mask.logical_not().int(), dim=1, stable=True)
    moved = x[torch.arange(len(x), device=x.device)[:, None], order]
    lengths = mask.sum(1)
    real = torch.arange(mask.shape[1], device=x.device) < lengths[:, None]
    return moved.masked_fill(~real.view(*real.shape, *[1] * (x.dim() - 2)), 0), lengths
