"""`gruvy evaluate` and `gruvy predict`."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gruvy import artefact
from gruvy.data.tables import read_table
from gruvy.errors import BadInput
from gruvy.tasks import Task


def evaluate(folder: str, data: str | None, columns: Sequence[str], drop_empty: bool, as_json: bool) -> None:
    """Print the metrics of a model on `data`, or those measured on its test rows."""
    trained = artefact.load(folder)
    task = trained.task
    if data is None:
        measured = artefact.read_json(Path(folder), "metrics.json")
        result = {k: measured[k] for k in ("task", "metrics", "baseline", "n")}
        names = ("model, on its test rows", f"baseline: {task.baseline_name}")
        details = ""
    else:
        result, details = _evaluate_file(trained, data, _named(columns, trained), drop_empty)
        names = ("model", "baseline: constant guess")
    if as_json:
        print(json_module.dumps(result))
        return
    from gruvy.training.report import table

    figures = dict(zip(names, (result["metrics"], result["baseline"]), strict=True))
    print(f"{result['n']} rows\n\n{table(figures)}" + (f"\n\n{details}" if details else ""))


def _evaluate_file(
    trained: artefact.Trained, data: str, named: Mapping[str, str], drop_empty: bool
) -> tuple[dict, str]:
    task = trained.task
    kinds = {named[role]: column.kind for role, column in task.columns.items()}
    table = read_table(data, kinds, drop_empty=drop_empty)
    by_role = {role: table.columns[named[role]] for role in task.columns}
    targets = task.encode(by_role.pop(task.target), table.rows.tolist())
    (inputs,) = by_role.values()
    outputs = trained.branches(trained.inputs(inputs))[trained.model.answer]
    result = {
        "task": task.name, "n": len(targets), "metrics": task.metrics(outputs, targets),
        "baseline": task.metrics(task.constant_outputs(len(targets)), targets),
    }  # fmt: skip
    return result, task.details(outputs, targets)


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
