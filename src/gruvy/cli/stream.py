"""`gruvy stream`: one row in, one answer out, the state kept between them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gruvy import artefact
from gruvy.artefact import to_json
from gruvy.cli.options import dispatch, new_app
from gruvy.cli.sound import listen
from gruvy.cli.speech import dictate
from gruvy.errors import BadInput
from gruvy.tasks.modalities import panel, series

_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train wrote")]


def run_stream(arguments: list[str]) -> None:
    """Run `gruvy stream` with `arguments`."""

    def command(
        folder: _Directory,
        state: Annotated[str | None, typer.Option(help="file the state is kept in [DIR/stream.json]")] = None,
        audio: Annotated[str | None, typer.Option(help="recording to hear chunk by chunk")] = None,
        rate: Annotated[int | None, typer.Option(help="samples a second on standard input [the model's]")] = None,
    ) -> None:
        stream(folder, state, audio, rate)

    app = new_app(
        "Read rows from standard input, CSV with a header or JSON lines, and print a JSON line for each: the forecast "
        "that follows it, or its number. What was read is kept, and the next time goes on from there. A model of "
        "speech hears --audio FILE, or raw samples of 16 bits on standard input, and prints what is said as it is said."
    )
    app.command()(command)
    dispatch(app, arguments, "stream")


def stream(folder: str, state: str | None, audio: str | None = None, rate: int | None = None) -> None:
    """One row in, one answer out; or sound in, and what it is out."""
    trained = artefact.load(folder)
    if state is not None and trained.kind in ("sound", "utterances"):
        raise BadInput(f"--state {state}: nothing of a sound is kept for the next time; leave it out")
    if trained.task.name == "speech":
        dictate(trained, audio, rate)
        return
    if trained.kind == "sound":
        listen(trained, audio, rate)
        return
    if audio is not None or rate is not None:
        raise BadInput(f"--{'rate' if audio is None else 'audio'} is for models of sound; leave it out")
    file = Path(state) if state is not None else Path(folder) / "stream.json"
    if not file.parent.is_dir():
        raise BadInput(f"--state {file}: there is no such directory; give a file that can be written")
    stream = _opened(trained, folder, file)
    try:
        for number, row in enumerate(_rows(sys.stdin), 1):
            try:
                print(to_json(stream.step(row)), flush=True)
            except BadInput as error:
                raise BadInput(f"row {number} of standard input: {str(error).removeprefix('row 1 ')}") from None
    finally:
        aside = file.with_name(file.name + ".part")
        aside.write_text(json.dumps(stream.state), encoding="utf-8")
        aside.rename(file)


def _opened(trained: artefact.Trained, folder: str, file: Path) -> panel.Stream | series.Stream:
    """A stream that goes on from what `file` holds, if it is there."""
    if trained.task.study == "forecast":
        kind: Any = panel.Stream
    elif getattr(trained.task, "per_step", False):
        kind = series.Stream
    else:
        raise BadInput(
            f"{folder} holds a {trained.task.name} model of whole inputs; ask it with gruvy predict {folder} "
            "(a stream is for forecasts, and for regress --per-step)"
        )
    if not file.exists():
        return kind(trained)
    try:
        return kind(trained, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{file} does not hold the state of a stream; remove it to begin anew") from None


def _rows(lines: Any) -> Iterator[Mapping[str, Any]]:
    """Rows as dicts, from JSON lines or from CSV with a header."""
    header: list[str] | None = None
    for line in _text(lines):
        if not line.strip():
            continue
        if header is None and line.lstrip().startswith("{"):
            yield _object(line)
            continue
        cells = next(csv.reader([line]))
        if header is None:
            header = cells
            continue
        if len(cells) != len(header):
            raise BadInput(f"{line.strip()!r:.80} has {len(cells)} fields where the header has {len(header)}")
        yield dict(zip(header, cells, strict=True))


def _text(lines: Any) -> Any:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start}); convert it to UTF-8") from None


def _object(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"{line.strip()!r:.80} is no JSON object; give one object a line")
    return found
