"""Recipes of models of music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class MusicRecipe(Recipe):
    """The hyper-parameters of a model of music.

    Attributes:
        window: steps at most that are trained on at once; longer pieces are cut, between bars of most metres.
        embedding_size, hidden_size, num_layers, chord_size, transposition, recall_size, input_dropout, layer_dropout,
        output_dropout: see `gruvy.models.music.MusicNetwork`.
        music: steps of music aimed at; the epochs follow.
    """

    batch_size: int = 8
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    min_epochs: int = 50
    max_epochs: int = 400
    patience: int = 25
    averaging: float = 0.995
    judging: float = 0.05
    window: int = 384
    embedding_size: int = 256
    hidden_size: int = 384
    num_layers: int = 1
    chord_size: int = 128
    transposition: int = 5
    recall_size: int = 64
    input_dropout: float = 0.1
    layer_dropout: float = 0.1
    output_dropout: float = 0.35
    music: int = 900_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training pieces of `lengths`, in steps."""
        return self._bounded(self.music / max(1, int(lengths.sum())))

    def batch_for(self, rows: int) -> int:
        """Pieces a batch: at least some ten batches an epoch, as long as one holds 4 pieces."""
        return max(4, min(self.batch_size, rows // 10))
