"""Recipes of models of one text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """The hyper-parameters of a model of texts.

    Attributes:
        vocabulary_size: tokens kept; max_tokens: of a text, read by the recurrent branch.
        embedding_size, hidden_size, num_layers, bidirectional, pooling: the recurrent branch.
        word_dropout, locked_dropout, dropout: see `gruvy.models.text.RecurrentText`.
        ngram_max_n, ngram_buckets: the n-gram branch; `ngram_max_n=0` leaves it out.
        tokens: aimed at; the epochs follow from steps or tokens, whichever is used up first.
    """

    vocabulary_size: int = 30_000
    max_tokens: int = 256
    embedding_size: int = 100
    hidden_size: int = 96
    num_layers: int = 1
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max", "mean")
    word_dropout: float = 0.15
    locked_dropout: float = 0.3
    dropout: float = 0.5
    ngram_max_n: int = 3
    ngram_buckets: int = 2**22
    tokens: int = 10_000_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training texts of `lengths`, in tokens."""
        tokens = int(np.minimum(lengths, self.max_tokens).sum())
        return self._bounded(min(self.steps / self.batches(len(lengths)), self.tokens / max(1, tokens)))
