"""The estimator of what comes next in series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gruvy.cells.lookup import find_cell
from gruvy.errors import BadInput
from gruvy.estimators.common import trained_by
from gruvy.training.forecasting import ForecastStudy
from gruvy.training.request import Request


class Forecaster(BaseEstimator):
    """What comes next in series, with intervals.

    Args:
        target: column to forecast, or several; horizon: steps.
        time, id, known, past, static: columns by role, as in `gruvy train forecast`.
        input, season, level, loss, head, scale, mode, split: its settings.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, target: str | Sequence[str], horizon: int, time: str | None = None, id: str | None = None,
        known: Sequence[str] = (), past: Sequence[str] = (), static: Sequence[str] = (), input: int | None = None,
        season: int | None = None, level: Sequence[int] = (80, 95), loss: str = "quantile", head: str = "direct",
        scale: str = "instance", mode: str = "independent", split: Sequence[float] = (0.7, 0.1, 0.2), cell: str = "gru",
        recipe: str = "default", engine: str = "auto", seed: int = 0, max_minutes: float | None = None,
        quiet: bool = True,
    ):  # fmt: skip
        self.target, self.horizon, self.time, self.id = target, horizon, time, id
        self.known, self.past, self.static, self.input, self.season = known, past, static, input, season
        self.level, self.loss, self.head, self.scale, self.mode, self.split = level, loss, head, scale, mode, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn from columns by name: a data frame, or a dict of sequences."""
        if hasattr(X, "columns") and hasattr(X, "to_dict"):
            X = {str(name): X[name].to_numpy() for name in X.columns}
        if not isinstance(X, Mapping):
            raise BadInput(f"a forecast was to be learned from {X!r:.60}; give a data frame, or columns by name")
        targets = (self.target,) if isinstance(self.target, str) else tuple(self.target)
        columns = {"target": targets, "time": self.time, "id": self.id}
        columns |= {role: tuple(getattr(self, role)) for role in ("known", "past", "static")}
        names = ("horizon", "input", "season", "loss", "head", "scale", "mode")
        settings = {name: getattr(self, name) for name in names}
        settings |= {"level": tuple(self.level), "split": tuple(self.split)}
        request = Request(
            "forecast", Path(), find_cell(self.cell), columns=columns, settings=settings, seed=self.seed,
            engine=self.engine, recipe=self.recipe, max_minutes=self.max_minutes,
        )  # fmt: skip
        self.trained_ = trained_by(ForecastStudy(request, X), self.quiet)
        return self

    def predict(self, X: Any = None) -> list[dict[str, Any]]:
        """The next steps: a row a series, target and step, after the columns given, or after those of the training."""
        check_is_fitted(self, "trained_")
        return self.trained_.predict(X)
