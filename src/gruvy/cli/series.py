"""Series for `gruvy evaluate` and `gruvy predict`, read as in the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.data.labelled.series import SeriesTable, read_series
from gruvy.errors import BadInput
from gruvy.training.labelled import reading, taken, target_kind
from gruvy.training.source import digest


def series_examples(
    trained: artefact.Trained, folder: Path, data: str | None, columns: Mapping[str, Any]
) -> SeriesTable:
    """Series with their targets: of a file, or the test part of the training's own.

    Raises:
        BadInput: the file cannot be read, or the training's own is gone or has changed.
    """
    kind = target_kind(trained.task.name == "classify", getattr(trained.task, "per_step", False))
    if data is not None or columns.get("series"):
        path, how = _reading(trained, data, columns)
        return read_series(path, kind=kind, **how)
    about = trained.about["data"]
    if about["test"] is not None:
        return read_series(about["test"], kind=kind, **_reading(trained, about["test"], {})[1])
    path = Path(about["path"])
    if not path.is_file():
        raise BadInput(f"the data of the training is no longer at {path}; give --series FILE")
    if digest(path) != about["sha256"]:
        raise BadInput(f"{path} has changed since the training, so its test part is unknown; give --series FILE")
    table = read_series(path, kind=kind, **_reading(trained, str(path), {})[1])
    return taken(table, np.flatnonzero(np.isin(table.rows, artefact.read_json(folder, "split.json")["rows"]["test"])))


def series_inputs(
    trained: artefact.Trained, data: str | None, columns: Mapping[str, Any], given: Sequence[str]
) -> list[np.ndarray]:
    """Series to predict from; their targets, if the file has them, are not looked at."""
    if given:
        raise BadInput(f"{given[0]!r} has no place here; give the series with --series FILE")
    path, how = _reading(trained, data, columns)
    return read_series(path, kind=None, **how).inputs


def _reading(trained: artefact.Trained, data: str | None, columns: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The columns and windows of the training, but for what the user gives."""
    about = trained.about["data"]
    own = {name: value for name, value in columns.items() if value}
    for name in own:
        if name not in about["columns"]:
            raise BadInput(f"--{name} has no place here; give --series FILE")
    before = dict(about["columns"])
    named = list(before["series"])[1:] if about["file_in_series"] else list(before["series"])
    before["series"] = named
    if data is None and len(own.get("series", ())) == 1:
        own["series"] = [*own["series"], *named]
    return reading(type(trained.task), data, {**before, **own}, {k: about[k] for k in ("window", "stride")})
