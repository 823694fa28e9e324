"""What `gruvy evaluate`, `predict` and `stream` do with a model of speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.options import refuse_columns, say
from gruvy.cli.sound import chunks
from gruvy.data.sound.transcripts import Transcripts, read_paths
from gruvy.errors import BadInput
from gruvy.tasks.modalities.utterances import Dictation
from gruvy.tasks.speech import check_beam
from gruvy.training.reading import left_out
from gruvy.training.report import table
from gruvy.training.source import digest
from gruvy.training.utterances import CONSTANT, judge_transcripts, most_frequent, read_manifest, strange_characters


def evaluate_speech(
    folder: str, data: str | None, columns: Mapping[str, str | None], drop_empty: bool, as_json: bool,
    beam: int | None = None,
) -> None:  # fmt: skip
    """Print word and character error rate of a model on a manifest, or on the part it was judged on."""
    trained = with_beam(artefact.load(folder), beam)
    if data is None:
        refuse_columns(columns)
        part = _own_part(trained, Path(folder))
        before = artefact.read_json(Path(folder), "metrics.json")
        name, baseline = before["best_baseline"], before["baseline"]
    else:
        part = read_manifest(data, _named(trained, columns), drop_empty)
        say(left_out(part.dropped, part.unreadable))
        name, baseline = CONSTANT, trained.task.metrics([most_frequent(part.texts)] * len(part), part.texts)
    _, measured = judge_transcripts(trained, trained.inputs(part.paths), part.texts)
    if as_json:
        print(to_json({"task": "speech", **measured, "baseline": baseline}))
        return
    said = strange_characters(part.texts, trained.task.characters, "transcripts")
    shown = table({"model": measured["metrics"], f"baseline: {name}": baseline})
    print("\n\n".join([f"{len(part)} recordings, {measured['seconds_of_speech']:.0f} s", *said, shown]))


def with_beam(trained: Trained, beam: int | None) -> Trained:
    """A model that searches with another beam.

    Raises:
        BadInput: it is none of speech, or the beam cannot be.
    """
    if beam is None:
        return trained
    if trained.task.name != "speech":
        raise BadInput(f"--beam is for a speech model, and this is a {trained.task.name} model; leave it out")
    return replace(trained, task=replace(trained.task, beam=check_beam(beam)))


def listed_recordings(trained: Trained, data: str, columns: Mapping[str, str | None], drop_empty: bool) -> list[Path]:
    """The recordings of a manifest, to predict from."""
    found = read_paths(data, _named(trained, columns)["audio"], drop_empty)
    say(left_out(found.dropped, found.unreadable))
    return found.paths


def dictate(trained: Trained, audio: str | None, rate: int | None) -> None:
    """Print what is said in a recording, or in raw samples on standard input, as soon as it is known."""
    dictation = Dictation(trained)
    for samples in chunks(audio, rate, trained.inputs.rate):
        print(dictation.hear(samples), end="", flush=True)
    print(dictation.hear(np.zeros(0, np.float32), last=True))


def _named(trained: Trained, columns: Mapping[str, str | None]) -> dict[str, Any]:
    """Column names by role: those of the training, but for those the user gave; no groups."""
    given = {role: name for role, name in columns.items() if name}
    strange = [role for role in given if role not in trained.task.columns]
    if strange:
        raise BadInput(f"--{strange[0]} has no place here; a speech model reads --audio and --transcript")
    named = {**trained.about["data"]["columns"], **given}
    return {role: named[role] for role in ("audio", "transcript")}


def _own_part(trained: Trained, folder: Path) -> Transcripts:
    """The test part of the training."""
    about = trained.about["data"]
    name = "test" if "test" in about["files"] else "train"
    file = about["files"][name]
    if not Path(file["path"]).is_file():
        raise BadInput(f"the data of the training is no longer at {file['path']}; give --data FILE")
    if digest(Path(file["path"]), about["columns"]["audio"]) != file["sha256"]:
        raise BadInput(
            f"{file['path']}, or a recording in it, has changed since the training, so its test part is unknown; give "
            "--data FILE"
        )
    part = read_manifest(file["path"], about["columns"], about["drop_empty"])
    rows = artefact.read_json(folder, "split.json")["rows"]["test"]
    return part.take(np.flatnonzero(np.isin(part.rows, rows)))
