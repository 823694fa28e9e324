"""The ratios of a comparison as bars."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from gruvy.benchmarking.problem import Mode
from gruvy.benchmarking.report import Report, ratio_text

_OURS = ("#08306b", "#2f6fb7", "#7fb0de", "#bcd4ec")
_OTHERS = ("#b0700f", "#e0a53c", "#6a8f3c", "#8c5a9e", "#8a8a8a")
_ACROSS = 3  # modes side by side
_BAR = 0.16  # inches
_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


def picture(report: Report) -> bytes:
    """A panel for each mode, a group of bars for each shape, as PNG; bars begin at the base peer's 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Patch

    bench, modes = report.bench, list(report.shapes)
    compared = [peer.name for peer in bench.peers if peer.name != bench.base]
    colours = _colours(compared)
    rows = [modes[i : i + _ACROSS] for i in range(0, len(modes), _ACROSS)]
    slots = [max(len(report.of(mode)) for mode in row) for row in rows]  # the base's is the gap between groups
    groups = [max(len(report.shapes[mode]) for mode in row) for row in rows]
    heights = [1 + n * slot * _BAR for n, slot in zip(groups, slots, strict=True)]
    drawing = Figure(figsize=(0.6 + 4.4 * len(rows[0]), 1.2 + sum(heights)), layout=ConstrainedLayoutEngine(w_pad=0.1))
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(len(rows), len(rows[0]), sharex=True, squeeze=False, height_ratios=heights)
    for i, axes in enumerate(panels.flat):
        if i < len(modes):
            _panel(axes, report, modes[i], colours, 1 / slots[i // _ACROSS])
            axes.set_ylim(groups[i // _ACROSS] - 0.5, -0.5)
        else:
            axes.axis("off")
    _scale(panels[0, 0])
    patches = [Patch(color=colour, label=name) for name, colour in colours.items()]
    drawing.legend(handles=patches, loc="outside lower center", ncols=3 * len(rows[0]), frameon=False, fontsize=9)
    drawing.suptitle(f"{bench.cell.name}: time relative to {bench.base}, to the left is faster\n"
                     f"{report.facts['cpu']}, threads: {bench.threads}", fontsize=11)  # fmt: skip
    out = io.BytesIO()
    drawing.savefig(out, dpi=150, format="png")
    return out.getvalue()


def _colours(names: list[str]) -> dict[str, str]:
    """Blues for gruvy's engines, other colours for the others."""
    ours, others = (iter(shades * len(names)) for shades in (_OURS, _OTHERS))
    return {name: next(ours if name.startswith("gruvy") else others) for name in names}


def _panel(axes: Any, report: Report, mode: Mode, colours: Mapping[str, str], thickness: float) -> None:
    """The bars of a mode, each with its ratio at its end."""
    figures, labels = report.of(mode), [mode.label(shape) for shape in report.shapes[mode]]
    present = [name for name in colours if name in figures]
    for i, name in enumerate(present):
        ratios = {j: f.ratio for j, f in enumerate(figures[name]) if f.ratio is not None}
        places = [j + (i - (len(present) - 1) / 2) * thickness for j in ratios]
        axes.barh(places, [r - 1 for r in ratios.values()], thickness, left=1, color=colours[name])
        for place, ratio in zip(places, ratios.values(), strict=True):
            slower = ratio >= 1
            axes.annotate(ratio_text(ratio), (ratio, place), (3 if slower else -3, 0), textcoords="offset points",
                          ha="left" if slower else "right", va="center", fontsize=7)  # fmt: skip
    for j in range(0, len(labels), 2):
        axes.axhspan(j - 0.5, j + 0.5, color="#f3f3f3", zorder=0)
    axes.vlines(1, -0.5, len(labels) - 0.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_title(mode.title, fontsize=10)
    axes.tick_params(left=False, labelsize=8, labelbottom=True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _scale(axes: Any) -> None:
    """Ratios on a logarithmic axis, with room for the numbers, the same in all panels."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5) / 2, max(high, 2) * 2)
    axes.minorticks_off()
    axes.set_xticks([t for t in _TICKS if min(low, 0.5) / 2 <= t <= max(high, 2) * 2])
    axes.xaxis.set_major_formatter("{x:g}×")
