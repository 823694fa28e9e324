"""Whole series from .ts files (aeon, sktime, UEA) and tables of the UCR archive.

The messages lack the name of the file, which `read_series` adds.
"""

import gzip
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gruvy.data.tables import shown
from gruvy.errors import BadInput

MISSING = ("", "?", "na", "nan", "null", "none")


@dataclass(frozen=True, eq=False)
class Examples:
    """Series as they stand in a file, before windows are cut and targets are read.

    inputs: one float32 (steps, channels) a series, NaN where missing.
    targets: the texts that stand there, one for the series or one for each step, "" where missing; None where
        the file has no place for them.
    rows: int64, from 1: the row of the file of the series, or of each step.
    names: the id of each series, "" without one.
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray] | None
    rows: list[np.ndarray]
    names: list[str]
    channels: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def row(self, i: int, step: int) -> int:
        """The row of a step of series i."""
        return int(self.rows[i][step if len(self.rows[i]) > 1 else 0])

    def place(self, i: int) -> str:
        """How a message names series i."""
        recording = "the recording" if len(self.rows[i]) > 1 else f"row {self.rows[i][0]}"
        return f"series {shown(self.names[i])}" if self.names[i] else recording


def numbers(texts: Sequence[str], place: str, at: np.ndarray | None = None) -> np.ndarray:
    """float64 (n,), NaN for a text that is empty or "?", "NaN", "NA", "null" or "none".

    Raises BadInput for a text that is no number or does not fit float32; it is named by `place` and its number
    in `at`, by default counted from 1.
    """
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        values = np.fromiter(map(_number, texts), np.float64, len(texts))
    if len(bad := np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)):
        raise BadInput(
            f"{place} {bad[0] + 1 if at is None else at[bad[0]]} holds {shown(texts[bad[0]])} where a finite number "
            "was expected; write a number like 3.5 there, or NaN where it is missing"
        )
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan if text.strip().lower() in MISSING else np.inf


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each line that is not blank, with its number from 1."""
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                text = line.removeprefix(BOM_UTF8 if number == 1 else b"").decode("utf-8")
            except UnicodeDecodeError:
                raise BadInput(f"line {number} is not UTF-8; save the file as UTF-8") from None
            if text.strip():
                yield number, text.rstrip("\r\n")


def whole(
    inputs: list[np.ndarray], targets: list[np.ndarray] | None, channels: tuple[str, ...], notes: Sequence[str] = ()
) -> Examples:
    """Series without ids, each a row of the file."""
    rows = [np.array([row]) for row in range(1, len(inputs) + 1)]
    return Examples(inputs, targets, rows, [""] * len(rows), channels, list(notes))


# .ts: a header of lines with @, then one series a line, dimensions between colons, the target last


def read_ts(path: Path) -> Examples:
    """A .ts file: https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html"""
    lines = lines_of(path)
    header = _ts_header(lines)
    classes = header.get("@classlabel", "").split()[1:]
    labelled = bool(classes) or any(_said(header, tag) == "true" for tag in ("@classlabel", "@targetlabel"))
    dimensions = _ts_dimensions(header)
    inputs, targets = [], []
    for number, line in lines:
        if line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(":")]
        if labelled:
            targets.append(np.array([_ts_target(parts.pop(), classes, number)]))
        dimensions = dimensions or len(parts)
        if len(parts) != dimensions:
            came = f"{len(parts)} dimension{'' if len(parts) == 1 else 's'}{' and a target' if labelled else ''}"
            where = f"between dimensions{' and before the target' if labelled else ''}"
            raise BadInput(f"line {number} has {came} where {dimensions} were expected; write ':' {where}")
        inputs.append(_ts_series(parts, number))
        if _said(header, "@equallength") == "true" and len(inputs[-1]) != len(inputs[0]):
            raise BadInput(
                f"line {number} has {len(inputs[-1])} steps where the first series has {len(inputs[0])}; "
                "add the missing ones or write @equalLength false"
            )
    channels = tuple(f"dimension {d}" for d in range(1, (dimensions or 0) + 1))
    return whole(inputs, targets if labelled else None, channels=channels)


def _ts_header(lines: Iterator[tuple[int, str]]) -> dict[str, str]:
    """The lines before @data, names in lower case; takes them off `lines`."""
    header: dict[str, str] = {}
    place = "the file ends"
    for number, line in lines:
        tag, *words = line.split(maxsplit=1)
        if tag.lower() == "@data":
            if _said(header, "@timestamps") == "true":
                raise BadInput(
                    "the series come with time stamps (@timeStamps true), which are not read; write the values "
                    "alone with @timeStamps false, or a CSV file with columns for id, time, values and target"
                )
            return header
        if not tag.startswith(("@", "#")):
            place = f"line {number} stands"
            break
        header[tag.lower()] = words[0].strip() if words else ""
    raise BadInput(f"{place} before a line @data; expected lines of @ and a name, then @data, then the series")


def _said(header: dict[str, str], tag: str) -> str:
    return (header.get(tag, "").lower().split() or [""])[0]


def _ts_dimensions(header: dict[str, str]) -> int | None:
    """How many dimensions the header promises."""
    said = header.get("@dimensions") or header.get("@dimension")
    if said is None:
        return 1 if _said(header, "@univariate") == "true" else None
    if not (said.isdecimal() and int(said)):
        raise BadInput(f"@dimensions is {shown(said)}; expected how many dimensions the series have")
    return int(said)


def _ts_target(text: str, classes: list[str], number: int) -> str:
    if classes and text not in (*classes, "?", ""):
        raise BadInput(
            f"line {number} ends with {shown(text)}, which is no label of @classLabel; end it with one of those"
        )
    return "" if text == "?" else text


def _ts_series(parts: list[str], number: int) -> np.ndarray:
    """float32 (steps, dimensions)."""
    columns = []
    for d, part in enumerate(parts, 1):
        columns.append(numbers(part.split(","), f"line {number}, dimension {d}, value"))
        if len(columns[-1]) != len(columns[0]):
            raise BadInput(
                f"line {number} has {len(columns[0])} steps in dimension 1 and {len(columns[-1])} in dimension {d}; "
                "give all dimensions of a series the same steps, with ? where a value is missing"
            )
    return np.stack(columns, axis=1).astype(np.float32)


# The UCR archive: a table without a header, the label first, shorter series filled with NaN


def is_headless(path: Path) -> bool:
    """Whether the first row is all numbers, as in the UCR archive, and so no header."""
    for _, line in lines_of(path):
        try:
            return bool(np.isfinite(numbers(_ucr_cells(line), "")[0]))
        except BadInput:
            return False
    raise BadInput("the file is empty; expected series")


def _ucr_cells(line: str) -> list[str]:
    if "\t" in line or "," in line:
        return line.split("\t" if "\t" in line else ",")
    return line.split()


def read_ucr(path: Path) -> Examples:
    """A .tsv, .csv or .txt file of the UCR archive: https://www.cs.ucr.edu/~eamonn/time_series_data_2018/"""
    inputs: list[np.ndarray] = []
    targets = []
    expected = 0
    for number, line in lines_of(path):
        values = numbers(_ucr_cells(line), f"line {number}, column")
        expected = expected or max(2, len(values))
        if len(values) != expected:
            raise BadInput(
                f"line {number} has {len(values)} column{'' if len(values) == 1 else 's'} where {expected} were "
                "expected, the label and then the series; fill shorter series up with NaN"
            )
        inputs.append(values[1:, None].astype(np.float32))
        targets.append(np.array([plain(values[0])]))  # the archive writes "1", "1.0" and "1.0000000e+00"
    inputs, notes = trimmed(inputs)
    return whole(inputs, targets, channels=("value",), notes=notes)


def plain(value: float) -> str:
    """A number as a label: 1.0 as "1", NaN as ""."""
    if np.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def trimmed(inputs: list[np.ndarray]) -> tuple[list[np.ndarray], list[str]]:
    """Without the steps after the last number; a series without any stays."""
    ends = []
    for values in inputs:
        given = np.flatnonzero(~np.isnan(values).all(axis=1))
        ends.append(int(given[-1]) + 1 if len(given) else len(values))
    shorter = sum(end < len(values) for end, values in zip(ends, inputs, strict=True))
    notes = [f"took {shorter} of {len(inputs)} series to be shorter, ending in NaN"] if shorter else []
    return [values[:end] for end, values in zip(ends, inputs, strict=True)], notes
