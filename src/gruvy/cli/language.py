"""`gruvy generate`, and `gruvy evaluate` of a language model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.music import write_music
from gruvy.cli.options import dispatch, new_app, refuse_columns
from gruvy.data.prose import Prose, is_table, read_prose
from gruvy.errors import BadInput
from gruvy.models.sampling import Sampling
from gruvy.tasks.modalities import prose
from gruvy.training import report
from gruvy.training.prose import cut, figures_of, scored, unknown
from gruvy.training.source import digest

_LENGTH = 200
_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train language or music wrote")]


def run_generate(arguments: list[str]) -> None:
    """Run `gruvy generate` with `arguments`."""

    def command(
        folder: _Directory,
        prompt: Annotated[str, typer.Option(help="the beginning; - is standard input; for music a MIDI file")] = "",
        length: Annotated[int, typer.Option(help="tokens to write; for music steps")] = _LENGTH,
        temperature: Annotated[
            float, typer.Option(help="below 1 is safer, above 1 is bolder; 0 is the likeliest")
        ] = 1.0,
        top_k: Annotated[int, typer.Option(help="of the likeliest tokens only; 0 for all")] = 0,
        top_p: Annotated[float, typer.Option(help="of the likeliest tokens that make up this probability")] = 1.0,
        seed: Annotated[int | None, typer.Option(help="for the same text again [another each time]")] = None,
        out: Annotated[str | None, typer.Option(help="for music: the MIDI file to write")] = None,
        tempo: Annotated[
            float | None, typer.Option(help="for music: beats a minute [the prompt's, or the training's]")
        ] = None,
    ) -> None:
        sampling = Sampling(temperature, top_k, top_p)
        task = artefact.read_config(Path(folder)).get("task")
        if task not in ("language", "music"):
            raise BadInput(f"{folder} holds a model that does not write; give one of gruvy train language or music")
        music = task == "music"
        check_numbers(length, "steps" if music else "tokens", seed)
        if music:
            write_music(folder, out, prompt, length, sampling, tempo, seed)
            return
        if out is not None or tempo is not None:
            raise BadInput(f"--{'tempo' if out is None else 'out'} is for music; leave it out, the text is printed")
        generate(folder, prompt, length, sampling, seed)

    app = new_app("Write a text or music, step by step, as the model goes on from a beginning.")
    app.command()(command)
    dispatch(app, arguments, "generate")


def check_numbers(length: int, of: str, seed: int | None) -> None:
    """Refuse what cannot be written."""
    if length < 1:
        raise BadInput(f"--length {length}: expected a number of {of} of at least 1")
    if seed is not None and seed < 0:
        raise BadInput(f"--seed {seed}: expected a whole number of at least 0")


def generate(folder: str, prompt: str, length: int, sampling: Sampling, seed: int | None) -> None:
    """Print the prompt and what the model writes after it, as it comes."""
    prompt = _standard_input() if prompt == "-" else prompt
    trained = artefact.load(folder)
    print(prompt, end="", flush=True)
    for piece in prose.generate(trained, prompt, length, sampling, seed):
        print(piece, end="", flush=True)
    print()


def evaluate_language(
    folder: str, data: str | None, columns: Mapping[str, str], drop_empty: bool, as_json: bool
) -> None:
    """Print the perplexity of a language model on a file, or on the part of its text it was judged on."""
    trained = artefact.load(folder)
    about = trained.about["data"]
    if data is None:
        refuse_columns(columns)
        part = _training_part(trained)
    else:
        strange = [role for role in columns if role != "text"]
        if strange:
            raise BadInput(f"--{strange[0]} has no place here; a language model reads --text")
        column = columns.get("text") or (about["columns"].get("text") if is_table(data) else None)
        part = read_prose(data, column, drop_empty)
    ids = trained.inputs(part.texts)
    figures = {name: figures_of(trained.task, found, part) for name, found in scored(trained, ids).items()}
    baseline = figures_of(trained.task, trained.inputs.frequencies(ids), part)
    if as_json:
        measured = {"metrics": figures["model"], "baseline": baseline, "n": len(ids), "figures": figures}
        print(to_json({"task": "language", **measured}))
        return
    counts = f"{len(ids)} tokens, {part.characters} characters"
    table = report.table({**figures, "baseline: frequencies": baseline})
    print("\n\n".join([counts, *part.notes, *unknown(trained.inputs, ids), table]))


def _training_part(trained: Trained) -> Prose:
    about = trained.about["data"]
    files = about["files"]
    if not files:
        raise BadInput("the model learned from no file; give --data FILE")
    name = next(part for part in ("test", "validation", "train") if part in files)
    path = Path(files[name]["path"])
    if not path.is_file():
        raise BadInput(f"the text of the training is no longer at {path}; give --data FILE")
    if digest(path) != files[name]["sha256"]:
        raise BadInput(f"{path} has changed since the training, so its test part is unknown; give --data FILE")
    read = read_prose(path, about["columns"].get("text"), about["drop_empty"])
    if name != "train":
        return read
    parts = cut(read, about["split"])
    return parts.get("test", parts["validation"])


def _standard_input() -> str:
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start}); convert it to UTF-8") from None
