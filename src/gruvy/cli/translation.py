"""`gruvy chat`, and `gruvy evaluate` of a model that translates or answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.options import dispatch, new_app, refuse_columns
from gruvy.data.pairs import Pairs, in_context
from gruvy.errors import BadInput
from gruvy.tasks.modalities.pairs import TURN, Conversation
from gruvy.training.pairs import COPY, judge_pairs, last_turns, read_part, split_pairs, thinned
from gruvy.training.report import table
from gruvy.training.source import digest

_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train translate wrote")]


def run_chat(arguments: list[str]) -> None:
    """Run `gruvy chat` with `arguments`."""

    def command(folder: _Directory) -> None:
        chat(folder)

    app = new_app("Answer line by line, with what was said before in mind where the model learned that.")
    app.command()(command)
    dispatch(app, arguments, "chat")


def chat(folder: str) -> None:
    """Read lines from standard input and print the answer to each, until the end of the input."""
    conversation = Conversation(translator(folder))
    console = Console(stderr=True, highlight=False)
    if sys.stdin.isatty():
        console.print("write a line and get an answer; an empty line begins anew, Ctrl-D ends")
    while True:
        if sys.stdin.isatty():
            console.print("> ", end="")
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            raise BadInput(f"standard input is not UTF-8 (byte {error.start}); convert it to UTF-8") from None
        if not line:
            return
        if not line.strip():
            conversation.begin()
            continue
        print(conversation.answer(line.strip()), flush=True)


def evaluate_translation(
    folder: str, files: Sequence[str], columns: Mapping[str, str], drop_empty: bool, as_json: bool
) -> None:
    """Print BLEU and chrF of a model on parallel files or a table, or on the part it was judged on."""
    trained = translator(folder)
    if not files:
        refuse_columns(columns)
    part = _pairs(trained, files, columns, drop_empty) if files else thinned(_own_pairs(trained))
    _, measured = judge_pairs(trained, part)
    if files:
        name, baseline = COPY, trained.task.metrics(last_turns(part.sources), part.targets)
    else:
        before = artefact.read_json(Path(folder), "metrics.json")
        name, baseline = before["best_baseline"], before["baseline"]
    if as_json:
        print(to_json({"task": "translate", **measured, "baseline": baseline}))
        return
    shown = table({"model": measured["metrics"], f"baseline: {name}": baseline})
    print("\n\n".join([f"{len(part)} pairs", *part.notes, shown, "\n".join(trained.task.signatures())]))


def translator(folder: str) -> Trained:
    """A model that translates or answers.

    Raises:
        BadInput: it is of another kind.
    """
    if (task := artefact.read_config(Path(folder)).get("task")) != "translate":
        raise BadInput(f"{folder} holds a {task} model; give one that gruvy train translate wrote")
    return artefact.load(folder)


def _pairs(trained: Trained, files: Sequence[str], columns: Mapping[str, str], drop_empty: bool) -> Pairs:
    named = {**trained.about["data"]["columns"], **columns} if len(files) == 1 else dict(columns)
    strange = [role for role in named if role not in trained.task.columns]
    if strange:
        raise BadInput(
            f"--{strange[0]} has no place here; a translate model reads --{', --'.join(trained.task.columns)}"
        )
    return in_context(read_part(files, named, drop_empty), trained.task.context, TURN)


def _own_pairs(trained: Trained) -> Pairs:
    about = trained.about["data"]
    if not about["files"]:
        raise BadInput("the model learned from no file; give --data FILES")
    name = next(part for part in ("test", "validation", "train") if part in about["files"])
    files = about["files"][name]
    for file in files:
        path = Path(file["path"])
        if not path.is_file():
            raise BadInput(f"the data of the training is no longer at {path}; give --data FILES")
        if digest(path) != file["sha256"]:
            raise BadInput(f"{path} has changed since the training, so its test part is unknown; give --data FILES")
    paths = [file["path"] for file in files]
    if name != "train":
        return _pairs(trained, paths, about["columns"] if len(paths) == 1 else {}, about["drop_empty"])
    pairs = read_part(paths, about["columns"], about["drop_empty"])
    parts = split_pairs(pairs, about["split"], trained.task.context, about["seed"])
    return parts.get("test", parts["validation"])
