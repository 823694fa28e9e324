"""Labelled series as a command names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gruvy.data.labelled.series import SeriesTable
from gruvy.errors import BadInput
from gruvy.tasks.contract import ExampleTask


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
