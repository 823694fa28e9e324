"""The estimator of what comes next in music."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gruvy.data.music.midi import TEMPO
from gruvy.data.music.rolls import EncodedRolls, Music, Pieces
from gruvy.errors import BadInput
from gruvy.estimators.common import listed, request_of, trained_by
from gruvy.tasks.modalities.rolls import judged, roll_of
from gruvy.training.composing import MusicStudy

_STEPS_PER_BEAT = 2  # where nobody says; it matters to a file of what is written, and not to the model


class MusicGenerator(BaseEstimator):
    """A model of polyphonic music: which keys come next.

    Music is a list of piano rolls `(steps, 88)`, 1 where a key is held; `gruvy.data.music.midi.read` makes one of a
    MIDI file.

    Args:
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, cell: str = "gru", recipe: str = "default", engine: str = "auto", seed: int = 0,
        max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Sequence[np.ndarray], y: None = None) -> Self:
        """Learn from rolls."""
        rolls = _rolls(X)
        pieces = Pieces([f"roll {i}" for i in range(1, len(rolls) + 1)], rolls)
        music = Music({"": pieces}, [], _STEPS_PER_BEAT, TEMPO)
        self.trained_ = trained_by(MusicStudy(request_of("music", self, {}), music), self.quiet)
        return self

    def generate(self, prompt: Any = "", length: int = 100, **sampling: Any) -> np.ndarray:
        """What comes after a roll, or a piece from its beginning: uint8 `(length, 88)`; `sampling` as for
        `gruvy.artefact.Trained.generate`."""
        check_is_fitted(self, "trained_")
        written: np.ndarray = self.trained_.generate(prompt, length, **sampling)
        return written

    def predict(self, X: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The probability of each key at the step after each step, `(steps, 88)` for each roll."""
        check_is_fitted(self, "trained_")
        return [self.trained_.predict(roll) for roll in _rolls(X, least=1)]

    def score(self, X: Sequence[np.ndarray], y: None = None) -> float:
        """Log-likelihood a step in nats, of whole chords, over all steps but the first of each roll: higher is
        better."""
        check_is_fitted(self, "trained_")
        found: dict[str, float] = self.trained_.task.metrics(judged(self.trained_, EncodedRolls(_rolls(X))))
        return -found["nll"]


def _rolls(X: Any, least: int = 2) -> list[np.ndarray]:
    """Rolls of so many steps at least."""
    rolls = [roll_of(one, f"roll {i}") for i, one in enumerate(listed(X), 1)]
    if not rolls:
        raise BadInput(f"music was given as {X!r:.60}; give a list of rolls (steps, 88)")
    short = next((i for i, roll in enumerate(rolls, 1) if len(roll) < least), None)
    if short is not None:
        steps = len(rolls[short - 1])
        raise BadInput(f"roll {short} has too few steps ({steps}); expected at least {least}: leave it out")
    return rolls
