"""A model on independent examples beside its baselines, on the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gruvy import artefact
from gruvy.tasks.contract import ExampleTask
from gruvy.training import report
from gruvy.training.pictures import residual_picture
from gruvy.training.request import Outcome

_FEW = 50  # test rows


def judge_examples(
    trained: artefact.Trained, encoded: Any, targets: Tensor, baselines: Mapping[str, Tensor], seed: int
) -> Outcome:
    """Measure every branch and every baseline.

    Args:
        encoded, targets: of the test rows; baselines: what each says of them, by name.
    """
    task: ExampleTask = trained.task
    outputs, final = trained.branches(encoded), trained.model.answer
    compared = {**outputs, **baselines}
    figures = report.measure(task, compared, targets)
    scores = {name: task.scores(out, targets) for name, out in compared.items()}
    best = max(baselines, key=lambda name: scores[name].mean())
    bootstrap = report.paired_bootstrap(scores[final], scores[best], seed)
    shown = compared if len(baselines) == 1 else {final: compared[final], best: compared[best]}
    details = [f"{name}\n{task.details(out, targets)}" for name, out in shown.items()]
    few = " (too few to tell models apart)" if len(targets) < _FEW else ""
    beside = f"beside {best}: " if len(baselines) > 1 else ""
    printed = [
        f"test rows: {len(targets)}{few}; the model is: {final}", report.table(figures),
        beside + report.comparison(task.score, bootstrap), *details,
    ]  # fmt: skip
    measured = {
        "task": task.name, "n": len(targets), "metrics": figures[final], "baseline": figures[best],
        "best_baseline": best, "baselines": {name: figures[name] for name in baselines},
        "branches": {name: figures[name] for name in outputs}, "bootstrap": bootstrap,
    }  # fmt: skip
    documents: dict[str, str | bytes] = {}
    if task.columns[task.target].kind == "number":
        documents["residuals.png"] = residual_picture(*trained.task.in_units(outputs[final], targets))
    return Outcome("\n\n".join(printed), measured, documents)
