"""What the tasks about one series share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.cells import Cell
from gruvy.data.labelled.inputs import SeriesInputs
from gruvy.models.series import SeriesModel, series_model
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.recipes import SeriesRecipe

KIND = "series"
COMMAND = "gruvy predict DIR --series FILE"
PYTHON = 'gruvy.load("DIR").predict(values)  # an array (steps, channels), or a list of them'
WHAT = "series"

SERIES_COLUMNS = {
    "series": Column("any", None, "file of series, or the columns of --data that hold them", many=True, optional=True),
    "id": Column("label", None, "column that tells series apart, a row a step", optional=True),
    "time": Column("any", None, "column to sort the steps by", optional=True),
}
SERIES_SETTINGS = {
    "window": Setting(int, None, "cut series into windows of so many steps"),
    "stride": Setting(int, None, "steps between windows [the window]"),
    "test": Setting(str, None, "file of series to test on [a fifth of the series]"),
    "front": Setting(str, None, "what stands before the recurrent layer [conv]", choices=("conv", "none")),
}

_MOST_STEPS = 512  # that the nearest neighbours compare
_MOST_SEEN = 1000  # series they compare with: time warping takes the product of all lengths


def fit_inputs(series: Sequence[np.ndarray], recipe: SeriesRecipe) -> SeriesInputs:
    """Learn mean and scale of each channel from the training series."""
    return SeriesInputs.fit(series, recipe.max_steps)


def load_inputs(folder: Path, recipe: SeriesRecipe) -> SeriesInputs:
    """Read them from an artefact."""
    return SeriesInputs.load(folder)


def build_model(inputs: SeriesInputs, output_size: int, recipe: SeriesRecipe, cell: Cell, engine: str) -> SeriesModel:
    """The model a recipe describes."""
    return series_model(
        inputs.features, inputs.steps, output_size, cell, front=recipe.front, hidden_size=recipe.hidden_size,
        num_layers=recipe.num_layers, bidirectional=recipe.bidirectional, pooling=recipe.pooling, noise=recipe.noise,
        scaling=recipe.scaling, warping=recipe.warping, locked_dropout=recipe.locked_dropout, dropout=recipe.dropout,
        members=recipe.members, convolutions=recipe.convolutions, engine=engine,
    )  # fmt: skip


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one series `(steps, channels)` (or `(steps,)` of one channel), a list of them for several."""
    single = isinstance(raw, np.ndarray) and raw.ndim <= 2
    several = [raw] if single else raw
    if isinstance(several, (list, tuple, np.ndarray)):
        several = [s[:, None] if isinstance(s, np.ndarray) and s.ndim == 1 else s for s in several]
    found = predict_examples(trained, several, False)
    return found[0] if single else found


def baselines(label: bool) -> dict[str, Any]:
    """Cheap scikit-learn estimators that read series as they are prepared for the model, by name."""
    if label:
        return {"1-NN Euclid": NearestSeries("euclid"), "1-NN DTW": NearestSeries("dtw")}
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    ridge = RidgeCV(np.logspace(-2, 4, 13))
    return {"ridge on summaries": make_pipeline(FunctionTransformer(summaries), StandardScaler(), ridge)}


def summaries(series: Sequence[np.ndarray]) -> np.ndarray:
    """`(series, 8 * features)`: mean, deviation, ends, extremes, mean and mean absolute change of each feature."""
    return np.stack([_summary(np.asarray(one, np.float64)) for one in series])


def _summary(one: np.ndarray) -> np.ndarray:
    change = np.diff(one, axis=0) if len(one) > 1 else np.zeros_like(one)
    parts = (one.mean(0), one.std(0), one[0], one[-1], one.min(0), one.max(0), change.mean(0), np.abs(change).mean(0))
    return np.concatenate(parts)


class NearestSeries:
    """The label of the nearest training series.

    Args:
        distance: `"euclid"`, of series stretched to one length; `"dtw"`, after dynamic time warping of all channels
            together (Sakoe & Chiba 1978), without a window.
    """

    def __init__(self, distance: str):
        self.distance = distance

    def fit(self, series: Sequence[np.ndarray], targets: np.ndarray) -> NearestSeries:
        """Keep (at most a thousand of) the series."""
        kept = np.linspace(0, len(series) - 1, min(len(series), _MOST_SEEN)).round().astype(int)
        self.steps = min(_MOST_STEPS, max(len(one) for one in series))
        self.series = [_stretched(series[i], self.steps, self.distance) for i in kept]
        self.targets, self.classes_ = targets[kept], np.unique(targets)
        return self

    def predict_log_proba(self, series: Sequence[np.ndarray]) -> np.ndarray:
        """`(series, labels)`: 0 for the label it says, minus infinity for the others."""
        nearest = [self._distances(_stretched(one, self.steps, self.distance)).argmin() for one in series]
        with np.errstate(divide="ignore"):
            return np.log((self.targets[nearest][:, None] == self.classes_).astype(np.float64))

    def _distances(self, one: np.ndarray) -> np.ndarray:
        """To each of the series kept."""
        if self.distance == "euclid":
            return ((np.stack(self.series) - one) ** 2).sum((1, 2))
        from dtaidistance import dtw_ndim

        return np.array([dtw_ndim.distance_fast(one, other) for other in self.series])


def _stretched(one: np.ndarray, steps: int, distance: str) -> np.ndarray:
    """One length for all where distances ask for it, and never more steps than `steps`, float64."""
    one = np.asarray(one, np.float64)
    if distance == "dtw" and len(one) <= steps:
        return np.ascontiguousarray(one)
    places = np.linspace(0, len(one) - 1, steps)
    return np.stack([np.interp(places, np.arange(len(one)), column) for column in one.T], axis=1)
