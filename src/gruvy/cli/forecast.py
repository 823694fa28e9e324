"""`gruvy forecast`, and `gruvy evaluate` of a model that forecasts."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.options import dispatch, new_app
from gruvy.data.panels.windows import PARTS, Windows
from gruvy.errors import BadInput
from gruvy.tasks.modalities.panel import panel_of, predict
from gruvy.training.backtest import MOST_JUDGED, backtest
from gruvy.training.source import digest

_SHOWN = 200  # rows printed as a table
_TABLE = "forecast.csv"
_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train forecast wrote")]


def run_forecast(arguments: list[str]) -> None:
    """Run `gruvy forecast` with `arguments`."""

    def command(
        folder: _Directory,
        data: Annotated[str | None, typer.Option(help="newer rows [the end of the training data]")] = None,
        out: Annotated[str | None, typer.Option(help=f"CSV file to write [DIR/{_TABLE}]")] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help="print results only")] = False,
        json: Annotated[bool, typer.Option("--json", help="print JSON, a line a row")] = False,
    ) -> None:
        forecast(folder, data, out, quiet, json)

    app = new_app("Forecast the future of the training data, or of newer data.")
    app.command()(command)
    dispatch(app, arguments, "forecast")


def forecast(folder: str, data: str | None, out: str | None, quiet: bool, as_json: bool) -> None:
    """Print the future of every series and save it as CSV."""
    trained = forecaster(folder)
    panel = panel_of(trained.inputs, data)
    rows = predict(trained, panel, trained.inputs.before if data is None else None)
    target = Path(out) if out is not None else Path(folder) / _TABLE
    try:
        with target.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise BadInput(f"--out {target} cannot be written ({error.strerror}); give another file") from None
    if as_json:
        print("\n".join(to_json(row) for row in rows))
    else:
        print(_table(rows))
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    for note in [*panel.notes, *trained.inputs.strangers(panel)]:
        console.print(note)
    console.print(f"\nthe forecast is in {target}")


def evaluate_forecast(folder: str, data: str | None, as_json: bool) -> None:
    """Print how far forecasts from every origin were off, from the first full window of a file, or on the test part."""
    trained = forecaster(folder)
    inputs = trained.inputs
    if data is None:
        bounds = artefact.read_json(Path(folder), "split.json")["bounds"]
        panel = panel_of(inputs, _training_file(trained))
        place = PARTS.index("test")
        spans = np.array([row[place : place + 2] for row in bounds])
    else:
        panel = panel_of(inputs, data)
        spans = np.array([[0, series.end] for series in panel.series])
    encoded = inputs(panel)
    windows = Windows.within(encoded, inputs.input_size, inputs.horizon, spans, inputs.least)
    if not len(windows):
        longest = max(series.end for series in panel.series)
        raise BadInput(
            f"{data} has series of at most {longest} steps; evaluating needs {inputs.least} to read and "
            f"{inputs.horizon} to forecast: give longer ones"
        )
    windows, before = windows.thinned(MOST_JUDGED), None
    if data is None:
        spans = np.array([row[place - 1 : place + 1] for row in bounds])
        before = Windows.within(encoded, inputs.input_size, inputs.horizon, spans, inputs.least).thinned(MOST_JUDGED)
    printed, measured = backtest(trained, windows, before)
    if as_json:
        print(to_json({"task": "forecast", **measured}))
        return
    notes = [*panel.notes, *inputs.strangers(panel)]
    print("\n\n".join([*filter(None, ["\n".join(notes)]), f"{len(windows)} windows", *printed]))


def forecaster(folder: str) -> Trained:
    """A model that forecasts.

    Raises:
        BadInput: it is of another kind.
    """
    trained = artefact.load(folder)
    if trained.task.study != "forecast":
        raise BadInput(f"{folder} holds a {trained.task.name} model; ask it with gruvy predict {folder}")
    return trained


def _training_file(trained: Trained) -> Path:
    about = trained.about["data"]
    path = Path(about["path"])
    if not path.is_file():
        raise BadInput(f"the data of the training is no longer at {path}; give --data FILE")
    if digest(path) != about["sha256"]:
        raise BadInput(f"{path} has changed since the training, so its test part is unknown; give --data FILE")
    return path


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned columns."""
    cells = [list(rows[0])] + [[_shown(value, row) for value in row.values()] for row in rows[:_SHOWN]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    if len(rows) > _SHOWN:
        lines.append(f"... and {len(rows) - _SHOWN} rows more")
    return "\n".join(lines)


def _shown(value: Any, row: Mapping[str, Any]) -> str:
    """A number with as many digits as the widest interval of its row gives sense to."""
    if not isinstance(value, float):
        return str(value)
    ends = [end for name, end in row.items() if name.startswith(("lower_", "upper_"))]
    width = max(ends) - min(ends)
    if not 1e-9 < width < 1e12:
        return f"{value:.6g}"
    return f"{value:.{min(12, max(0, 2 - math.floor(math.log10(width))))}f}"
