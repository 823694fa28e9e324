"""Regular time stamps: how far apart they are, which come next, and what the calendar says of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np

from gruvy.errors import BadInput

_NS = {
    "D": 86_400 * 10**9, "h": 3600 * 10**9, "min": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1,
}  # fmt: skip
_DAY, _WEEK = _NS["D"], 7 * _NS["D"]
_UNIT_WORDS = {
    "D": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond", "us": "microsecond",
    "ns": "nanosecond",
}  # fmt: skip
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEKDAY_WORDS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS_IN = {"M": 1, "Q": 3, "Y": 12}
_ALIAS = re.compile(
    r"(?P<business>B)|W-(?P<weekday>[A-Z]{3})|(?P<count>[1-9]\d*)?"
    r"(?:(?P<fixed>D|h|min|s|ms|us|ns)|(?P<period>[MQY])(?P<side>[SE])(?:-(?P<month>[A-Z]{3}))?)"
)


Stamp = np.datetime64 | np.integer | int


class Spacing(NamedTuple):
    """What lies between two neighbouring stamps.

    kind: "integer", "fixed" (nanoseconds), "business" (days from Monday to Friday) or "months".
    """

    kind: Literal["integer", "fixed", "business", "months"]
    size: int


@dataclass(frozen=True)
class Frequency:
    """The distance between neighbouring stamps of a regular series.

    unit: a pandas offset alias ("30min", "h", "D", "B", "W-SUN", "MS", "ME", "QS", "YS-APR", ...), or the step
        of integer time.  The anchor of a week, quarter or year is for people to read: the next stamp follows
        from the one before, so series that are anchored differently have one frequency.

    Raises BadInput for another unit.
    """

    unit: str | int

    def __post_init__(self) -> None:
        parsed = _ALIAS.fullmatch(self.unit) if isinstance(self.unit, str) else None
        named = parsed and parsed["month"] in (None, *_MONTHS) and parsed["weekday"] in (None, *_WEEKDAYS)
        if not (named or (isinstance(self.unit, int) and self.unit > 0)):
            raise BadInput(f"unknown frequency {self.unit!r}; give an alias like 'h', '30min', 'D' or 'MS', or a step")

    @classmethod
    def of(cls, spacing: Spacing, first: Stamp, *, at_end: bool = False) -> Self:
        """The frequency with this spacing, its anchor read off the first stamp; `at_end` of months."""
        if spacing.kind == "integer":
            return cls(spacing.size)
        if spacing.kind == "business":
            return cls("B")
        if spacing.kind == "months":
            period = next(period for period in "YQM" if spacing.size % _MONTHS_IN[period] == 0)
            month = int(np.asarray(first).astype("datetime64[M]").astype(np.int64)) % 12
            # QS-APR is QS: the anchor of a quarter is one of its three months
            anchor = {"M": 0, "Q": (month + at_end) % 3, "Y": (month + at_end) % 12}[period]
            name = _MONTHS[(anchor - at_end) % 12]
            return cls(
                _counted(spacing.size // _MONTHS_IN[period], period + ("E" if at_end else "S"))
                + (f"-{name}" if anchor else "")
            )
        if spacing.size == _WEEK:
            return cls(f"W-{_WEEKDAYS[int(weekday(np.asarray(first)))]}")
        unit = next(unit for unit, size in _NS.items() if spacing.size % size == 0)
        return cls(_counted(spacing.size // _NS[unit], unit))

    @cached_property
    def spacing(self) -> Spacing:
        if isinstance(self.unit, int):
            return Spacing("integer", self.unit)
        alias = self._alias
        count = int(alias["count"] or 1)
        if alias["business"]:
            return Spacing("business", 1)
        if alias["period"]:
            return Spacing("months", count * _MONTHS_IN[alias["period"]])
        return Spacing("fixed", count * (_WEEK if alias["weekday"] else _NS[alias["fixed"]]))

    @property
    def _alias(self) -> re.Match[str]:
        parsed = _ALIAS.fullmatch(str(self.unit))
        assert parsed is not None
        return parsed

    @property
    def at_end(self) -> bool:
        """Whether the stamps stand on the last day of their months."""
        return isinstance(self.unit, str) and self._alias["side"] == "E"

    def stamps(self, first: Stamp, n: int) -> np.ndarray:
        """(n,) stamps from `first` on, which is one of the grid: datetime64[ns], or int64 of integer time."""
        kind, size = self.spacing
        steps = np.arange(n) * size
        if kind == "integer":
            return np.asarray(first) + steps
        start = np.asarray(first).astype("datetime64[ns]")
        if kind == "fixed":
            return start + steps.astype("timedelta64[ns]")
        if kind == "business":
            day = start.astype("datetime64[D]")
            return np.busday_offset(day, steps, roll="backward").astype("datetime64[ns]") + (start - day)
        months = start.astype("datetime64[M]") + steps
        if self.at_end:
            return ((months + 1).astype("datetime64[D]") - 1).astype("datetime64[ns]")
        return months.astype("datetime64[ns]")

    def future(self, stamp: Stamp, n: int) -> np.ndarray:
        """(n,) the next stamps after `stamp`: datetime64[ns], or int64 of integer time."""
        return self.stamps(stamp, n + 1)[1:]

    @property
    def season(self) -> int | None:
        """The usual season in steps: a day, a week of days, a year of longer steps; None where none is usual."""
        kind, size = self.spacing
        if kind == "integer":
            return None
        if kind == "business":
            return 5
        if kind == "months":
            return 12 // size if 12 % size == 0 else None
        if size >= _WEEK:
            return round(52 * _WEEK / size) if size % _WEEK == 0 and size < 52 * _WEEK else None
        cycle = _WEEK if size >= _DAY else _DAY
        if size < _NS["min"]:
            cycle = _NS["min"] if size * 12 <= _NS["min"] else _NS["h"]
        return cycle // size if cycle % size == 0 else None

    def words(self) -> str:
        """As a person says it: "hourly", "every 30 minutes", "business days", "monthly (start)"."""
        if isinstance(self.unit, int):
            return f"every {self.unit} steps" if self.unit > 1 else "every step"
        alias = self._alias
        count = int(alias["count"] or 1)
        if alias["business"]:
            return "business days"
        if alias["weekday"]:
            return f"weekly ({_WEEKDAY_WORDS[_WEEKDAYS.index(alias['weekday'])]})"
        if alias["period"]:
            side = "end" if self.at_end else "start"
            one, name = {"M": ("monthly", "month"), "Q": ("quarterly", "quarter"), "Y": ("yearly", "year")}[
                alias["period"]
            ]
            return f"{one if count == 1 else f'every {count} {name}s'} ({side})"
        name = _UNIT_WORDS[alias["fixed"]]
        if count > 1:
            return f"every {count} {name}s"
        return {"day": "daily", "hour": "hourly"}.get(name, f"every {name}")

    def written(self, stamp: np.datetime64 | np.integer) -> str | int:
        """A stamp as people write it: a step of integer time as it is, days without the time, no needless digits."""
        if not isinstance(stamp, np.datetime64):
            return int(stamp)
        kind, size = self.spacing
        nanoseconds = int(stamp.astype("datetime64[ns]").astype(np.int64))
        whole = [unit for unit in ("D", "s", "ms", "us", "ns") if nanoseconds % _NS[unit] == 0]
        if kind == "fixed":
            whole = [unit for unit in whole if size % _NS[unit] == 0]
        return str(stamp.astype(f"datetime64[{whole[0]}]")).replace("T", " ")

    def to_json(self) -> dict[str, str | int]:
        return {"unit": self.unit}

    @classmethod
    def from_json(cls, data: dict[str, str | int]) -> Self:
        """What `to_json` wrote."""
        return cls(data["unit"])


def _counted(count: int, unit: str) -> str:
    return unit if count == 1 else f"{count}{unit}"


def weekday(stamps: np.ndarray) -> np.ndarray:
    """0 for Monday; 1970-01-01 was a Thursday."""
    return (stamps.astype("datetime64[D]").astype(np.int64) + 3) % 7


def calendar_features(stamps: np.ndarray, frequency: Frequency) -> tuple[list[str], np.ndarray]:
    """Names, and float32 (steps, features) between -1 and 1, of where each stamp stands in the day, week and year.

    A sine and a cosine each of: the time of day if steps are shorter than a day, the day of the week if they
    are a day or shorter, and the time of the year if they are shorter than a year (by the month, if they are
    months, so that the first and the last day of a month are the same).  None at all for integer time.
    """
    kind, size = frequency.spacing
    if kind == "integer":
        return [], np.zeros((len(stamps), 0), np.float32)
    days = stamps.astype("datetime64[D]")
    years = stamps.astype("datetime64[Y]")
    phases: dict[str, np.ndarray] = {}
    if kind == "fixed" and size < _DAY:
        phases["time of day"] = (stamps - days) / np.timedelta64(_DAY, "ns")
    if kind == "business" or (kind == "fixed" and size <= _DAY):
        phases["day of week"] = weekday(stamps) / 7
    if kind == "months" and size < 12:
        phases["time of year"] = stamps.astype("datetime64[M]").astype(np.int64) % 12 / 12
    elif kind != "months" and size < 365 * _DAY:
        start = years.astype("datetime64[ns]")
        phases["time of year"] = (stamps - start) / ((years + 1).astype("datetime64[ns]") - start)
    names = [f"{wave} of {cycle}" for cycle in phases for wave in ("sine", "cosine")]
    waves = [wave(2 * np.pi * phase) for phase in phases.values() for wave in (np.sin, np.cos)]
    return names, np.stack(waves, axis=1).astype(np.float32) if waves else np.zeros((len(stamps), 0), np.float32)


_SEASONS_NEEDED = 2
_CLEAR_PEAK = 0.3
_LONGEST_LOOKED_AT = 20_000
_SERIES_LOOKED_AT = 50


def season_length(values: Sequence[np.ndarray], frequency: Frequency) -> int:
    """The length of the season in steps, 1 if there is none.

    It is that of the frequency where one is usual and the longest series holds two of it; otherwise the lag
    of the first clear peak of the autocorrelation of the longest series, without their linear trends.

    values: float64 (steps,) each, NaN = missing.
    """
    longest = sorted(values, key=len, reverse=True)[:_SERIES_LOOKED_AT]
    steps = len(longest[0]) if longest else 0
    if frequency.season and steps >= _SEASONS_NEEDED * frequency.season:
        return frequency.season
    curves = [curve for series in longest if (curve := _autocorrelation(series)) is not None]
    if not curves:
        return 1
    lags = max(map(len, curves))
    total, weight = np.zeros(lags), np.zeros(lags)
    for curve in curves:
        total[: len(curve)] += len(curve) * curve
        weight[: len(curve)] += len(curve)
    return _first_peak(total / weight, max(_CLEAR_PEAK, 3 / np.sqrt(3 * lags)))


def _autocorrelation(series: np.ndarray) -> np.ndarray | None:
    """(lags,) from lag 0 to a third of the steps; None for a series that is too short or a straight line."""
    known = np.flatnonzero(np.isfinite(series))
    if len(known) < 8:
        return None
    series = np.interp(np.arange(known[0], known[-1] + 1), known, series[known])[-_LONGEST_LOOKED_AT:]
    if not (scale := np.abs(series).max()):
        return None
    steps, series = np.arange(len(series)), series / scale
    rest = series - np.polyval(np.polyfit(steps, series, 1), steps)
    if np.abs(rest).max() <= 1e-9:
        return None
    spectrum = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2
    curve = np.fft.irfft(spectrum)[: len(rest) // 3 + 1]
    # each lag's own number of pairs, or long seasons look weaker than they are
    return curve / curve[0] * len(rest) / (len(rest) - np.arange(len(curve)))


def _first_peak(curve: np.ndarray, clear: float) -> int:
    """The smallest lag of a peak about as high as the highest, after the curve has first fallen below zero.

    It is told from the last of the clear peaks at its multiples, as a season need not be a whole number of steps.
    """
    below = np.flatnonzero(curve < 0)
    if not len(below):
        return 1
    inner = np.arange(below[0] + 1, len(curve) - 1)
    peaks = inner[(curve[inner] >= curve[inner - 1]) & (curve[inner] > curve[inner + 1]) & (curve[inner] > clear)]
    if not len(peaks):
        return 1
    season = float(peaks[curve[peaks] >= 0.8 * curve[peaks].max()][0])
    for times in range(2, len(curve)):
        near = peaks[np.abs(peaks - times * season) <= max(season / 10, 2)]
        if not len(near):
            break
        lag = near[np.argmax(curve[near])]
        before, at, after = curve[lag - 1 : lag + 2]
        season = (lag + 0.5 * (before - after) / (before - 2 * at + after)) / times  # the top of a parabola
    return round(season)
