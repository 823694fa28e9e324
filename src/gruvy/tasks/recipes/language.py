"""Recipes of language models."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class LanguageRecipe(Recipe):
    """The hyper-parameters of a language model; `batch_size` counts the parts of the text that are read side by side.

    Attributes:
        vocabulary_size: pieces at most; words: at most, where tokens are words.
        window: steps that gradients go back through.
        embedding_size, hidden_size, num_layers, embedding_dropout, input_dropout, layer_dropout, output_dropout,
        weight_dropout: see `gruvy.models.language.LanguageNetwork`.
        sampled: vocabulary from which on the loss is of `samples` tokens.
        tokens: aimed at; the epochs follow.
        orders: of the n-gram models that are tried as the baseline.
    """

    batch_size: int = 40
    weight_decay: float = 0.0
    clip: float = 0.5
    warm_up: float = 0.05
    min_epochs: int = 1
    patience: int = 4
    epoch_steps: int = 1000
    averaging: float = 0.998
    judging: float = 0.08
    vocabulary_size: int = 10_000
    words: int = 50_000
    window: int = 40
    embedding_size: int = 512
    hidden_size: int = 512
    num_layers: int = 2
    embedding_dropout: float = 0.1
    input_dropout: float = 0.3
    layer_dropout: float = 0.25
    output_dropout: float = 0.4
    weight_dropout: float = 0.2
    sampled: int = 40_000
    samples: int = 4096
    tokens: int = 20_000_000
    orders: tuple[int, ...] = (3, 4, 5)

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for a training text of `lengths`, in tokens; of `epoch_steps` batches where the text has more."""
        tokens = int(lengths.sum())
        return self._bounded(self.tokens / min(tokens, self.batches(tokens) * self.batch_for(tokens) * self.window))

    def batches(self, rows: int) -> int:
        """Batches an epoch, for a text of `rows` tokens."""
        whole = -(-rows // (self.batch_for(rows) * self.window))
        return min(whole, self.epoch_steps) if self.epoch_steps else whole

    def batch_for(self, rows: int) -> int:
        """Parts of a text of `rows` tokens: each has some twenty windows at least, as long as there are 4 of them."""
        return max(4, min(self.batch_size, rows // (20 * self.window)))

    def of_characters(self) -> LanguageRecipe:
        """As it is for single characters."""
        return replace(
            self, embedding_size=min(128, self.embedding_size), window=100, batch_size=32, orders=(5, 6, 7),
            embedding_dropout=0.0, input_dropout=0.1, layer_dropout=0.3, output_dropout=0.3, weight_decay=0.01,
            tokens=3 * self.tokens, max_epochs=self.max_epochs * 3 // 2,
        )  # fmt: skip
