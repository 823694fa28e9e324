"""Examples read from what a source names: rows of a table, records of FASTA files, recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from gruvy.data.fasta import read_fasta, read_labelled
from gruvy.data.labelled.columns import Roles, read_lists
from gruvy.data.tables import naming, read_table
from gruvy.errors import BadInput
from gruvy.tasks.contract import ExampleTask
from gruvy.training.source import SEVERAL, Source


@dataclass(frozen=True)
class Examples:
    """Inputs and targets as they stand in the files.

    Attributes:
        inputs: one a row: a text, a sequence of symbols, a path; a mapping from role to these where there are several.
        targets: None where they were not asked for.
        rows: the file's row of each, from 1.
        dropped: rows left out because a cell is empty; unreadable: recordings left out because they cannot be read.
        groups: what must stay in one part of a split, as the user names it; None for nothing.
        notes: how the files were read, a sentence each.
    """

    inputs: Any
    targets: Any
    rows: np.ndarray
    dropped: int = 0
    unreadable: Sequence[Path] = ()
    groups: Any = None
    notes: Sequence[str] = ()

    def take(self, positions: np.ndarray) -> Examples:
        """The examples at `positions`."""
        inputs, targets = ([column[i] for i in positions] for column in (self.inputs, self.targets))
        return Examples(inputs, targets, self.rows[positions])


def left_out(dropped: int, unreadable: Sequence[Path]) -> list[str]:
    """A sentence each about rows left out because of an empty cell and recordings that cannot be read."""
    empty = [f"rows left out because a cell is empty: {dropped}"] if dropped else []
    if not unreadable:
        return empty
    return [*empty, f"recordings left out that cannot be read: {len(unreadable)}, such as {unreadable[0]}"]


def read_examples(task: type[ExampleTask], source: Source, targeted: bool = True) -> Examples:
    """Read inputs and, where `targeted`, targets and groups.

    Raises:
        BadInput: see `gruvy.data.tables.read_table`, `gruvy.data.fasta.read_labelled` and
            `gruvy.data.sound.recordings.read_recordings`.
    """
    if source.kind == "sound":
        return _recordings(task, source, targeted)
    if source.kind == "sequence" and not source.columns.get("sequence"):
        return _fasta(task, source, targeted)
    return _table(task, source, targeted)


def _table(task: type[ExampleTask], source: Source, targeted: bool) -> Examples:
    roles = {role: name for role, name in source.columns.items() if targeted or role not in (task.target, "group")}
    names = [name for several in roles.values() for name in ([several] if isinstance(several, str) else several)]
    if len(set(names)) < len(names):
        raise BadInput(f"--{' and --'.join(roles)} name the same column; each needs its own")
    kinds: dict[str, Any] = dict.fromkeys(names, "text")
    kinds |= {roles[role]: task.columns[role].kind for role in (task.target, "group") if role in roles}
    table = read_table(source.path, kinds, where=dict(source.where) or None, drop_empty=source.drop_empty)
    cells: Any = table.columns
    read = {role: _READERS[role](cells, name, source.path) for role, name in roles.items() if role in _READERS}
    inputs: Any = next(iter(read.values()))
    if source.kind == SEVERAL:
        inputs = [dict(zip(read, row, strict=True)) for row in zip(*read.values(), strict=True)]
    targets = cells[roles[task.target]] if targeted else None
    if source.rename and targets is not None:
        targets = [source.rename.get(str(target), target) for target in targets]
    groups = cells[roles["group"]] if "group" in roles else None
    return Examples(inputs, targets, table.rows, table.dropped, groups=groups)


def _texts(cells: Mapping[str, list[str]], name: str, path: Path) -> list[str]:
    return cells[name]


def _paths(cells: Mapping[str, list[str]], name: str, path: Path) -> list[Path]:
    return [path.parent / cell for cell in cells[name]]


def _series(cells: Mapping[str, list[str]], names: Sequence[str], path: Path) -> list[np.ndarray]:
    with naming(path):
        return read_lists(dict(cells), Roles(tuple(names), None, None, None), False).inputs


_READERS: Mapping[str, Callable[[Any, Any, Path], list[Any]]] = {
    "text": _texts, "sequence": _texts, "audio": _paths, "series": _series,
}  # fmt: skip


def _recordings(task: type[ExampleTask], source: Source, targeted: bool) -> Examples:
    from gruvy.data.sound.recordings import read_recordings  # loads an audio library

    columns, kind = source.columns, None
    if targeted:
        kind = cast(Literal["label", "number"], task.columns[task.target].kind)
    folder = columns.get("audio", source.path)
    found = read_recordings(
        folder, data=source.path if "audio" in columns else None, label_from=source.settings.get("label_from"),
        pattern=source.settings.get("pattern"), target=columns.get(task.target) if targeted else None,
        group=columns.get("group") if targeted else None, drop_empty=source.drop_empty, kind=kind,
    )  # fmt: skip
    return Examples(
        found.paths, found.targets, found.rows, found.dropped, found.unreadable, found.groups, found.notes
    )  # fmt: skip


def _fasta(task: type[ExampleTask], source: Source, targeted: bool) -> Examples:
    paths = (source.path, *source.more)
    if not targeted:
        sequences = [sequence for path in paths for sequence in read_fasta(path)[1]]
        return Examples(sequences, None, np.arange(1, len(sequences) + 1))
    kind: Any = task.columns[task.target].kind
    found = read_labelled(paths, source.settings.get("labels"), kind=kind, target=source.columns.get(task.target))
    rows = np.arange(1, len(found.sequences) + 1)
    return Examples(found.sequences, found.targets, rows, notes=[found.note])
