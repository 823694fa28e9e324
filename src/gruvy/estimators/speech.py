"""The estimator of what is said in recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gruvy.data.sound.transcripts import Transcripts, plain
from gruvy.errors import BadInput
from gruvy.estimators.common import check_equal, listed, request_of, texts_of, trained_by
from gruvy.training.speaking import SpeechStudy


class SpeechRecognizer(BaseEstimator):
    """What is said in recordings.

    Recordings are a list of paths, or of pairs of samples, `(samples,)` or `(samples, channels)`, and their rate.

    Args:
        one_direction: hear the past and a fifth of a second more, as a stream needs it.
        words: that may be written, `"known"` from the transcripts or `"any"`; None for what errs less.
        beam: prefixes that the search keeps; 1 takes the likeliest path.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, one_direction: bool = False, words: str | None = None, beam: int = 10, cell: str = "gru",
        recipe: str = "default", engine: str = "auto", seed: int = 0, max_minutes: float | None = None,
        quiet: bool = True,
    ):  # fmt: skip
        self.one_direction, self.words, self.beam = one_direction, words, beam
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Sequence[Any], y: Sequence[str]) -> Self:
        """Learn from recordings and their transcripts."""
        sounds, texts = _sides(X, y)
        settings = {name: getattr(self, name) for name in ("one_direction", "words", "beam")}
        silent = next((i for i, text in enumerate(texts, 1) if not text), None)
        if silent is not None:
            raise BadInput(f"transcript {silent} is empty; give what is said, or leave the recording out")
        recordings = Transcripts(sounds, texts, None, np.arange(1, len(texts) + 1))
        self.trained_ = trained_by(SpeechStudy(request_of("speech", self, settings), recordings), self.quiet)
        return self

    def predict(self, X: Sequence[Any]) -> list[str]:
        """Transcripts."""
        check_is_fitted(self, "trained_")
        return [said["text"] for said in self.trained_.predict(listed(X))]

    def score(self, X: Sequence[Any], y: Sequence[str]) -> float:
        """1 - word error rate, over all words."""
        check_is_fitted(self, "trained_")
        sounds, texts = _sides(X, y)
        figures: dict[str, float] = self.trained_.task.metrics(self.predict(sounds), texts)
        return 1 - figures["wer"]


def _sides(X: Any, y: Any) -> tuple[list[Any], list[str]]:
    """Recordings and transcripts, as many of both."""
    sounds, texts = listed(X), [plain(text) for text in texts_of(y)]
    check_equal(len(sounds), len(texts))
    return sounds, texts
