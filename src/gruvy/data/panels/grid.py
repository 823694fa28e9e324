"""The regular grid that the stamps of a series stand on, or near."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gruvy.data.panels.stamps import Frequency, Spacing, weekday
from gruvy.errors import BadInput

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_ROUND = np.array(
    [10**power * digit for power in range(9) for digit in (1, 2, 5)]
    + [n * _SECOND for n in (1, 2, 5, 10, 15, 20, 30)]
    + [n * 60 * _SECOND for n in (1, 2, 5, 10, 15, 20, 30)]
    + [n * 3600 * _SECOND for n in (1, 2, 3, 4, 6, 8, 12)]
    + [n * _DAY for n in (1, 2, 3, 7, 14)]
)  # the lengths that people sample at
_ON_GRID = 0.9  # the share of the stamps that must stand on a grid for it to be theirs
_NEAR = 0.1  # of a step: what still counts as standing on the grid
_FEW = 4  # rows: of fewer, gaps can explain a step that is too long
_MOST_MISSING = 3  # the median step of a series in steps of its grid
_MONTH = 30.44  # days
_DAILY = Spacing("fixed", _DAY)


@dataclass(frozen=True)
class Sampling:
    """How one series is sampled.  regular: 90 % of its stamps stand within a tenth of a step of the grid."""

    frequency: Frequency
    regular: bool


def sampling(stamps: np.ndarray) -> Sampling | None:
    """The frequency of sorted stamps (steps,) without repeats; None of fewer than two.

    The commonest step, or the largest that divides all steps, if the stamps stand on its grid; months,
    quarters and years if the stamps keep to one day of them, or to one stamp each; and the median step,
    rounded to what people sample at, if neither.

    Raises BadInput for neighbours that are too far apart to be counted in nanoseconds.
    """
    if len(stamps) < 2:
        return None
    ticks = stamps.astype(np.int64)
    steps = np.diff(ticks)
    far = int(np.argmin(steps))
    if steps[far] < 0:  # an overflow
        raise BadInput(
            f"the stamps {stamps[far]!s:.10} and {stamps[far + 1]!s:.10} are over 292 years apart; correct them"
        )
    timed = stamps.dtype.kind == "M"
    kind: Literal["fixed", "integer"] = "fixed" if timed else "integer"
    if timed and (found := _months(stamps)):
        return found
    commonest = _commonest(steps)
    divisor = int(np.gcd.reduce(steps))
    median = float(np.median(steps))
    rounded = int(_ROUND[np.argmin(np.abs(np.log(_ROUND / median)))]) if timed else max(round(median), 1)
    for size, near in ((commonest, 0.0), (divisor, 0.0), (rounded, _NEAR)):
        if _MOST_MISSING * size >= median and _share_on_grid(ticks, size, near) >= _ON_GRID:
            if size == _DAY and _business(stamps):
                return Sampling(Frequency("B"), True)
            return Sampling(Frequency.of(Spacing(kind, size), stamps[0]), True)
    if median > 21 * _DAY and timed:
        months = max(round(median / (_MONTH * _DAY)), 1)
        return Sampling(Frequency.of(Spacing("months", months), stamps[0]), False)
    return Sampling(Frequency.of(Spacing(kind, rounded), stamps[0]), False)


def _commonest(steps: np.ndarray) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


def _months(stamps: np.ndarray) -> Sampling | None:
    days = stamps.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    apart: np.ndarray = np.diff(months.astype(np.int64))
    if apart.min() < 1:
        return None
    day = (days - months).astype(np.int64)
    last = ((months + 1).astype("datetime64[D]") - 1 - months).astype(np.int64)
    ends = bool((day == last).all())
    size = _commonest(apart)
    if ends or (day == np.minimum(day.max(), last)).all():
        divisor = int(np.gcd.reduce(apart))
        size = divisor if _MOST_MISSING * divisor >= np.median(apart) else size
    else:
        lengths = np.diff(days).astype(np.int64)
        about_months = (np.abs(lengths - apart * _MONTH) <= 7).all() and np.mean(apart == size) >= _ON_GRID
        if not about_months or (lengths == lengths[0]).all():
            return None
        ends = bool((day >= 20).all())
    return Sampling(Frequency.of(Spacing("months", size), stamps[0], at_end=ends), True)


def _business(stamps: np.ndarray) -> bool:
    """Whether the stamps keep off the weekends, and have met one."""
    days = weekday(stamps)
    return bool(days.max() < 5 and (np.diff(days) < 0).any())


def _phase(ticks: np.ndarray, size: int) -> int:
    """Where in a step the grid stands.

    It is where most of the stamps stand, or on a sixtieth of a step in their midst, or at 0 if they are spread.
    """
    common = _commonest(ticks % size)
    away = _away(ticks, size, common)
    if np.mean(away == 0) >= 0.5 or size % 60:
        return common
    phase = round((common + float(np.median(away))) / (size // 60)) * (size // 60) % size
    return phase if np.mean(np.abs(_away(ticks, size, phase)) <= _NEAR * size) >= _ON_GRID else 0


def _away(ticks: np.ndarray, size: int, phase: int) -> np.ndarray:
    """From the nearest step of the grid, from minus to plus half a step."""
    return (ticks - phase + size // 2) % size - size // 2


def _share_on_grid(ticks: np.ndarray, size: int, near: float) -> float:
    return float(np.mean(np.abs(_away(ticks, size, _phase(ticks, size))) <= near * size))


def common_frequency(series: Sequence[np.ndarray], names: Sequence[str]) -> Frequency:
    """The frequency of all series, sorted stamps each: that of most of the rows, which the others must fit.

    Raises BadInput if no series has two rows, or if one does not fit.
    """
    samplings = [sampling(stamps) for stamps in series]
    rows: Counter[Frequency] = Counter()
    for stamps, own in zip(series, samplings, strict=True):
        if own:
            rows[own.frequency] += len(stamps)
    if not rows:
        raise BadInput("no series has two rows; at least two are needed to know how far apart the stamps are")
    spacings: Counter[Spacing] = Counter()
    for frequency, count in rows.items():
        spacings[frequency.spacing] += count
    spacing = spacings.most_common(1)[0][0]
    if Frequency("B") in rows and spacing == _DAILY and all(weekday(stamps).max() < 5 for stamps in series):
        spacing = Frequency("B").spacing  # series too short to meet a weekend
    common = max((frequency for frequency in rows if frequency.spacing == spacing), key=rows.__getitem__)
    for stamps, own, name in zip(series, samplings, names, strict=True):
        if own and not _fits(stamps, own, common):
            other = next(n for n, s in zip(names, samplings, strict=True) if s and s.frequency.spacing == spacing)
            raise BadInput(
                f"the series {other!r} is {common.words()}, but {name!r} is {own.frequency.words()}; "
                "put series of different frequencies into files of their own"
            )
    return common


def check_frequency(series: Sequence[np.ndarray], names: Sequence[str], trained: Frequency) -> None:
    """Raises BadInput unless every series, sorted stamps each, fits the frequency of the training data."""
    for stamps, name in zip(series, names, strict=True):
        own = sampling(stamps)
        timed = stamps.dtype.kind == "M"
        if timed == isinstance(trained.unit, int):
            has, expected = ("dates", "whole numbers") if timed else ("whole numbers", "dates")
            raise BadInput(f"the stamps are {has}, the model was trained on {expected}; give stamps like those")
        if own and not _fits(stamps, own, trained):
            raise BadInput(
                f"{f'the series {name!r}' if name else 'the file'} is {own.frequency.words()}, the model was trained "
                f"on stamps that are {trained.words()}; give data of that frequency or train a model on this one"
            )


def _fits(stamps: np.ndarray, own: Sampling, frequency: Frequency) -> bool:
    """Whether sorted stamps can be a series of this frequency, perhaps with gaps."""
    kind, size = frequency.spacing
    if own.frequency.spacing == frequency.spacing:
        return True
    if kind == "business" and weekday(stamps).max() >= 5:
        return False
    ticks = _ordinals(stamps, kind)
    apart = np.diff(ticks) / size
    near = 0 if kind in ("months", "business") else _NEAR
    on_grid = _share_on_grid(ticks, size, near) >= _ON_GRID and apart.min() >= 1 - near
    if own.regular:  # and so of a longer step, which only gaps in a few rows can explain
        return on_grid and (len(stamps) < _FEW or apart.min() <= 1 + near)
    return on_grid or bool(0.5 <= np.median(apart) <= 2)


def _ordinals(stamps: np.ndarray, kind: str) -> np.ndarray:
    """int64 (rows,): months or business days since 1970, otherwise what is stored."""
    if kind == "business":
        return np.busday_count("1970-01-01", stamps.astype("datetime64[D]"))
    return (stamps.astype("datetime64[M]") if kind == "months" else stamps).astype(np.int64)


def positions(stamps: np.ndarray, frequency: Frequency) -> tuple[np.ndarray, np.datetime64 | np.int64]:
    """int64 (rows,) the step of the grid, from 0, that each of the sorted stamps is nearest to, and its first stamp.

    Of months, quarters and years it is the one that the stamp lies in.
    """
    kind, size = frequency.spacing
    ordinals = _ordinals(stamps, kind)
    if kind == "business":
        days = stamps.astype("datetime64[D]")
        clocks = np.unique(stamps - days)
        first = days[0].astype("datetime64[ns]") + (clocks[0] if len(clocks) == 1 else np.timedelta64(0, "ns"))
        return ordinals - ordinals[0], first
    if kind == "months":
        phase = _commonest(ordinals % size)
        steps = (ordinals - phase) // size
        first = frequency.stamps((steps[0] * size + phase).astype("datetime64[M]"), 1)[0]
    else:
        phase = _phase(ordinals, size)
        steps = (ordinals - phase + size // 2) // size
        first = (steps[0] * size + phase).astype(stamps.dtype)
    return steps - steps[0], first


def is_irregular(stamps: np.ndarray, nearest: np.ndarray, frequency: Frequency) -> bool:
    """Whether more than 10 % of the stamps are more than a tenth of a step from their steps of the grid."""
    kind, size = frequency.spacing
    if kind in ("months", "business"):
        return False
    away = np.abs(stamps.astype(np.int64) - nearest.astype(np.int64))
    return bool(np.mean(away > _NEAR * size) > 1 - _ON_GRID)
