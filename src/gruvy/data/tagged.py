"""Sequences with a tag at every step: in the columns of a table, strings or lists of steps and of tags; or CoNLL
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gruvy.data.conll import read_conll
from gruvy.data.lists import Cell, Lists, holds_lists, read_lists
from gruvy.data.prose import is_table
from gruvy.data.tables import Table, named_rows, read_table
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
        unit: what a step is, where that is known: the words and the symbols of a table are told apart by its tags;
            the entries of a list are words, unless all are single characters.

    Raises:
        BadInput: a column is missing or not named, or tags or mask are not as many as steps.
    """
    if not is_table(path):
        return _from_conll(path, columns, unit)
    for role in ("sequence", "tags"):
        if not columns.get(role):
            raise BadInput(f"which column of {path} holds the {role}? give --{role} COLUMN")
    names = {role: name for role, name in columns.items() if name}
    table = _table(path, list(names.values()), drop_empty)
    cells: dict[str, list[Cell]] = {role: list(table.columns[name]) for role, name in names.items()}
    unit, sequences, tags = _aligned(cells["sequence"], cells["tags"], unit)
    if unit == "symbols" and any(len(step) != 1 for one in sequences for step in one):
        raise BadInput(f"{path} holds words, and the model reads sequences of symbols; give those")
    lengths = [len(one) for one in sequences]
    blank = [row for row, one in zip(table.rows, tags, strict=True) if not all(tag.strip() for tag in one)]
    if blank:
        raise BadInput(f"{path}: row {blank[0]} has a tag of white space, which is none; write - for it")
    spaced = [len(cell) for cell in cells["tags"]]
    _check(path, "tags", [len(one) for one in tags], lengths, table.rows, spaced)
    counted = [np.ones(length, bool) for length in lengths]
    if "mask" in cells:
        counted = _mask(path, _joined(cells["mask"]), lengths, table.rows)
    groups = _joined(cells["group"]) if "group" in cells else None
    return Tagged(unit, sequences, tags, counted, groups, table.rows, dropped=table.dropped)


def read_sequences(path: str | Path, column: str, drop_empty: bool = False) -> list[Cell]:
    """The sequences of a table, as strings or lists of steps.

    Raises:
        BadInput: see `gruvy.data.tables.read_table` and `gruvy.data.lists.read_lists`.
    """
    return list(_table(path, [column], drop_empty).columns[column])


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


def _table(path: str | Path, names: list[str], drop_empty: bool) -> Table | Lists:
    if holds_lists(Path(path), names):
        return read_lists(Path(path), names, drop_empty)
    return read_table(path, dict.fromkeys(names, "text"), drop_empty=drop_empty)


def _words(cell: str) -> list[str]:
    return cell.split()


def _characters(cell: str) -> list[str]:
    return list("".join(cell.split()))


def _joined(cells: Sequence[Cell]) -> list[str]:
    return [cell if isinstance(cell, str) else " ".join(cell) for cell in cells]


def _aligned(given: Sequence[Cell], said: Sequence[Cell], unit: str | None) -> tuple[str, list, list]:
    """Unit, steps and tags by the reading under which most rows have as many of both."""
    if any(isinstance(cell, list) for cell in given):
        steps = [_words(cell) if isinstance(cell, str) else cell for cell in given]
        single = all(len(step) == 1 for one in steps for step in one)
        return unit or ("symbols" if single else "words"), steps, [
            _words(cell) if isinstance(cell, str) else cell for cell in said
        ]  # fmt: skip
    sequences, tags = _joined(given), _joined(said)
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


def _check(
    path: str | Path, what: str, came: Sequence[int], lengths: Sequence[int], rows: np.ndarray,
    spaced: Sequence[int] = (),
) -> None:  # fmt: skip
    """Refuse tags or a mask of another length than the sequence; `spaced` are lengths with white space."""
    wrong = [i for i, (a, b) in enumerate(zip(came, lengths, strict=True)) if a != b]
    if wrong:
        first, others = wrong[0], f" (and so in {named_rows(rows[wrong[1:]])})" if len(wrong) > 1 else ""
        blank = ", and white space is none (write -)" if spaced and spaced[first] == lengths[first] else ""
        counts = f"a sequence of {lengths[first]} steps and {came[first]} in the {what}{others}"
        raise BadInput(
            f"{path}: row {rows[first]} has {counts}; expected one a step{blank}: correct the row, or leave it out"
        )
