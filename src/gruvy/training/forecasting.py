"""Trainings that forecast: windows over series, parts that follow one another in time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.panels.inputs import PanelInputs
from gruvy.data.panels.panel import Panel, Roles, Series, panel_from_columns, read_panel
from gruvy.data.panels.stamps import season_length
from gruvy.data.panels.windows import PARTS, Windows, periods
from gruvy.errors import BadInput
from gruvy.models.linear import fit_linear, useful_cycles
from gruvy.tasks.forecast import Forecast, weighed
from gruvy.tasks.modalities import panel as modality
from gruvy.tasks.recipes import ForecastRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training.backtest import MOST_JUDGED, backtest
from gruvy.training.loop import Rows
from gruvy.training.pictures import forecast_picture
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit

_LONGEST = 1000  # steps of a window that is chosen on data
_CLOSE = 1.02  # of the best error: then the shorter window is taken
_SAMPLE = 100  # series the choice looks at
_REACH = 8  # horizons back that intervals are calibrated on, at least
_MOST_VALIDATED = 20_000  # windows


class ForecastStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, columns: Mapping[str, Any] | None = None):
        """Read the file that is asked for, or `columns` by name."""
        self.request, settings = request, request.filled(Forecast.settings)
        if request.data is None and columns is None:
            raise BadInput("gruvy train forecast needs data; give --data FILE (CSV, TSV, JSONL or Parquet)")
        horizon, window = settings["horizon"], settings["input"]
        for name, value in (("horizon", horizon), ("input", window), ("season", settings["season"])):
            if value is not None and value < 1:
                raise BadInput(f"--{name} {value}: expected a whole number of at least 1")
        if request.drop_empty:
            raise BadInput("--drop-empty has no place here: empty values of a series are handled, not dropped")
        self.task = Forecast.fit(settings)
        recipe = named_recipe(self.kind, request.recipe)
        assert isinstance(recipe, ForecastRecipe)
        self.recipe = replace(recipe, head=settings["head"], scaling=settings["scale"])
        roles = _roles(request)
        self.panel = panel_from_columns(columns, roles) if columns is not None else read_panel(str(request.data), roles)
        self.periods = periods(self.panel, horizon, _shares(settings["split"]))
        self.joint = settings["mode"] == "joint"
        ends = self.periods.of("train")[:, 1]
        values = [s.targets[:end, t] for s, end in zip(self.panel.series, ends, strict=True)
                  for t in range(s.targets.shape[1])]  # fmt: skip
        longest = int(ends.max())
        for name in ("input", "season"):
            if settings[name] is not None and settings[name] > longest - horizon:
                raise BadInput(
                    f"--{name} {settings[name]}: the training part has {longest} steps, of which the horizon takes "
                    f"{horizon}; give at most {longest - horizon}"
                )
        self.season = settings["season"] or season_length(values, self.panel.frequency)
        self.chosen = window is None
        self.window: int = self._choose_window() if window is None else window
        path = Path(request.data) if request.data is not None else None
        self.data = _describe(path, self.panel.roles)
        steps = sum(s.end for s in self.panel.series)
        self.size = f"{path.name if path else 'columns'}, {len(self.panel.series)} series, {steps} steps"
        self.introduction = self._introduction(steps)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        self.inputs = self._inputs(self.window)
        self.inputs.cycles = self._choose_cycles()
        self.inputs.least = self._least(self.window)
        calibration = self.periods.of("calibration")
        self.inputs.reach = max(_REACH * self.task.horizon, int(np.diff(calibration).max()))
        self.inputs.fit(self.panel, self.periods.of("train")[:, 1].tolist())
        self.inputs.remember(self.panel)
        encoded = self.inputs(self.panel)
        self.windows = {part: self._windows(encoded, self.window, part) for part in PARTS}
        self.windows["validation"] = self.windows["validation"].thinned(_MOST_VALIDATED)
        self.test_windows = len(self.windows["test"])
        for part in ("calibration", "test"):
            self.windows[part] = self.windows[part].thinned(MOST_JUDGED)

    def build(self) -> Any:
        """See `Study`."""
        size, request = self.task.output_size, self.request
        model = modality.build_model(self.inputs, size, self.recipe, request.cell, request.engine)
        model.prepare(self.windows["train"], self.windows["validation"])
        return model

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`."""
        train, validation = (_rows(self.windows[name]) for name in ("train", "validation"))
        return [Fit(member, train, validation) for member in model.members]

    def finish(self, trained: artefact.Trained) -> None:
        """Weigh the forecasts on what comes before the test part; calibrate the intervals on the calibration part."""
        self._weigh(trained)
        trained.task = self._calibrated(trained, self.windows["calibration"])

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure on the test part, and calibrate again for the future."""
        calibration, windows = self.windows["calibration"], self.windows["test"]
        printed, measured = backtest(trained, windows, calibration, self.request.seed)
        picture = forecast_picture(trained, windows)
        trained.task = modality.recalibrated(trained, windows.panel)
        weights = dict(zip(trained.model.names, trained.model.weights.tolist(), strict=True))
        spread = "" if len(windows) == self.test_windows else f" of {self.test_windows}, evenly spread"
        printed = [f"test windows: {len(windows)}{spread}; the forecast is {_words(weights)}", *printed]
        split = {
            "together": self.periods.together,
            "series": [
                {"name": s.name, **{part: [self._stamp(s, first), self._stamp(s, stop - 1)]
                                    for part, (first, stop) in zip(PARTS, bounds, strict=True) if stop > first}}
                for s, bounds in zip(self.panel.series, self._bounds(), strict=True)
            ],
            "bounds": self.periods.bounds.tolist(),
        }  # fmt: skip
        documents: dict[str, str | bytes] = {
            "split.json": json.dumps(split),
            "forecast.png": picture,
        }
        return Outcome("\n\n".join(printed), {"task": "forecast", "weights": weights, **measured}, documents)

    def _weigh(self, trained: artefact.Trained) -> None:
        windows = self.windows["validation"].followed_by(self.windows["calibration"])
        points = torch.stack(list(trained.answers_of(trained.model.points, windows).values()))
        trained.model.weights.copy_(weighed(points, windows[slice(None)], windows.times // self.task.horizon))

    def _calibrated(self, trained: artefact.Trained, windows: Windows) -> Forecast:
        outputs = trained.branches(windows)[trained.model.answer]
        return self.task.calibrated(outputs, windows[slice(None)])

    def _inputs(self, window: int) -> PanelInputs:
        return PanelInputs(self.panel.roles, self.panel.frequency, window, self.task.horizon, self.season, self.joint)

    def _windows(self, encoded: Any, window: int, part: str) -> Windows:
        """The windows whose horizon lies in `part`; shorter series have shorter histories."""
        spans = self.periods.of(part)
        return Windows.within(encoded, window, self.task.horizon, spans, self._least(window))

    def _least(self, window: int) -> int:
        """Steps of history a window has at least: all of them, where the training part is long enough."""
        longest = int(self.periods.of("train")[:, 1].max())
        return window if longest >= window + self.task.horizon + 1 else max(1, (longest - self.task.horizon) // 2)

    def _choose_window(self) -> int:
        """The length of the window with which the linear forecast errs least on the validation part."""
        horizon, season = self.task.horizon, self.season
        longest = int(self.periods.of("train")[:, 1].max())
        most = max(2, min(_LONGEST, longest // 3, longest - horizon))
        wanted = {2 * horizon, season + horizon, 2 * season + horizon, 7 * season + horizon}
        candidates = sorted({min(most, w) for w in wanted})
        errors = {}
        for window in candidates:
            _, train, validation = self._sample(window)
            fine = len(train) and len(validation)
            errors[window] = fit_linear(train, validation, self.recipe.scaling).error if fine else float("inf")
        best = min(errors.values())
        return next(window for window, error in errors.items() if error <= _CLOSE * best)

    def _choose_cycles(self) -> list[int]:
        """The calendar's features that help the linear forecast on the validation part."""
        inputs, train, validation = self._sample(self.window)
        if not inputs.cycles or not len(train) or not len(validation):
            return []
        places = range(0, len(inputs.cycles), 2)
        kept = useful_cycles(train, validation, self.recipe.scaling, places)
        return [inputs.cycles[place] for place in kept]

    def _sample(self, window: int) -> tuple[PanelInputs, Windows, Windows]:
        """Training and validation windows of some of the series."""
        some = np.sort(np.random.default_rng(0).permutation(len(self.panel.series))[:_SAMPLE])
        panel = Panel([self.panel.series[i] for i in some], self.panel.frequency, self.panel.roles, [])
        spans = {part: self.periods.of(part)[some] for part in ("train", "validation")}
        inputs = self._inputs(window).fit(panel, spans["train"][:, 1].tolist())
        encoded = inputs(panel)
        train, validation = (
            Windows.within(encoded, window, self.task.horizon, spans[part], self._least(window))
            for part in ("train", "validation")
        )
        return inputs, train, validation

    def _introduction(self, steps: int) -> str:
        series, settings = self.panel.series, self.panel
        count = f"{len(series)} series, " if len(series) > 1 else ""
        lines = [f"{self.request.data}: {count}{steps} steps, {settings.frequency.words()}", *settings.notes]
        longest = int(np.argmax([s.end for s in series]))
        bounds = self.periods.bounds[longest]
        parts = ", ".join(
            f"{part} {self._stamp(series[longest], bounds[i])} to {self._stamp(series[longest], bounds[i + 1] - 1)}"
            for i, part in enumerate(PARTS)
        )
        lines.append(parts if self.periods.together else f"each series is cut by its own length; the longest: {parts}")
        how = " (chosen on the validation part)" if self.chosen else ""
        season = f"a season of {self.season}" if self.season > 1 else "no season"
        lines.append(f"reads {self.window} steps{how}, forecasts {self.task.horizon}; {season}")
        return "\n".join(lines)

    def _stamp(self, series: Series, place: int) -> str:
        return str(self.panel.frequency.written(series.stamps[min(max(place, 0), len(series.stamps) - 1)]))

    def _bounds(self) -> list[list[tuple[int, int]]]:
        return [[(int(row[i]), int(row[i + 1])) for i in range(4)] for row in self.periods.bounds]


def _words(weights: dict[str, float]) -> str:
    if weights["last value"] == 1:
        return "the last value: on the parts before, nothing is clearly better"
    parts = ", ".join(f"{weight:.0%} {name}" for name, weight in weights.items() if weight > 0)
    return f"{parts} (weighed on the parts before)"


def _rows(windows: Windows) -> Rows:
    return Rows(windows, windows, PanelInputs.collate)


def _roles(request: Request) -> Roles:
    columns = request.columns
    if not columns.get("target"):
        raise BadInput("which column is to be forecast? give --target COLUMN")
    many = {role: tuple(columns.get(role) or ()) for role in ("known", "past", "static")}
    roles = Roles(tuple(columns["target"]), columns.get("time"), columns.get("id"), **many)
    answers = {"forecast", *(["target"] if len(roles.targets) > 1 else []), *([] if roles.time else ["step"])}
    for name in (roles.time, roles.id):
        if name in answers or (name or "").startswith(("lower_", "upper_")):
            raise BadInput(f"the column {name!r} has the name of a column of the forecast; give it another name")
    return roles


def _shares(split: tuple[float, ...]) -> tuple[float, float, float]:
    fine = len(split) == 3 and all(0 < share < float("inf") for share in split)
    shares, steps = fine and sum(split) <= 1 + 1e-9, fine and all(step == int(step) for step in split)
    if not (shares or steps):
        raise BadInput(
            f"--split {' '.join(f'{s:g}' for s in split)}: expected three shares that sum to at most 1 (0.7 0.1 0.2), "
            "or three numbers of steps, of training, validation and test"
        )
    return split[0], split[1], split[2]


def _describe(path: Path | None, roles: Roles) -> dict[str, Any]:
    columns = {"target": roles.targets, "time": roles.time, "id": roles.id}
    columns |= {role: getattr(roles, role) for role in ("known", "past", "static")}
    found = {"path": None, "sha256": None} if path is None else {"path": str(path.resolve()), "sha256": digest(path)}
    return {**found, "package": None, "columns": columns}
