"""Convolutions in front of a recurrent layer: they find short shapes and leave it fewer steps to carry them over."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gruvy.engines import real_steps


class ConvFront(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU (Wang, Yan & Oates 2017, arXiv:1611.06455) and max pooling.

    A padded batch gives what its sequences give alone, and batch normalisation sees real steps only.

    Args:
        input_size: units of a step.
        filters: what comes out of each block.
        kernel_sizes: steps the convolution of each block sees, odd numbers.
        strides: steps each block pools into one; 1 for none.
    """

    def __init__(
        self, input_size: int, filters: tuple[int, ...], kernel_sizes: tuple[int, ...], strides: tuple[int, ...]
    ):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel, padding="same")
            for before, after, kernel in zip((input_size, *filters[:-1]), filters, kernel_sizes, strict=True)
        )
        self.norms = nn.ModuleList(RealStepNorm(size) for size in filters)
        # The last window may be of fewer steps, so that even a single step comes out.
        self.pools = nn.ModuleList(nn.MaxPool1d(stride, ceil_mode=True) for stride in strides)
        self.strides = strides

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, steps, input_size)` and lengths `(batch,)` -> `(batch, fewer steps, filters[-1])`, 0 past each end,
        and the lengths there.
        """
        for convolution, norm, pool, stride in zip(
            self.convolutions, self.norms, self.pools, self.strides, strict=True
        ):
            real = real_steps(lengths, x.shape[1]).transpose(0, 1)
            found = convolution(x.masked_fill(~real, 0).transpose(1, 2)).transpose(1, 2)
            # Zeros past the end are no maximum that ReLU would not give: pooling need not know the lengths.
            x = pool(torch.relu(norm(found, real)).transpose(1, 2)).transpose(1, 2)
            lengths = -(-lengths // stride)
        return x, lengths


class RealStepNorm(nn.BatchNorm1d):
    """Batch normalisation of the real steps of a padded batch; a batch of one step is too little to learn from."""

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # type: ignore[override]
        """`(batch, steps, units)` and `(batch, steps, 1)`, True at real steps -> as `x`, 0 elsewhere."""
        if real.all():  # no padding: nothing to gather
            return self._normalised(x.flatten(0, 1)).view_as(x)
        rows, at = x.flatten(0, 1), real.flatten().nonzero()[:, 0]
        return torch.zeros_like(rows).index_copy(0, at, self._normalised(rows.index_select(0, at))).view_as(x)

    def _normalised(self, steps: Tensor) -> Tensor:
        if len(steps) > 1:
            return super().forward(steps)
        return nn.functional.batch_norm(
            steps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
