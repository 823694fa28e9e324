"""A training from a file to an artefact. Knows no task by name."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from gruvy import artefact
from gruvy.cells import Cell
from gruvy.data.splits import Split, split_rows
from gruvy.errors import BadInput
from gruvy.tasks import TASKS, Task
from gruvy.tasks.recipes import Recipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training import report
from gruvy.training.folder import check_free, place, training_folder
from gruvy.training.loop import Rows, fit
from gruvy.training.source import Examples, Source, read_examples, source_for

_FEW = 50  # test rows
_JUDGING = 0.2  # share of the time limit kept for judging


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        task: by name; columns: column names by role, None for the task's default; flags: the task's own settings.
        data: a file, or None for the task's default data.
        out: the artefact's directory.
        max_minutes: for the whole training, judging included; None for no limit.
        overwrite: replace a model that is already there.
        command: as the user typed it, for the model card.
    """

    task: str
    out: Path
    cell: Cell
    data: str | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    seed: int = 0
    engine: str = "auto"
    recipe: str = "default"
    max_minutes: float | None = None
    overwrite: bool = False
    drop_empty: bool = False
    command: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a training gave: `printed` for a person, `measured` for a program (also `metrics.json`)."""

    printed: str
    measured: dict[str, Any]


@dataclass(frozen=True)
class _Prepared:
    """The rows of each part, as they stand and as the model reads them, and the task that has seen the targets."""

    task: Task
    inputs: Any
    parts: Mapping[str, Examples]
    encoded: Mapping[str, Any]
    targets: Mapping[str, Tensor]


def train(request: Request, console: Console) -> Outcome:
    """Read, split, train, judge, and write the artefact.

    Args:
        console: for progress; the results are returned.

    Raises:
        BadInput: the request or the data cannot be used; nothing is written.
        RunFailed: the loss became NaN, or the disk is full.
        Interrupted: stopped by the user; the same request takes the training up again.
    """
    clock = time.monotonic()
    _check(request)
    task_type, recipe = TASKS[request.task], named_recipe(request.recipe)
    source = source_for(task_type, request.data, request.columns, request.drop_empty)
    check_free(request.out, request.overwrite)
    examples = read_examples(task_type, source)
    split = _split(task_type, examples, request.flags, request.seed)
    parts = {name: examples.take(getattr(split, name)) for name in ("train", "validation", "test")}
    task = task_type.fit(parts["train"].targets, request.flags)
    targets = {name: task.encode(part.targets, part.rows.tolist()) for name, part in parts.items()}
    _introduce(console, source, examples, split)
    same = _describe(request, source)
    with training_folder(request.out, same, request.overwrite) as folder, _settled(request.seed):
        with console.status("learning the vocabulary"):
            inputs = task.modality.fit_inputs(parts["train"].inputs, recipe)
            encoded = {name: inputs(part.inputs) for name, part in parts.items()}
        prepared = _Prepared(task, inputs, parts, encoded, targets)
        model, measured = _fit(request, recipe, prepared, folder, console, clock)
        about = {"data": same["data"], "seed": request.seed, "command": request.command}
        trained = artefact.Trained(task, inputs, model, recipe, request.cell, request.engine, about)
        with console.status("judging on the test rows"):
            outcome = _judge(trained, prepared, request.seed)
        measured["seconds"]["in all"] = round(time.monotonic() - clock, 1)
        outcome.measured.update(measured)
        _write(request, folder, trained, outcome, split, examples)
    return outcome


def _check(request: Request) -> None:
    if request.task not in TASKS:
        raise BadInput(f"there is no task {request.task!r}; there are {', '.join(TASKS)}")
    if request.max_minutes is not None and not request.max_minutes > 0:
        raise BadInput(f"--max-minutes is {request.max_minutes:g}; expected a number above 0")
    if not 0 <= request.seed < 2**32:
        raise BadInput(f"--seed is {request.seed}; expected a whole number from 0 to {2**32 - 1}")


@contextlib.contextmanager
def _settled(seed: int) -> Iterator[None]:
    """Random numbers from `seed`, and no denormal numbers, for the length of a training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_flush_denormal(True)  # activations near 0 would otherwise slow a CPU many times over
        try:
            yield
        finally:
            torch.set_flush_denormal(False)


def _fit(
    request: Request, recipe: Recipe, prepared: _Prepared, folder: Path, console: Console, clock: float
) -> tuple[Any, dict[str, Any]]:
    """Build and train the model; also what is to be said of the training."""
    task, encoded, targets = prepared.task, prepared.encoded, prepared.targets
    model = task.modality.build_model(prepared.inputs, task.output_size, recipe, request.cell, request.engine)
    _say_model(console, request, model, time.monotonic() - clock)
    with console.status("fitting what needs no gradient steps"):
        labelled = {name: (encoded[name], targets[name]) for name in ("train", "validation")}
        model.prepare(labelled["train"], labelled["validation"], task.loss, request.seed)
    began, seconds = time.monotonic(), None
    if request.max_minutes is not None:
        seconds = max(1.0, request.max_minutes * 60 * (1 - _JUDGING) - (began - clock))
    rows = {name: Rows(encoded[name], targets[name], prepared.inputs.collate) for name in ("train", "validation")}
    history = fit(
        model.network, task.loss, rows["train"], rows["validation"], recipe, folder=folder, seed=request.seed,
        seconds=seconds, console=console,
    )  # fmt: skip
    took = time.monotonic() - began
    spent = {"training": round(took, 1), "an epoch": round(took / max(1, len(history)), 1)}
    return model, {"seconds": spent, "history": history}


def _split(task: type[Task], examples: Examples, flags: Mapping[str, bool], seed: int) -> Split:
    labels = examples.targets if task.columns[task.target].kind == "label" else None
    if labels is not None and len(set(labels)) == 1:
        task.fit(labels, flags)  # refuses, with the task's own words
    return split_rows(task.modality.groups(examples.inputs), labels=labels, seed=seed)


def _introduce(console: Console, source: Source, examples: Examples, split: Split) -> None:
    left_out = f", {examples.dropped} left out because a cell is empty" if examples.dropped else ""
    console.print(
        f"{source.name or source.path}: {len(examples.rows)} rows{left_out}; {len(split.train)} to train on, "
        f"{len(split.validation)} to validate, {len(split.test)} to test ({split.duplicates} duplicates kept together)"
    )


def _say_model(console: Console, request: Request, model: Any, seconds: float) -> None:
    count = sum(p.numel() for p in model.network.parameters())
    console.print(f"cell {request.cell.name}, {count:,} parameters in the recurrent branch; read in {seconds:.0f} s")
    layer = next((m for m in model.modules() if hasattr(m, "explain")), None)
    if layer is not None:
        chosen, *others = layer.explain().splitlines()
        slower = [line for line in others if line.startswith("  not fused: ") and "fused" not in chosen]
        console.print(
            "\n".join([chosen, *(line for line in slower if not line.endswith("not named"))]), highlight=False
        )


def _judge(trained: artefact.Trained, prepared: _Prepared, seed: int) -> Outcome:
    """Weigh the branches on the validation rows; measure each, and the baseline, on the test rows."""
    task, encoded, targets = prepared.task, prepared.encoded, prepared.targets["test"]
    trained.model.finish(trained.branches(encoded["validation"]), prepared.targets["validation"], task.loss)
    outputs, final = trained.branches(encoded["test"]), trained.model.answer
    compared = {**outputs, task.baseline_name: _baseline(prepared)}
    figures = report.measure(task, compared, targets)
    scores = {name: task.scores(out, targets) for name, out in compared.items()}
    bootstrap = report.paired_bootstrap(scores[final], scores[task.baseline_name], seed)
    details = [f"{name}\n{task.details(out, targets)}" for name, out in compared.items()]
    few = " (too few to tell models apart)" if len(targets) < _FEW else ""
    printed = [
        f"test rows: {len(targets)}{few}; the model is: {final}", report.table(figures),
        report.comparison(task, bootstrap), *details,
    ]  # fmt: skip
    measured = {
        "task": task.name, "n": len(targets), "metrics": figures[final], "baseline": figures[task.baseline_name],
        "branches": {name: figures[name] for name in outputs}, "bootstrap": bootstrap,
    }  # fmt: skip
    trained.recipe = trained.model.prune(trained.recipe)
    return Outcome("\n\n".join(printed), measured)


def _baseline(prepared: _Prepared) -> Tensor:
    """What the task's cheap estimator says of the test rows, having seen the training rows."""
    task, texts = prepared.task, {name: part.inputs for name, part in prepared.parts.items()}
    features, estimator = task.modality.baseline_features(prepared.inputs), task.estimator()
    try:
        seen = features.fit_transform(texts["train"])
    except ValueError:  # too few texts for its smallest frequency
        features = features.set_params(min_df=1)
        seen = features.fit_transform(texts["train"])
    estimator.fit(seen, prepared.targets["train"].numpy())
    return task.estimator_outputs(estimator, features.transform(texts["test"]))


def _describe(request: Request, source: Source) -> dict[str, Any]:
    return {
        "task": request.task, "data": source.to_json(), "flags": dict(request.flags), "seed": request.seed,
        "cell": request.cell.key, "recipe": asdict(named_recipe(request.recipe)),
    }  # fmt: skip


def _write(
    request: Request, folder: Path, trained: artefact.Trained, outcome: Outcome, split: Split, examples: Examples
) -> None:
    """Write the artefact aside, then move it in place, `config.json` last: it is there whole or not at all."""
    aside = folder / "artefact"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    rows = {name: examples.rows[getattr(split, name)].tolist() for name in ("train", "validation", "test")}
    facts = {
        "data": f"{trained.about['data']['package'] or Path(trained.about['data']['path']).name}, "
        f"{len(examples.rows)} rows",
        "cell": request.cell.name, "recipe": request.recipe, "seed": request.seed,
        "trained in": f"{outcome.measured['seconds']['training']:.0f} s",
    }  # fmt: skip
    trained.save(aside, {
        "split.json": json.dumps({"seed": split.seed, "duplicates": split.duplicates, "rows": rows}),
        "metrics.json": artefact.to_json(outcome.measured, indent=1),
        "training.png": report.training_curve(outcome.measured["history"]),
        "README.md": report.model_card(trained.task, facts, outcome.printed, request.command or "gruvy.training.train"),
    })  # fmt: skip
    place(aside, request.out)
    shutil.rmtree(folder)
