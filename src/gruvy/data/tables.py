"""Columns of texts, labels and numbers read from CSV, TSV, JSONL and Parquet files.

Every cell is first read as the text that stands in the file and only then turned into what its column is
asked to be, so "NA", "null" or "2020-01-01" in a text column stays what it is.  CSV and JSONL are read with
the standard library, not with pyarrow: pyarrow's CSV reader swallows the rest of the file at an unclosed
quote, and its JSON reader guesses types (dates, mixed labels) and cannot name the line of an error.
"""

import csv
import gzip
import io
import json
import os
import re
import stat
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np

from gruvy.errors import BadInput

Kind = Literal["text", "number", "label"]
Cells = dict[str, list[str]]

_MAX_CELL = 2**28  # one CSV value in characters, one JSONL line in bytes: keeps a broken file out of memory
_MOST_SEEN = 100_000  # different cells of a column that are looked for again
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class Table:
    """The columns that were asked for, all of the same length.

    columns: text and label columns are lists of str, number columns are float64 arrays of shape (rows,).
    rows: int64 (rows,), the number of each row in the file.  Row n is the n-th data record, from 1, without
        the header and without blank lines; a CSV record with line breaks inside quotes is one row.
    dropped: how many rows `drop_empty` left out.
    """

    columns: dict[str, np.ndarray | list[str]]
    rows: np.ndarray
    dropped: int

    def __len__(self) -> int:
        return len(self.rows)


def read_table(
    path: str | os.PathLike[str],
    columns: Mapping[str, Kind],
    *,
    where: Mapping[str, str] | None = None,
    drop_empty: bool = False,
) -> Table:
    """Read the named columns of a .csv, .tsv, .jsonl/.ndjson or .parquet file (the first three also .gz).

    Text and label cells come back exactly as they stand, spaces included: a JSONL or Parquet number as its
    digits (1 as "1", 1.0 as "1.0"), a boolean as "true" or "false"; null, a missing JSONL field and a float
    NaN are empty.  A number may stand as a text ("3.5").  CSV values may be quoted; in TSV a quote is an
    ordinary character.  `where` keeps only the rows whose columns equal the given values.  An empty cell
    (nothing but white space, or NaN in a number column) is refused, unless `drop_empty` leaves its row out.

    Raises BadInput, one sentence, for everything that cannot be read as asked.
    """
    with naming(path):
        if not columns or not set(columns.values()) <= {"text", "number", "label"}:
            raise BadInput(f"expected columns as name: 'text', 'number' or 'label', not {dict(columns)!r}")
        cells = _read_cells(Path(path), list(dict.fromkeys([*columns, *(where or {})])))
        return _table(cells, columns, where or {}, drop_empty)


def read_cells(path: str | os.PathLike[str], names: Sequence[str]) -> Cells:
    """The cells of the named columns as the texts that stand in the file, "" for an empty one.

    Raises BadInput, one sentence, for a file that cannot be read, lacks a column or has no rows.
    """
    with naming(path):
        return _read_cells(Path(path), names)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Puts the file's name before every BadInput, and turns what the system says of the file into one."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            raise BadInput(f"this is {kind}; name a data file")
        yield
    except BadInput as error:
        said = str(error)
    except (FileNotFoundError, NotADirectoryError):
        said = "no such file"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        said = f"not a complete gzip file ({_reason(error)}); compress or copy it again"
    except OSError as error:
        said = f"the file cannot be read ({_reason(error)}); check its permissions"
    else:
        return
    raise BadInput(f"{path}: {said}") from None


# From cells to a table.  The messages from here on lack the name of the file, which `naming` adds.


def _table(cells: Cells, columns: Mapping[str, Kind], where: Mapping[str, str], drop_empty: bool) -> Table:
    chosen = _matching(cells, where)
    empty = np.zeros(len(chosen), dtype=bool)
    values: dict[str, np.ndarray | list[str]] = {}
    for name, kind in columns.items():
        texts = [cells[name][i] for i in chosen]
        values[name] = _to_numbers(texts) if kind == "number" else texts
        holes = np.isnan(values[name]) if kind == "number" else _blank(texts)
        if holes.any() and not drop_empty:
            raise BadInput(
                f"column {shown(name)} is empty{' or NaN' if kind == 'number' else ''} in "
                f"{named_rows(chosen[holes] + 1)}; fill them, delete those rows, or pass --drop-empty"
            )
        empty |= holes
    kept = np.flatnonzero(~empty)
    if not len(kept):
        raise BadInput(f"every row has an empty cell in {listed(list(columns))}; fill in at least some rows")
    rows = chosen[kept] + 1
    for name, column in values.items():
        values[name] = column[kept] if isinstance(column, np.ndarray) else [column[i] for i in kept]
        if columns[name] == "number" and len(bad := rows[~np.isfinite(values[name])]):
            raise BadInput(
                f"column {shown(name)} holds {shown(cells[name][bad[0] - 1])} where a finite number was "
                f"expected, in {named_rows(bad)}; write numbers like 3.5 there"
            )
    return Table(values, rows, len(chosen) - len(kept))


def _matching(cells: Cells, where: Mapping[str, str]) -> np.ndarray:
    """Positions (int64, from 0) of the rows whose cells equal every value of `where`."""
    match = np.ones(len(next(iter(cells.values()))), dtype=bool)
    for name, value in where.items():
        match &= np.fromiter((cell == value for cell in cells[name]), bool, len(match))
        if not match.any():
            held = listed(list(dict.fromkeys(cells[name])))
            raise BadInput(f"no row is left where {shown(name)} is {shown(value)}; that column holds {held}")
    return np.flatnonzero(match)


def _blank(texts: Sequence[str]) -> np.ndarray:
    return np.fromiter((not text or text.isspace() for text in texts), bool, len(texts))


def _to_numbers(texts: Sequence[str]) -> np.ndarray:
    """float64 (n,): NaN for an empty cell or "nan", infinity for anything that is no finite number."""

    def number(text: str) -> float:
        text = text.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        return np.nan if text.lower() in ("", "nan") else np.inf

    return np.fromiter((number(text) for text in texts), np.float64, len(texts))


# From a file to cells


def _read_cells(path: Path, names: Sequence[str]) -> Cells:
    """The cells of the named columns as texts, "" for an empty one; at least one row."""
    cells = _parsed(path, names)
    if not cells[names[0]]:
        raise BadInput("the file has columns but no rows; add at least one row of data")
    return cells


def _parsed(path: Path, names: Sequence[str]) -> Cells:
    read = _reader(path)
    try:
        with _open(path) as stream:
            return read(stream, names)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


def _reader(path: Path) -> Callable[[BinaryIO, Sequence[str]], Cells]:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet
    name = name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        return partial(_read_delimited, tabs=name.endswith(".tsv"))
    if name.endswith((".jsonl", ".ndjson")):
        return _read_jsonl
    raise BadInput("unknown kind of file; give a .csv, .tsv, .jsonl (or .ndjson) or .parquet file")


def _open(path: Path) -> BinaryIO:
    zipped = path.suffix.lower() == ".gz"
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def _read_delimited(stream: BinaryIO, names: Sequence[str], tabs: bool) -> Cells:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # process-wide, so only ever raised
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines:
        records = _records(lines, tabs)
        header = next(records, [])
        _check_columns(header, names)
        cells: Cells = {name: [] for name in names}
        seen_of: dict[str, dict[str, str]] = {name: {} for name in cells}
        targets = [(header.index(name), column, seen_of[name]) for name, column in cells.items()]
        for record in records:
            for place, column, seen in targets:
                column.append(_once(record[place], seen))
    return cells


def _once(cell: str, seen: dict[str, str]) -> str:
    """The same object for equal cells, as long as a column has few different ones: dates, names, labels repeat."""
    return seen.setdefault(cell, cell) if len(seen) < _MOST_SEEN else seen.get(cell, cell)


def _records(lines: Iterable[str], tabs: bool) -> Iterator[list[str]]:
    """The header, then each data record, which has as many fields; blank lines are skipped."""
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"delimiter": ","}
    reader = csv.reader(lines, strict=True, **dialect)
    fields = count = 0
    try:
        for record in reader:
            if not record or (fields != 1 and len(record) == 1 and not record[0].strip()):
                continue
            fields = fields or len(record)
            if len(record) != fields:
                came = f"{len(record)} field{'s' if len(record) > 1 else ''}"
                cure = "take the tabs out of the values" if tabs else "quote the values that hold a comma"
                raise BadInput(
                    f"row {count} (line {reader.line_num}) has {came} where the header has "
                    f"{fields}; {cure if len(record) > fields else 'add the missing ones'}"
                )
            yield record
            count += 1
    except csv.Error as error:
        place = f"row {count}" if count else "the header"
        raise BadInput(
            f"{place} (read up to line {reader.line_num}) is not well-formed CSV ({error}); "
            "close every quoted value and write a quote inside it twice"
        ) from None


_JSON = json.JSONDecoder(  # an object becomes a tuple of pairs, a list stays a list, a number its digits
    object_pairs_hook=tuple,
    parse_int=str,
    parse_float=str,
    parse_constant=lambda text: None if text == "NaN" else text,
)


def _read_jsonl(stream: BinaryIO, names: Sequence[str]) -> Cells:
    cells: Cells = {name: [] for name in names}
    found: dict[str, None] = {}
    for number, line in enumerate(iter(lambda: stream.readline(_MAX_CELL), b""), 1):
        line = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            pairs = _json_pairs(line)
            _refuse_repeats([name for name, _ in pairs], names)
            record = dict(pairs)
            for name, column in cells.items():
                column.append(_json_cell(name, record.get(name)))
        except BadInput as error:
            raise BadInput(f"line {number} {error}") from None
        found.update(dict.fromkeys(record))
    _check_columns(list(found), names)
    return cells


def _json_pairs(line: bytes) -> tuple[tuple[str, Any], ...]:
    expected = "expected one JSON object on each line"
    if len(line) >= _MAX_CELL:
        raise BadInput(f"is longer than {_MAX_CELL} bytes; {expected}")
    try:
        pairs = _JSON.decode(line.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise BadInput(f"is not JSON ({error.msg}, character {error.colno}); {expected}") from None
    except RecursionError:
        raise BadInput(f"is nested too deeply; {expected}") from None
    if not isinstance(pairs, tuple):
        raise BadInput(f"holds {shown(line.decode().strip())}; {expected}")
    return pairs


def _json_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        held = "an object" if isinstance(value, tuple) else "a list"
        raise BadInput(f"has {held} in column {shown(name)}; expected a text, a number or null")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f"has half a character, {shown(value)}, in {shown(name)}; correct it") from None
    return value


def _read_parquet(stream: BinaryIO, names: Sequence[str]) -> Cells:
    import pyarrow as pa  # slow to load
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream, page_checksum_verification=True) as file:
            _check_columns(file.schema_arrow.names, names)
            table = file.read(columns=list(names), use_threads=False)
            return {name: _arrow_cells(name, table.column(name)) for name in names}
    except BadInput:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(f"not a sound Parquet file ({_reason(error)}); write or copy it again") from None


def _arrow_cells(name: str, column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_floating(column.type):  # Arrow itself would write 1.0 as "1"
        return ["" if value is None or value != value else str(value) for value in column.to_pylist()]
    try:
        return [value or "" for value in column.cast(pa.large_string()).to_pylist()]
    except pa.ArrowNotImplementedError:
        raise BadInput(f"column {shown(name)} holds {column.type}; expected texts or numbers") from None
    except (pa.ArrowInvalid, UnicodeDecodeError):
        raise BadInput(f"column {shown(name)} holds bytes that are not UTF-8; store texts in it") from None


# What the messages need


def _check_columns(found: Sequence[str], names: Sequence[str]) -> None:
    if not found:
        raise BadInput("the file is empty; expected named columns and rows of data")
    _refuse_repeats(found, names)
    for name in names:
        if name not in found:
            folded = {column.casefold(): column for column in found}
            close = get_close_matches(name.casefold(), folded, n=1)
            hint = f"did you mean {shown(folded[close[0]])}?" if close else "name one of these"
            if len(found) == 1 and ";" in found[0]:
                hint = "save the file with commas instead of semicolons"
            raise BadInput(f"there is no column {shown(name)}, only {listed(found)}; {hint}")


def _refuse_repeats(found: Sequence[str], names: Sequence[str]) -> None:
    for name in names:
        if (times := found.count(name)) > 1:
            raise BadInput(f"has {times} columns {shown(name)}; rename all but one")


def _not_utf8(path: Path) -> BadInput:
    """Reads the file again to find the first line that is not UTF-8, and to its end: an archive's checksum,
    which tells that the archive is broken and not its text, comes last."""
    said = ""
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                place = f"byte 0x{line[error.start]:02x} at place {error.start + 1} of the line"
                said = said or f"line {number} is not UTF-8 ({place}); save the file as UTF-8"
    return BadInput(said or "the file is not UTF-8; save the file as UTF-8")


def named_rows(rows: np.ndarray) -> str:
    """'row 3', 'rows 3, 5' or '43 rows (3, 5, 8, ...)'."""
    first = ", ".join(str(row) for row in rows[:3])
    if len(rows) > 3:
        return f"{len(rows)} rows ({first}, ...)"
    return f"row{'s' if len(rows) > 1 else ''} {first}"


def listed(texts: Sequence[str], most: int = 12) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(shown(text) for text in texts[:most]) + more


def shown(text: str, width: int = 40) -> str:
    return repr(text if len(text) <= width else text[: width - 3] + "...")


def _reason(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).splitlines()[0]
