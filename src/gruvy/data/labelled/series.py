"""Labelled series for classification and regression, whole or cut into windows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from gruvy.data.labelled.arrays import read_npz
from gruvy.data.labelled.columns import Roles, column_names, holds_series, read_lists, read_long
from gruvy.data.labelled.formats import Examples, is_headless, numbers, read_ts, read_ucr
from gruvy.data.tables import named_rows, naming, read_cells, shown
from gruvy.errors import BadInput

Kind = Literal["label", "number", "per-step"] | None
Piece = tuple[int, int, int]  # which series, from which step, to which


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Series or windows of series, and their targets.

    inputs: float32 (steps, channels) each, NaN where missing; steps >= 1 and may differ.
    targets: for kind "label" a list of str, for "number" float64 (rows,), for "per-step" float64 (steps,)
        each, NaN where none is given; for None, None.
    groups: int64 (rows,), one number for all windows of a series, which belong in the same part of a split.
    rows: int64 (rows,), the row of each in the file, from 1; where a row is a step, that of the first step.
    names: the id of each, "" without one.
    channels: their names.
    notes: what was done to the data, one sentence each.
    """

    inputs: list[np.ndarray]
    targets: list[str] | np.ndarray | list[np.ndarray] | None
    groups: np.ndarray
    rows: np.ndarray
    names: list[str]
    channels: tuple[str, ...]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.inputs)


def read_series(
    path: str | os.PathLike[str], *, kind: Kind, columns: Sequence[str] = (), id: str | None = None,
    time: str | None = None, target: str | None = None, window: int | None = None, stride: int | None = None,
) -> SeriesTable:  # fmt: skip
    """Read series with a label or a number each ("label", "number"), a number a step ("per-step"), or no target (None).

    What the file may be:

    - .ts of aeon, sktime and UEA, without time stamps.
    - .tsv, .csv or .txt of the UCR archive: all numbers, no header, always the label first; NaN at the end of a
      row makes the series shorter.
    - .npz with X (series, steps) or (series, steps, channels), y (series,) or, per step, (series, steps), and
      lengths (series,); without lengths, NaN at the end makes a series shorter.  X and y may also be named x, data
      or inputs, and labels or targets, or anything if there are no others.
    - CSV, TSV, JSONL or Parquet with a row for each step.  `id` names the column that tells the series apart;
      without it the file is one recording, of which `window` steps at a time make a row.  `columns` are the
      channels, by default all columns of numbers; `time` sorts.
    - CSV, TSV, JSONL or Parquet with a row for each series and all its steps in one cell of each of `columns`,
      "0.1 0.2 0.3", also with commas, semicolons and brackets.

    Text files may also be .gz.  A missing value is empty, "?", "NaN", "NA", "null" or "none".

    window, stride: cut windows of so many steps, one every `stride` (by default `window`).  A window has one
        label throughout; of numbers it takes the last.

    Raises BadInput, one sentence, for everything that cannot be read as asked.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    with naming(path):
        _check_window(window, stride)
        roles = Roles(tuple(columns), id, time, target)
        whole = {".ts": read_ts, ".txt": read_ucr, ".npz": read_npz}.get(Path(name).suffix)
        if whole is None and name.endswith((".csv", ".tsv")) and is_headless(path):
            whole = read_ucr
        if whole is None and not name.endswith((".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")):
            raise BadInput("unknown kind of file; give a .ts, .npz, .txt, .csv, .tsv, .jsonl, .ndjson or .parquet file")
        if whole is not None and roles.names():
            why = "its first row is all numbers" if name.endswith((".csv", ".tsv")) else "this kind of file names none"
            raise BadInput(
                f"there is no column {shown(roles.names()[0])}, as {why}; write a header, or name no columns"
            )
    if whole is None:
        return _from_columns(path, roles, kind, window, stride)
    with naming(path):
        return _table(whole(path), kind, window, stride)


def _check_window(window: int | None, stride: int | None) -> None:
    if stride is not None and window is None:
        raise BadInput(f"a stride of {stride} was given without a window; give --window too")
    for name, value in (("window", window), ("stride", stride)):
        if value is not None and value < 1:
            raise BadInput(f"the {name} is {value}; expected at least 1 step")


def _from_columns(path: Path, roles: Roles, kind: Kind, window: int | None, stride: int | None) -> SeriesTable:
    with naming(path):
        found = column_names(path)
        if kind is not None and roles.target is None:
            option = "--label" if kind == "label" else "--target"
            raise BadInput(f"no column of targets is named; name one with {option}")
        if kind is None and roles.target not in found:
            roles = replace(roles, target=None)
        names = list(dict.fromkeys(roles.names() + ([] if roles.columns else found)))
        if not names:
            raise BadInput("no columns were found in it; expected named columns and rows of data")
    cells = read_cells(path, names)
    with naming(path):
        if roles.id is None and roles.time is None and any(holds_series(cells[name]) for name in roles.columns):
            return _table(read_lists(cells, roles, kind == "per-step"), kind, window, stride)
        if roles.id is None and window is None:
            raise BadInput(
                "every row is one step; name the column that tells the series apart with --id, or cut windows from "
                "one recording with --window, or name columns that hold whole series with --series"
            )
        return _table(read_long(cells, roles), kind, window, stride)


# From whole series to the rows of a table


def _table(examples: Examples, kind: Kind, window: int | None, stride: int | None) -> SeriesTable:
    if not examples.inputs:
        raise BadInput("there are no series in the file; add at least one")
    for i, inputs in enumerate(examples.inputs):
        if np.isnan(inputs).all():
            raise BadInput(f"{examples.place(i)} holds no number at all; fill it in or take it out")
    targets = None if kind is None else _targets(examples, kind, window)
    pieces, notes = _pieces(examples, targets if kind == "label" else None, window, stride or window)
    if kind is not None and len(pieces) == 1:
        raise BadInput("there is only one series to learn from; give more, or cut windows from it with --window")
    return SeriesTable(
        inputs=[examples.inputs[i][start:stop] for i, start, stop in pieces],
        targets=None if targets is None else _of_pieces(examples, targets, pieces, kind),
        groups=np.array([i for i, _, _ in pieces], np.int64),
        rows=np.array([examples.row(i, start) for i, start, _ in pieces], np.int64),
        names=[examples.names[i] for i, _, _ in pieces],
        channels=examples.channels,
        notes=[*examples.notes, *notes],
    )


def _targets(examples: Examples, kind: Kind, window: int | None) -> list[np.ndarray]:
    """The target of each step of each series: texts for kind "label", else float64 (steps,)."""
    if examples.targets is None:
        raise BadInput("there are no targets in the file; give one that holds them")
    targets = []
    for i, texts in enumerate(examples.targets):
        steps = len(examples.inputs[i])
        if kind == "per-step" and len(texts) != steps:
            came = f"{len(texts)} target{'' if len(texts) == 1 else 's'}"
            raise BadInput(f"{examples.place(i)} has {came} where {steps} were expected; give one for each step")
        rows = np.broadcast_to(examples.rows[i], len(texts))
        values = texts if kind == "label" else numbers(texts.tolist(), "the target in row", rows)
        if kind == "label" or (kind == "number" and window is None):
            missing = np.isnan(values) if kind == "number" else np.array([not text.strip() for text in texts])
            if missing.any():
                raise BadInput(f"the target is missing in {named_rows(rows[missing])}; fill it in or delete those rows")
            if window is None and len(other := np.flatnonzero(values != values[0])):
                raise BadInput(
                    f"{examples.place(i)} has the targets {shown(str(texts[0]))} and {shown(str(texts[other[0]]))}; "
                    "give it one, or cut it into windows with --window"
                )
        targets.append(np.broadcast_to(values, steps))
    if kind == "per-step" and all(np.isnan(values).all() for values in targets):
        raise BadInput("no step has a target; fill in at least some")
    return targets


def _of_pieces(
    examples: Examples, targets: list[np.ndarray], pieces: list[Piece], kind: Kind
) -> list[str] | np.ndarray | list[np.ndarray]:
    if kind == "label":
        return [str(targets[i][start]) for i, start, _ in pieces]
    if kind == "per-step":
        return [targets[i][start:stop] for i, start, stop in pieces]
    values = np.array([targets[i][stop - 1] for i, _, stop in pieces])
    if (missing := np.isnan(values)).any():
        rows = [examples.row(i, stop - 1) for i, _, stop in pieces]
        raise BadInput(f"the last step of a window has no target in {named_rows(np.array(rows)[missing])}; fill it in")
    return values


def _pieces(
    examples: Examples, labels: list[np.ndarray] | None, window: int | None, stride: int | None
) -> tuple[list[Piece], list[str]]:
    """The series whole, or the windows of one label each that hold a number; and notes."""
    if window is None or stride is None:
        return [(i, 0, len(inputs)) for i, inputs in enumerate(examples.inputs)], []
    pieces: list[Piece] = []
    lengths, left = [], 0
    for i, inputs in enumerate(examples.inputs):
        changes = [] if labels is None else (np.flatnonzero(labels[i][1:] != labels[i][:-1]) + 1).tolist()
        for start, stop in pairwise([0, *changes, len(inputs)]):
            begins = range(start, stop - window + 1, stride)
            pieces += [(i, begin, begin + window) for begin in begins]
            left += stop - begins[-1] - window if begins else 0
            lengths.append(stop - start)
    what = "series" if labels is None else "stretches of one label"
    if not pieces:
        raise BadInput(
            f"all {what} are shorter than the window of {window} steps; give at most {max(lengths)}, the longest"
        )
    kept = [(i, start, stop) for i, start, stop in pieces if not np.isnan(examples.inputs[i][start:stop]).all()]
    if not kept:
        raise BadInput(f"no window of {window} steps holds a number; give a longer one")
    notes = [f"cut {len(kept)} windows of {window} steps, one every {stride}, from {len(lengths)} {what}"]
    if short := sum(length < window for length in lengths):
        notes.append(f"left out {short} of the {len(lengths)} {what}, shorter than a window")
    if left:
        notes.append(f"left out {left} steps in all that follow a last whole window")
    if len(kept) < len(pieces):
        notes.append(f"left out {len(pieces) - len(kept)} of {len(pieces)} windows, without any number")
    return kept, notes
