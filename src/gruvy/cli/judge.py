"""`gruvy evaluate` and `gruvy predict`."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.data.tables import read_table
from gruvy.errors import BadInput
from gruvy.tasks import Task
from gruvy.training.report import table
from gruvy.training.source import Examples, Source, read_examples, source_for


def evaluate(folder: str, data: str | None, columns: Sequence[str], drop_empty: bool, as_json: bool) -> None:
    """Print the metrics of a model on `data`, or on the test rows of the data it was trained from."""
    trained = artefact.load(folder)
    task = trained.task
    if data is None:
        examples = _test_rows(trained, Path(folder))
    else:
        examples = read_examples(type(task), Source(Path(data), _named(columns, trained), drop_empty=drop_empty))
    targets = task.encode(examples.targets, examples.rows.tolist())
    outputs = trained.branches(trained.inputs(examples.inputs))[trained.model.answer]
    if data is None:
        name, baseline = task.baseline_name, artefact.read_json(Path(folder), "metrics.json")["baseline"]
    else:
        name, baseline = "constant guess", task.metrics(task.constant_outputs(len(targets)), targets)
    metrics = task.metrics(outputs, targets)
    if as_json:
        print(json_module.dumps({"task": task.name, "metrics": metrics, "baseline": baseline, "n": len(targets)}))
        return
    print(f"{len(targets)} rows\n\n{table({'model': metrics, f'baseline: {name}': baseline})}")
    print(f"\n{task.details(outputs, targets)}")


def _test_rows(trained: artefact.Trained, folder: Path) -> Examples:
    about = trained.about["data"]
    path = None if about["package"] else about["path"]
    if path is not None and not Path(path).is_file():
        raise BadInput(f"the data of the training is no longer at {path}; give --data FILE")
    source = source_for(type(trained.task), path, about["columns"], about["drop_empty"])
    if source.digest() != about["sha256"]:
        raise BadInput(f"{source.path} has changed since the training, so its test rows are unknown; give --data FILE")
    examples = read_examples(type(trained.task), source)
    return examples.take(
        np.flatnonzero(np.isin(examples.rows, artefact.read_json(folder, "split.json")["rows"]["test"]))
    )


def predict(folder: str, given: Sequence[str], data: str | None, as_json: bool) -> None:
    """Print a prediction for each input: what was `given`, or a file's rows, with its columns `given` as options."""
    trained = artefact.load(folder)
    if data is not None:
        named = _named(given, trained)
        role = next(role for role in trained.task.columns if role != trained.task.target)
        inputs = read_table(data, {named[role]: trained.task.columns[role].kind}).columns[named[role]]
    elif given:
        inputs = list(given)
    else:
        inputs = _lines()
    for prediction in trained.predict(inputs):
        print(json_module.dumps(prediction) if as_json else _plain(prediction))


def _lines() -> list[str]:
    if sys.stdin.isatty():
        raise BadInput('nothing to predict from; give a text ("..."), --data FILE, or lines on standard input')
    try:
        lines = [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start}); convert it to UTF-8") from None
    if not lines:
        raise BadInput("standard input is empty; give one text a line")
    return lines


def _plain(prediction: Mapping[str, Any]) -> str:
    """The scalars of a prediction, tab-separated."""
    shown = (v for v in prediction.values() if not isinstance(v, dict))
    return "\t".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in shown)


def _named(arguments: Sequence[str], trained: artefact.Trained) -> dict[str, str]:
    """Column names by role: those of the training, and those given as `--role NAME`."""
    task: Task = trained.task
    named = dict(trained.about["data"]["columns"])
    rest = [part for a in arguments for part in (a.split("=", 1) if a.startswith("--") else [a])]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    for flag, name in pairs:
        role = flag.removeprefix("--")
        if not flag.startswith("--") or role not in task.columns:
            raise BadInput(f"{flag!r} has no place beside --data; columns are named by --{', --'.join(task.columns)}")
        named[role] = name
    if len(rest) % 2:
        raise BadInput(f"{rest[-1]} needs a column name after it")
    return named
