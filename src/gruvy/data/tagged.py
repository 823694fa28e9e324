"""Sequences with a tag at every step: strings of symbols and of tags in the columns of a table, or CoNLL files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gruvy.data.conll import read_conll
from gruvy.data.prose import is_table
from gruvy.data.tables import Kind, named_rows, read_table
from gruvy.errors import BadInput

UNITS = ("symbols", "words")
_COUNTS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Tagged:
    """Sequences, their tags, and which steps count.

    Attributes:
        unit: `"symbols"`, every character is a step; `"words"`, every word is one.
        sequences, tags: the steps of each sequence, and as many tags.
        counted: bool `(steps,)` of each sequence, False where neither loss nor figures look.
        groups: what never stands in two parts, as the user names it, a value a sequence; None for none.
        rows: int64, where each sequence stands in the file: its row, or its first line.
        dropped: rows left out because a cell is empty.
    """

    unit: str
    sequences: list[list[str]]
    tags: list[list[str]]
    counted: list[np.ndarray]
    groups: list[str] | None
    rows: np.ndarray
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def steps(self) -> int:
        """All that count."""
        return int(sum(one.sum() for one in self.counted))

    def take(self, rows: np.ndarray) -> Tagged:
        """The sequences at `rows`."""
        groups = None if self.groups is None else [self.groups[i] for i in rows]
        sequences, tags = [self.sequences[i] for i in rows], [self.tags[i] for i in rows]
        return Tagged(self.unit, sequences, tags, [self.counted[i] for i in rows], groups, self.rows[rows])


def read_tagged(
    path: str | Path, columns: Mapping[str, str | None], drop_empty: bool = False, unit: str | None = None
) -> Tagged:
    """Read a table, or a file in CoNLL's manner.

    Args:
        columns: by role: sequence, tags, and of a table also mask and group; of a CoNLL file numbers, which may be
            left out.
        drop_empty: leave rows with an empty cell out.
        unit: what a step is, where that is known: the words and the symbols of a table are told apart by its tags.

    Raises:
        BadInput: a column is missing or not named, or tags or mask are not as many as steps.
    """
    if not is_table(path):
        return _from_conll(path, columns, unit)
    for role in ("sequence", "tags"):
        if not columns.get(role):
            raise BadInput(f"which column of {path} holds the {role}? give --{role} COLUMN")
    names = {role: name for role, name in columns.items() if name}
    kinds: dict[str, Kind] = {name: "text" for name in names.values()}
    table = read_table(path, kinds, drop_empty=drop_empty)
    cells = {role: [str(cell) for cell in table.columns[name]] for role, name in names.items()}
    unit, sequences, tags = _aligned(cells["sequence"], cells["tags"], unit)
    lengths = [len(one) for one in sequences]
    _check(path, "tags", [len(one) for one in tags], lengths, table.rows)
    counted = [np.ones(length, bool) for length in lengths]
    if "mask" in cells:
        counted = _mask(path, cells["mask"], lengths, table.rows)
    return Tagged(unit, sequences, tags, counted, cells.get("group"), table.rows, dropped=table.dropped)


def split_steps(sequence: str, unit: str) -> list[str]:
    """The steps of a sequence as a user writes it: its words, or its characters without white space."""
    return _words(sequence) if unit == "words" else _characters(sequence)


def _from_conll(path: str | Path, columns: Mapping[str, str | None], unit: str | None) -> Tagged:
    for role in ("mask", "group"):
        if columns.get(role):
            raise BadInput(f"--{role} names a column of a table, and {path} is none; leave it out")
    if unit == "symbols":
        raise BadInput(f"{path} holds words, and the model reads sequences of symbols; give a table")
    sentences = read_conll(path, columns.get("sequence"), columns.get("tags"))
    counted = [np.ones(len(tokens), bool) for tokens, _, _ in sentences]
    lines = np.array([line for _, _, line in sentences])
    return Tagged("words", [t for t, _, _ in sentences], [t for _, t, _ in sentences], counted, None, lines)


def _words(cell: str) -> list[str]:
    return cell.split()


def _characters(cell: str) -> list[str]:
    return list("".join(cell.split()))


def _aligned(sequences: Sequence[str], tags: Sequence[str], unit: str | None) -> tuple[str, list, list]:
    """Unit, steps and tags by the reading under which most rows have as many of both."""
    units = [unit] if unit else ["words", "symbols"] if _spaced(sequences) else ["symbols"]
    found = []
    for one in units:
        steps = [split_steps(cell, one) for cell in sequences]
        lengths = [len(row) for row in steps]
        found.append((one, steps, _read(tags, lengths, spaced=one == "words")))
    return max(found, key=lambda each: sum(len(a) == len(b) for a, b in zip(*each[1:], strict=True)))


def _read(cells: Sequence[str], lengths: Sequence[int], spaced: bool = False) -> list[list[str]]:
    """The steps of cells, apart by spaces or by character, as more of them fit `lengths`."""
    readings = [_words, _characters] if spaced or _spaced(cells) else [_characters]
    found = [[reading(cell) for cell in cells] for reading in readings]
    return max(found, key=lambda rows: sum(len(row) == length for row, length in zip(rows, lengths, strict=True)))


def _spaced(cells: Sequence[str]) -> bool:
    return any(len(cell.split()) > 1 for cell in cells)


def _mask(path: str | Path, cells: Sequence[str], lengths: Sequence[int], rows: np.ndarray) -> list[np.ndarray]:
    found = _read(cells, lengths)
    _check(path, "mask", [len(one) for one in found], lengths, rows)
    for row, one in zip(rows, found, strict=True):
        strange = [value for value in one if value.lower() not in _COUNTS]
        if strange:
            raise BadInput(
                f"{path}: row {row} has {strange[0]!r:.40} in its mask; expected 1 where a step counts, or 0"
            )
    return [np.array([_COUNTS[value.lower()] for value in one]) for one in found]


def _check(path: str | Path, what: str, came: Sequence[int], lengths: Sequence[int], rows: np.ndarray) -> None:
    """Refuse tags or a mask of another length than the sequence."""
    wrong = [i for i, (a, b) in enumerate(zip(came, lengths, strict=True)) if a != b]
    if wrong:
        first, others = wrong[0], f" (and so in {named_rows(rows[wrong])})" if len(wrong) > 1 else ""
        counts = f"a sequence of {lengths[first]} steps and {came[first]} in the {what}{others}"
        raise BadInput(f"{path}: row {rows[first]} has {counts}; expected one a step: correct the row, or leave it out")
