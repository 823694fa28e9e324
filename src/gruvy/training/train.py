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

import lightning
import torch
from rich.console import Console
from torch import Tensor

from gruvy import artefact
from gruvy.cells import Cell
from gruvy.data.splits import Split, duplicate_groups, split_rows
from gruvy.errors import BadInput, RunFailed
from gruvy.tasks import TASKS, Task
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training import report
from gruvy.training.loop import Rows, fit
from gruvy.training.source import Examples, Source, read_examples, source_for

_JUDGING = 0.1  # share of the time limit kept for judging


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


def train(request: Request, console: Console) -> Outcome:
    """Read, split, train, judge, and write the artefact.

    Args:
        console: for progress; the results are returned.

    Raises:
        BadInput: the request or the data cannot be used; nothing is written.
        RunFailed: the loss became NaN, or the disk is full.
        KeyboardInterrupt: stopped by the user; the same request takes the training up again.
    """
    clock = time.monotonic()
    task_type, recipe = TASKS[request.task], named_recipe(request.recipe)
    if request.max_minutes is not None and not request.max_minutes > 0:
        raise BadInput(f"--max-minutes is {request.max_minutes:g}; expected a number above 0")
    source = source_for(task_type, request.data, request.columns, request.drop_empty)
    _refuse_finished(request)
    examples = read_examples(task_type, source)
    split = _split(task_type, examples, request.flags, request.seed)
    parts = {name: examples.take(getattr(split, name)) for name in ("train", "validation", "test")}
    task = task_type.fit(parts["train"].targets, request.flags)
    targets = {name: task.encode(part.targets, part.rows.tolist()) for name, part in parts.items()}
    _introduce(console, source, examples, split)

    lightning.seed_everything(request.seed, verbose=False)
    torch.set_flush_denormal(True)  # activations near 0 would otherwise slow a CPU many times over
    with _artefact_folder(request, source) as folder:
        with console.status("learning the vocabulary"):
            inputs = task.modality.fit_inputs(parts["train"].inputs, recipe)
            encoded = {name: inputs(part.inputs) for name, part in parts.items()}
        model = task.modality.build_model(inputs, task.output_size, recipe, request.cell, request.engine)
        rows = {name: Rows(encoded[name], targets[name], inputs.collate) for name in parts}
        _say_model(console, request, model, time.monotonic() - clock)
        with console.status("learning word vectors and n-grams"):
            labelled = {name: (encoded[name], targets[name]) for name in ("train", "validation")}
            model.prepare(labelled["train"], labelled["validation"], task.loss, request.seed)
        began = time.monotonic()
        seconds = None
        if request.max_minutes is not None:
            seconds = max(1.0, request.max_minutes * 60 * (1 - _JUDGING) - (began - clock))
        history = fit(
            model.network, task.loss, rows["train"], rows["validation"], recipe, folder=folder, seed=request.seed,
            seconds=seconds, console=console,
        )  # fmt: skip
        trained_in = time.monotonic() - began
        about = {"data": source.to_json(), "seed": request.seed, "command": request.command}
        trained = artefact.Trained(task, inputs, model, recipe, request.cell, request.engine, about)
        with console.status("judging on the test rows"):
            outcome = _judge(trained, parts, encoded, targets, request.seed)
        outcome.measured["seconds"] = {
            "training": round(trained_in, 1), "an epoch": round(trained_in / max(1, len(history)), 1),
            "in all": round(time.monotonic() - clock, 1),
        }  # fmt: skip
        outcome.measured["history"] = history
        _write(request, folder, trained, outcome, split, examples)
    return outcome


def _refuse_finished(request: Request) -> None:
    out = request.out
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; give a directory that does not exist yet")
    if (out / "config.json").exists() and not request.overwrite:
        raise BadInput(f"--out {out} already holds a model; give another directory, or --overwrite")
    strangers = [] if not out.is_dir() else [p.name for p in out.iterdir() if p.name != artefact.CHECKPOINT]
    if strangers and not (out / "config.json").exists():
        raise BadInput(f"--out {out} holds other files ({strangers[0]}); give a directory of its own")


def _split(task: type[Task], examples: Examples, flags: Mapping[str, bool], seed: int) -> Split:
    labels = examples.targets if task.columns[task.target].kind == "label" else None
    if labels is not None and len(set(labels)) == 1:
        task.fit(labels, flags)  # refuses, with the task's own words
    return split_rows(duplicate_groups(examples.inputs), labels=labels, seed=seed)


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
        console.print(layer.explain().splitlines()[0], highlight=False)


def _judge(
    trained: artefact.Trained, parts: Mapping[str, Examples], encoded: Mapping[str, Any],
    targets: Mapping[str, Tensor], seed: int,
) -> Outcome:  # fmt: skip
    task = trained.task
    trained.model.finish(trained.branches(encoded["validation"]), targets["validation"], task.loss)
    outputs = trained.branches(encoded["test"])
    baseline = _baseline(task, trained.inputs, parts, targets)
    compared = {**outputs, task.baseline_name: baseline}
    figures = report.measure(task, compared, targets["test"])
    final = trained.model.answer
    scores = {name: task.scores(out, targets["test"]) for name, out in compared.items()}
    bootstrap = report.paired_bootstrap(scores[final], scores[task.baseline_name], seed)
    details = [f"{name}\n{task.details(out, targets['test'])}" for name, out in compared.items()]
    count = len(targets["test"])
    printed = f"test rows: {count}; the model is: {final}\n\n{report.table(figures)}\n\n"
    printed += f"{report.comparison(task, bootstrap)}\n\n"
    measured = {
        "task": task.name, "n": count, "metrics": figures[final], "baseline": figures[task.baseline_name],
        "branches": {name: figures[name] for name in outputs}, "bootstrap": bootstrap,
    }  # fmt: skip
    return Outcome(printed + "\n\n".join(details), measured)


def _baseline(task: Task, inputs: Any, parts: Mapping[str, Examples], targets: Mapping[str, Tensor]) -> Tensor:
    features, estimator = task.modality.baseline_features(inputs), task.estimator()
    try:
        seen = features.fit_transform(parts["train"].inputs)
    except ValueError:  # too few texts for its smallest frequency
        features = features.set_params(min_df=1)
        seen = features.fit_transform(parts["train"].inputs)
    estimator.fit(seen, targets["train"].numpy())
    return task.estimator_outputs(estimator, features.transform(parts["test"].inputs))


@contextlib.contextmanager
def _artefact_folder(request: Request, source: Source) -> Iterator[Path]:
    """The folder of the training under way, within `--out`; what a failure leaves is what a new try can use."""
    out, folder = request.out, request.out / artefact.CHECKPOINT
    existed = out.is_dir()
    described = _describe(request, source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _same_request(folder, described, request)
        (folder / "request.json").write_text(json.dumps(described))
    except OSError as error:
        raise BadInput(f"--out {out} cannot be written ({error.strerror or error}); give another directory") from None
    try:
        yield folder
    except OSError as error:
        _clear(out, folder, existed, keep=(folder / "last.ckpt").is_file())
        raise RunFailed(
            f"{out} could not be written ({error.strerror or error}); free some space and run the same command again"
        ) from None
    except KeyboardInterrupt:
        kept = (folder / "last.ckpt").is_file()
        _clear(out, folder, existed, keep=kept)
        raise KeyboardInterrupt(
            "the same command goes on from the last epoch" if kept else "nothing was kept"
        ) from None
    except Exception:
        _clear(out, folder, existed, keep=False)
        raise


def _describe(request: Request, source: Source) -> dict[str, Any]:
    return {
        "task": request.task, "data": source.to_json(), "flags": dict(request.flags), "seed": request.seed,
        "cell": request.cell.key, "recipe": asdict(named_recipe(request.recipe)),
    }  # fmt: skip


def _same_request(folder: Path, described: Mapping[str, Any], request: Request) -> None:
    """Keep the checkpoint of the same request, remove that of another when asked to overwrite."""
    try:
        before = json.loads((folder / "request.json").read_text())
    except (OSError, ValueError):
        before = None
    if before == json.loads(json.dumps(described)):
        return
    if before is not None and not request.overwrite:
        raise BadInput(
            f"--out {request.out} holds an unfinished training with other settings; give another directory, or "
            "--overwrite to begin anew"
        )
    shutil.rmtree(folder)
    folder.mkdir()


def _clear(out: Path, folder: Path, existed: bool, keep: bool) -> None:
    shutil.rmtree(folder / "artefact", ignore_errors=True)
    if keep:
        return
    shutil.rmtree(folder, ignore_errors=True)
    if not existed:
        with contextlib.suppress(OSError):
            out.rmdir()


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
        "metrics.json": json.dumps(outcome.measured, indent=1),
        "training.png": report.training_curve(outcome.measured["history"]),
        "README.md": report.model_card(trained.task, facts, outcome.printed, request.command or "gruvy.training.train"),
    })  # fmt: skip
    (request.out / "config.json").unlink(missing_ok=True)
    for old in artefact.files_of(request.out):
        old.unlink()
    for file in sorted(aside.iterdir(), key=lambda p: p.name == "config.json"):
        file.rename(request.out / file.name)
    shutil.rmtree(folder)
