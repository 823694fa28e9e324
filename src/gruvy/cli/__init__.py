"""The `gruvy` command. Every command imports what it needs when it runs, so that `gruvy --help` is quick."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import Annotated

import typer

from gruvy.errors import GruvyError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Gated recurrent networks, written as equations, run as kernels.")  # fmt: skip

_CTRL_C = 130  # what typer makes of a KeyboardInterrupt
_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command(context_settings=_FORWARDED)
def train(context: typer.Context) -> None:
    """Train a model: gruvy train TASK --data FILE --out DIR."""
    from gruvy.cli.train import run

    run(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def evaluate(context: typer.Context) -> None:
    """Judge a model on its own test rows, or on a file."""
    from gruvy.cli.judge import run_evaluate

    run_evaluate(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def predict(context: typer.Context) -> None:
    """Predict from texts on the command line, from a file, or from standard input."""
    from gruvy.cli.judge import run_predict

    run_predict(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def forecast(context: typer.Context) -> None:
    """Forecast what comes after the training data, or after newer data."""
    from gruvy.cli.forecast import run_forecast

    run_forecast(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def generate(context: typer.Context) -> None:
    """Write a text with a language model, or a MIDI file with a model of music."""
    from gruvy.cli.language import run_generate

    run_generate(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def chat(context: typer.Context) -> None:
    """Talk with a model that learned pairs of questions and answers."""
    from gruvy.cli.translation import run_chat

    run_chat(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def stream(context: typer.Context) -> None:
    """Read rows one by one and print an answer after each."""
    from gruvy.cli.stream import run_stream

    run_stream(context.obj[1:])


@app.command(context_settings=_FORWARDED)
def mutate(context: typer.Context) -> None:
    """Show what each substitution in a sequence changes in a model's answer."""
    from gruvy.cli.mutation import run_mutate

    run_mutate(context.obj[1:])


@app.command()
def cells(names: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", help="all when none")] = None,
          json: Json = False, markdown: Annotated[bool, typer.Option("--markdown", help="print the docs page")] = False,
          ) -> None:  # fmt: skip
    """List the cells: equations, source, parameters, and which engines run them."""
    from gruvy.cli.cells import show

    show(names or [], json, markdown)


@app.command()
def bench(
    mode: Annotated[
        list[str] | None,
        typer.Option(help="train, infer, stream, ragged-train, ragged-infer; again for more [the first three]"),
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(metavar="T,B,I,H", help="steps, batch, input, hidden; again for more [a range]")
    ] = None,
    cell: Annotated[str, typer.Option(help="a name of `gruvy cells`, or FILE.py:FUNCTION")] = "gru",
    engine: Annotated[
        list[str] | None, typer.Option(help="an engine to measure; again for more [all that run the cell]")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="for every peer [as many as torch takes]")] = None,
    repeats: Annotated[int, typer.Option(help="rounds in which every peer takes its turn")] = 5,
    out: Annotated[str | None, typer.Option(help="directory for bench.json, bench.md and bench.png")] = None,
    json: Json = False,
) -> None:
    """Measure gruvy's engines beside torch, ONNX Runtime, OpenVINO, JAX and oneDNN, as far as they are installed."""
    from gruvy.cli.bench import run

    run(mode or [], shape or [], cell, engine or [], threads, repeats, out, json)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # σ and ⊙ on a terminal that has no such letters
    try:
        given = sys.argv[1:] if arguments is None else arguments
        code = app(given, standalone_mode=False, obj=given)  # whole, for the commands that forward what is theirs
        sys.stdout.flush()
        return _fail("interrupted", 1) if code == _CTRL_C else code or 0
    except GruvyError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
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
