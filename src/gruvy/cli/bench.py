"""`gruvy bench`: peers side by side on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from gruvy.benchmarking.measure import Bench
from gruvy.benchmarking.peers import peers_of
from gruvy.benchmarking.picture import picture
from gruvy.benchmarking.problem import MODES, Mode, Shape
from gruvy.benchmarking.report import Report, Row
from gruvy.cells import Cell
from gruvy.cells.lookup import find_cell
from gruvy.engines import ENGINES, Options, choose
from gruvy.errors import BadInput, Interrupted
from gruvy.layers import Recurrent

_DEFAULT = ("train", "infer", "stream")
_WIDE = 150  # columns where there is no terminal

Plan = Sequence[tuple[Mode, Shape]]


def run(
    modes: Sequence[str], shapes: Sequence[str], cell: str, engines: Sequence[str], threads: int | None, repeats: int,
    out: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure, print, and write `bench.json`, `bench.md` and `bench.png` into the directory `out`."""
    chosen = find_cell(cell)
    plan = _plan(chosen, modes or _DEFAULT, shapes)
    threads = torch.get_num_threads() if threads is None else threads
    for option, value in (("threads", threads), ("repeats", repeats)):
        if value < 1:
            raise BadInput(f"--{option} {value}: expected a whole number of at least 1")
    running, missing = _engines(chosen, engines)
    folder = None if out is None else _folder(out)
    peers = peers_of(chosen, running)
    missing |= {peer.name: reason for peer in peers if (reason := peer.available())}
    bench = Bench(chosen, [peer for peer in peers if peer.name not in missing], threads, repeats)
    finished = _measure(bench, plan)
    if not bench.figures:
        raise Interrupted("interrupted before there was a figure")
    report = Report(bench, missing, not finished)
    if folder is not None:
        _write(report, folder)
    if as_json:
        print(_json(report))
    else:
        _print(report)
    if not finished:
        raise Interrupted("interrupted; what was measured until then is printed")


def _plan(cell: Cell, modes: Sequence[str], shapes: Sequence[str]) -> Plan:
    """Every mode with its shapes, once each."""
    given = [_shape(text) for text in shapes]
    for _, _, I, H in given:
        Recurrent(cell, I, H, device="meta")  # refuses what the cell cannot be
    found: dict[tuple[Mode, Shape], None] = {}
    for name in modes:
        if name not in MODES:
            raise BadInput(f"there is no mode {name!r}; expected {', '.join(MODES)}")
        mode = MODES[name]
        found |= {(mode, mode.fit(shape)): None for shape in given or mode.shapes}
    return list(found)


def _shape(text: str) -> Shape:
    parts = text.split(",")
    if len(parts) != 4 or not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise BadInput(
            f"--shape {text!r}: expected four whole numbers of at least 1, steps,batch,input,hidden: 200,32,128,128"
        )
    T, B, I, H = map(int, parts)
    return T, B, I, H


def _engines(cell: Cell, named: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Those named, which must support the cell; or all that do, but for the reference, and why the others do not."""
    settings = torch.device("cpu"), torch.float32, Options()
    if named:
        return list(dict.fromkeys(choose(name, cell, *settings).name for name in named)), {}
    supported = {name: e.supports(cell, *settings) for name, e in ENGINES.items() if name != "reference"}
    running = [name for name, (runs, _) in supported.items() if runs]
    return running, {f"gruvy {name}": reason for name, (runs, reason) in supported.items() if not runs}


def _folder(out: str) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give a directory that can be written to") from None
    return folder


def _measure(bench: Bench, plan: Plan) -> bool:
    """Fill `bench`, with a bar on a terminal; False when the user stopped it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"),
               TimeRemainingColumn())  # fmt: skip
    quiet = not console.is_terminal
    # No refreshing by itself: that is a thread, and would disturb what is measured.
    with Progress(*columns, console=console, transient=True, auto_refresh=False, disable=quiet) as bar:
        task = bar.add_task("starting", total=sum(bench.parts(mode) for mode, _ in plan))
        bar.refresh()
        done = 0
        try:
            for mode, shape in plan:
                place = f"{mode.name} {'×'.join(map(str, shape))}"
                bench.measure(mode, shape, partial(_advance, bar, task, place))
                done += bench.parts(mode)
                bar.update(task, completed=done)  # a peer that disagrees takes fewer turns
        except KeyboardInterrupt:
            return False
    return True


def _advance(bar: Progress, task: TaskID, place: str, peer: str) -> None:
    bar.update(task, advance=1, description=f"{place}  {peer}", refresh=True)


def _json(report: Report) -> str:
    return json.dumps(report.data, indent=1, allow_nan=False)


def _write(report: Report, folder: Path) -> None:
    (folder / "bench.json").write_text(_json(report) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(report.markdown, encoding="utf-8")
    (folder / "bench.png").write_bytes(picture(report))


def _print(report: Report) -> None:
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    console.print(*report.header, sep="\n")
    for mode, shapes in report.shapes.items():
        console.print(f"\n{mode.name}: {mode.title}", style="bold")
        rows = report.table(mode)
        labels = [mode.label(shape) for shape in shapes]
        for part in _parts(rows, labels, console.width):
            console.print(_table(rows, labels, part))
    console.print(*report.remarks, report.guide, sep="\n")


def _parts(rows: Sequence[Row], labels: Sequence[str], width: int) -> list[range]:
    """The columns, in as many tables as the terminal asks for."""
    names = max(len(row.name) for row in rows) + 1
    ends = max(len(row.mean) for row in rows) + 10
    cell = max(len(line) for text in (labels, *(c for row in rows for c in row.cells)) for line in text) + 2
    each = max(1, (width - names - ends) // cell)
    return [range(start, min(start + each, len(labels))) for start in range(0, len(labels), each)]


def _table(rows: Sequence[Row], labels: Sequence[str], part: range) -> Table:
    """Some columns; the last part has the means and the errors."""
    last = part.stop == len(labels)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in [*(labels[i] for i in part), *(("mean", "error") if last else ())]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        ends = (row.mean, row.error) if last else ()
        table.add_row(row.name, *("\n".join(row.cells[i]) for i in part), *ends)
    return table
