"""Forecasts beside what came, and beside the naive ones they must beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.data.panels.windows import Windows
from gruvy.tasks.forecast import Forecast
from gruvy.tasks.modalities import panel as modality
from gruvy.training import report

MOST_JUDGED = 40_000  # windows, evenly spread where there are more
_FEWEST = 5  # stretches of time that a comparison takes


def backtest(
    trained: artefact.Trained, windows: Windows, before: Windows | None = None, seed: int = 0
) -> tuple[list[str], dict[str, Any]]:
    """Measure forecasts of windows beside the last value, the seasonal naive and the linear forecast.

    The intervals are calibrated as the windows roll on, see `Forecast.rolled`.

    Args:
        before: earlier windows, to calibrate on only.

    Returns:
        Paragraphs to print, and the figures.
    """
    task: Forecast = trained.task
    inputs = trained.inputs
    rolling = windows if before is None else before.followed_by(windows)
    everything = trained.branches(rolling)[trained.model.answer]
    earlier = len(rolling) - len(windows)
    outputs = everything[earlier:]
    if before is not None:
        task = task.calibrated(everything[:earlier], before[slice(None)])
    rolled = task.rolled(everything, rolling, inputs.reach)
    widening = {level: widths[earlier:] for level, widths in rolled.items()}
    point = replace(task, kind="mae", levels=())
    baselines = {"last value": modality.last_value(windows)}
    if inputs.season > 1:
        baselines["seasonal naive"] = modality.seasonal_naive(windows, inputs.season)
    baselines["linear (ridge)"] = trained.answers_of(lambda batch: {"": trained.model.linear(batch)}, windows)[""]
    figures = {"model": task.metrics(outputs, windows, widening)}
    for name, forecast in baselines.items():
        figures[name] = {**dict.fromkeys(figures["model"], float("nan")), **point.metrics(forecast, windows)}
    best = min(baselines, key=lambda name: figures[name]["scaled_mae"])
    blocks = windows.times // task.horizon
    ours, theirs = (
        _by_block(scorer.scores(forecast, windows), blocks)
        for scorer, forecast in ((task, outputs), (point, baselines[best]))
    )
    bootstrap = report.paired_bootstrap(ours, theirs, seed)
    stretches = f"{len(ours)} stretches of time"
    verdict = report.comparison(f"{task.score} in standard deviations", bootstrap, stretches)
    if len(ours) < _FEWEST:
        verdict = f"{stretches} are too few to tell"
    printed = [report.table(figures), f"beside the best baseline, {best}: {verdict}"]
    measured = {
        "n": len(windows), "metrics": figures["model"], "baseline": figures[best],
        "baselines": {name: figures[name] for name in baselines}, "best_baseline": best, "bootstrap": bootstrap,
    }  # fmt: skip
    return printed, measured


def _by_block(scores: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """The mean score of each stretch of time: windows that overlap err alike, and are no independent evidence."""
    fine = np.isfinite(scores)
    return np.array([scores[fine & (blocks == b)].mean() for b in np.unique(blocks[fine])])
