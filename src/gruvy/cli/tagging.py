"""`gruvy evaluate` and `gruvy predict` of a model that tags every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.options import refuse_columns, say
from gruvy.data.conll import read_tokens
from gruvy.data.labelled.columns import column_names
from gruvy.data.prose import is_table
from gruvy.data.tables import naming
from gruvy.data.tagged import read_sequences, read_tagged
from gruvy.errors import BadInput
from gruvy.training.report import table
from gruvy.training.tagged import CONSTANT, columns_for, constant, judge_tags, own_part


def evaluate_tags(folder: str, data: str | None, columns: Mapping[str, str], drop_empty: bool, as_json: bool) -> None:
    """Print the figures of a model on a file, or on the part it was judged on."""
    trained = artefact.load(folder)
    task = trained.task
    if data is None:
        refuse_columns(columns)
        part = own_part(trained, Path(folder))
    else:
        named = _named(trained, data, columns)
        mask = named.get("mask")
        with naming(data):
            there = column_names(Path(data))
        if mask and "mask" not in columns and mask not in there:
            say([f"{data} has no column {mask!r}, the mask of the training; every step counts"])
            del named["mask"]
        part = read_tagged(data, named, drop_empty, task.unit)
        if part.steps and not any(tag in task.tags for tags in part.tags for tag in tags):
            raise BadInput(
                f"{data} has no tag of the training, such as {', '.join(task.tags[:10])}; name the column with --tags"
            )
    said, measured = judge_tags(trained, part)
    if data is None:
        before = artefact.read_json(Path(folder), "metrics.json")
        name, baseline = before["best_baseline"], before["baseline"]
    else:
        name, baseline = CONSTANT, task.metrics(constant(trained, part), part)
    if as_json:
        print(to_json({"task": task.name, **measured, "baseline": baseline}))
        return
    shown = [f"{len(part)} sequences, {part.steps:,} steps that count", task.strange(part)]
    shown += [table({"model": measured["metrics"], f"baseline: {name}": baseline}), task.details(said, part)]
    print("\n\n".join(one for one in shown if one))


def predict_tags(trained: Trained, inputs: Sequence[Any], as_json: bool) -> None:
    """Print the tags of each input: a line for each, or with words a token and its tag a line."""
    for found in trained.predict(inputs):
        if as_json:
            print(to_json(found))
        elif "tokens" in found:
            print("".join(f"{token}\t{tag}\n" for token, tag in zip(found["tokens"], found["tags"], strict=True)))
        else:
            print(found["tags"] if isinstance(found["tags"], str) else " ".join(found["tags"]))


def sequences_of(trained: Trained, data: str, columns: Mapping[str, str], drop_empty: bool) -> list[Any]:
    """The sequences of a file to predict from."""
    named = _named(trained, data, columns)
    if not is_table(data):
        if trained.task.unit == "symbols":
            raise BadInput(f"{data} is no table, and the model reads sequences of symbols; give one")
        return read_tokens(data, named.get("sequence"))
    if not named.get("sequence"):
        raise BadInput(f"which column of {data} holds the sequence? give --sequence COLUMN")
    return list(read_sequences(data, named["sequence"], drop_empty))


def _named(trained: Trained, data: str, columns: Mapping[str, str]) -> dict[str, str]:
    """Column names by role; names that a table had in the training are none in a CoNLL file, whose columns have
    numbers."""
    named = columns_for(trained, columns)
    if is_table(data):
        return named
    return {role: name for role, name in named.items() if role in columns or name.isdecimal()}
