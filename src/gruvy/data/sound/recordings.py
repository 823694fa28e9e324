"""Folders of recordings and what they say of each: by the folder it is in, by its name, or by a table beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gruvy.data.sound.clips import SUFFIXES, read_clip
from gruvy.data.tables import listed, read_table
from gruvy.errors import BadInput

FOLDER, NAME, MANIFEST = LABELLED_BY = ("folder", "name", "manifest")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_FIELD = re.compile(r"\{(\w+)\}")
_ANY_RATE = 8000  # to find out whether a recording can be read


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings and what is known of them.

    Attributes:
        paths: of the files.
        targets: a label of each, or a number; None where none were asked for.
        groups: what must stay on one side of a split; None where none was asked for.
        rows: int64, of the manifest, or the places in the order of paths, from 1.
        dropped: rows left out because a cell is empty; unreadable: recordings left out because they cannot be read.
        notes: how labels and groups were found, a sentence each.
    """

    paths: list[Path]
    targets: Any
    groups: list[str] | None
    rows: np.ndarray
    dropped: int = 0
    unreadable: Sequence[Path] = ()
    notes: Sequence[str] = ()


def read_recordings(
    audio: str | os.PathLike[str], *, data: str | os.PathLike[str] | None = None, label_from: str | None = None,
    pattern: str | None = None, target: str | None = None, group: str | None = None, drop_empty: bool = False,
    kind: Literal["label", "number"] | None = "label",
) -> Recordings:  # fmt: skip
    """The recordings below a directory, or those a table lists.

    Args:
        audio: the directory; with `data`, the table's column of paths, relative to the table.
        label_from: `"folder"`, the one a recording is in; `"name"`, what stands before the first _ or - of its name;
            `"manifest"`, a column of the one table in the directory. By default the manifest where `target` is named,
            the folder where there is more than one, else the name.
        pattern: of the names, such as `"{label}_{speaker}_{take}"`: label and group are what stands in these places.
        target: the column, or the place in the pattern, of what is to be learned [label].
        group: that of what must stay on one side of a split. Without a pattern or a manifest it is the first part of
            the names, between _ and -, that is no number, is not the label, and which some recordings share.
        drop_empty: leave out what cannot be read or has an empty cell, instead of refusing it.
        kind: of the targets; None to read none, and no groups.

    Raises:
        BadInput: there is no recording; labels or groups cannot be found; a table lists files that are not there.
    """
    label_from = _how(label_from, pattern, target, data)
    if data is not None:
        found = _listed(Path(data), str(audio), None, target, group, drop_empty, kind)
    else:
        paths = _clips_below(Path(audio))
        label_from = label_from or (FOLDER if len({path.parent for path in paths}) > 1 else NAME)
        if kind is None:
            found = _numbered(paths, None, None, ())
        elif label_from == MANIFEST:
            found = _listed(_the_table(Path(audio)), None, Path(audio), target, group, drop_empty, kind)
        elif kind == "number":
            raise BadInput(f"{audio}: where are the numbers? give --label-from manifest and the column, or --data FILE")
        else:
            _check_folders(Path(audio), paths, label_from)
            found = _named(paths, label_from, pattern, target or "label", group)
    return _readable(found) if drop_empty else found


def _how(label_from: str | None, pattern: str | None, target: str | None, data: Any) -> str | None:
    if label_from not in (None, *LABELLED_BY):
        raise BadInput(f"--label-from is {label_from!r}; expected one of {', '.join(LABELLED_BY)}")
    if data is not None and label_from not in (None, MANIFEST):
        raise BadInput(f"--label-from {label_from} has no place beside --data; the labels are in its column --label")
    if pattern is not None and label_from == MANIFEST:
        raise BadInput("--pattern is for names, and the labels come from a manifest; leave one of them out")
    if pattern is not None:
        return label_from or NAME
    return MANIFEST if label_from is None and target is not None and data is None else label_from


def _clips_below(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise BadInput(f"--audio {directory}: there is no such directory; give the one that holds the recordings")
    found = [p for p in directory.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        kinds = ", ".join(suffix[1:].upper() for suffix in SUFFIXES)
        raise BadInput(f"{directory} holds no recordings; expected files of the kinds {kinds}, at any depth")
    return sorted(found)


# Labels from folders and names.


def _check_folders(directory: Path, paths: Sequence[Path], label_from: str) -> None:
    """Refuse recordings beside the folders of labels."""
    loose = [path for path in paths if path.parent == directory]
    if label_from == FOLDER and 0 < len(loose) < len(paths):
        raise BadInput(
            f"recordings in no folder of a label: {len(loose)}, such as {loose[0]}; move them to one, or remove them"
        )


def _named(paths: list[Path], label_from: str, pattern: str | None, target: str, group: str | None) -> Recordings:
    fields = _fields(paths, pattern) if pattern is not None else {}
    labels = [path.parent.name for path in paths]
    notes = [f"labels: the folders of the recordings, {listed(sorted(set(labels)))}"]
    if label_from == NAME and pattern is not None:
        labels, notes = _field(fields, target, pattern), [f"labels: {{{target}}} in the names {pattern}"]
    elif label_from == NAME:
        labels, notes = [_parts(path)[0] for path in paths], ["labels: the names up to the first _ or -"]
    groups = None
    if group is not None and pattern is not None:
        groups = _field(fields, group, pattern)
    elif group is not None:
        groups, place = _groups(paths, group, 1 if label_from == NAME else 0)
        notes.append(f"{group}: part {place + 1} of the names, such as {groups[0]!r} in {paths[0].name}")
    return _numbered(paths, labels, groups, notes)


def _fields(paths: Sequence[Path], pattern: str) -> dict[str, list[str]]:
    """What stands in each place of the pattern, a value a recording."""
    names = _FIELD.findall(pattern)
    if not names or len(set(names)) < len(names):
        raise BadInput(f"--pattern {pattern!r} has no places, or one twice; expected one like {{label}}_{{speaker}}")
    pieces = re.split(r"\{\w+\}", pattern)
    fitting = re.compile(re.escape(pieces[0]) + "".join("(.+?)" + re.escape(piece) for piece in pieces[1:]))
    matches = [fitting.fullmatch(path.stem) for path in paths]
    for path, match in zip(paths, matches, strict=True):
        if match is None:
            raise BadInput(f"{path} does not fit --pattern {pattern!r}; rename it, or take it out")
    return {name: [match[place] for match in matches if match] for place, name in enumerate(names, 1)}


def _field(fields: dict[str, list[str]], name: str, pattern: str) -> list[str]:
    if name not in fields:
        raise BadInput(f"--pattern {pattern!r} has no place {{{name}}}; expected it among {', '.join(fields)}")
    return fields[name]


def _parts(path: Path) -> list[str]:
    return re.split("[_-]", path.stem)


def _groups(paths: Sequence[Path], group: str, first: int) -> tuple[list[str], int]:
    """The first part of the names, from `first` on, that can be a group, and its place."""
    parts = [_parts(path) for path in paths]
    for place in range(first, min(map(len, parts))):
        values = [part[place] for part in parts]
        if 1 < len(set(values)) < len(values) and not all(value.isdigit() for value in values):
            return values, place
    raise BadInput(
        f"--group {group}: the names, such as {paths[0].name}, have no part that some recordings share and others do "
        "not; say where it is with --pattern, or give a manifest"
    )


# Labels from a table.


def _the_table(directory: Path) -> Path:
    found = sorted(p for p in directory.rglob("*") if p.suffix.lower() in TABLES and not p.name.startswith("."))
    if len(found) != 1:
        some = "no table" if not found else f"{len(found)} tables ({', '.join(p.name for p in found[:3])})"
        raise BadInput(f"{directory} holds {some}; expected one manifest: name it with --data FILE --audio COLUMN")
    return found[0]


def _listed(
    table: Path, audio: str | None, directory: Path | None, target: str | None, group: str | None, drop_empty: bool,
    kind: Literal["label", "number"] | None,
) -> Recordings:  # fmt: skip
    """What a table lists; `audio` is None where its column of paths is to be found out."""
    notes = []
    if audio is None:
        audio = _path_column(table)
        notes.append(f"labels: {target or 'label'} in {table}, whose recordings are in {audio}")
    columns: dict[str, Any] = {audio: "text"}
    if kind is not None:
        target = target or "label"
        named = [audio, target, *([group] if group is not None else [])]
        twice = [name for name in named if named.count(name) > 1]
        if twice:
            raise BadInput(f"column {twice[0]!r} is named twice; recordings, targets and groups each need their own")
        columns |= {target: kind} | ({group: "label"} if group is not None else {})
    read = read_table(table, columns, drop_empty=drop_empty)
    cells: Any = read.columns
    paths = found_files(table, cells[audio], directory, drop_empty)
    return Recordings(
        paths, cells[target] if kind is not None and target else None, cells[group] if kind and group else None,
        read.rows, read.dropped, notes=notes,
    )  # fmt: skip


def _path_column(table: Path) -> str:
    from gruvy.data.labelled.columns import column_names  # loads pyarrow

    for name in column_names(table):
        first = read_table(table, {name: "text"}, drop_empty=True).columns[name][0]
        if Path(str(first)).suffix.lower() in SUFFIXES:
            return name
    raise BadInput(f"{table} has no column of recordings; name it with --data {table} --audio COLUMN")


def found_files(
    table: Path, cells: Sequence[str], directory: Path | None = None, missing_ok: bool = False
) -> list[Path]:
    """The files that a table lists, relative to it or, in a directory of recordings, wherever their names are.

    Raises:
        BadInput: one is not there, and that is not `missing_ok`.
    """
    paths = [table.parent / cell for cell in cells]
    missing = [place for place, path in enumerate(paths) if not path.is_file()]
    if missing and directory is not None:
        places: dict[str, list[Path]] = {}
        for path in _clips_below(directory):
            places.setdefault(path.name, []).append(path)
        for place in missing:
            same = places.get(paths[place].name, [])
            paths[place] = same[0] if len(same) == 1 else paths[place]
    gone = [path for path in paths if not path.is_file()]
    if gone and not missing_ok:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise BadInput(
            f"{table} lists {str(gone[0])!r}{more}, where there is no file; paths are relative to the table: "
            "correct them, or leave those rows out"
        )
    return paths


def _numbered(paths: list[Path], labels: Any, groups: list[str] | None, notes: Sequence[str]) -> Recordings:
    return Recordings(paths, labels, groups, np.arange(1, len(paths) + 1), notes=notes)


def _readable(found: Recordings) -> Recordings:
    """Without the recordings that cannot be read."""
    kept, unreadable = readable(found.paths)
    targets, groups = (
        None if column is None else [column[place] for place in kept] for column in (found.targets, found.groups)
    )
    paths = [found.paths[place] for place in kept]
    return replace(
        found, paths=paths, targets=targets, groups=groups, rows=found.rows[kept], unreadable=unreadable
    )  # fmt: skip


def readable(paths: Sequence[Path]) -> tuple[list[int], list[Path]]:
    """The places of recordings that can be read, and the paths of the others.

    Raises:
        BadInput: none can.
    """
    refused: dict[int, BadInput] = {}
    for place, path in enumerate(paths):
        try:
            read_clip(path, _ANY_RATE)
        except BadInput as error:
            refused[place] = error
    if len(refused) == len(paths):
        raise refused[0]
    return [place for place in range(len(paths)) if place not in refused], [paths[place] for place in refused]
