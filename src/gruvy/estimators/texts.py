"""Estimators that write: language models and translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gruvy.data.pairs import cleaned
from gruvy.errors import BadInput
from gruvy.estimators.common import request_of, texts_of, trained_by
from gruvy.training.language import LanguageStudy
from gruvy.training.translating import TranslationStudy


class TextGenerator(BaseEstimator):
    """A language model: what comes next in a text.

    Args:
        unit: `"word"`, `"bpe"` or `"char"`; vocabulary: tokens at most.
        cache, split: settings of `gruvy train language`.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, unit: str = "bpe", vocabulary: int | None = None, cache: int = 0,
        split: Sequence[float] = (0.9, 0.05, 0.05), cell: str = "gru", recipe: str = "default", engine: str = "auto",
        seed: int = 0, max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.unit, self.vocabulary, self.cache, self.split = unit, vocabulary, cache, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: str | Sequence[str], y: None = None) -> Self:
        """Learn from a text, or from several."""
        settings = {"unit": self.unit, "vocabulary": self.vocabulary, "cache": self.cache, "split": tuple(self.split)}
        self.trained_ = trained_by(LanguageStudy(request_of("language", self, settings), texts_of(X)), self.quiet)
        return self

    def generate(self, prompt: str = "", length: int = 100, **sampling: Any) -> str:
        """What comes after a prompt, `length` tokens; `sampling` as for `gruvy.artefact.Trained.generate`."""
        check_is_fitted(self, "trained_")
        return "".join(self.trained_.generate(prompt, length, **sampling))

    def predict(self, X: Sequence[str]) -> list[dict[str, Any]]:
        """How probable each text is: tokens, perplexity, bits a character."""
        check_is_fitted(self, "trained_")
        found: list[dict[str, Any]] = self.trained_.predict(texts_of(X))
        return found

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Log-likelihood a token in nats, over all texts: higher is better."""
        said = self.predict(texts_of(X))
        return float(-sum(one["nll"] * one["tokens"] for one in said) / sum(one["tokens"] for one in said))


class Translator(BaseEstimator):
    """What a text becomes: its translation, or the answer to it.

    Args:
        unit, vocabulary, vocabularies, encoder, attention, beam, length_penalty, context, split: settings of
            `gruvy train translate`.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, unit: str = "bpe", vocabulary: int | None = None, vocabularies: str = "shared",
        encoder: str | None = None, attention: str | None = None, beam: int = 5, length_penalty: float = 1.0,
        context: int = 0, split: Sequence[float] = (0.9, 0.05, 0.05), cell: str = "gru", recipe: str = "default",
        engine: str = "auto", seed: int = 0, max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.unit, self.vocabulary, self.vocabularies = unit, vocabulary, vocabularies
        self.encoder, self.attention, self.beam, self.length_penalty = encoder, attention, beam, length_penalty
        self.context, self.split = context, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Sequence[str], y: Sequence[str]) -> Self:
        """Learn from sources and their targets."""
        sources, targets = _sides(X, y)
        names = ("unit", "vocabulary", "vocabularies", "encoder", "attention", "beam", "length_penalty", "context")
        settings = {name: getattr(self, name) for name in names} | {"split": tuple(self.split)}
        pairs = cleaned(sources, targets)
        for number, pair in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            if not all(map(str.strip, pair)):
                raise BadInput(f"pair {number + 1} has an empty side; give texts, or leave the pair out")
        self.trained_ = trained_by(TranslationStudy(request_of("translate", self, settings), pairs), self.quiet)
        return self

    def predict(self, X: Sequence[str]) -> list[str]:
        """Translations."""
        check_is_fitted(self, "trained_")
        return [said["translation"] for said in self.trained_.predict(texts_of(X))]

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """BLEU, by sacrebleu."""
        check_is_fitted(self, "trained_")
        sources, targets = _sides(X, y)
        figures: dict[str, float] = self.trained_.task.metrics(self.predict(sources), targets)
        return figures["bleu"]


def _sides(X: Any, y: Any) -> tuple[list[str], list[str]]:
    """Sources and targets, as many of both."""
    sources, targets = texts_of(X), texts_of(y)
    if len(sources) != len(targets):
        raise BadInput(f"there are {len(sources)} sources and {len(targets)} targets; give one for each")
    return sources, targets
