"""Pieces in parts, and how they are scored; what the commands need of music without a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gruvy import artefact
from gruvy.data.music.rolls import Music, Pieces, RollInputs, copies
from gruvy.data.splits import Split, split_rows
from gruvy.errors import BadInput
from gruvy.tasks.modalities import rolls as modality
from gruvy.tasks.music import Music as MusicTask

LAST, FREQUENCIES = "last chord again", "note frequencies"
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Divided:
    """Pieces to train on, to validate and, where there are any, to test on.

    Attributes:
        split: None where the data names the parts.
    """

    parts: dict[str, Pieces]
    split: Split | None

    @property
    def judged(self) -> str:
        """The part a model is judged on: the test part, or that of the validation where there is none."""
        return "test" if "test" in self.parts else "validation"


def divided(music: Music, seed: int, tested: bool = True) -> Divided:
    """The parts that the data names, or else a random tenth to validate and a fifth to test on.

    Copies of a piece, in whatever key, are kept in one part.

    Args:
        tested: keep that fifth; without, it is trained on.

    Raises:
        BadInput: there is nothing to train on, or nothing to validate.
    """
    if "" in music.parts:
        pieces = music.parts[""]
        groups = copies(pieces.rolls)
        if len(set(groups.tolist())) < len(_PARTS):
            raise BadInput(
                f"{len(pieces)} pieces, {len(set(groups.tolist()))} of them different; expected at least 3, to train "
                "on, to validate and to test on: give more pieces"
            )
        split = split_rows(groups, seed=seed)
        if not tested:
            learned = np.sort(np.concatenate([split.train, split.test]))
            return Divided({"train": pieces.take(learned), "validation": pieces.take(split.validation)}, split)
        return Divided({part: pieces.take(getattr(split, part)) for part in _PARTS}, split)
    for part, name in (("train", "traindata"), ("validation", "validdata")):
        if part not in music.parts:
            raise BadInput(f"the data names its parts and has no {name}; add it, or give pieces without parts")
    return Divided({part: music.parts[part] for part in _PARTS if part in music.parts}, None)


def to_judge(music: Music) -> Pieces:
    """The pieces of a file that a model is judged on: its test part, validation part or whatever there is."""
    return next(music.parts[part] for part in ("test", "validation", "train", "") if part in music.parts)


def scored(trained: artefact.Trained, pieces: Pieces) -> dict[str, list[dict[str, np.ndarray]]]:
    """What is judged of each piece, see `gruvy.tasks.music.Music.metrics`: of the model, and of the baselines."""
    encoded = trained.inputs(pieces.rolls)
    return {
        "model": modality.judged(trained, encoded),
        LAST: [_judged(_last(trained.inputs, roll), roll[1:]) for roll in encoded.rolls],
        FREQUENCIES: [_judged(trained.inputs.frequencies, roll[1:]) for roll in encoded.rolls],
    }


def figures(scores: Mapping[str, Sequence[Mapping[str, np.ndarray]]]) -> dict[str, dict[str, float]]:
    """The metrics of each."""
    return {name: MusicTask().metrics(judged) for name, judged in scores.items()}


def _last(inputs: RollInputs, roll: np.ndarray) -> np.ndarray:
    """The probability of each key where the chord before is likely to stay, `(steps - 1, 88)`."""
    return np.where(roll[:-1] > 0, inputs.staying, inputs.entering)


def _judged(probabilities: np.ndarray, chords: np.ndarray) -> dict[str, np.ndarray]:
    """Of keys that are independent of each other."""
    held, said = chords > 0, np.broadcast_to(probabilities > 0.5, chords.shape)
    losses = -np.log(np.where(held, probabilities, 1 - probabilities)).sum(1)
    return {"keys": losses, "chord": losses, "hits": (said & held).sum(1), "misses": (said != held).sum(1)}
