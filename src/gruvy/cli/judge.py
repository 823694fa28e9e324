"""`gruvy evaluate` and `gruvy predict`."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gruvy import artefact
from gruvy.cli.forecast import evaluate_forecast
from gruvy.cli.language import evaluate_language
from gruvy.cli.music import evaluate_music, predict_music
from gruvy.cli.options import (
    column_options,
    dispatch,
    many_columns,
    new_app,
    refuse_columns,
    repeated,
    say,
    with_options,
)
from gruvy.cli.series import series_examples, series_inputs
from gruvy.cli.speech import evaluate_speech, listed_recordings, with_beam
from gruvy.cli.tagging import evaluate_tags, predict_tags, sequences_of
from gruvy.cli.translation import evaluate_translation
from gruvy.data.fasta import is_fasta
from gruvy.data.pairs import read_lines
from gruvy.data.prose import is_table
from gruvy.data.tables import read_table
from gruvy.errors import BadInput
from gruvy.tasks import MODALITIES
from gruvy.training.reading import Examples, left_out, read_examples
from gruvy.training.report import table
from gruvy.training.source import SEVERAL, Source, source_again, source_for

_FILE: dict[str, tuple[Any, Any, str]] = {
    "data": (str | None, None, "CSV, TSV, JSONL or Parquet; text, where it learned from text"),
    "drop_empty": (bool, False, "leave out rows with an empty cell"),
    "json": (bool, False, "print JSON"),
    "beam": (int | None, None, "prefixes that the search of a speech model keeps [as in the training]"),
}
_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train wrote")]
_Inputs = Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="-- comes before a text like --this")]


def run_evaluate(arguments: list[str]) -> None:
    """Run `gruvy evaluate` with `arguments`."""

    def command(
        folder: str, data: list[str] | None, drop_empty: bool, json: bool, beam: int | None, **columns: str | None
    ) -> None:
        evaluate(folder, data or [], columns, drop_empty, json, beam)

    app = new_app("Judge a model on its own test rows, or on a file.")
    files = {"data": (list[str] | None, None, f"{_FILE['data'][2]}, and then the targets for translate")}
    labels = {"labels": (str | None, None, "table with the labels or numbers of the sequences of a FASTA")}
    options = {**column_options(), **labels, **_FILE, **files}
    app.command()(with_options(command, options, positional={"folder": _Directory}))
    dispatch(app, repeated(arguments, many_columns() | {"data"}), "evaluate")


def run_predict(arguments: list[str]) -> None:
    """Run `gruvy predict` with `arguments`."""

    def command(
        folder: str, inputs: list[str] | None, data: str | None, drop_empty: bool, json: bool, beam: int | None,
        **columns: str | None,
    ) -> None:  # fmt: skip
        predict(folder, inputs or [], data, columns, drop_empty, json, beam)

    app = new_app("Predict from texts on the command line, from a file, or from standard input (one a line).")
    positional = {"folder": _Directory, "inputs": _Inputs}
    app.command()(with_options(command, {**column_options(), **_FILE}, positional=positional))
    dispatch(app, repeated(arguments, many_columns()), "predict")


def evaluate(
    folder: str, files: Sequence[str], columns: Mapping[str, str | None], drop_empty: bool, as_json: bool,
    beam: int | None = None,
) -> None:  # fmt: skip
    """Print the metrics of a model on a file, or on the test rows of the data it was trained from."""
    task = artefact.read_config(Path(folder)).get("task")
    named = {role: name for role, name in columns.items() if name}
    if beam is not None and task != "speech":
        raise BadInput(f"--beam is for a speech model, and {folder} holds a {task} model; leave it out")
    if task == "translate":
        evaluate_translation(folder, files, named, drop_empty, as_json)
        return
    if task == "music":
        refuse_columns(named, "music has none; leave it out")
        evaluate_music(folder, files, as_json)
        return
    data = files[0] if files else None
    if len(files) > 1 and task in ("language", "forecast", "tag", "speech"):
        raise BadInput(f"--data names {len(files)} files; a {task} model is judged on one")
    if task == "speech":
        evaluate_speech(folder, data, named, drop_empty, as_json, beam)
    elif task == "language":
        evaluate_language(folder, data, named, drop_empty, as_json)
    elif task == "tag":
        evaluate_tags(folder, data, named, drop_empty, as_json)
    elif task == "forecast":
        refuse_columns(columns, "those of the training are read; leave it out")
        evaluate_forecast(folder, data, as_json)
    else:
        _evaluate_examples(folder, files, named, drop_empty, as_json)


def _evaluate_examples(
    folder: str, files: Sequence[str], columns: Mapping[str, Any], drop_empty: bool, as_json: bool
) -> None:
    trained = artefact.load(folder)
    task = trained.task
    own = not files and not columns.get("series") and not columns.get("audio")
    paths: list[str] = []  # where there are no rows of a table to name
    if trained.kind == "series":
        if len(files) > 1:
            raise BadInput(f"--data names {len(files)} files; a model of series is judged on one")
        examples: Any = series_examples(trained, Path(folder), files[0] if files else None, columns)
    elif own:
        refuse_columns(columns)
        examples = _test_rows(trained, Path(folder))
    else:
        source = _source(trained, files, columns, drop_empty)
        examples = read_examples(type(task), source)
        say(left_out(examples.dropped, examples.unreadable))
        paths = list(map(str, examples.inputs)) if source.is_folder else []
    targets = task.encode(examples.targets, paths or examples.rows.tolist())
    outputs = trained.branches(trained.inputs(examples.inputs))[trained.model.answer]
    if own:
        measured = artefact.read_json(Path(folder), "metrics.json")
        name, baseline = measured["best_baseline"], measured["baseline"]
    else:
        name, baseline = "constant guess", task.metrics(task.constant_outputs(len(targets)), targets)
    metrics = task.metrics(outputs, targets)
    if as_json:
        print(artefact.to_json({"task": task.name, "metrics": metrics, "baseline": baseline, "n": len(targets)}))
        return
    print(f"{len(targets)} rows\n\n{table({'model': metrics, f'baseline: {name}': baseline})}")
    print(f"\n{task.details(outputs, targets)}")


def _test_rows(trained: artefact.Trained, folder: Path) -> Examples:
    about = trained.about["data"]
    source = source_again(type(trained.task), trained.kind, about)
    remedy = "--audio DIR" if source.is_folder else "--data FILE"
    for path in source.files:
        if not path.exists():
            raise BadInput(f"the data of the training is no longer at {path}; give {remedy}")
    if source.digest() != about["sha256"]:
        read = f"{source.path}, or a file read with it," if source.is_many else source.path
        raise BadInput(f"{read} has changed since the training, so its test rows are unknown; give {remedy}")
    examples = read_examples(type(trained.task), source)
    return examples.take(
        np.flatnonzero(np.isin(examples.rows, artefact.read_json(folder, "split.json")["rows"]["test"]))
    )


def _source(trained: artefact.Trained, files: Sequence[str], columns: Mapping[str, Any], drop_empty: bool) -> Source:
    """The source that the user's options name, read as in the training where they say nothing."""
    about = trained.about["data"]
    first, more = (files[0] if files else None), files[1:]
    columns = dict(columns)
    labels = columns.pop("labels", None) if trained.kind == "sequence" else None
    named = _named(columns, trained)
    named.pop("group", None)
    if first is not None and is_fasta(first):
        named.pop("sequence", None)
    settings = dict(about["settings"]) if first is None or trained.kind != "sound" else {}
    settings["labels"] = labels  # those of the training are of its own sequences
    source = source_for(type(trained.task), first, named, drop_empty, tuple(more), settings)
    if source.kind != trained.kind:
        came, role = MODALITIES[source.kind].WHAT, getattr(trained.modality, "ROLE", "") or "text"
        raise BadInput(f"the model reads {trained.modality.WHAT}, and these are {came}; name them with --{role}")
    return replace(source, rename=about["rename"])


def predict(
    folder: str, given: Sequence[str], data: str | None, columns: Mapping[str, str | None], drop_empty: bool,
    as_json: bool, beam: int | None = None,
) -> None:  # fmt: skip
    """Print a prediction for each of the inputs `given`, or each row of a file, or each line of standard input."""
    if data is not None and given:
        raise BadInput(f"{given[0]!r} has no place beside --data; give texts, or a file")
    if columns.get("audio") and given:
        raise BadInput(f"{given[0]!r} has no place beside --audio; give recordings, or where they are")
    trained = with_beam(artefact.load(folder), beam)
    if trained.task.name == "music":
        refuse_columns(columns, "music has none; leave it out")
        predict_music(trained, [data] if data is not None else given, as_json)
        return
    if trained.task.study == "forecast":
        raise BadInput(f"{folder} holds a model that forecasts; ask it with gruvy forecast {folder}")
    if trained.task.name == "tag" and data is not None:
        named = {role: name for role, name in columns.items() if name}
        predict_tags(trained, sequences_of(trained, data, named, drop_empty), as_json)
        return
    if trained.kind == "series":
        inputs: Any = series_inputs(trained, data, columns, given)
    elif data is not None and trained.kind in ("pairs", "prose") and not is_table(data):
        given_columns = [role for role, name in columns.items() if name]
        if given_columns:
            raise BadInput(f"--{given_columns[0]} names a column, and {data} is no table; leave it out")
        inputs = [line for line in read_lines(Path(data)) if line.strip() or not drop_empty]
    elif hasattr(trained.modality, "READING"):
        inputs = _examples(trained, given, data, columns, drop_empty)
    elif data is not None and trained.task.name == "speech":
        inputs = listed_recordings(trained, data, columns, drop_empty)
    elif data is not None:
        role = _role(trained)
        name = _named(columns, trained).get(role) or ""
        if not name:
            raise BadInput(f"{data} is a table; which column holds the texts? give --{role} COLUMN")
        kinds: dict[str, Any] = {name: trained.task.columns[role].kind}
        inputs = read_table(data, kinds, drop_empty=drop_empty).columns[name]
    else:
        refuse_columns(columns)
        inputs = list(given) or _lines(drop_empty)
    if trained.task.name == "tag":
        predict_tags(trained, inputs, as_json)
        return
    listed = trained.kind in ("sound", "utterances") and not given  # answers to many recordings say whose they are
    for one, answer in zip(inputs, trained.predict(inputs), strict=True):
        prediction = {"path": str(one), **answer} if listed else answer
        print(artefact.to_json(prediction) if as_json else _plain(prediction))


def _examples(
    trained: artefact.Trained, given: Sequence[str], data: str | None, columns: Mapping[str, Any], drop_empty: bool
) -> Any:
    """What to predict from, for a model of independent examples."""
    named = {role: name for role, name in columns.items() if name}
    if data is not None or "audio" in named:
        named.setdefault(trained.task.target, trained.task.target)  # which is not read
        source = _source(trained, [data] if data is not None else [], named, drop_empty)
        examples = read_examples(type(trained.task), source, targeted=False)
        say(left_out(examples.dropped, examples.unreadable))
        return examples.inputs
    refuse_columns(columns)
    if trained.kind == SEVERAL:
        raise BadInput("this model reads several inputs at once; give them as columns of --data FILE")
    found = list(given) or _lines(drop_empty)
    if trained.kind == "sequence" and found[0].startswith(">"):
        raise BadInput("this is FASTA; give it as --data FILE, or sequences without headers, one a line")
    return found


def _role(trained: artefact.Trained) -> str:
    """The role of the column that is predicted from."""
    left_out = {getattr(trained.task, "target", "target"), "conversation"}
    known: list[str] = [role for role in trained.about["data"]["columns"] if role not in left_out]
    return known[0] if known else next(role for role in trained.task.columns if role not in left_out)


def _lines(drop_empty: bool) -> list[str]:
    if sys.stdin.isatty():
        raise BadInput('nothing to predict from; give a text ("..."), --data FILE, or lines on standard input')
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(newline="\n")  # as many answers as lines
    try:
        lines = [line.rstrip("\r\n") for line in sys.stdin if line.strip() or not drop_empty]
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start}); convert it to UTF-8") from None
    if not lines:
        raise BadInput("standard input is empty; give one text a line")
    return lines


def _plain(prediction: Mapping[str, Any]) -> str:
    """The scalars of a prediction, tab-separated."""
    shown = (v for v in prediction.values() if not isinstance(v, dict))
    return "\t".join(_written(v) for v in shown)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_written, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(columns: Mapping[str, str | None], trained: artefact.Trained) -> dict[str, str]:
    """Column names by role: those of the training, but for those the user gave."""
    known = {**dict.fromkeys(_own_roles(trained)), **trained.about["data"]["columns"]}
    for role, name in columns.items():
        if name and role not in known:
            raise BadInput(f"--{role} has no place here; this {trained.task.name} model reads --{', --'.join(known)}")
    return {role: columns.get(role) or name or "" for role, name in known.items()}


def _own_roles(trained: artefact.Trained) -> list[str]:
    """The roles of a model that its training may not have named."""
    if trained.kind in ("pairs", "prose"):
        return list(trained.task.columns)
    return [*getattr(trained.modality, "COLUMNS", ()), trained.task.target]
