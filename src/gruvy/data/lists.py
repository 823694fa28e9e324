"""Columns whose cells are lists: of tokens, of tags.  They stand in JSONL and Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.data.labelled.formats import lines_of
from gruvy.data.tables import listed, named_rows, naming, shown
from gruvy.errors import BadInput

Cell = str | list[str]


@dataclass(frozen=True)
class Lists:
    """The columns that were asked for: a text a row, or a list of texts.

    Attributes:
        rows: int64, the number of each row in the file, from 1; dropped: rows left out because a cell is empty.
    """

    columns: Mapping[str, list[Cell]]
    rows: np.ndarray
    dropped: int


def holds_lists(path: Path, names: Sequence[str]) -> bool:
    """Whether a cell of the first row, in one of the columns, is a list; False for what cannot be read."""
    try:
        first = next(_records(path, names), {})
    except (BadInput, OSError, EOFError):
        return False
    return any(isinstance(first.get(name), list) for name in names)


def read_lists(path: Path, names: Sequence[str], drop_empty: bool = False) -> Lists:
    """Read the named columns of a .jsonl/.ndjson (also .gz) or .parquet file.

    Numbers within the cells become texts, as they are written. A cell is empty if it is null, a list without entries,
    or nothing but white space; its row is refused, unless `drop_empty` leaves it out.

    Raises:
        BadInput: the file cannot be read, a column is missing, or an entry of a list is no text and no number.
    """
    with naming(path):
        records = list(_records(path, names))
        found = list(dict.fromkeys(name for record in records for name in record))
        for name in names:
            if name not in found:
                raise BadInput(f"there is no column {shown(name)}, only {listed(found)}; name one of these")
        cells = {name: [_cell(r.get(name), row, name) for row, r in enumerate(records, 1)] for name in names}
        empty = np.array([any(not cells[name][i] for name in names) for i in range(len(records))])
        if empty.any() and (not drop_empty or empty.all()):
            where = named_rows(np.flatnonzero(empty) + 1)
            raise BadInput(f"a cell is empty in {where}; fill it, delete those rows, or pass --drop-empty")
    kept = np.flatnonzero(~empty)
    return Lists({name: [column[i] for i in kept] for name, column in cells.items()}, kept + 1, int(empty.sum()))


def _records(path: Path, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    if path.name.lower().endswith(".parquet"):
        yield from _parquet(path, names)
        return
    if not path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return
    for number, line in lines_of(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise BadInput(f"line {number} holds {shown(line)}; expected one JSON object on each line")
        yield record


def _parquet(path: Path, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in file.schema_arrow.names if name in names]
            if len(there) < len(set(names)):
                there = file.schema_arrow.names  # for the message
            for batch in file.iter_batches(columns=there):
                yield from batch.to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise BadInput(f"not a sound Parquet file ({str(error).splitlines()[0]}); write or copy it again") from None


def _cell(value: Any, row: int, name: str) -> Cell:
    if isinstance(value, list):
        return [_text(entry, row, name) for entry in value]
    return "" if value is None else _text(value, row, name).strip()


def _text(value: Any, row: int, name: str) -> str:
    if not isinstance(value, str | int | float):
        raise BadInput(
            f"row {row} holds {shown(repr(value))} in column {shown(name)}; expected texts, or lists of them"
        )
    return value if isinstance(value, str) else str(value).lower()
