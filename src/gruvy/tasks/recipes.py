"""Recipes: every hyper-parameter of a training, by name (`--recipe NAME`), for each kind of input."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gruvy.errors import BadInput


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, whatever it reads.

    Attributes:
        batch_size: rows a batch; fewer where there are few rows.
        learning_rate, weight_decay, clip: of AdamW, with the norm of the gradient clipped.
        warm_up: share of the training during which the learning rate rises; it then falls along a cosine.
        steps: gradient steps aimed at.
        min_epochs, max_epochs, patience: bounds, and epochs without improvement before training stops.
        epoch_steps: the most steps between two validations, where an epoch has more; 0 for no such bound.
        averaging: decay a step of the running mean of the weights that is validated and kept; 0 for none.
        judging: share of a limit of time that is kept for judging.
    """

    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    warm_up: float = 0.25
    steps: int = 2500
    min_epochs: int = 3
    max_epochs: int = 40
    patience: int = 3
    epoch_steps: int = 0
    averaging: float = 0.99
    judging: float = 0.2

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training rows of `lengths`, in steps of the sequence."""
        return self._bounded(self.steps / self.batches(len(lengths)))

    def batches(self, rows: int) -> int:
        """Batches an epoch."""
        whole = -(-rows // self.batch_for(rows))
        return min(whole, self.epoch_steps) if self.epoch_steps else whole

    def batch_for(self, rows: int) -> int:
        """Rows a batch: at least some thirty batches an epoch, as long as one holds 8 rows."""
        return max(8, min(self.batch_size, rows // 32))

    def _bounded(self, epochs: float) -> int:
        return min(self.max_epochs, max(self.min_epochs, round(epochs)))


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


@dataclass(frozen=True)
class ForecastRecipe(Recipe):
    """The hyper-parameters of a forecasting model.

    Attributes:
        hidden_size, num_layers, dropout: of the recurrent network.
        members: networks that are trained, one after the other, and averaged.
        segment: steps the direct head reads and answers at once; 0 chooses by horizon and window.
        head, scaling: see `gruvy.models.forecast.forecast_model`; settings of the task set them.
    """

    batch_size: int = 512
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    steps: int = 700
    min_epochs: int = 3
    max_epochs: int = 60
    patience: int = 5
    epoch_steps: int = 250
    averaging: float = 0.98
    hidden_size: int = 256
    num_layers: int = 1
    dropout: float = 0.5
    segment: int = 0
    members: int = 2
    head: str = "direct"
    scaling: str = "instance"

    def batch_for(self, rows: int) -> int:
        """Windows a batch: at least some thirty batches an epoch, as long as one holds 32 windows."""
        return max(32, min(self.batch_size, rows // 32))

    def segment_for(self, window: int, horizon: int) -> int:
        """Steps of a segment: a quarter of the horizon, at most 32 segments in the window."""
        if self.segment:
            return min(self.segment, window)
        return min(window, max(1, min(48, max(round(horizon / 4), -(-window // 32)))))


@dataclass(frozen=True)
class SeriesRecipe(Recipe):
    """The hyper-parameters of a model of labelled series.

    Attributes:
        max_steps: longer series are averaged over several steps.
        front, hidden_size, num_layers, bidirectional, pooling, noise, scaling, warping, locked_dropout, dropout,
        convolutions: see `gruvy.models.series.series_model`.
        members: networks that are trained, each without one fold of the rows; one where there are more than `few`
            rows, which can spare some for validation.
    """

    weight_decay: float = 0.01
    warm_up: float = 0.1
    steps: int = 600
    min_epochs: int = 30
    max_epochs: int = 200
    max_steps: int = 2048
    front: str = "conv"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max", "mean")
    noise: float = 0.05
    scaling: float = 0.1
    warping: float = 0.1
    locked_dropout: float = 0.1
    dropout: float = 0.3
    convolutions: int = 10_000
    members: int = 5
    few: int = 2000


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


RECIPES: dict[str, dict[str, Recipe]] = {
    "text": {
        "default": TextRecipe(),
        "small": TextRecipe(vocabulary_size=10_000, max_tokens=200, embedding_size=64, hidden_size=48),
        "recurrent": TextRecipe(ngram_max_n=0),
    },
    "series": {
        "default": SeriesRecipe(),
        "small": SeriesRecipe(hidden_size=32, members=3, convolutions=2_000),
        "recurrent": SeriesRecipe(convolutions=0),
    },
    "prose": {
        "default": LanguageRecipe(),
        "small": LanguageRecipe(embedding_size=128, hidden_size=128, num_layers=1, tokens=3_000_000, max_epochs=12),
    },
    "pairs": {
        "default": TranslationRecipe(),
        "small": TranslationRecipe(
            embedding_size=96, hidden_size=128, vocabulary_size=4000, dropout=0.2, locked_dropout=0.1, pairs=300_000
        ),
    },
    "panel": {
        "default": ForecastRecipe(),
        "small": ForecastRecipe(hidden_size=64, steps=500, members=1),
    },
}


def recipe(kind: str, name: str) -> Recipe:
    """The recipe called `name` for one kind of input.

    Raises:
        BadInput: there is none.
    """
    named = RECIPES[kind]
    if name not in named:
        close = difflib.get_close_matches(name, named, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(named)}"
        raise BadInput(f"there is no recipe {name!r}; {hint}")
    return named[name]


def recipe_from_json(kind: str, data: dict) -> Recipe:
    """The recipe an artefact was trained with; TypeError for fields there are not."""
    values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return type(RECIPES[kind]["default"])(**values)
