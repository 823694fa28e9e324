"""What forecasting shares with other tasks' machinery: its inputs, its model, its naive forecasts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy.cells import Cell
from gruvy.data.panel import Panel, Roles, panel_from_columns, read_panel
from gruvy.data.panel_inputs import EncodedPanel, PanelInputs, check_known_future
from gruvy.data.windows import Windows
from gruvy.errors import BadInput
from gruvy.models.forecast import ForecastModel, forecast_model
from gruvy.tasks.recipes import ForecastRecipe

_CALIBRATED_ON = 5000  # windows
_ENOUGH = 20  # windows that do not overlap the last one

KIND = "panel"
COMMAND = "gruvy forecast DIR"
PYTHON = 'gruvy.load("DIR").predict()  # or .predict("newer.csv")'
WHAT = "series"


def load_inputs(folder: Path, recipe: ForecastRecipe) -> PanelInputs:
    """Read what training has learned of the series from an artefact."""
    return PanelInputs.load(folder)


def build_model(
    inputs: PanelInputs, output_size: int, recipe: ForecastRecipe, cell: Cell, engine: str
) -> ForecastModel:
    """The model a recipe describes; the middle one of the outputs of a step is the point forecast."""
    return forecast_model(
        inputs.input_size, inputs.horizon, inputs.channels, output_size, output_size // 2, cell, head=recipe.head,
        scaling=recipe.scaling, hidden_size=recipe.hidden_size, num_layers=recipe.num_layers, dropout=recipe.dropout,
        segment=recipe.segment_for(inputs.input_size, inputs.horizon), sizes=inputs.sizes,
        tracks=len(inputs.numbers), masked=inputs.missing, engine=engine,
    )  # fmt: skip


def panel_of(inputs: PanelInputs, raw: Any) -> Panel:
    """A panel from what a user has, with the columns of the training.

    Args:
        raw: a file; columns (a dict of sequences, a data frame); None for the end of the training file.

    Raises:
        BadInput: it is something else, or cannot be read.
    """
    if raw is None:
        return panel_from_columns(inputs.history, inputs.roles, frequency=inputs.frequency)
    if isinstance(raw, (str, os.PathLike)):
        return read_panel(raw, inputs.roles, frequency=inputs.frequency)
    if hasattr(raw, "to_dict") and hasattr(raw, "columns"):
        raw = {str(name): raw[name].to_numpy() for name in raw.columns}
    if not isinstance(raw, Mapping):
        raise BadInput(f"a forecast was asked from {raw!r:.60}; give a file, or columns by name")
    return panel_from_columns(raw, inputs.roles, frequency=inputs.frequency)


def last_value(windows: Windows) -> Tensor:
    """The last value before each horizon, for all of its steps: `(windows, horizon, targets, 1)`."""
    place = windows.panel.starts[windows.track] + windows.origin + windows.input_size - 1
    values = windows.panel.values[torch.from_numpy(place)]
    return values[:, None, :, None].expand(-1, windows.horizon, -1, -1)


def seasonal_naive(windows: Windows, season: int) -> Tensor:
    """The value one season before, the last season repeated: `(windows, horizon, targets, 1)`."""
    starts = torch.from_numpy(windows.panel.starts[windows.track])[:, None]
    origins = starts + torch.from_numpy(windows.origin)[:, None] + windows.input_size
    steps = torch.arange(windows.horizon)
    place = origins + steps % season - season
    return windows.panel.values[torch.maximum(place, starts)][..., None]


def predict(trained: Any, raw: Any = None) -> list[dict[str, Any]]:
    """The future of each series: a row a series, target and step, with the ends of the intervals.

    Args:
        trained: a `gruvy.artefact.Trained`; raw: see `panel_of`.
    """
    inputs, task = trained.inputs, trained.task
    panel = raw if isinstance(raw, Panel) else panel_of(inputs, raw)
    check_known_future(panel, inputs.horizon)
    encoded = inputs(panel)
    windows = Windows.at_the_end(encoded, inputs.input_size, inputs.horizon)
    outputs = trained.branches(windows)[trained.model.answer]
    task = recalibrated(trained, encoded)
    levels = {level: (windows.in_units(low), windows.in_units(up))
              for level, (low, up) in task.intervals(outputs).items()}  # fmt: skip
    middle = windows.in_units(outputs[..., task.middle])
    rows = []
    for place, track in enumerate(encoded.tracks):
        series = panel.series[track.series]
        stamps = panel.frequency.future(series.stamps[series.end - 1], inputs.horizon)
        for column, target in enumerate(track.targets):
            for step, stamp in enumerate(stamps):
                row = _labels(inputs.roles, series.name, inputs.roles.targets[target], stamp)
                row["forecast"] = float(middle[place, step, column])
                for level in task.levels:
                    for side, ends in zip(("lower", "upper"), levels[level], strict=True):
                        row[f"{side}_{level}"] = float(ends[place, step, column])
                rows.append(row)
    return rows


def recalibrated(trained: Any, encoded: EncodedPanel) -> Any:
    """The task with intervals calibrated on what has already come after earlier windows of the panel, where it holds
    enough of them."""
    inputs = trained.inputs
    ends = np.array([series.end for series in encoded.panel.series])
    spans = np.stack([np.maximum(0, ends - inputs.reach - inputs.horizon + 1), ends], axis=1)
    windows = Windows.within(encoded, inputs.input_size, inputs.horizon, spans, inputs.least).thinned(_CALIBRATED_ON)
    if len(windows) < inputs.horizon + _ENOUGH:
        return trained.task
    return trained.task.calibrated(trained.branches(windows)[trained.model.answer], windows[slice(None)])


def _labels(roles: Roles, name: str, target: str, stamp: Any) -> dict[str, Any]:
    """Which series, target and time a row of a forecast speaks of."""
    row: dict[str, Any] = {}
    if roles.id is not None:
        row[roles.id] = name
    row[roles.time or "step"] = written(stamp)
    if len(roles.targets) > 1:
        row["target"] = target
    return row


def written(stamp: np.datetime64 | np.int64) -> str | int:
    """A stamp as people write it: the day alone at midnight, no more digits than it needs."""
    if isinstance(stamp, np.integer):
        return int(stamp)
    text = str(stamp.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00")


class Stream:
    """Rows in, one at a time, and a forecast after each; what it holds equals a forecast from the same rows in a file.

    Args:
        trained: a `gruvy.artefact.Trained`.
        history: of an earlier stream, to go on from it; the end of the training data otherwise.
    """

    def __init__(self, trained: Any, history: Mapping[str, list[Any]] | None = None):
        self.trained = trained
        self.history = {name: list(cells) for name, cells in (history or trained.inputs.history).items()}

    def step(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Take a row in and forecast the series it belongs to.

        Returns:
            `id` and `time` of the row under the columns' names, and a list a step of `forecast` and the intervals.

        Raises:
            BadInput: a column is missing, or the row cannot follow what came before.
        """
        inputs = self.trained.inputs
        missing = [name for name in inputs.roles.columns if name not in row]
        if missing:
            raise BadInput(
                f"there is no {missing[0]!r}, only {', '.join(map(repr, row))}; give every column of training"
            )
        kept = self._of_series(row)
        for name, cells in kept.items():
            cells.append(row[name])
        panel = panel_of(inputs, kept)
        rows = predict(self.trained, panel)
        self._keep(kept, panel)
        answer = {name: row[name] for name in (inputs.roles.id, inputs.roles.time) if name is not None}
        if len(inputs.roles.targets) == 1:
            return {**answer, **_by_column(rows)}
        parts = {t: _by_column([r for r in rows if r["target"] == t]) for t in inputs.roles.targets}
        return {**answer, **parts}

    def _of_series(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The history of the row's series, taken out of the whole."""
        name = self.trained.inputs.roles.id
        if name is None:
            return {column: list(cells) for column, cells in self.history.items()}
        own = [str(cell) == str(row[name]) for cell in self.history[name]]
        return {
            column: [c for c, mine in zip(cells, own, strict=True) if mine] for column, cells in self.history.items()
        }

    def _keep(self, kept: Mapping[str, list[Any]], panel: Panel) -> None:
        """Put the series' rows back, as many as a window needs."""
        roles, size = self.trained.inputs.roles, self.trained.inputs.input_size
        others = [True] * len(next(iter(self.history.values())))
        if roles.id is not None:
            others = [str(cell) != str(kept[roles.id][-1]) for cell in self.history[roles.id]]
        else:
            others = [False] * len(others)
        for column, cells in kept.items():
            before = [c for c, other in zip(self.history[column], others, strict=True) if other]
            self.history[column] = before + cells[-size:]


def _by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The forecasts of one target as a list a column."""
    said = [name for name in rows[0] if name == "forecast" or name.startswith(("lower_", "upper_"))]
    return {name: [row[name] for row in rows] for name in said}
