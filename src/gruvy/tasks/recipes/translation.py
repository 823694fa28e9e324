"""Recipes of translation models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class TranslationRecipe(Recipe):
    """The hyper-parameters of a translation model.

    Attributes:
        vocabulary_size: tokens at most, of each vocabulary; max_tokens: of a source or target that are read.
        encoder, attention, embedding_size, hidden_size, num_layers, word_dropout, locked_dropout, dropout, smoothing:
        see `gruvy.models.translation.translation_model`.
        piece_dropout: of merges in training, see `gruvy.data.cuts.RandomCuts`.
        pairs: training pairs aimed at; the epochs follow.
    """

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    max_epochs: int = 100
    patience: int = 8
    averaging: float = 0.998
    judging: float = 0.08
    epoch_steps: int = 2000
    vocabulary_size: int = 8000
    max_tokens: int = 250
    encoder: str = "gru"
    attention: str = "additive"
    embedding_size: int = 256
    hidden_size: int = 512
    num_layers: int = 1
    word_dropout: float = 0.0
    locked_dropout: float = 0.2
    dropout: float = 0.3
    smoothing: float = 0.1
    piece_dropout: float = 0.02
    pairs: int = 1_000_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training pairs of `lengths`, in tokens."""
        return self._bounded(self.pairs / (self.batches(len(lengths)) * self.batch_for(len(lengths))))
