"""`gruvy train TASK`: one subcommand for each task, its options read off the task."""

from __future__ import annotations

import inspect
import json as json_module
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gruvy.cells.lookup import find_cell
from gruvy.engines import check_name
from gruvy.tasks import TASKS, Task
from gruvy.tasks.recipes import RECIPES

_COMMON: dict[str, tuple[Any, Any, str]] = {
    "data": (str | None, None, "CSV, TSV, JSONL or Parquet"),
    "out": (str, ..., "directory for the model"),
    "cell": (str, "gru", "a name of `gruvy cells`, or FILE.py:FUNCTION"),
    "engine": (str, "auto", "which engine runs the cell"),
    "recipe": (str, "default", f"hyper-parameters by name: {', '.join(RECIPES)}"),
    "seed": (int, 0, "of the split, the initial weights and the shuffles"),
    "max_minutes": (float | None, None, "end within this time, judging included"),
    "drop_empty": (bool, False, "leave out rows with an empty cell"),
    "overwrite": (bool, False, "replace the model in --out"),
    "quiet": (bool, False, "print results only"),
    "json": (bool, False, "print results as JSON"),
}


def run(arguments: list[str]) -> None:
    """Run `gruvy train` with `arguments`."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="Train a model.")
    app.callback()(lambda: None)
    for task in TASKS.values():
        app.command(task.name, help=task.summary)(_command(task))
    app(arguments, prog_name="gruvy train", standalone_mode=False)


def _command(task: type[Task]) -> Any:
    """A function whose signature typer reads: the task's columns and flags, then what all tasks share."""
    options: dict[str, tuple[Any, Any, str]] = {}
    for role, column in task.columns.items():
        default = f" [{column.default}]" if column.default else ""
        options[role] = (str | None, None, column.help + default)
    options |= {name: (bool, False, flag.help) for name, flag in task.flags.items()}
    options |= _COMMON

    def command(**given: Any) -> None:
        _train(task, given)

    command.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        _parameter(name, kind, default, help) for name, (kind, default, help) in options.items()
    ])  # fmt: skip
    return command


def _parameter(name: str, kind: Any, default: Any, help: str) -> inspect.Parameter:
    flags = (f"--{name.replace('_', '-')}",)  # no --no-... for switches that are off by default
    annotation = Annotated[kind, typer.Option(*flags, help=help, show_default=default not in (None, False, ...))]
    empty = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=annotation)


def _train(task: type[Task], given: dict[str, Any]) -> None:
    check_name(given["engine"])
    cell = find_cell(given["cell"])
    console = Console(stderr=True, quiet=given["quiet"], highlight=False, soft_wrap=True)
    with console.status("starting"):
        from gruvy.training.train import Request, train  # Lightning takes seconds

    request = Request(
        task.name, Path(given["out"]), cell, given["data"], {role: given[role] for role in task.columns},
        {name: given[name] for name in task.flags}, given["seed"], given["engine"], given["recipe"],
        given["max_minutes"], given["overwrite"], given["drop_empty"], shlex.join(["gruvy", *sys.argv[1:]]),
    )  # fmt: skip
    outcome = train(request, console)
    print(json_module.dumps(outcome.measured) if given["json"] else outcome.printed)
    console.print(f'\nthe model is in {given["out"]}: gruvy predict {given["out"]} "..."')
