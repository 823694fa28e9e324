"""What the tasks about music share: how it is prepared, what reads it, how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.cells import Cell
from gruvy.data.music.midi import KEYS
from gruvy.data.music.rolls import EncodedRolls, RollInputs, as_roll
from gruvy.errors import BadInput
from gruvy.models.music import MusicModel, music_model
from gruvy.models.sampling import Sampling
from gruvy.tasks.recipes import MusicRecipe

KIND = "rolls"
COMMAND = "gruvy generate DIR --out song.mid"
PYTHON = 'print(gruvy.load("DIR").generate(length=100))  # 0 or 1, (steps, 88 keys)'
WHAT = "music"
_STEPS = 8192  # of a batch that is judged, padding included


def load_inputs(folder: Path, recipe: MusicRecipe) -> RollInputs:
    """Read what is known of the training pieces from an artefact."""
    return RollInputs.load(folder)


def build_model(inputs: RollInputs, output_size: int, recipe: MusicRecipe, cell: Cell, engine: str) -> MusicModel:
    """The model a recipe describes."""
    return music_model(
        KEYS, cell, embedding_size=recipe.embedding_size, hidden_size=recipe.hidden_size,
        num_layers=recipe.num_layers, chord_size=recipe.chord_size, transposition=recipe.transposition,
        recall_size=recipe.recall_size, input_dropout=recipe.input_dropout, layer_dropout=recipe.layer_dropout,
        output_dropout=recipe.output_dropout, engine=engine,
    )  # fmt: skip


def predict(trained: Any, raw: Any) -> Any:
    """The probability of each key at the step after each step of a roll `(steps, 88)`, the same shape; for several
    rolls, a list.

    Raises:
        BadInput: something is no roll, or has no steps.
    """
    if _is_several(raw):
        return [_next(trained, roll) for roll in [_some_steps(one, f"roll {i}") for i, one in enumerate(raw, 1)]]
    return _next(trained, _some_steps(raw, "the roll"))


def _is_several(raw: Any) -> bool:
    try:
        return np.ndim(raw) != 2 and np.iterable(raw) and not isinstance(raw, str)
    except ValueError:  # rolls of several lengths
        return True


def _some_steps(raw: Any, name: str) -> np.ndarray:
    roll = roll_of(raw, name)
    if not len(roll):
        raise BadInput(f"{name} has no steps; expected (steps, {KEYS})")
    return roll


def roll_of(raw: Any, name: str) -> np.ndarray:
    """What a user has, as `as_roll` gives it.

    Raises:
        BadInput: it is no roll.
    """
    if isinstance(raw, str) or not np.iterable(raw):
        raise BadInput(
            f"{name} is {raw!r:.60}; expected an array (steps, {KEYS}): of a MIDI file it is "
            "gruvy.data.music.midi.read(FILE, STEPS_PER_BEAT).roll"
        )
    return as_roll(raw, name)


@torch.inference_mode()
def _next(trained: Any, roll: np.ndarray) -> np.ndarray:
    batch = trained.inputs.collate(EncodedRolls([roll]), [0])
    found: np.ndarray = trained.model.eval().next_scores(batch)[0].sigmoid().numpy()
    return found


@torch.inference_mode()
def judged(trained: Any, encoded: EncodedRolls) -> list[dict[str, np.ndarray]]:
    """What `gruvy.models.music.MusicModel.judged` says of each piece, `(steps - 1,)` each, float64."""
    model, order = trained.model.eval(), np.argsort(encoded.lengths, kind="stable")
    found: dict[int, dict[str, np.ndarray]] = {}
    while len(order):
        most = max(1, _STEPS // int(encoded.lengths[order[-1]]))  # longest first
        rows, order = order[-most:], order[:-most]
        said = model.judged(trained.inputs.collate(encoded, rows))
        for place, row in enumerate(rows):
            steps = encoded.lengths[row] - 1
            found[int(row)] = {name: values[place, :steps].double().numpy() for name, values in said.items()}
    return [found[row] for row in range(len(encoded))]


@torch.inference_mode()
def generate(trained: Any, prompt: Any, length: int, sampling: Sampling, seed: int | None) -> np.ndarray:
    """Chords that go on from a roll, or begin a piece where there is none: uint8 `(length, 88)`.

    Args:
        prompt: `(steps, 88)`; "" for none.

    Raises:
        BadInput: the prompt is no roll, or the length no number of steps.
    """
    if not isinstance(length, (int, np.integer)) or length < 0:
        raise BadInput(f"the length is {length!r}; expected a number of steps of at least 0")
    network, rng = trained.model.network.eval(), np.random.default_rng(seed)
    begun = np.zeros((0, KEYS)) if isinstance(prompt, str) and not prompt else roll_of(prompt, "the prompt")
    played: Any = None
    written = torch.zeros(length, KEYS)
    heard = torch.cat([torch.zeros(1, KEYS), torch.from_numpy(begun).float()])  # silence comes before a piece
    for place, chord in enumerate(heard):
        known, played = network.step(chord[None], place, played)
    for place in range(len(written)):
        written[place] = network.chords.draw(known[0], sampling, rng)
        known, played = network.step(written[place][None], len(heard) + place, played)
    return written.numpy().astype(np.uint8)
