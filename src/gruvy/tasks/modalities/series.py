"""What the tasks about one series share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy.cells import Cell
from gruvy.data.labelled.inputs import SeriesInputs
from gruvy.errors import BadInput
from gruvy.models.series import SeriesModel, series_model
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.recipes import SeriesRecipe

KIND = ROLE = "series"
COMMAND = "gruvy predict DIR --series FILE"
PYTHON = 'gruvy.load("DIR").predict(values)  # an array (steps, channels), or a list of them'
WHAT = "series"
READING = ("window", "stride", "per_step")

COLUMNS = {
    "series": Column("any", None, "file of series, or the columns of --data that hold them", many=True, optional=True),
    "id": Column("label", None, "column that tells series apart, a row a step", optional=True),
    "time": Column("any", None, "column to sort the steps by", optional=True),
}
SETTINGS = {
    "window": Setting(int, None, "cut series into windows of so many steps"),
    "stride": Setting(int, None, "steps between windows [the window]"),
    "test": Setting(str, None, "file of series to test on [a fifth of the series]"),
    "front": Setting(str, None, "what stands before the recurrent layer [conv]", choices=("conv", "none")),
}

_MOST_STEPS = 512  # that the nearest neighbours compare
_MOST_SEEN, _LEAST_SEEN = 1000, 100  # series they compare with
_MOST_PAIRS = 10**6  # of series, about
_MOST_CELLS = 2 * 10**10  # of time warping, which takes the product of two lengths for each pair: a minute or two


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


def with_settings(recipe: SeriesRecipe, settings: Mapping[str, Any]) -> SeriesRecipe:
    """The recipe with the front asked for."""
    return replace(recipe, front=settings.get("front") or recipe.front)


def groups(series: Sequence[np.ndarray]) -> np.ndarray:
    """Which series are the same."""
    return np.unique([one.tobytes() for one in series], return_inverse=True)[1]


def baselines(inputs: SeriesInputs, task: Any) -> dict[str, Any]:
    """An estimator on the `summaries` of whole series."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    def found(series: Sequence[np.ndarray]) -> np.ndarray:
        encoded = inputs(series)
        return summaries([encoded[i] for i in range(len(encoded))])

    steps = FunctionTransformer(found), StandardScaler(), task.estimator()
    return {f"summaries + {task.estimator_name}": make_pipeline(*steps)}


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one series `(steps, channels)` (or `(steps,)` of one channel), a list of them for several."""
    single = isinstance(raw, np.ndarray) and raw.ndim <= 2
    several = [raw] if single else raw
    if isinstance(several, (list, tuple, np.ndarray)):
        several = [s[:, None] if isinstance(s, np.ndarray) and s.ndim == 1 else s for s in several]
    found = predict_examples(trained, several, False)
    return found[0] if single else found


def estimators(label: bool, per_step: bool = False) -> dict[str, Any]:
    """Cheap estimators in scikit-learn's manner that read series as they are prepared for the model, by name."""
    if per_step:
        return {"ridge on steps": StepRidge()}
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


class StepRidge:
    """A number at every step from what is there, what was there before, and the mean up to now."""

    def fit(self, series: Sequence[np.ndarray], targets: np.ndarray) -> StepRidge:
        """Targets `(series, longest)`, NaN where there is none."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        steps = np.concatenate([_steps(one) for one in series])
        wanted = np.concatenate([row[: len(one)] for row, one in zip(targets, series, strict=True)])
        there = ~np.isnan(wanted)
        self.ridge = make_pipeline(StandardScaler(), Ridge()).fit(steps[there], wanted[there])
        return self

    def predict(self, series: Sequence[np.ndarray]) -> np.ndarray:
        """`(series, longest)`, NaN past each end."""
        said = np.full((len(series), max(map(len, series))), np.nan)
        for row, one in zip(said, series, strict=True):
            row[: len(one)] = self.ridge.predict(_steps(one))
        return said


def _steps(one: np.ndarray) -> np.ndarray:
    """`(steps, 5 * features)`: values now and one, two and four steps before, and their mean up to now."""
    before = [one[np.maximum(0, np.arange(len(one)) - lag)] for lag in (0, 1, 2, 4)]
    return np.concatenate([*before, np.cumsum(one, 0) / np.arange(1, len(one) + 1)[:, None]], axis=1)


class NearestSeries:
    """The label of the nearest training series.

    Args:
        distance: `"euclid"`, of series stretched to one length; `"dtw"`, after dynamic time warping of all channels
            together (Sakoe & Chiba 1978), without a window.
    """

    def __init__(self, distance: str):
        self.distance = distance

    def fit(self, series: Sequence[np.ndarray], targets: np.ndarray) -> NearestSeries:
        """Keep (at most a thousand of) the series; where that is still too much work, fewer and with fewer steps."""
        most = min(_MOST_SEEN, max(_LEAST_SEEN, _MOST_PAIRS // len(series)))
        kept = np.linspace(0, len(series) - 1, min(len(series), most)).round().astype(int)
        self.steps = min(_MOST_STEPS, max(len(one) for one in series))
        if self.distance == "dtw":
            pairs = len(series) * len(kept) * series[0].shape[1]
            self.steps = min(self.steps, max(16, int((_MOST_CELLS / pairs) ** 0.5)))
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


class Stream:
    """Steps in, one at a time, and the number of each; the states of the networks are kept between them.

    Args:
        trained: a `gruvy.artefact.Trained` of the task regress, with a number a step.
        state: of an earlier stream, to go on from it.

    Raises:
        KeyError, TypeError, ValueError: the state is none of a stream.
    """

    def __init__(self, trained: Any, state: Mapping[str, Any] | None = None):
        self.trained = trained
        about = trained.about["data"]
        self.channels, self.id = list(about["channels"]), about["columns"].get("id")
        state = {"last": {}, "states": {}} if state is None else state
        self.last: dict[str, list[float]] = {own: list(values) for own, values in state["last"].items()}
        self.states = {own: [_tensors(member) for member in members] for own, members in state["states"].items()}

    @property
    def state(self) -> dict[str, Any]:
        """What an equal stream begins with."""
        return {
            "last": self.last,
            "states": {own: [_lists(m) for m in members] for own, members in self.states.items()},
        }

    @torch.no_grad()
    def step(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Take a step in, and say its number: `{"value": ...}`, with the id.

        Raises:
            BadInput: a channel is missing, or holds no number.
        """
        missing = [name for name in (*self.channels, *([self.id] if self.id else [])) if name not in row]
        if missing:
            raise BadInput(f"there is no {missing[0]!r}, only {', '.join(row)}; give every column of training")
        own = str(row[self.id]) if self.id else ""
        x = self._features(own, [_number(name, row[name]) for name in self.channels])
        before = self.states.get(own) or [None] * len(self.trained.model.network.members)
        said, self.states[own] = [], []
        for member, state in zip(self.trained.model.network.members, before, strict=True):
            output, state = member.encoder.step(x, state)
            said.append(member.head(output))
            self.states[own].append(state)
        (answer,) = self.trained.task.predictions(torch.stack(said).mean(0)[:1])
        return {**({self.id: row[self.id]} if self.id else {}), "value": answer["values"][0]}

    def _features(self, own: str, values: Sequence[float]) -> Tensor:
        """One step as the networks read it, `(1, features)`; what is missing is the value before."""
        inputs = self.trained.inputs
        scaled = (np.array(values) - inputs.mean) / inputs.scale
        missing = np.isnan(scaled)
        filled = np.where(missing, self.last.get(own, [0.0] * len(scaled)), scaled)
        self.last[own] = filled.tolist()
        return torch.from_numpy(np.concatenate([filled, missing[inputs.masked]]).astype(np.float32))[None]


def _number(name: str, cell: Any) -> float:
    if cell is None or str(cell).strip().lower() in ("", "nan", "na", "null"):
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise BadInput(f"{name!r} holds {cell!r}; write a number there, or leave it empty") from None


def _lists(state: Tensor | tuple[Tensor, ...]) -> Any:
    return state.tolist() if isinstance(state, Tensor) else {"parts": [part.tolist() for part in state]}


def _tensors(state: Any) -> Any:
    return tuple(map(torch.tensor, state["parts"])) if isinstance(state, dict) else torch.tensor(state)
