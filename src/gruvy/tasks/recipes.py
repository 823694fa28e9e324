"""Recipes: every hyper-parameter of a training, by name (`--recipe NAME`)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from gruvy.errors import BadInput


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a training.

    Attributes:
        vocabulary_size: tokens kept; max_tokens: of a text, read by the recurrent branch.
        embedding_size, hidden_size, num_layers, bidirectional, pooling: the recurrent branch.
        word_dropout, locked_dropout, dropout: see `gruvy.models.text.RecurrentText`.
        ngram_max_n, ngram_buckets: the n-gram branch; `ngram_max_n=0` leaves it out.
        batch_size: texts a batch; fewer where there are few texts.
        learning_rate, weight_decay, clip: of AdamW, with the norm of the gradient clipped.
        warm_up: share of the training during which the learning rate rises; it then falls along a cosine.
        steps, tokens: gradient steps and tokens aimed at; the epochs follow from whichever is used up first.
        min_epochs, max_epochs, patience: bounds, and epochs without improvement before training stops.
        averaging: decay a step of the running mean of the weights that is validated and kept; 0 for none.
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
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    warm_up: float = 0.25
    steps: int = 2500
    tokens: int = 10_000_000
    min_epochs: int = 3
    max_epochs: int = 40
    patience: int = 3
    averaging: float = 0.99

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training texts of `lengths`, in tokens."""
        batches = -(-len(lengths) // self.batch_for(len(lengths)))
        tokens = int(np.minimum(lengths, self.max_tokens).sum())
        aimed = min(self.steps / batches, self.tokens / max(1, tokens))
        return min(self.max_epochs, max(self.min_epochs, round(aimed)))

    def batch_for(self, rows: int) -> int:
        """Texts a batch: at least some thirty batches an epoch, as long as one holds 8 texts."""
        return max(8, min(self.batch_size, rows // 32))


RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    "small": Recipe(vocabulary_size=10_000, max_tokens=200, embedding_size=64, hidden_size=48),
    "recurrent": Recipe(ngram_max_n=0),
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        BadInput: there is none.
    """
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(RECIPES)}"
        raise BadInput(f"there is no recipe {name!r}; {hint}")
    return RECIPES[name]
