"""`gruvy train TASK`: one subcommand for each task, its options read off the task."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from gruvy.artefact import to_json
from gruvy.cells.lookup import find_cell
from gruvy.cli.options import dispatch, new_app, repeated, with_options
from gruvy.engines import check_name
from gruvy.errors import BadInput
from gruvy.tasks import TASKS, Task
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.recipes import RECIPES

_COMMON: dict[str, tuple[Any, Any, str]] = {
    "data": (list[str] | None, None, "CSV, TSV, JSONL or Parquet; for some tasks text, FASTA, CoNLL, MIDI or .mat"),
    "out": (str, ..., "directory for the model"),
    "cell": (str, "gru", "a name of `gruvy cells`, or FILE.py:FUNCTION"),
    "engine": (str, "auto", "which engine runs the cell"),
    "recipe": (str, "default", "hyper-parameters by name"),
    "seed": (int, 0, "of the split, the initial weights and the shuffles"),
    "max_minutes": (float | None, None, "end within this time, judging included"),
    "drop_empty": (bool, False, "leave out rows with an empty cell"),
    "overwrite": (bool, False, "replace the model in --out"),
    "quiet": (bool, False, "print results only"),
    "json": (bool, False, "print results as JSON"),
}


def run(arguments: list[str]) -> None:
    """Run `gruvy train` with `arguments`."""
    app = new_app("Train a model.")
    app.callback()(lambda: None)
    for task in TASKS.values():
        app.command(task.name, help=task.summary)(_command(task))
    task_type = TASKS.get(next(iter(arguments), ""))
    dispatch(app, repeated(arguments, _many(task_type)) if task_type else arguments, "train")


def _many(task: type[Task]) -> set[str]:
    options: dict[str, Column | Setting] = {**task.columns, **task.settings}
    return {"data", *(name for name, option in options.items() if option.many)}


def _command(task: type[Task]) -> Any:
    """The task's columns and settings as options, then what all tasks share."""
    options: dict[str, tuple[Any, Any, str]] = {}
    for role, column in task.columns.items():
        default = f" [{column.default}]" if column.default else ""
        options[role] = (list[str] | None if column.many else str | None, None, column.help + default)
    for name, setting in task.settings.items():
        options[name] = _option(setting)
    recipes = dict.fromkeys(name for modality in task.modalities for name in RECIPES[modality.KIND])
    common = {**_COMMON, "recipe": (str, "default", f"hyper-parameters by name: {', '.join(recipes)}")}

    def command(**given: Any) -> None:
        _train(task, given)

    return with_options(command, options | common)


def _option(setting: Setting) -> tuple[Any, Any, str]:
    kind: Any = list[setting.kind] if setting.many else setting.kind  # type: ignore[name-defined]
    help = f"{setting.help}: {', '.join(setting.choices)}" if setting.choices else setting.help
    if setting.default is ... or setting.kind is bool:
        return kind, setting.default, help
    if setting.default not in (None, ()):
        values = setting.default if setting.many else (setting.default,)
        help = f"{help} [{' '.join(str(v) for v in values)}]"
    return kind | None, None, help


def _train(task: type[Task], given: dict[str, Any]) -> None:
    check_name(given["engine"])
    cell = find_cell(given["cell"])
    console = Console(stderr=True, quiet=given["quiet"], highlight=False, soft_wrap=True)
    with console.status("starting"):
        from gruvy.training.request import Request
        from gruvy.training.train import train  # Lightning takes seconds

    for name in (*task.columns, *task.settings):
        if given[name] == "" or (isinstance(given[name], list) and "" in given[name]):
            raise BadInput(f"--{name.replace('_', '-')} is empty; give it a value, or leave it out")
    first, *more = given["data"] or [None]
    request = Request(
        task=task.name, out=Path(given["out"]), cell=cell, data=first, more_data=tuple(more),
        columns={role: _value(given[role], column) for role, column in task.columns.items()},
        settings={name: _value(given[name], setting) for name, setting in task.settings.items()},
        seed=given["seed"], engine=given["engine"], recipe=given["recipe"], max_minutes=given["max_minutes"],
        overwrite=given["overwrite"], drop_empty=given["drop_empty"], command=shlex.join(["gruvy", *sys.argv[1:]]),
    )  # fmt: skip
    outcome = train(request, console)
    print(to_json(outcome.measured) if given["json"] else outcome.printed)
    out = shlex.quote(given["out"])
    console.print(f"\nthe model is in {out}: {outcome.use.replace('DIR', out)}", highlight=False)


def _value(given: Any, option: Column | Setting) -> Any:
    """A tuple of what may be several, its default where none was given."""
    if option.many:
        return tuple(given) if given else (option.default or ())
    return option.default if given is None and isinstance(option, Setting) else given
