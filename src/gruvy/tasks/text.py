"""What the tasks about one text share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gruvy.cells import Cell
from gruvy.data.text import TextInputs
from gruvy.models.text import TextModel, text_model
from gruvy.tasks.recipes import Recipe


def fit_inputs(texts: Sequence[str], recipe: Recipe) -> TextInputs:
    """Learn the vocabulary from the training texts."""
    return TextInputs.fit(texts, recipe.vocabulary_size, recipe.max_tokens)


def load_inputs(folder: Path, recipe: Recipe) -> TextInputs:
    """Read the vocabulary from an artefact."""
    return TextInputs.load(folder, recipe.max_tokens)


def build_model(inputs: TextInputs, output_size: int, recipe: Recipe, cell: Cell, engine: str) -> TextModel:
    """The model a recipe describes."""
    return text_model(
        inputs.vocabulary_size, output_size, cell, embedding_size=recipe.embedding_size,
        hidden_size=recipe.hidden_size, num_layers=recipe.num_layers, bidirectional=recipe.bidirectional,
        pooling=recipe.pooling, word_dropout=recipe.word_dropout, locked_dropout=recipe.locked_dropout,
        dropout=recipe.dropout, ngram_max_n=recipe.ngram_max_n, ngram_buckets=recipe.ngram_buckets, engine=engine,
    )  # fmt: skip


def baseline_features() -> Any:
    """TF-IDF of words and pairs of words, the features of the baseline."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)


def is_one(raw: Any) -> bool:
    """Whether `raw` is a single text rather than several."""
    return isinstance(raw, str)
