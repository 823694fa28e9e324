"""Recipes of models of sequences of symbols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class SequenceRecipe(Recipe):
    """The hyper-parameters of a model of DNA, proteins or other sequences of symbols.

    Attributes:
        batch_size: sequences a batch of each member.
        max_symbols: of a sequence that the network reads.
        encoding, front, hidden_size, num_layers, bidirectional, pooling, mutation, locked_dropout, dropout, members,
        reverse_complement: see `gruvy.models.sequence.sequence_model`.
        kmers: whether a linear model of k-mers stands beside the network.
        symbols: aimed at, of each member; the epochs follow from steps or symbols, whichever is used up first.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    steps: int = 2000
    min_epochs: int = 3
    max_epochs: int = 120
    patience: int = 10
    max_symbols: int = 2048
    encoding: str = "one-hot"
    front: str = "conv"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max", "mean")
    mutation: float = 0.05
    locked_dropout: float = 0.1
    dropout: float = 0.3
    members: int = 3
    reverse_complement: bool = False
    kmers: bool = True
    symbols: int = 20_000_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training sequences of `lengths`, in symbols: each member reads its share in one."""
        symbols = int(np.minimum(lengths, self.max_symbols).sum()) / self.members
        return self._bounded(min(self.steps / self.batches(len(lengths)), self.symbols / max(1, symbols)))

    def batch_for(self, rows: int) -> int:
        """Sequences a batch, all members together: at least some thirty batches an epoch, where that leaves 8 each."""
        return self.members * max(8, min(self.batch_size, rows // (32 * self.members)))
