"""Pictures of what a model says beside what is true."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gruvy.artefact import Trained
from gruvy.data.panels.windows import Windows
from gruvy.tasks.forecast import Forecast

_PANELS = 6


def forecast_picture(trained: Trained, windows: Windows) -> bytes:
    """Some windows with what was forecast, its intervals and what came, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    chosen = np.unique(np.linspace(0, len(windows) - 1, _PANELS).round().astype(int))
    task: Forecast = trained.task
    roles, some = trained.inputs.roles, windows.take(chosen)
    shown = trained.branches(some)[trained.model.answer]
    middle = some.in_units(shown[..., task.middle])
    ends = {k: (some.in_units(low), some.in_units(up)) for k, (low, up) in task.intervals(shown).items()}
    truth = some.in_units(some[slice(None)])
    before = some.in_units(some.collate(np.arange(len(some)))["values"])
    rows = -(-len(chosen) // 2)
    figure = Figure(figsize=(11, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place in range(len(chosen)):
        axes = figure.add_subplot(rows, 2, place + 1)
        track = windows.panel.tracks[some.track[place]]
        series = windows.panel.panel.series[track.series]
        stamps = _stamps(windows, series, int(some.origin[place]))
        keep = min(windows.input_size, 3 * task.horizon)
        past, future = stamps[: windows.input_size][-keep:], stamps[windows.input_size :]
        axes.plot(past, before[place, -keep:, 0], color="0.5", linewidth=1, label="before")
        axes.plot([past[-1], future[0]], [before[place, -1, 0], truth[place, 0, 0]], color="0.5", linewidth=1)
        for shade, (level, (low, up)) in enumerate(sorted(ends.items(), reverse=True)):
            colour = ("#d6e6f4", "#abcfe6", "#7fb8da")[min(shade, 2)]
            axes.fill_between(future, low[place, :, 0], up[place, :, 0], color=colour, label=f"{level} %")
        axes.plot(future, middle[place, :, 0], color="C0", label="forecast")
        axes.plot(future, truth[place, :, 0], color="C1", linewidth=1, label="what came")
        axes.set_title(" ".join(filter(None, (series.name, roles.targets[track.targets[0]]))), fontsize=9)
        axes.tick_params(labelsize=7)
        if future.dtype.kind == "M":
            locator = AutoDateLocator(maxticks=6)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        if place == 0:
            axes.legend(frameon=False, fontsize=7)
    figure.suptitle("Forecasts of the test part", fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130, format="png")
    return picture.getvalue()


def residual_picture(predicted: np.ndarray, true: np.ndarray) -> bytes:
    """Predictions beside the truth, and what is left of it, as PNG.

    Args:
        predicted, true: `(rows,)`, in the target's units.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    ends = [min(predicted.min(), true.min()), max(predicted.max(), true.max())]
    left.plot(ends, ends, color="0.6", linewidth=1)
    left.scatter(true, predicted, s=12, alpha=0.5)
    left.set(xlabel="true", ylabel="predicted", title="Test rows")
    right.axhline(0, color="0.6", linewidth=1)
    right.scatter(predicted, predicted - true, s=12, alpha=0.5)
    right.set(xlabel="predicted", ylabel="predicted - true", title="Residuals")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130, format="png")
    return picture.getvalue()


def _stamps(windows: Windows, series: Any, origin: int) -> np.ndarray:
    """Of the window and the horizon; steps from the origin where there are no times."""
    steps = np.arange(-windows.input_size, windows.horizon)
    places = origin + steps
    if series.stamps.dtype.kind != "M" or places[0] < 0 or places[-1] >= len(series.stamps):
        return steps
    return series.stamps[places]


def attention_picture(attended: Sequence[Mapping[str, Any]]) -> bytes:
    """How much each target token attended to each source token, by `gruvy.tasks.modalities.pairs.attended`, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [one for one in attended if one["target"]]
    columns = max(1, min(2, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(7 * columns, 5.5 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, one in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(one["weights"], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        read, written = ([_printable(token) for token in one[side]] for side in ("source", "target"))
        axes.set_xticks(range(len(read)), read, rotation=60, ha="right", fontsize=8, parse_math=False)
        axes.set_yticks(range(len(written)), written, fontsize=8, parse_math=False)
        axes.set(xlabel="read", ylabel="written")
    figure.suptitle("Attention: how much each written token looked at each token it read")
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # boxes for scripts the font has not
        figure.savefig(picture, dpi=110, format="png")
    return picture.getvalue()


def _printable(token: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in token)
