"""Series from the columns of a table: a row for each step, or whole series in the cells.

The messages lack the name of the file, which `read_series` adds.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gruvy.data.labelled.formats import MISSING, Examples, lines_of, numbers, whole
from gruvy.data.tables import named_rows, shown
from gruvy.errors import BadInput

Cells = dict[str, list[str]]

_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")


@dataclass(frozen=True)
class Roles:
    """The names of columns: the channels; what tells series apart; what orders their steps; what is learned."""

    columns: tuple[str, ...]
    id: str | None
    time: str | None
    target: str | None

    def names(self) -> list[str]:
        """Every column with a role, each once."""
        names = [name for name in (*self.columns, self.id, self.time, self.target) if name is not None]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"column {shown(name)} is named for two things; name each column once")
        return names


def column_names(path: Path) -> list[str]:
    """The columns of a table; of JSONL, those of the first object.  Empty for a file that is none."""
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return pq.read_schema(path).names
        first = next((line for _, line in lines_of(path)), "")
        if name.endswith((".jsonl", ".ndjson")):
            record = json.loads(first)
            return list(record) if isinstance(record, dict) else []
        return first.split("\t") if name.endswith(".tsv") else next(csv.reader([first], strict=True), [])
    except (ValueError, TypeError, csv.Error, RecursionError, pa.ArrowException):
        return []


def holds_series(cells: Sequence[str]) -> bool:
    """Whether the cells hold several numbers each, and not one."""
    return any(_SEPARATOR.search(cell.strip().strip("[]").strip()) for cell in cells)


# A row for each step


def read_long(cells: Cells, roles: Roles) -> Examples:
    """One series for each id, or one in all, its steps in the order of the time column or else of the file.

    Without `roles.columns` the channels are all columns of numbers that have no other role.
    """
    count = len(next(iter(cells.values())))
    names, series = _ids(cells, roles.id, count)
    channels, values, notes = _channels(cells, roles, count)
    order = np.argsort(series, kind="stable")
    if roles.time is not None:
        order, sorting = _in_time(series, cells[roles.time], names, roles)
        notes += sorting
    ends = np.flatnonzero(np.diff(series[order])) + 1
    texts = None if roles.target is None else np.array(cells[roles.target], dtype=object)[order]
    return Examples(
        inputs=np.split(values[order], ends),
        targets=None if texts is None else np.split(texts, ends),
        rows=np.split(order + 1, ends),
        names=names,
        channels=channels,
        notes=notes,
    )


def _ids(cells: Cells, id: str | None, count: int) -> tuple[list[str], np.ndarray]:
    """The ids in order of appearance, and int64 (count,) which of them each row has."""
    if id is None:
        return [""], np.zeros(count, np.int64)
    _refuse_empty(cells[id], id)
    numbered: dict[str, int] = {}
    series = np.fromiter((numbered.setdefault(cell, len(numbered)) for cell in cells[id]), np.int64, count)
    return list(numbered), series


def _in_time(series: np.ndarray, times: list[str], names: list[str], roles: Roles) -> tuple[np.ndarray, list[str]]:
    """The rows by series and then time, int64 (rows,), and notes."""
    stamps, notes = _times(times, str(roles.time))
    order = np.lexsort((stamps, series))
    together = np.diff(series[order]) == 0
    twice = np.flatnonzero(together & (stamps[order][1:] == stamps[order][:-1]))
    if len(twice):
        one, other = order[twice[0] : twice[0] + 2]
        whose = f" of series {shown(names[series[one]])}" if roles.id else ""
        cure = "keep one of them" if roles.id else "keep one, or name the column that tells the series apart with --id"
        raise BadInput(f"rows {one + 1} and {other + 1}{whose} have the same time, {shown(times[one])}; {cure}")
    moved = len(np.unique(series[order][1:][together & (np.diff(order) < 0)]))
    if moved:
        notes = [*notes, f"sorted {moved} of {len(names)} series by {shown(str(roles.time))}"]
    return order, notes


def _channels(cells: Cells, roles: Roles, count: int) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Names of the channels, float32 (count, channels), and notes."""
    notes = []
    columns = roles.columns
    if not columns:
        free = [name for name in cells if name not in roles.names()]
        columns = tuple(name for name in free if name.strip() and _is_numeric(cells[name]))
        if not columns:
            raise BadInput("there is no column of numbers beside the named ones; name columns with --series")
        left = [name for name in free if name not in columns]
        notes = [f"left out column {shown(name)}, which is not all numbers or has no name" for name in left]
    values = np.empty((count, len(columns)), np.float32)
    for c, name in enumerate(columns):
        values[:, c] = numbers(cells[name], f"column {shown(name)}, row")
    return columns, values, notes


def _is_numeric(cells: Sequence[str]) -> bool:
    """At least one number, infinite ones (refused later) included, and no text."""
    try:
        values = [float(cell) for cell in cells if cell.strip().lower() not in MISSING]
    except ValueError:
        return False
    return bool(values)


def _times(cells: Sequence[str], column: str) -> tuple[np.ndarray, list[str]]:
    """What to sort by, (rows,), and notes."""
    _refuse_empty(cells, column)
    for number in (int, float):  # whole numbers first: float64 does not tell nanoseconds since 1970 apart
        try:
            stamps = np.array([number(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
        if np.isfinite(stamps).all():
            return stamps, []
    from gruvy.data.panels.stamp_texts import read_stamps  # loads pandas

    return read_stamps(cells, column)


def _refuse_empty(cells: Sequence[str], column: str) -> None:
    empty = np.array([not cell.strip() for cell in cells])
    if empty.any():
        raise BadInput(f"column {shown(column)} is empty in {named_rows(np.flatnonzero(empty) + 1)}; fill it in")


# Whole series in the cells


def read_lists(cells: Cells, roles: Roles, per_step: bool) -> Examples:
    """One series for each row: cells of numbers between spaces, commas or semicolons, in brackets or not."""
    inputs = []
    for i in range(len(cells[roles.columns[0]])):
        channels = [_list(cells[name][i], f"row {i + 1}, column {shown(name)},") for name in roles.columns]
        values = []
        for name, texts in zip(roles.columns, channels, strict=True):
            if len(texts) != len(channels[0]):
                raise BadInput(
                    f"row {i + 1} has {len(channels[0])} values in {shown(roles.columns[0])} and {len(texts)} in "
                    f"{shown(name)}; give all channels of a series the same steps, with NaN where a value is missing"
                )
            values.append(numbers(texts, f"row {i + 1}, column {shown(name)}, value"))
        inputs.append(np.stack(values, axis=1).astype(np.float32))
    targets = None
    if roles.target is not None:
        column = cells[roles.target]
        lists = [_list(cell, f"row {i}, the target,") if per_step else [cell] for i, cell in enumerate(column, 1)]
        targets = [np.array(texts) for texts in lists]
    return whole(inputs, targets, roles.columns)


def _list(cell: str, place: str) -> list[str]:
    cell = cell.strip()
    cell = (cell[1:-1] if cell[:1] + cell[-1:] == "[]" else cell).strip()
    separators = {found.strip() for found in _SEPARATOR.findall(cell)}
    if len(separators) > 1:
        raise BadInput(
            f"{place} holds {shown(cell)}, separated in different ways; write numbers like 3.5 with only spaces, "
            "only commas or only semicolons between them"
        )
    return _SEPARATOR.split(cell)
