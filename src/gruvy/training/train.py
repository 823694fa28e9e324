"""A training from data to an artefact. Knows no task by name."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console

from gruvy import artefact
from gruvy.errors import BadInput
from gruvy.tasks import TASKS
from gruvy.tasks.contract import ExampleTask
from gruvy.training import report
from gruvy.training.composing import MusicStudy
from gruvy.training.examples import ExampleStudy
from gruvy.training.folded import FoldedStudy
from gruvy.training.folder import check_free, place, training_folder
from gruvy.training.forecasting import ForecastStudy
from gruvy.training.language import LanguageStudy
from gruvy.training.loop import fit
from gruvy.training.request import Outcome, Request, check_request
from gruvy.training.source import check_options, kind_of
from gruvy.training.speaking import SpeechStudy
from gruvy.training.study import Study
from gruvy.training.tagging import TagStudy
from gruvy.training.translating import TranslationStudy

_STUDIES: Mapping[str, Callable[[Request], Study]] = {
    "examples": ExampleStudy, "folded": FoldedStudy, "forecast": ForecastStudy, "language": LanguageStudy,
    "music": MusicStudy, "speech": SpeechStudy, "tag": TagStudy, "translate": TranslationStudy,
}  # fmt: skip


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
    check_request(request)
    check_free(request.out, request.overwrite)
    with console.status("reading"):
        study = _STUDIES[_kind(request)](request)
    console.print(study.introduction, highlight=False)
    same = _describe(study)
    with training_folder(request.out, same, request.overwrite) as folder, settled(request.seed):
        trained, measured = fitted(study, folder, console, clock)
        with console.status("judging on the test part"):
            outcome = study.judge(trained)
        measured["seconds"]["in all"] = round(time.monotonic() - clock, 1)
        outcome.measured.update(measured)
        _write(study, folder, trained, outcome)
    return replace(outcome, use=trained.modality.COMMAND)


def fitted(study: Study, folder: Path, console: Console, clock: float) -> tuple[artefact.Trained, dict[str, Any]]:
    """Prepare, build, train and weigh the model of a study; also what is to be said of the training.

    Args:
        folder: for checkpoints; clock: when it all began, of `time.monotonic`.
    """
    request = study.request
    with console.status("preparing the inputs"):
        study.learn()
    with console.status("fitting what needs no gradient steps"):
        model = study.build()
    _say_model(console, request, model, time.monotonic() - clock)
    measured = _fit(study, model, folder, console, clock)
    about = {"data": study.data, "seed": request.seed, "command": request.command}
    trained = artefact.Trained(
        study.task, study.kind, study.inputs, model, study.recipe, request.cell, request.engine, about
    )
    with console.status("weighing"):
        study.finish(trained)
    return trained, measured


def _kind(request: Request) -> str:
    """The study: series alone are few and are folded, whatever is asked of them."""
    task = TASKS[request.task]
    if task.study != "examples":
        return task.study
    example_task = cast(type[ExampleTask], task)
    kind = kind_of(example_task, request.data, request.columns)
    given = {**request.settings, **request.columns}
    check_options(example_task, kind, given)
    if kind != "series":
        return task.study
    if given.get("group"):
        raise BadInput("--group is not for series alone; name what stays together with --id, or give --test FILE")
    return "folded"


@contextlib.contextmanager
def settled(seed: int) -> Iterator[None]:
    """Random numbers from `seed`, and no denormal numbers, for the length of a training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_flush_denormal(True)  # activations near 0 would otherwise slow a CPU many times over
        try:
            yield
        finally:
            torch.set_flush_denormal(False)


def _fit(study: Study, model: Any, folder: Path, console: Console, clock: float) -> dict[str, Any]:
    """Train the model; what is to be said of the training."""
    request, seconds = study.request, None
    began = time.monotonic()
    if request.max_minutes is not None:
        seconds = max(1.0, request.max_minutes * 60 * (1 - study.recipe.judging) - (began - clock))
    fits, histories = study.fits(model), []
    for number, one in enumerate(fits):
        if len(fits) > 1:
            console.print(f"network {number + 1} of {len(fits)}")
        place = folder / str(number) if len(fits) > 1 else folder
        place.mkdir(exist_ok=True)
        left = None if seconds is None else (seconds - (time.monotonic() - began)) / (len(fits) - number)
        histories.append(fit(
            one.network, study.loss, one.train, one.validation, study.recipe, folder=place, seed=request.seed + number,
            seconds=left, console=console,
        ))  # fmt: skip
    took = time.monotonic() - began
    spent = {"training": round(took, 1), "an epoch": round(took / max(1, sum(map(len, histories))), 1)}
    return {"seconds": spent, "history": histories[0] if len(fits) == 1 else histories}


def _say_model(console: Console, request: Request, model: Any, seconds: float) -> None:
    count = sum(p.numel() for p in getattr(model, "network", model).parameters())
    console.print(f"cell {request.cell.name}, {count:,} parameters in the recurrent network; ready in {seconds:.0f} s")
    layer = next((m for m in model.modules() if hasattr(m, "explain")), None)
    if layer is not None:
        chosen, *others = layer.explain().splitlines()
        slower = [line for line in others if line.startswith("  not fused: ") and "fused" not in chosen]
        console.print(
            "\n".join([chosen, *(line for line in slower if not line.endswith("not named"))]), highlight=False
        )


def _given(request: Request) -> dict[str, Any]:
    """The settings that differ from their defaults."""
    settings = TASKS[request.task].settings
    plain: tuple[Any, ...] = (None, (), [])
    return {k: v for k, v in request.settings.items() if v not in plain and v != settings[k].default}


def _describe(study: Study) -> dict[str, Any]:
    """What makes a training the same."""
    request = study.request
    return {
        "task": request.task, "data": study.data, "settings": _given(request), "seed": request.seed,
        "cell": request.cell.key, "recipe": asdict(study.recipe),
    }  # fmt: skip


def _write(study: Study, folder: Path, trained: artefact.Trained, outcome: Outcome) -> None:
    """Write the artefact aside, then move it in place, `config.json` last: it is there whole or not at all."""
    request, aside = study.request, folder / "artefact"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    facts = {
        "data": study.size, "cell": request.cell.name, "recipe": request.recipe, "seed": request.seed,
        "trained in": f"{outcome.measured['seconds']['training']:.0f} s",
    }  # fmt: skip
    trained.save(aside, {
        **outcome.documents,
        "metrics.json": artefact.to_json(outcome.measured, indent=1),
        "training.png": report.training_curve(outcome.measured["history"]),
        "README.md": report.model_card(trained, facts, outcome.printed, request.command or "gruvy.training.train"),
    })  # fmt: skip
    place(aside, request.out)
    shutil.rmtree(folder)
