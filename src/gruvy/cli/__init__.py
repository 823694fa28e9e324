"""The `gruvy` command. Every command imports what it needs when it runs, so that `gruvy --help` is quick."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from gruvy.errors import GruvyError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Gated recurrent networks, written as equations, run as kernels.")  # fmt: skip

_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_WITH_COLUMNS = {"allow_extra_args": True, "ignore_unknown_options": True}

Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train wrote")]
Data = Annotated[str | None, typer.Option(metavar="FILE", help="CSV, TSV, JSONL or Parquet")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
DropEmpty = Annotated[bool, typer.Option(help="leave out rows with an empty cell")]
Quiet = Annotated[bool, typer.Option(help="print results only")]


@app.command(context_settings=_FORWARDED)
def train(context: typer.Context) -> None:
    """Train a model: gruvy train TASK --data FILE --out DIR."""
    from gruvy.cli.train import run

    run(context.args)


@app.command(context_settings=_WITH_COLUMNS)
def evaluate(context: typer.Context, folder: Directory, data: Data = None, drop_empty: DropEmpty = False,
             json: Json = False) -> None:  # fmt: skip
    """Judge a model on its own test rows, or on a file."""
    from gruvy.cli.judge import evaluate

    evaluate(folder, data, context.args, drop_empty, json)


@app.command(context_settings=_WITH_COLUMNS)
def predict(context: typer.Context, folder: Directory,
            inputs: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...")] = None, data: Data = None,
            json: Json = False) -> None:  # fmt: skip
    """Predict from texts on the command line, from a file, or from standard input (one a line)."""
    from gruvy.cli.judge import predict

    predict(folder, [*(inputs or []), *context.args], data, json)


@app.command()
def cells(names: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", help="all when none")] = None,
          json: Json = False, markdown: Annotated[bool, typer.Option("--markdown", help="print the docs page")] = False,
          ) -> None:  # fmt: skip
    """List the cells: equations, source, parameters, and which engines run them."""
    from gruvy.cli.cells import show

    show(names or [], json, markdown)


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this installation has, what is missing and what that costs."""
    from gruvy.cli.doctor import show

    show(json)


@app.command()
def version() -> None:
    """Print the version."""
    from gruvy import __version__

    print(__version__)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; every expected failure is one sentence on standard error and an exit code."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    warnings.showwarning = _warn
    try:
        app(arguments, standalone_mode=False)
        sys.stdout.flush()
        return 0
    except GruvyError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt as stop:
        return _fail(f"interrupted; {stop}" if str(stop) else "interrupted", 1)
    except typer.Abort:
        return _fail("interrupted", 1)
    except BrokenPipeError:  # the reader of a pipe has gone; nothing more to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer says of wrong options
            return _fail(error.format_message(), 2)
        if os.environ.get("GRUVY_DEBUG"):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error}; GRUVY_DEBUG=1 shows where", 1)


def _warn(message: Warning | str, category: type[Warning], *args: object, **kwargs: object) -> None:
    """Ours in one line; those of other libraries are for developers."""
    if category.__module__.startswith("gruvy") or os.environ.get("GRUVY_DEBUG"):
        print(f"gruvy: {message}", file=sys.stderr)


def _fail(message: str, code: int) -> int:
    print(f"gruvy: {message}", file=sys.stderr)
    return code
