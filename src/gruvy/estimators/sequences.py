"""Estimators of one label or one number a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from gruvy.cells.lookup import find_cell
from gruvy.data.labelled.series import SeriesTable
from gruvy.errors import BadInput
from gruvy.estimators.common import check_equal, listed, trained_by
from gruvy.training.examples import ExampleStudy
from gruvy.training.folded import FoldedStudy
from gruvy.training.reading import Examples
from gruvy.training.request import Request
from gruvy.training.study import Study

_KINDS = {"series": "series", "text": "text", "sequence": "sequence", "audio": "sound", "several": "several"}


class _Sequences(BaseEstimator):
    """What the estimators of series share.

    Args:
        cell: a name of `gruvy cells`, or `FILE.py:FUNCTION`.
        recipe: hyper-parameters by name.
        front: `"conv"` or `"none"`, what stands before the recurrent layer, of series and sequences.
        engine: which engine runs the cell.
        seed: of the folds, the initial weights and the shuffles.
        max_minutes: end the training within this time.
        quiet: show no progress.
        inputs: what is learned from, `"series"`, `"text"`, `"sequence"` of symbols, `"audio"`, or `"several"` of these.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, cell: str = "gru", recipe: str = "default", front: str = "conv", engine: str = "auto", seed: int = 0,
        max_minutes: float | None = None, quiet: bool = True, inputs: str = "series",
    ):  # fmt: skip
        self.inputs, self.cell, self.recipe, self.front, self.engine = inputs, cell, recipe, front, engine
        self.seed, self.max_minutes, self.quiet = seed, max_minutes, quiet

    def _fit(self, task: str, X: Any, targets: Any) -> None:
        if self.inputs not in _KINDS:
            raise BadInput(f"inputs is {self.inputs!r}; expected one of {', '.join(_KINDS)}")
        found = _series(X) if self.inputs == "series" else listed(X)
        check_equal(len(found), len(targets))
        self.trained_ = trained_by(self._study(task, found, targets), self.quiet)

    def _study(self, task: str, found: list[Any], targets: Any) -> Study:
        rows = np.arange(len(found))
        request = Request(
            task, Path(), find_cell(self.cell), settings={"front": self.front}, seed=self.seed, engine=self.engine,
            recipe=self.recipe, max_minutes=self.max_minutes,
        )  # fmt: skip
        if self.inputs != "series":
            return ExampleStudy(request, Examples(found, targets, rows + 1), _KINDS[self.inputs])
        channels = tuple(str(c + 1) for c in range(found[0].shape[1]))
        return FoldedStudy(request, SeriesTable(found, targets, rows, rows + 1, [""] * len(found), channels, []))

    def _predictions(self, X: Any) -> list[dict[str, Any]]:
        check_is_fitted(self, "trained_")
        said: list[dict[str, Any]] = self.trained_.predict(_series(X) if self.inputs == "series" else listed(X))
        return said


class SequenceClassifier(ClassifierMixin, _Sequences):
    """Which label a sequence has: a series, or whatever `inputs` says.

    Texts and sequences of symbols are a list of str; recordings a list of paths, or of pairs of samples and their rate;
    several inputs a list of mappings from text, series, sequence and audio to these.
    Series are an array `(series, steps)` or `(series, steps, channels)`, or a list of arrays `(steps, channels)` of any
    lengths, with NaN where a value is missing.

    Attributes:
        classes_: the labels, sorted.
    """

    def fit(self, X: Any, y: Sequence[Any]) -> Self:
        """Learn from series and their labels."""
        labels = _column(y)
        missing = next((i for i, label in enumerate(labels, 1) if label is None or label != label), None)
        if missing is not None:
            raise BadInput(f"label {missing} is {labels[missing - 1]}; give each input a label, or leave it out")
        try:
            self.classes_, number = np.unique(np.asarray(y), return_inverse=True)
        except (TypeError, ValueError):  # they cannot be put in order
            raise BadInput(f"labels were given as {y!r:.60}; give texts, or numbers") from None
        if len(self.classes_) == 1:
            raise BadInput(f"every input has the label {labels[0]!r}; give inputs with at least two labels")
        names = [str(label) for label in self.classes_]
        self._fit("classify", X, [names[i] for i in number])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(series, labels)`, in the order of `classes_`."""
        said = [[one["probabilities"][str(label)] for label in self.classes_] for one in self._predictions(X)]
        return np.array(said).reshape(len(said), len(self.classes_))

    def predict(self, X: Any) -> np.ndarray:
        """Labels `(series,)`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class SequenceRegressor(RegressorMixin, _Sequences):
    """Which number a sequence has; inputs as for `SequenceClassifier`."""

    def fit(self, X: Any, y: Sequence[float]) -> Self:
        """Learn from series and their numbers."""
        given = _column(y)
        try:
            numbers = given.astype(np.float64)
        except (TypeError, ValueError):
            raise BadInput(f"targets were given as {y!r:.60}; give a number for each input") from None
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            raise BadInput(f"target {wrong[0] + 1} is {numbers[wrong[0]]}; give each input a number, or leave it out")
        self._fit("regress", X, numbers)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers `(series,)`."""
        return np.array([said["value"] for said in self._predictions(X)])


def _column(y: Any) -> np.ndarray:
    """Targets as they are, `(inputs,)`."""
    found = np.asarray(y, object)
    if found.ndim != 1:
        came = f"an array {found.shape}" if found.ndim else repr(y)[:60]
        raise BadInput(f"targets were given as {came}; give a list, with one for each input")
    return found


def _series(X: Any) -> list[np.ndarray]:
    """Arrays `(steps, channels)`, float32."""
    if not isinstance(X, (np.ndarray, list, tuple)) or not len(X):
        raise BadInput(f"series were given as {X!r:.60}; give an array (series, steps, channels) or a list of arrays")
    wrong_kind = next((one for one in X if isinstance(one, str)), None)
    if wrong_kind is not None:
        raise BadInput(
            f"a series was given as the text {wrong_kind!r:.60}; give numbers (gruvy train classify reads texts)"
        )
    arrays = [np.asarray(one, np.float32) for one in X]
    arrays = [one[:, None] if one.ndim == 1 else one for one in arrays]
    wrong = next((one.shape for one in arrays if one.ndim != 2), None)
    if wrong is not None:
        raise BadInput(f"a series has the shape {wrong}; expected (steps, channels)")
    return arrays
