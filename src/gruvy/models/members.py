"""Networks of one make as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Networks that read the same and answer with the mean of what they say.

    Args:
        members: each has `encode(batch) -> (batch, encoded_size)` and `encoded_size`.
    """

    def __init__(self, members: Iterable[nn.Module]):
        super().__init__()
        self.members: Any = nn.ModuleList(members)

    @property
    def encoded_size(self) -> int:
        """Units of `encode`."""
        return sum(member.encoded_size for member in self.members)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What all members make of each input, side by side, `(batch, encoded_size)`."""
        return torch.cat([member.encode(batch) for member in self.members], 1)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """-> `(batch, output_size)`."""
        return torch.stack([member(batch) for member in self.members]).mean(0)
