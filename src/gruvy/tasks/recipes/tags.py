"""Recipes of models that tag every step of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class TagRecipe(Recipe):
    """The hyper-parameters of a tagger.

    Attributes:
        vocabulary_size: words, beginnings, ends and shapes of words that are known, at most.
        embedding_size: of learned vectors; filters, kernel_sizes: of convolutions over symbols, none over words.
        hidden_size, num_layers, crf, hiding, mutation, locked_dropout, dropout, smoothing: see
        `gruvy.models.tagging.tag_model`.
        members: networks that are trained, each validated on another part of the sequences; one where there are more
            than `few` sequences, or files to validate on.
        tokens: steps of sequences aimed at; the epochs follow.
    """

    batch_size: int = 16
    learning_rate: float = 6e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    min_epochs: int = 5
    max_epochs: int = 40
    patience: int = 8
    averaging: float = 0.99
    vocabulary_size: int = 100_000
    embedding_size: int = 64
    filters: int = 32
    kernel_sizes: tuple[int, ...] = (3, 7, 11)
    hidden_size: int = 128
    num_layers: int = 1
    crf: bool = False
    hiding: float = 0.1
    mutation: float = 0.2
    locked_dropout: float = 0.2
    dropout: float = 0.3
    smoothing: float = 0.05
    members: int = 4
    few: int = 2000
    tokens: int = 2_500_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training sequences of `lengths`."""
        return self._bounded(self.tokens / max(1, int(lengths.sum())))

    def batch_for(self, rows: int) -> int:
        """Sequences a batch: at least some ten batches an epoch, as long as one holds 4 sequences."""
        return max(4, min(self.batch_size, rows // 10))
