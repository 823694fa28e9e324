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
from gruvy.data.panels.inputs import EncodedPanel, PanelInputs, check_known_future
from gruvy.data.panels.panel import Panel, Roles, panel_from_columns, read_panel
from gruvy.data.panels.stamp_texts import read_stamps
from gruvy.data.panels.windows import Windows
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
        members=recipe.members, tracks=len(inputs.numbers), masked=inputs.missing, engine=engine,
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


def predict(trained: Any, raw: Any = None, before: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """The future of each series: a row a series, target and step, with the ends of the intervals.

    Args:
        trained: a `gruvy.artefact.Trained`; raw: see `panel_of`.
        before: steps of each series before those in `raw`, where that is the end of longer series; intervals are
            calibrated on what `raw` holds otherwise.
    """
    inputs, task = trained.inputs, trained.task
    before = inputs.before if raw is None else before
    panel = raw if isinstance(raw, Panel) else panel_of(inputs, raw)
    check_known_future(panel, inputs.horizon)
    encoded = inputs(panel)
    windows = Windows.at_the_end(encoded, inputs.input_size, inputs.horizon)
    outputs = trained.branches(windows)[trained.model.answer]
    if before is None:
        task = recalibrated(trained, encoded)
    levels = {level: (windows.in_units(low), windows.in_units(up))
              for level, (low, up) in task.intervals(outputs).items()}  # fmt: skip
    middle = windows.in_units(outputs[..., task.middle])
    rows = []
    for place, track in enumerate(encoded.tracks):
        series = panel.series[track.series]
        future = panel.frequency.future(series.stamps[series.end - 1], inputs.horizon)
        if inputs.roles.time is None:
            future = future + (before or {}).get(series.name, 0)
        stamps = [panel.frequency.written(stamp) for stamp in future]
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
    row[roles.time or "step"] = stamp
    if len(roles.targets) > 1:
        row["target"] = target
    return row


class Stream:
    """Rows in, one at a time, and a forecast after each; what it holds equals a forecast from the same rows in a file.

    Args:
        trained: a `gruvy.artefact.Trained`.
        state: of an earlier stream, to go on from it; the end of the training data otherwise.

    Raises:
        KeyError, TypeError, ValueError: the state is none of a stream.
    """

    def __init__(self, trained: Any, state: Mapping[str, Any] | None = None):
        self.trained = trained
        if state is None:
            state = {"history": trained.inputs.history, "before": trained.inputs.before}
        self.history = {name: list(cells) for name, cells in state["history"].items()}
        self.before = dict(state["before"])
        if set(self.history) != set(trained.inputs.roles.columns) or len({len(c) for c in self.history.values()}) != 1:
            raise ValueError("the columns of the state are not those of the model")

    @property
    def state(self) -> dict[str, Any]:
        """What an equal stream begins with."""
        return {"history": self.history, "before": self.before}

    def step(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Take a row in and forecast the series it belongs to.

        A row of a stamp that is there replaces it: so what was known ahead of a step gives way to what came.

        Returns:
            `id` and `time` of the row under the columns' names, and a list a step of `forecast` and the intervals;
            these are left out for a row that only tells what is known of the future.

        Raises:
            BadInput: a column is missing, or the row comes before what was read.
        """
        roles = self.trained.inputs.roles
        missing = [name for name in roles.columns if name not in row]
        if missing:
            raise BadInput(f"there is no {missing[0]!r}, only {', '.join(row)}; give every column of training")
        answer = {name: row[name] for name in (roles.id, roles.time) if name is not None}
        if roles.time is not None and not isinstance(self.trained.inputs.frequency.unit, int):
            row = {**row, roles.time: str(read_stamps([row[roles.time]], roles.time)[0][0])}
        told = any(row[name] not in (None, "") for name in roles.targets)
        if told:  # alone first, so that what is wrong with it is said of it
            panel_of(self.trained.inputs, {name: [row[name]] for name in roles.columns})
        own = "" if roles.id is None else str(row[roles.id])
        kept, others = self._parted(own)
        later = self._place(kept, row)
        for name, cells in kept.items():
            cells[later:] = [row[name], *cells[later + 1 :]] if later < len(cells) else [row[name]]
        if told:
            panel = panel_of(self.trained.inputs, kept)
            rows = predict(self.trained, panel, self.before)
            answer |= _by_target(rows, roles.targets)
            surplus = max(0, panel.series[0].end - self.trained.inputs.input_size)
            self.before[own] = self.before.get(own, 0) + surplus
            kept = {name: cells[surplus:] for name, cells in kept.items()}
        self.history = {name: others[name] + cells for name, cells in kept.items()}
        return answer

    def _parted(self, own: str) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """The history of one series, and that of all others."""
        name = self.trained.inputs.roles.id
        count = len(next(iter(self.history.values())))
        mine = [True] * count if name is None else [str(cell) == own for cell in self.history[name]]
        parts = (
            {
                column: [c for c, m in zip(cells, mine, strict=True) if m is side]
                for column, cells in self.history.items()
            }
            for side in (True, False)
        )
        kept, others = parts
        return kept, others

    def _place(self, kept: Mapping[str, list[Any]], row: Mapping[str, Any]) -> int:
        """Where the row goes among those of its series: at the end, or in place of that of the same stamp."""
        roles = self.trained.inputs.roles
        if roles.time is None or not kept[roles.time]:
            return len(next(iter(kept.values())))
        whole = isinstance(self.trained.inputs.frequency.unit, int)
        before = read_stamps(kept[roles.time], roles.time, whole_numbers=whole)[0]
        stamp = read_stamps([row[roles.time]], roles.time, whole_numbers=whole)[0][0]
        if stamp > before.max():
            return len(before)
        same = np.flatnonzero(before == stamp)
        came = [any(kept[name][i] not in (None, "") for name in roles.targets) for i in range(len(before))]
        last = before[np.flatnonzero(came)].max() if any(came) else before.min()
        if not len(same) or stamp < last:
            raise BadInput(f"{row[roles.time]!r} comes before what was read up to now; give rows in order of time")
        return int(same[0])


def _by_target(rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> dict[str, Any]:
    """The forecasts of one series as a list a column, for each of several targets."""
    if len(targets) == 1:
        return _by_column(rows)
    return {target: _by_column([row for row in rows if row["target"] == target]) for target in targets}


def _by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The forecasts of one target as a list a column."""
    said = [name for name in rows[0] if name == "forecast" or name.startswith(("lower_", "upper_"))]
    return {name: [row[name] for row in rows] for name in said}
