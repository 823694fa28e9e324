"""How a panel of series becomes the numbers a forecasting model reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gruvy.data.panels.covariates import Column, carried, features
from gruvy.data.panels.panel import Panel, Roles, Series
from gruvy.data.panels.stamps import Frequency, calendar_features
from gruvy.errors import BadInput

_LARGEST = 1e30  # its square is a number still
_CYCLES = {"day": 1.0, "week": 7.0, "year": 365.0}  # in days


@dataclass(frozen=True)
class Scale:
    """Of one target of one series, over its training steps.

    Attributes:
        mean, scale: mean and standard deviation (1 for a constant series).
        naive: mean absolute error of the seasonal naive forecast, what MASE divides by (NaN for a constant one).
    """

    mean: float
    scale: float
    naive: float

    @classmethod
    def fit(cls, values: np.ndarray, season: int) -> Self:
        """Learn from `values` `(steps,)`, NaN where missing."""
        known = values[np.isfinite(values)]
        if not len(known):
            return cls(0.0, 1.0, float("nan"))
        spread = float(known.std())
        changes = np.abs(values[season:] - values[:-season])
        changes = changes[np.isfinite(changes)]
        naive = float(changes.mean()) if len(changes) else float("nan")
        floor = 1e-12 * float(np.abs(known).max())
        return cls(float(known.mean()), spread if spread > floor else 1.0, naive if naive > floor else float("nan"))


@dataclass(frozen=True)
class Track:
    """What is forecast together: one target of a series, or all of them in joint mode.

    Attributes:
        series: its place in the panel; targets: places of the targets.
        number: what training numbered it, 0 for one training never had.
        start, feature_start: where its steps begin in the values and the features.
        scales: one a target.
    """

    series: int
    targets: tuple[int, ...]
    number: int
    start: int
    feature_start: int
    scales: tuple[Scale, ...]


@dataclass(frozen=True, eq=False)
class EncodedPanel:
    """The steps of all tracks, end to end, with room for a window before and a horizon after each.

    Attributes:
        values: standardised, missing ones carried forward, float32 `(steps, targets)`.
        observed: False where a value is missing, `(steps, targets)`.
        past: features of what is known up to now, `(feature steps, features)`; known: also of the future.
        static: `(series, features)`.
    """

    panel: Panel
    tracks: list[Track]
    values: Tensor
    observed: Tensor
    past: Tensor
    known: Tensor
    static: Tensor

    @cached_property
    def starts(self) -> np.ndarray:
        """`(tracks,)`."""
        return np.array([track.start for track in self.tracks])

    @cached_property
    def feature_starts(self) -> np.ndarray:
        """`(tracks,)`."""
        return np.array([track.feature_start for track in self.tracks])

    @cached_property
    def series(self) -> np.ndarray:
        """`(tracks,)`."""
        return np.array([track.series for track in self.tracks])

    @cached_property
    def numbers(self) -> np.ndarray:
        """`(tracks,)`."""
        return np.array([track.number for track in self.tracks])


@dataclass(eq=False)
class PanelInputs:
    """Turns panels into numbers, with what the training part has taught it.

    Attributes:
        roles, frequency: of the training file.
        input_size: steps of a window; horizon: steps that are forecast; season: its length in steps, 1 for none.
        joint: targets are forecast together, each seeing the others.
        numbers: of each track, from 1, by its key; scales: by series and target.
        columns: the covariates.
        missing: whether training has missing values.
        least: steps of history a forecast needs at least; what a window lacks counts as missing.
        reach: steps back that intervals are calibrated on.
        cycles: the calendar's features that are read; None for every cycle that training saw twice.
        history: the last window of every series, by column; what a forecast without a file goes on from.
        before: steps of each series before its history, which number the steps of a file without a time column.
    """

    roles: Roles
    frequency: Frequency
    input_size: int
    horizon: int
    season: int
    joint: bool
    numbers: dict[str, int] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    missing: bool = False
    cycles: list[int] | None = None
    least: int = 1
    reach: int = 1
    history: dict[str, list[Any]] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    FILE = "inputs.json"

    def fit(self, panel: Panel, ends: Sequence[int]) -> Self:
        """Learn from the first `ends[i]` steps of series i."""
        parts = list(zip(panel.series, ends, strict=True))
        for series, end in parts:
            for place, target in enumerate(self.roles.targets):
                values = series.targets[:end, place]
                if np.nanmax(np.abs(values), initial=0) > _LARGEST:
                    raise BadInput(f"column {target!r} holds values beyond {_LARGEST:g}; give them in larger units")
                if np.isfinite(values).any():
                    self.scales[_key(series.name, target)] = Scale.fit(values, self.season)
                self.missing |= bool(np.isnan(values).any())
        self.numbers = {key: i + 1 for i, key in enumerate(dict.fromkeys(self._track_keys(panel)))}
        if self.cycles is None:
            self.cycles = _seen_twice([s.stamps[:end] for s, end in parts if end], self.frequency)
        for name in self.roles.known:
            self.columns[name] = Column.fit(s.known[name][:end] for s, end in parts)
        for name in self.roles.past:
            self.columns[name] = Column.fit(s.past[name][:end] for s, end in parts)
        for name in self.roles.static:
            self.columns[name] = Column.fit(np.array([s.static[name]], _kind(s.static[name])) for s in panel.series)
        return self

    def strangers(self, panel: Panel) -> list[str]:
        """A sentence about series training never had, if there are any."""
        known = {json.loads(key)[0] for key in self.numbers}
        names = [series.name for series in panel.series if series.name not in known]
        if not names:
            return []
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return [
            f"series that training never had are scaled by their own values and forecast as the average series: "
            f"{', '.join(names[:5])}{more}"
        ]

    def remember(self, panel: Panel) -> None:
        """Keep the last window of every series, with the known future given for it, and the scale of those that are
        too young for the training part."""
        roles = self.roles
        rows: dict[str, list[Any]] = {name: [] for name in roles.columns}
        for series in panel.series:
            part = slice(_enough(series, max(0, series.end - self.input_size)), None)
            self.before[series.name] = int(series.stamps[part.start]) if roles.time is None else part.start
            count = len(series.stamps[part])
            if roles.time is not None:
                rows[roles.time] += [str(stamp) for stamp in series.stamps[part]]
            if roles.id is not None:
                rows[roles.id] += [series.name] * count
            for place, target in enumerate(roles.targets):
                rows[target] += _cells(series.targets[part, place])
                self.scales.setdefault(_key(series.name, target), self._scale(series, place))
            for name in roles.known:
                rows[name] += _cells(series.known[name][part])
            for name in roles.past:
                rows[name] += _cells(series.past[name][part])
            for name in roles.static:
                rows[name] += _cells([series.static[name]]) * count
        self.history = rows

    @property
    def channels(self) -> int:
        """Targets in a track."""
        return len(self.roles.targets) if self.joint else 1

    @property
    def sizes(self) -> dict[str, int]:
        """Features of a step known up to now, of one also known of the future, and of a series."""
        width = {role: sum(self.columns[c].width for c in getattr(self.roles, role)) for role in ("past", "known")}
        static = sum(self.columns[c].width for c in self.roles.static)
        return {"past": width["past"], "known": width["known"] + len(self.cycles or ()), "static": static}

    def __call__(self, panel: Panel) -> EncodedPanel:
        """Encode `panel`; a series training never had is scaled by its own values.

        Raises:
            BadInput: a covariate holds texts where training had numbers.
        """
        tracks: list[Track] = []
        values, observed, past, known, static = [], [], [], [], []
        start = feature_start = 0
        for place, series in enumerate(panel.series):
            before, after = self._features(series)
            past.append(before)
            known.append(after)
            static.append(self._static(series))
            for targets in self._groups():
                scales = tuple(self._scale(series, t) for t in targets)
                number = self.numbers.get(_key(series.name, *(self.roles.targets[t] for t in targets)), 0)
                tracks.append(Track(place, targets, number, start, feature_start, scales))
                shown, seen = self._values(series, targets, scales, len(before))
                values.append(shown)
                observed.append(seen)
                start += len(before)
            feature_start += len(before)
        joined = [torch.from_numpy(np.concatenate(part)) for part in (values, observed, past, known)]
        return EncodedPanel(
            panel, tracks, joined[0], joined[1], joined[2], joined[3], torch.from_numpy(np.stack(static))
        )

    @staticmethod
    def collate(windows: Any, rows: np.ndarray) -> dict[str, Any]:
        """A batch of the windows at `rows`."""
        return windows.collate(rows)

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        roles = {role: getattr(self.roles, role) for role in ("targets", "time", "id", "known", "past", "static")}
        data = {
            "roles": roles, "frequency": self.frequency.to_json(), "input_size": self.input_size,
            "horizon": self.horizon, "season": self.season, "joint": self.joint, "numbers": self.numbers,
            "scales": {key: [s.mean, s.scale, _or_none(s.naive)] for key, s in self.scales.items()},
            "columns": {name: column.to_json() for name, column in self.columns.items()},
            "missing": self.missing, "cycles": self.cycles, "least": self.least, "reach": self.reach,
            "history": self.history, "before": self.before,
        }  # fmt: skip
        (folder / self.FILE).write_text(json.dumps(data), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        data = json.loads((folder / cls.FILE).read_text(encoding="utf-8"))
        roles: Any = {role: tuple(v) if isinstance(v, list) else v for role, v in data["roles"].items()}
        scales = {k: Scale(m, s, float("nan") if n is None else n) for k, (m, s, n) in data["scales"].items()}
        columns = {name: Column.from_json(column) for name, column in data["columns"].items()}
        return cls(
            Roles(**roles), Frequency.from_json(data["frequency"]), data["input_size"], data["horizon"],
            data["season"], data["joint"], data["numbers"], scales, columns, data["missing"], data["cycles"],
            data["least"], data["reach"], data["history"], data["before"],
        )  # fmt: skip

    def _groups(self) -> list[tuple[int, ...]]:
        every = range(len(self.roles.targets))
        return [tuple(every)] if self.joint else [(t,) for t in every]

    def _track_keys(self, panel: Panel) -> list[str]:
        targets = self.roles.targets
        return [_key(s.name, *(targets[t] for t in group)) for s in panel.series for group in self._groups()]

    def _scale(self, series: Series, target: int) -> Scale:
        known = self.scales.get(_key(series.name, self.roles.targets[target]))
        return known or Scale.fit(series.targets[: series.end, target], self.season)

    def _values(
        self, series: Series, targets: tuple[int, ...], scales: tuple[Scale, ...], room: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Standardised values and which of them were observed, both `(room, targets)`."""
        steps = len(series.stamps)
        shown = np.zeros((room, len(targets)), np.float32)
        seen = np.zeros((room, len(targets)), bool)
        inside = slice(self.input_size, self.input_size + steps)
        for column, (target, scale) in enumerate(zip(targets, scales, strict=True)):
            raw = series.targets[:, target]
            seen[inside, column] = np.isfinite(raw)
            shown[inside, column] = (carried(raw, scale.mean) - scale.mean) / scale.scale
        shown[: self.input_size] = shown[self.input_size]
        shown[inside.stop :] = shown[inside.stop - 1]
        return shown, seen

    def _features(self, series: Series) -> tuple[np.ndarray, np.ndarray]:
        """Features known up to now, and those also known of the future, with the room around them."""
        steps = len(series.stamps)
        past = features(self.columns, self.roles.past, series.past, steps)
        known = features(self.columns, self.roles.known, series.known, steps)
        missing = max(0, series.end + self.horizon - steps)
        stamps = np.concatenate([series.stamps, self.frequency.future(series.stamps[-1], missing)])
        calendar = calendar_features(stamps, self.frequency)[1][:, self.cycles or []]
        room = self.input_size, self.horizon
        rows = self.input_size + steps + self.horizon
        calendar = np.pad(calendar, ((self.input_size, 0), (0, 0)), "edge")
        calendar = np.pad(calendar, ((0, rows - len(calendar)), (0, 0)), "edge")
        past, known = (np.pad(part, (room, (0, 0)), "edge") for part in (past, known))
        return past, np.concatenate([calendar, known], axis=1)

    def _static(self, series: Series) -> np.ndarray:
        values = {name: np.array([value], _kind(value)) for name, value in series.static.items()}
        return features(self.columns, self.roles.static, values, 1)[0]


def _seen_twice(stamps: Sequence[np.ndarray], frequency: Frequency) -> list[int]:
    """Places of the calendar's features whose cycle the longest series went through twice."""
    if not len(stamps) or stamps[0].dtype.kind != "M":
        return []
    span = max(part[-1] - part[0] for part in stamps) / np.timedelta64(1, "D")
    names = calendar_features(stamps[0][:1], frequency)[0]
    return [i for i, name in enumerate(names) if span >= 2 * next(d for c, d in _CYCLES.items() if name.endswith(c))]


def _enough(series: Series, start: int) -> int:
    """A step at or before `start` from which on every value at `start` is known, or carried forward."""
    columns = [*series.targets.T, *(values for values in series.past.values() if values.dtype != object)]
    known = (np.flatnonzero(np.isfinite(values[: start + 1])) for values in columns)
    return min((int(places[-1]) for places in known if len(places)), default=start)


def _key(*names: str) -> str:
    return json.dumps(names)


def _kind(value: float | str) -> Any:
    return object if isinstance(value, str) else np.float64


def _cells(values: Any) -> list[Any]:
    """For JSON: None for what is missing."""
    return [None if v == "" or v != v else (v if isinstance(v, str) else float(v)) for v in values]


def _or_none(value: float) -> float | None:
    return None if value != value else value


def check_known_future(panel: Panel, horizon: int) -> None:
    """Refuse series whose known covariates are not given for the `horizon` steps after their end.

    Raises:
        BadInput: naming column, series and stamp.
    """
    for series in panel.series:
        for name, values in series.known.items():
            future = values[series.end : series.end + horizon]
            empty = np.array([v == "" or v != v for v in future], bool)
            if len(future) == horizon and not empty.any():
                continue
            place = int(empty.argmax()) if empty.any() else len(future)
            stamp = panel.frequency.written(panel.frequency.future(series.stamps[series.end - 1], place + 1)[-1])
            whose = f" of {series.name}" if series.name else ""
            raise BadInput(
                f"the known covariate {name!r}{whose} has no value for {stamp}; give a file with --data whose rows "
                f"go on for the {horizon} steps of the forecast, with {name} filled in and the target empty"
            )
