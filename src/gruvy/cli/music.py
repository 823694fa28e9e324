"""`gruvy generate`, `evaluate` and `predict` of a model of music."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.artefact import Trained, to_json
from gruvy.cli.options import say
from gruvy.data.music import midi
from gruvy.data.music.rolls import Pieces, read_music
from gruvy.errors import BadInput
from gruvy.models.sampling import Sampling
from gruvy.tasks.modalities import rolls as modality
from gruvy.training import report
from gruvy.training.rolls import LAST, divided, figures, scored, to_judge

_LONGEST = 100_000  # steps that are written
_LIKELIEST = 8  # keys of a prediction that are shown
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def write_music(
    folder: str, out: str | None, prompt: str, length: int, sampling: Sampling, tempo: float | None, seed: int | None
) -> None:
    """Write what the model makes of a beginning, the beginning first, as a MIDI file."""
    if out is None or Path(out).suffix.lower() not in midi.SUFFIXES:
        raise BadInput(f"--out {out or 'is missing'}: expected a name that ends in {' or '.join(midi.SUFFIXES)}")
    if tempo is not None and not midi.SLOWEST <= tempo <= midi.FASTEST:
        raise BadInput(f"--tempo {tempo:g}: expected {midi.SLOWEST:g} to {midi.FASTEST:g} beats a minute")
    if length > _LONGEST:
        raise BadInput(f"--length {length}: expected at most {_LONGEST:,} steps")
    trained = artefact.load(folder)
    inputs = trained.inputs
    begun = midi.read(Path(prompt), inputs.steps_per_beat) if prompt else None
    written = modality.generate(trained, "" if begun is None else begun.roll, length, sampling, seed)
    roll = written if begun is None else np.concatenate([begun.roll, written])
    midi.write(Path(out), roll, inputs.steps_per_beat, tempo or (inputs.tempo if begun is None else begun.tempo))
    after = f" after {len(begun.roll)} of {prompt}" if begun else ""
    print(f"{out}: {length} steps{after}, {inputs.steps_per_beat} a beat")


def evaluate_music(folder: str, files: Sequence[str], as_json: bool) -> None:
    """Print how well a model predicts music: of files, or of the part of its own that it was judged on."""
    trained = artefact.load(folder)
    pieces, notes = _of_training(trained) if not files else _of(trained, files)
    found = figures(scored(trained, pieces))
    steps = sum(len(roll) - 1 for roll in pieces.rolls)
    if as_json:
        say(notes)
        measured = {"metrics": found["model"], "baseline": found[LAST], "n": steps, "figures": found}
        print(to_json({"task": "music", **measured}))
        return
    counts = f"{len(pieces)} pieces, {steps:,} steps, the first of each left out"
    print("\n\n".join([counts, *notes, report.table(found)]))


def predict_music(trained: Trained, files: Sequence[str], as_json: bool) -> None:
    """Print what each piece is worth to a model, and which keys come next."""
    if not files:
        raise BadInput("nothing to predict from; give a MIDI file, or --data FILE (.mat, .npz, MIDI) or a folder")
    music = read_music(files, trained.inputs.steps_per_beat)
    say(music.notes)
    names = [name for part in music.parts.values() for name in part.names]
    rolls = [roll for part in music.parts.values() for roll in part.rolls]
    for name, roll, judged in zip(names, rolls, modality.judged(trained, trained.inputs(rolls)), strict=True):
        probabilities = trained.predict(roll)[-1]
        likely = np.argsort(-probabilities)[:_LIKELIEST]
        after = {key_name(int(key)): float(probabilities[key]) for key in likely}
        figures: dict[str, Any] = {"steps": len(roll), **trained.task.metrics([judged])}
        if as_json:
            print(to_json({"piece": name, **figures, "next": after}))
        else:
            shown = " ".join(f"{key} {value:.2f}" for key, value in after.items())
            print(f"{name}\t{len(roll)} steps\tnll {figures['nll']:.4g}\tnext {shown}")


def key_name(key: int) -> str:
    """A key of a piano, from 0, as musicians name it: C4 is the middle C."""
    octave, place = divmod(key + midi.LOWEST, 12)
    return f"{_NAMES[place]}{octave - 1}"


def _of(trained: Trained, files: Sequence[str]) -> tuple[Pieces, list[str]]:
    music = read_music(files, trained.inputs.steps_per_beat)
    return to_judge(music), music.notes


def _of_training(trained: Trained) -> tuple[Pieces, list[str]]:
    about = trained.about["data"]
    for path in about["paths"]:
        if not Path(path).exists():
            raise BadInput(f"the music of the training is no longer at {path}; give --data FILE")
    music = read_music(about["paths"], about["steps_per_beat"])
    if music.digest() != about["sha256"]:
        raise BadInput(f"{about['paths'][0]} has changed since the training; give --data FILE")
    found = divided(music, trained.about["seed"])
    return found.parts[found.judged], music.notes
