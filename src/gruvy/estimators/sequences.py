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
from gruvy.estimators.common import trained_by
from gruvy.training.folded import FoldedStudy
from gruvy.training.request import Request


class _Sequences(BaseEstimator):
    """What the estimators of series share.

    Args:
        cell: a name of `gruvy cells`, or `FILE.py:FUNCTION`.
        recipe: hyper-parameters by name.
        front: `"conv"` or `"none"`, what stands before the recurrent layer.
        engine: which engine runs the cell.
        seed: of the folds, the initial weights and the shuffles.
        max_minutes: end the training within this time.
        quiet: show no progress.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, cell: str = "gru", recipe: str = "default", front: str = "conv", engine: str = "auto", seed: int = 0,
        max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.cell, self.recipe, self.front, self.engine = cell, recipe, front, engine
        self.seed, self.max_minutes, self.quiet = seed, max_minutes, quiet

    def _fit(self, task: str, X: Any, targets: Any) -> None:
        series = _series(X)
        if len(series) != len(targets):
            raise BadInput(f"there are {len(series)} series and {len(targets)} targets; give one for each")
        rows = np.arange(len(series))
        channels = tuple(str(c + 1) for c in range(series[0].shape[1]))
        table = SeriesTable(series, targets, rows, rows + 1, [""] * len(series), channels, [])
        request = Request(
            task, Path(), find_cell(self.cell), settings={"front": self.front}, seed=self.seed, engine=self.engine,
            recipe=self.recipe, max_minutes=self.max_minutes,
        )  # fmt: skip
        self.trained_ = trained_by(FoldedStudy(request, table), self.quiet)

    def _predictions(self, X: Any) -> list[dict[str, Any]]:
        check_is_fitted(self, "trained_")
        return self.trained_.predict(_series(X))


class SequenceClassifier(ClassifierMixin, _Sequences):
    """Which label a series has.

    Series are an array `(series, steps)` or `(series, steps, channels)`, or a list of arrays `(steps, channels)` of any
    lengths, with NaN where a value is missing.

    Attributes:
        classes_: the labels, sorted.
    """

    def fit(self, X: Any, y: Sequence[Any]) -> Self:
        """Learn from series and their labels."""
        self.classes_, number = np.unique(np.asarray(y), return_inverse=True)
        self._fit("classify", X, [str(n).zfill(9) for n in number])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(series, labels)`, in the order of `classes_`."""
        said = self._predictions(X)
        return np.array([list(one["probabilities"].values()) for one in said]).reshape(len(said), len(self.classes_))

    def predict(self, X: Any) -> np.ndarray:
        """Labels `(series,)`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class SequenceRegressor(RegressorMixin, _Sequences):
    """Which number a series has; series as for `SequenceClassifier`."""

    def fit(self, X: Any, y: Sequence[float]) -> Self:
        """Learn from series and their numbers."""
        self._fit("regress", X, np.asarray(y, np.float64))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers `(series,)`."""
        return np.array([said["value"] for said in self._predictions(X)])


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
