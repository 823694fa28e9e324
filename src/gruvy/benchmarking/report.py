"""What is said of a comparison: facts, tables, JSON, Markdown."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from gruvy import __version__
from gruvy.benchmarking.measure import Bench, Figure
from gruvy.benchmarking.problem import MODES, Mode, Shape

_QUIET = 0.2  # cores that other programs may use without a remark


@dataclass(frozen=True)
class Row:
    """A peer in a table: for each shape the lines of its cell, then its mean ratio and its largest error."""

    name: str
    cells: tuple[tuple[str, ...], ...]
    mean: str = ""
    error: str = ""


@dataclass(frozen=True)
class Report:
    """A comparison, ready to be told.

    Attributes:
        missing: the peers that are not here, and why.
        interrupted: whether the user stopped it.
    """

    bench: Bench
    missing: Mapping[str, str]
    interrupted: bool = False

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Where, when and with what was measured."""
        bench = self.bench
        packages = dict.fromkeys(["torch", *(package for peer in bench.peers for package in peer.packages[:1])])
        return {
            "cell": bench.cell.name, "cpu": _cpu(), "cores": _cores(), "threads": bench.threads,
            "rounds": bench.repeats, "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
            "gflops": round(bench.rate / 1e9, 1),
            "versions": {"python": platform.python_version(), "gruvy": __version__}
            | {package: importlib.metadata.version(package) for package in packages},
        }  # fmt: skip

    @property
    def header(self) -> list[str]:
        """The facts in three lines."""
        told = self.facts
        return [
            f"cell {told['cell']}, threads: {told['threads']}, rounds: {told['rounds']}, {told['date']}",
            f"{told['cpu']}, cores: {told['cores']}, {told['gflops']:.0f} GFLOP/s in a large matrix product",
            ", ".join(f"{name} {version}" for name, version in told["versions"].items()),
        ]

    @property
    def shapes(self) -> dict[Mode, list[Shape]]:
        """The shapes of each mode that there are figures for."""
        found: dict[Mode, dict[Shape, None]] = {}
        for figure in self.bench.figures:
            found.setdefault(MODES[figure.mode], {})[figure.shape] = None
        return {mode: list(shapes) for mode, shapes in found.items()}

    def of(self, mode: Mode) -> dict[str, list[Figure]]:
        """The figures of a mode by peer, each in the order of the shapes."""
        found: dict[str, list[Figure]] = {}
        for figure in self.bench.figures:
            if figure.mode == mode.name:
                found.setdefault(figure.peer, []).append(figure)
        return found

    def table(self, mode: Mode) -> list[Row]:
        """A row for each peer, and one for what the products alone would take."""
        rows = []
        for name, figures in self.of(mode).items():
            errors = [f.error for f in figures if f.error is not None]
            cells = tuple(self._cell(mode, figure) for figure in figures)
            rows.append(Row(name, cells, _mean_text(figures), f"{max(errors):.0e}" if errors else ""))
        first = next(iter(self.of(mode).values()))
        limits = ("–" if f.shape[1] == 1 else _time(mode, f.flops / self.bench.rate) for f in first)
        return [*rows, Row("product limit", tuple((limit,) for limit in limits))]

    @property
    def remarks(self) -> list[str]:
        """Who is not in the tables, and which figures were disturbed."""
        failed = [f for f in self.bench.figures if f.why.startswith("failed")]
        disturbed = {_place(f): f"{_place(f)} ({f.others:.1f})" for f in self.bench.figures if f.others > _QUIET}
        told = f"disturbed by other programs (cores they used): {'; '.join(disturbed.values())}"
        return [
            *(f"{name}: {reason}" for name, reason in self.missing.items()),
            *(f"{f.peer}, {_place(f)}: {f.why}" for f in failed),
            *([told] if disturbed else []),
        ]

    @property
    def guide(self) -> str:
        """How to read the tables."""
        return (
            "Columns are steps×batch over input×hidden. A cell is the median time, then its ratio to "
            f"{self.bench.base} (the median of the ratios within a round; below 1 is faster) and the share of the "
            "product limit: what the matrix products that cannot be avoided would take at the rate above. The mean of "
            "the ratios is geometric; the error is the largest relative one of outputs and gradients, against float64."
        )

    @property
    def data(self) -> dict[str, Any]:
        """Everything, for a program."""
        means = {m.name: {name: _mean(figures) for name, figures in self.of(m).items()} for m in self.shapes}
        return {
            **self.facts, "base": self.bench.base, "interrupted": self.interrupted, "missing": dict(self.missing),
            "results": [
                {
                    "mode": f.mode, "shape": f.shape, "peer": f.peer,
                    "ms": None if f.seconds is None else f.seconds * 1e3, "ratio": f.ratio,
                    "share": self.bench.share(f), "others": f.others,
                    "error": f.error if f.error is not None and math.isfinite(f.error) else None, "why": f.why,
                }
                for f in self.bench.figures
            ],
            "means": means,
        }  # fmt: skip

    @property
    def markdown(self) -> str:
        """The tables as a page."""
        parts = [f"# {self.bench.cell.name}: peers side by side", _items(self.header)]
        for mode, shapes in self.shapes.items():
            heads = ["peer", *(mode.label(shape).replace("\n", "<br>") for shape in shapes), "mean", "error"]
            lines = [heads, ["---"] * len(heads)]
            lines += [[row.name, *map("<br>".join, row.cells), row.mean, row.error] for row in self.table(mode)]
            parts += [f"## {mode.name}: {mode.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        return "\n\n".join(filter(None, [*parts, _items(self.remarks), self.guide])) + "\n"

    def _cell(self, mode: Mode, figure: Figure) -> tuple[str, ...]:
        if figure.seconds is None:
            return tuple(figure.why.partition(":")[0].replace(" (", "\n(").split("\n"))
        share = self.bench.share(figure)
        beside = [ratio_text(figure.ratio), "" if share is None else f"{share:.0%}"]
        return _time(mode, figure.seconds), "  ".join(filter(None, beside))


def ratio_text(ratio: float | None) -> str:
    """`0.34×`; `0.034×` where two places say too little."""
    return "–" if ratio is None else f"{ratio:.2f}×" if ratio >= 0.1 else f"{ratio:.3f}×"


def _place(figure: Figure) -> str:
    return f"{figure.mode} {','.join(map(str, figure.shape))}"


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _mean(figures: Iterable[Figure]) -> float | None:
    ratios = [f.ratio for f in figures if f.ratio is not None]
    return geometric_mean(ratios) if ratios else None


def _mean_text(figures: list[Figure]) -> str:
    there = sum(f.ratio is not None for f in figures)
    return ratio_text(_mean(figures)) + (f" ({there} of {len(figures)})" if 0 < there < len(figures) else "")


def _time(mode: Mode, seconds: float) -> str:
    """Three digits, of microseconds for a step."""
    number, unit = (seconds * 1e6, "µs") if mode.streams else (seconds * 1e3, "ms")
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
