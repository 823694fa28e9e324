"""The rows of a panel: what its columns are for, their cells as numbers or texts, sorted by series and time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from gruvy.data.panels.stamp_texts import distinct_values, read_stamps
from gruvy.errors import BadInput

Columns = Mapping[str, Sequence[Any] | np.ndarray]

_MOST_REPEATED = 0.05
_MISSING = {"", "nan", "na", "null", "none", "<na>"}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


@dataclass(frozen=True)
class Roles:
    """What the named columns are.

    targets: what is forecast.  time: the stamps; without it the rows are steps in their order.
    id: the name of the series that a row belongs to.
    known: covariates that are known ahead.  past: covariates that are known only up to now.
    static: what does not change within a series.
    """

    targets: tuple[str, ...]
    time: str | None = None
    id: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        single = [name for name in (self.time, self.id) if name is not None]
        return [*single, *self.targets, *self.known, *self.past, *self.static]

    def check(self) -> None:
        """Raises BadInput unless there is a target and every column has one role."""
        if not self.targets:
            raise BadInput("no target column is named; name at least one column to forecast")
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise BadInput(f"the column {name!r} is named for two things; give each column one role")


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of all series, one after the other and sorted by time, without identical ones.

    names: of the series, in the order of the file.  starts: int64 (series + 1,), where the rows of each begin.
    stamps: datetime64[ns] or int64 (rows,).  values: float64 or str objects (rows,) by column.
    statics: a value for each series by column.  notes: what was done.
    """

    names: list[str]
    starts: np.ndarray
    stamps: np.ndarray
    values: dict[str, np.ndarray]
    statics: dict[str, list[float | str]]
    notes: list[str]


def sorted_rows(columns: Columns, roles: Roles, *, whole_numbers: bool) -> Rows:
    """Reads the cells, checks them, and sorts the rows by series and time; `whole_numbers` are no dates.

    Raises BadInput for a cell that cannot be read as its role asks, a static column that changes within a
    series, and more than 5 % of repeated stamps.
    """
    cells = _cells(columns, roles.columns)
    values = {name: _target(cells[name], name) for name in roles.targets}
    notes: list[str] = []
    for name in (*roles.known, *roles.past, *roles.static):
        values[name], said = _covariate(cells[name], name)
        notes += said
    size = len(values[roles.targets[0]])
    ids, names = (np.zeros(size, np.int64), [""]) if roles.id is None else _ids(cells[roles.id], roles.id)
    statics = {name: _static(values.pop(name), ids, names, name) for name in roles.static}
    if roles.time is None:
        stamps = _counted(ids)
    else:
        stamps, said = read_stamps(cells[roles.time], roles.time, whole_numbers=whole_numbers)
        notes += said
    order = np.lexsort((stamps, ids))
    if (order != np.argsort(ids, kind="stable")).any():
        notes.append("the rows were sorted by time")
    ids, stamps = ids[order], stamps[order]
    values = {name: column[order] for name, column in values.items()}
    kept = _without_identical(ids, stamps, values, roles, notes)
    values = {name: column[kept] for name, column in values.items()}
    return Rows(names, _starts(ids[kept]), stamps[kept], values, statics, notes)


def _cells(columns: Columns, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named columns as arrays (rows,): numbers and times as they are, everything else as objects."""
    cells: dict[str, np.ndarray] = {}
    for name in names:
        if name not in columns:
            close = get_close_matches(name, list(columns), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "name one of these"
            raise BadInput(f"there is no column {name!r}, only {', '.join(map(repr, columns))}; {hint}")
        column = columns[name]
        plain = isinstance(column, np.ndarray) and column.dtype.kind in "biufM"
        cells[name] = np.asarray(column) if plain else np.array(column, dtype=object)
    shapes = {name: column.shape for name, column in cells.items()}
    if len(set(shapes.values())) > 1 or len(shapes[names[0]]) != 1 or not len(cells[names[0]]):
        raise BadInput(f"expected columns of one length, with one value a row and at least one row, not {shapes}")
    return cells


def _counted(ids: np.ndarray) -> np.ndarray:
    """int64 (rows,): the place of each row among those of its series."""
    order = np.argsort(ids, kind="stable")
    counted = np.empty(len(ids), np.int64)
    counted[order] = np.arange(len(ids)) - np.repeat(_starts(ids)[:-1], np.bincount(ids))
    return counted


def _starts(ids: np.ndarray) -> np.ndarray:
    """int64 (series + 1,): where each series begins among the sorted ids, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.bincount(ids))])


def _without_identical(
    ids: np.ndarray, stamps: np.ndarray, values: dict[str, np.ndarray], roles: Roles, notes: list[str]
) -> np.ndarray:
    """bool (rows,): false for a row that only says again what the row before says."""
    again = np.zeros(len(ids), bool)
    again[1:] = (np.diff(ids) == 0) & (stamps[1:] == stamps[:-1])
    identical = again.copy()
    for column in values.values():
        same = column[1:] == column[:-1]
        if column.dtype.kind == "f":
            same |= np.isnan(column[1:]) & np.isnan(column[:-1])
        identical[1:] &= same
    if identical.any():
        notes.append(f"{were(int(identical.sum()), 'row')} left out, as another says the same")
    repeated = again & ~identical
    if not (count := int(repeated.sum())):
        return ~identical
    example = shown(stamps[repeated][0])
    if count > _MOST_REPEATED * len(ids):
        hint = "name the column that tells the series apart (--id)" if roles.id is None else "correct the stamps"
        raise BadInput(f"{count} of {len(ids)} rows repeat a time stamp of their series, like {example}; {hint}")
    notes.append(f"{were(count, 'row')} averaged with another of the same time stamp, like {example}")
    return ~identical


def were(count: int, noun: str) -> str:
    """'1 row was' or '2 rows were'."""
    return f"1 {noun} was" if count == 1 else f"{count} {noun if noun.endswith('s') else noun + 's'} were"


def shown(stamp: Any) -> str:
    """As short as it can be, like 2024-01-31 or 2024-01-31T13:00."""
    return str(np.datetime_as_string(stamp, "auto")) if isinstance(stamp, np.datetime64) else str(stamp)


# Cells


def _ids(cells: np.ndarray, column: str) -> tuple[np.ndarray, list[str]]:
    codes, distinct = distinct_values(_texts(cells))
    for place, name in enumerate(distinct):
        if not name.strip():
            row = int(np.argmax(codes == place)) + 1
            raise BadInput(f"row {row} names no series in the column {column!r}; fill it in or delete the row")
    return codes, distinct.tolist()


def _texts(cells: np.ndarray) -> np.ndarray:
    """str objects (rows,): "" for what pandas counts as missing, None among it."""
    import pandas as pd

    missing = pd.isna(cells)
    return np.array(["" if no else str(cell) for cell, no in zip(cells, missing, strict=True)], dtype=object)


def _numbers(cells: np.ndarray) -> np.ndarray:
    """float64 (rows,): NaN for what counts as missing, infinity for what is no finite number."""
    if cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    return np.fromiter(map(_number, _texts(cells)), np.float64, len(cells))


def _number(text: str) -> float:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    return np.nan if text.lower() in _MISSING else np.inf


def _target(cells: np.ndarray, column: str) -> np.ndarray:
    numbers = _numbers(cells)
    if (bad := np.isinf(numbers)).any():
        row = int(np.argmax(bad))
        raise BadInput(
            f"row {row + 1} has {str(cells[row])!r:.60} in the target column {column!r}; {_cure(cells[row])}"
        )
    if np.isnan(numbers).all():
        raise BadInput(f"the target column {column!r} holds no number at all; name another or fill it in")
    return numbers


def _cure(cell: Any) -> str:
    text = str(cell).strip()
    if _THOUSANDS.fullmatch(text):
        return "write numbers without a mark between the thousands, like 1234.5"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return "write the decimal mark as a point, like 3.5"
    if _infinite(text):
        return "write finite numbers, or leave the cell empty where one is missing"
    return "write numbers like 3.5, or leave the cell empty where one is missing"


def _infinite(text: str) -> bool:
    try:
        return bool(np.isinf(float(text)))
    except ValueError:
        return False


def _covariate(cells: np.ndarray, column: str) -> tuple[np.ndarray, list[str]]:
    """float64 (rows,) if every cell is a number or missing, otherwise str objects (rows,)."""
    numbers = _numbers(cells)
    if np.isnan(numbers).all():
        raise BadInput(f"the column {column!r} is empty; leave it out or fill it in")
    bad = np.flatnonzero(np.isinf(numbers))
    if not len(bad):
        return numbers, []
    for row in bad:
        if _infinite(str(cells[row])):
            raise BadInput(f"row {row + 1} has {str(cells[row])!r:.60} in the column {column!r}; {_cure(cells[row])}")
    texts = np.array([text.strip() for text in _texts(cells)], dtype=object)
    if len(bad) < np.isfinite(numbers).sum():
        row = bad[0]
        return texts, [f"the column {column!r} was read as texts, as row {row + 1} has {texts[row]!r:.60}"]
    return texts, []


def _static(values: np.ndarray, ids: np.ndarray, names: list[str], column: str) -> list[float | str]:
    """The value of each series: the only one that its rows have, besides empty cells."""
    numeric = values.dtype.kind == "f"
    filled = ~np.isnan(values) if numeric else values != ""
    rows = np.flatnonzero(filled)
    having, first = np.unique(ids[rows], return_index=True)
    found = np.full(len(names), np.nan if numeric else "", dtype=values.dtype)
    found[having] = values[rows[first]]
    if (differ := filled & (values != found[ids])).any():
        row = int(np.argmax(differ))
        raise BadInput(
            f"the static column {column!r} changes within the series {names[ids[row]]!r}, from {found[ids[row]]!s:.60} "
            f"to {values[row]!s:.60} in row {row + 1}; name it as a known or past covariate"
        )
    return found.tolist()
