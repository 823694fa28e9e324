"""What the tasks about one text share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.cells import Cell
from gruvy.data.splits import duplicate_groups
from gruvy.data.text import TextInputs
from gruvy.models.text import TextModel, text_model
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.recipes import TextRecipe

KIND = ROLE = "text"
COLUMNS = {"text": Column("text", "text", "column with the texts")}
SETTINGS = {"pretrain": Setting(str, None, "start from the encoder of a language model: its directory")}
READING = ()
COMMAND = 'gruvy predict DIR "..."'
PYTHON = 'gruvy.load("DIR").predict("a text")'
WHAT = "texts"


def groups(texts: Sequence[str]) -> np.ndarray:
    """Which texts are the same, and so belong in the same part of a split."""
    return duplicate_groups(texts)


def fit_inputs(texts: Sequence[str], recipe: TextRecipe) -> TextInputs:
    """Learn the vocabulary from the training texts."""
    return TextInputs.fit(texts, recipe.vocabulary_size, recipe.max_tokens)


def load_inputs(folder: Path, recipe: TextRecipe) -> TextInputs:
    """Read the vocabulary from an artefact."""
    return TextInputs.load(folder, recipe.max_tokens)


def build_model(inputs: TextInputs, output_size: int, recipe: TextRecipe, cell: Cell, engine: str) -> TextModel:
    """The model a recipe describes; n-grams are two longer where they are of characters."""
    max_n = recipe.ngram_max_n + 2 if recipe.ngram_max_n and inputs.by_character else recipe.ngram_max_n
    return text_model(
        inputs.vocabulary_size, output_size, cell, embedding_size=recipe.embedding_size,
        hidden_size=recipe.hidden_size, num_layers=recipe.num_layers, bidirectional=recipe.bidirectional,
        pooling=recipe.pooling, word_dropout=recipe.word_dropout, locked_dropout=recipe.locked_dropout,
        dropout=recipe.dropout, ngram_max_n=max_n, ngram_buckets=recipe.ngram_buckets, engine=engine,
    )  # fmt: skip


def with_settings(recipe: TextRecipe, settings: Mapping[str, Any]) -> TextRecipe:
    """No setting changes it."""
    return recipe


def baselines(inputs: TextInputs, task: Any) -> dict[str, Any]:
    """An estimator on TF-IDF of words and pairs of words (of characters, where the model reads those)."""
    from sklearn.pipeline import make_pipeline

    return {f"TF-IDF + {task.estimator_name}": make_pipeline(TermWeights(inputs.by_character), task.estimator())}


class TermWeights:
    """TF-IDF of terms that are in two texts at least, or of all where there are no such terms."""

    def __init__(self, by_character: bool):
        self.by_character = by_character

    def fit_transform(self, texts: Sequence[str], targets: Any = None) -> Any:
        """`(texts, terms)`, sparse."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        terms: dict[str, Any] = {"ngram_range": (1, 2)}
        if self.by_character:
            terms = {"analyzer": "char_wb", "ngram_range": (1, 4)}
        try:
            self.terms = TfidfVectorizer(**terms, min_df=2, sublinear_tf=True)
            return self.terms.fit_transform(texts)
        except ValueError:  # too few texts
            self.terms = TfidfVectorizer(**terms, sublinear_tf=True)
            return self.terms.fit_transform(texts)

    def fit(self, texts: Sequence[str], targets: Any = None) -> TermWeights:
        """Learn the terms."""
        self.fit_transform(texts)
        return self

    def transform(self, texts: Sequence[str]) -> Any:
        """`(texts, terms)`, sparse."""
        return self.terms.transform(texts)


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one text, a list of them for several."""
    return predict_examples(trained, raw, isinstance(raw, str))
