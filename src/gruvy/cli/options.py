"""Options that are read off the tasks: a command's signature, made for typer."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any

import typer

from gruvy.errors import BadInput
from gruvy.tasks import TASKS

Options = Mapping[str, tuple[Any, Any, str]]  # name -> type, default (... where it is required), help


def with_options(function: Callable, options: Options, *, positional: Mapping[str, Any] | None = None) -> Callable:
    """`function(**values)` with a signature that typer reads; `positional` are annotated arguments before it."""
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(annotation), annotation=annotation)
        for name, annotation in (positional or {}).items()
    ]
    parameters += [_parameter(name, *option) for name, option in options.items()]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def column_options() -> Options:
    """`--text`, `--label`, ...: every role of every task, for commands that learn the task from a model."""
    tasks = [task for task in TASKS.values() if task.study != "forecast"]
    roles = {role: column for task in tasks for role, column in task.columns.items()}
    return {
        role: (list[str] | None if column.many else str | None, None, f"{column.help} [as in the training]")
        for role, column in roles.items()
    }


def many_columns() -> set[str]:
    """The roles of `column_options` that several columns may have."""
    return {role for task in TASKS.values() for role, column in task.columns.items() if column.many}


def refuse_columns(columns: Mapping[str, str | None], why: str = "there is no file; give --data FILE with it") -> None:
    """Refuse the names of columns where none is read."""
    for role, name in columns.items():
        if name:
            raise BadInput(f"--{role} names a column, and {why}")


def say(notes: Iterable[str]) -> None:
    """Print what is to be said of the data, on standard error."""
    for note in notes:
        print(note, file=sys.stderr)


def repeated(arguments: list[str], many: Collection[str]) -> list[str]:
    """`--level 80 95` as `--level 80 --level 95`, for the options named in `many`."""
    found: list[str] = []
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument.removeprefix("--").replace("-", "_") in many else ""
            found.append(argument)
        elif option and found[-1] != option:
            found += [option, argument]
        else:
            found.append(argument)
    return found


def dispatch(app: typer.Typer, arguments: list[str], name: str) -> None:
    """Run `app` within the command that forwarded `arguments` to it."""
    code = app(arguments, prog_name=f"gruvy {name}", standalone_mode=False)
    if code:
        raise typer.Exit(code)


def new_app(help: str) -> typer.Typer:
    """An app in the style of the others."""
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help=help)


def _default(annotation: Any) -> Any:
    return None if type(None) in getattr(annotation.__origin__, "__args__", ()) else inspect.Parameter.empty


def _parameter(name: str, kind: Any, default: Any, help: str) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"  # no --no-... for switches that are off by default
    annotation = Annotated[kind, typer.Option(flag, help=help, show_default=default not in (None, False, ...))]
    empty = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=annotation)
