"""Time stamps as people write them, read as times or whole numbers."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gruvy.errors import BadInput

_YEARS = (1700, 2240)  # nanoseconds in 64 bits hold 1678 to 2261; some room is left for arithmetic
_EMPTY = {"", "nan", "nat", "none", "null", "na", "<na>"}
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AP]\.?M\.?)?"
_ZONE = r"Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?"
_PARTS = re.compile(rf"(?=.*\d)(\S.*?)(?:(?:T|,?\s)\s*({_TIME})\s?({_ZONE})?)?", re.IGNORECASE)
_CLOCK = re.compile(r"(\d+):(\d+)(?::(\d+)(?:[.,](\d+))?)?(?:\s?([AP])\.?M\.?)?", re.IGNORECASE)
_DATES = [
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d", "%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%m.%Y", "%Y%m%d",
    "%Y %b", "%Y-%b", "%b %Y", "%b-%Y", "%b, %Y", "%b-%y", "%Y %b %d", "%Y-%b-%d", "%b %d %Y", "%b %d, %Y", "%d %b %Y",
    "%d-%b-%Y", "%d/%b/%Y", "%d. %b %Y", "%d %b %y", "%d-%b-%y", "%a %b %d %Y", "%a, %d %b %Y", "%a, %b %d, %Y",
]  # fmt: skip
_NUMBERED_DATES = [(f"%d{mark}%m{mark}{year}", f"%m{mark}%d{mark}{year}") for mark in "/-. " for year in ("%Y", "%y")]
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_QUARTER_FIRST = re.compile(r"Q([1-4])[- ]?(\d{4})", re.IGNORECASE)
_WEEK = re.compile(r"(\d{4})[- ]?W(\d{2})", re.IGNORECASE)
_WHOLE = re.compile(r"([+-]?\d{1,18})(?:\.0*)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d*\.?\d+", re.ASCII)
_LARGEST = 10**18  # so that differences fit into 64 bits
_DIGITS = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SINCE_1970 = {10: "s", 13: "ms", 16: "us"}
_UNIT_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}


class _Unreadable(Exception):
    """One of the distinct texts is no stamp: its place among them, what it is, and what to do."""

    def __init__(self, place: int, what: str, cure: str = "write stamps like 2024-01-31 or 2024-01-31 13:00"):
        self.place, self.what, self.cure = place, what, cure


def read_stamps(
    cells: Sequence[Any] | np.ndarray, column: str, *, whole_numbers: bool = False
) -> tuple[np.ndarray, list[str]]:
    """The stamps, datetime64[ns] (rows,) or int64 (rows,) of integer time, and notes on what was done to them.

    Whole numbers stay numbers, except dates in digits (201201, 20120131, 201201312359) and seconds,
    milliseconds or microseconds since 1970; with `whole_numbers` those too.  Stamps with an offset from UTC
    become UTC; if all of them stand at midnight they are dates, and keep their days.  The order of day and
    month is decided on the whole column.

    cells: texts, numbers, or times of NumPy, pandas or the standard library.

    Raises BadInput for an empty or unreadable cell (naming its row, from 1), for stamps of which only some
    have an offset, and where day and month cannot be told apart.
    """
    if not (isinstance(cells, np.ndarray) and cells.dtype.kind in "Miu"):
        cells = np.array([str(cell).strip() for cell in cells], dtype=object)
    codes, distinct = distinct_values(cells)
    try:
        values, notes = _read(distinct, column, whole_numbers)
    except _Unreadable as error:
        row = int(np.argmax(codes == error.place)) + 1
        raise BadInput(f"row {row} has {error.what} in the time column {column!r}; {error.cure}") from None
    return values[codes], notes


def distinct_values(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 (cells,) the place of each among the distinct ones, and those, in the order they first appear in."""
    import pandas as pd  # slow to load, and only panels need it

    codes, distinct = pd.factorize(cells, use_na_sentinel=False)
    return codes.astype(np.int64), np.asarray(distinct)


def _read(distinct: np.ndarray, column: str, whole_numbers: bool) -> tuple[np.ndarray, list[str]]:
    if distinct.dtype.kind == "M":
        return _in_range(distinct), []
    if distinct.dtype.kind in "iu":
        return _of_numbers(distinct, column, whole_numbers)
    texts = distinct.tolist()
    for place, text in enumerate(texts):
        if text.lower() in _EMPTY:
            raise _Unreadable(place, "no stamp", "fill it in or delete the row")
    if whole := _all(_WHOLE, texts):
        return _of_numbers(np.array([int(number[1]) for number in whole]), column, whole_numbers)
    if _all(_DECIMAL, texts):
        place = next(place for place, text in enumerate(texts) if not _WHOLE.fullmatch(text))
        raise _Unreadable(place, f"the number {texts[place]!r:.60}", "write dates, or whole numbers of up to 18 digits")
    iso = _parsed(texts, "ISO8601")
    if np.isnat(iso).any() or not all(text[:4].isdigit() for text in texts):  # it reads "now" too
        return _of_parts(texts, column)
    return _in_range(iso), []


def _parsed(texts: Sequence[str], form: str) -> np.ndarray:
    """datetime64 (texts,) without offset from UTC, NaT where a text has another form."""
    import pandas as pd

    try:
        times = pd.to_datetime(texts, format=form, errors="coerce")
    except ValueError:  # offsets that differ
        return np.full(len(texts), "NaT", "datetime64[ns]")
    return np.full(len(texts), "NaT", "datetime64[ns]") if times.tz is not None else times.to_numpy()


def _all(pattern: re.Pattern[str], texts: Sequence[str]) -> list[re.Match[str]] | None:
    matches = []
    for text in texts:
        if not (match := pattern.fullmatch(text)):
            return None
        matches.append(match)
    return matches


def _in_range(stamps: np.ndarray) -> np.ndarray:
    """As datetime64[ns], which would silently overflow."""
    if (empty := np.isnat(stamps)).any():
        raise _Unreadable(int(np.argmax(empty)), "no stamp", "fill it in or delete the row")
    years = stamps.astype("datetime64[Y]").astype(np.int64) + 1970
    if (outside := (years < _YEARS[0]) | (years > _YEARS[1])).any():
        place = int(np.argmax(outside))
        raise _Unreadable(place, f"the year {years[place]}", f"stamps must lie in {_YEARS[0]} to {_YEARS[1]}")
    return stamps.astype("datetime64[ns]")


# Whole numbers


def _of_numbers(numbers: np.ndarray, column: str, whole_numbers: bool) -> tuple[np.ndarray, list[str]]:
    least, most = int(numbers.min()), int(numbers.max())
    if max(-least, most) > _LARGEST:
        place = int(np.argmax((numbers < -_LARGEST) | (numbers > _LARGEST)))
        raise _Unreadable(place, f"the number {numbers[place]}", "write dates, or whole numbers of up to 18 digits")
    digits = len(str(most))
    unit, form = _SINCE_1970.get(digits), _DIGITS.get(digits)
    if whole_numbers:
        return numbers.astype(np.int64), []
    if unit and least * 50 > most and most < 4.3 * 10 ** (digits - 1):  # 2106: where 32 bits of seconds end
        note = f"the numbers in {column!r} were read as {_UNIT_WORDS[unit]} since 1970 in UTC"
        return _in_range(numbers.astype(f"datetime64[{unit}]")), [note]
    if form and least > 0 and len(str(least)) == digits:
        dates = _parsed(numbers.astype(str).tolist(), form)
        years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
        if not np.isnat(dates).any() and years.min() >= _YEARS[0] and years.max() <= _YEARS[1]:
            return _in_range(dates), [f"the numbers in {column!r} were read as dates"]
    return numbers.astype(np.int64), []


# Texts: the date, the time of day and the offset from UTC each on its own


def _of_parts(texts: Sequence[str], column: str) -> tuple[np.ndarray, list[str]]:
    matches = [_PARTS.fullmatch(" ".join(text.split())) for text in texts]
    dates, clocks, zones = zip(*(match.groups("") if match else ("", "", "") for match in matches), strict=True)
    codes, distinct = distinct_values(np.array(dates, object))
    days, notes = _dates(distinct.tolist(), column)
    days, times, offsets = days[codes], _each(clocks, _time), _each(zones, _offset)
    if (bad := np.isnat(days) | np.isnat(times)).any():
        place = int(np.argmax(bad))
        raise _Unreadable(place, f"{texts[place]!r:.60}")
    aware = np.array(zones, object) != ""
    if aware.any() and not aware.all():
        place = int(np.argmax(aware != aware[0]))
        has, others = ("an offset from UTC", "none") if aware[place] else ("no offset from UTC", "one")
        raise _Unreadable(place, f"{texts[place]!r:.60} with {has} where others have {others}", "write all alike")
    local = _in_range(days) + times
    if not aware.any():
        return local, notes
    if not offsets.astype(np.int64).any():
        return local, [*notes, f"the stamps in {column!r} are in UTC"]
    if not times.astype(np.int64).any():
        return local, [*notes, f"the offsets from UTC in {column!r} were dropped, as all stamps stand at midnight"]
    return local - offsets, [*notes, f"the stamps in {column!r} were converted to UTC"]


def _each(texts: Sequence[str], read: Callable[[str], int | None]) -> np.ndarray:
    """timedelta64[ns] (texts,): what `read` makes of each in nanoseconds, NaT for None."""
    codes, distinct = distinct_values(np.array(texts, object))
    return np.array([read(text) for text in distinct], "timedelta64[ns]")[codes]


def _time(text: str) -> int | None:
    """Nanoseconds since midnight; None for a time that there is not."""
    if not text:
        return 0
    clock = _CLOCK.fullmatch(text)
    assert clock is not None
    hour, minute, second = (int(number or 0) for number in clock.group(1, 2, 3))
    half = clock[5].upper() if clock[5] else ""
    if minute > 59 or second > 59 or hour > (12 if half else 23) or (half and not hour):
        return None
    if half:
        hour = hour % 12 + (12 if half == "P" else 0)
    return (hour * 3600 + minute * 60 + second) * 10**9 + int((clock[4] or "").ljust(9, "0"))


def _offset(zone: str) -> int:
    """Nanoseconds ahead of UTC."""
    if zone[:1] not in ("+", "-"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return minutes * 60 * 10**9 * (-1 if zone[0] == "-" else 1)


def _dates(texts: Sequence[str], column: str) -> tuple[np.ndarray, list[str]]:
    """datetime64[D], NaT where a text is no date in the form that reads most of them."""
    if quarters := _all(_QUARTER, texts):
        return _quarters([(match[1], match[2]) for match in quarters]), []
    if quarters := _all(_QUARTER_FIRST, texts):
        return _quarters([(match[2], match[1]) for match in quarters]), []
    if weeks := _all(_WEEK, texts):
        return _days([f"{match[1]}-{match[2]}-1" for match in weeks], "%G-%V-%u"), []
    words = [re.sub(r"([A-Za-z]{3})[a-z]*\.?", r"\1", text) for text in texts]  # full names and "Sept."
    numbered = [(_days(words, day_first), _days(words, month_first)) for day_first, month_first in _NUMBERED_DATES]
    for day_first, month_first in numbered:
        if not np.isnat(day_first).any() and not np.isnat(month_first).any():
            return _ordered(day_first, month_first, texts[0], column)
    read = [_days(words, form) for form in _DATES] + [dates for pair in numbered for dates in pair]
    return min(read, key=lambda dates: int(np.isnat(dates).sum())), []


def _days(texts: Sequence[str], form: str) -> np.ndarray:
    return _parsed(texts, form).astype("datetime64[D]")


def _quarters(parts: Sequence[tuple[str, str]]) -> np.ndarray:
    months = [(int(year) - 1970) * 12 + (int(quarter) - 1) * 3 for year, quarter in parts]
    return np.array(months, "datetime64[M]").astype("datetime64[D]")


def _ordered(day_first: np.ndarray, month_first: np.ndarray, example: str, column: str) -> tuple[np.ndarray, list[str]]:
    """The reading in which one of the two numbers, the same in all dates of several years, is the day."""
    if (day_first == month_first).all():
        return day_first, []
    years = day_first.astype("datetime64[Y]")
    for dates, order in ((day_first, "day before month"), (month_first, "month before day")):
        months = dates.astype("datetime64[M]")
        monthly = len(set((dates - months).tolist())) == 1 and len(set((months.astype(np.int64) % 12).tolist())) > 1
        if monthly and years.min() != years.max() and re.search(r"\d{4}", example):
            note = f"dates like {example!r} in {column!r} were read with the {order}, which makes them monthly"
            return dates, [note]
    raise BadInput(
        f"the dates in the time column {column!r}, like {example!r}, could have the day first or the month first; "
        "write them as year-month-day, like 2024-01-31"
    )
