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
        input_dropout=recipe.input_dropout, layer_dropout=recipe.layer_dropout,
        output_dropout=recipe.output_dropout, engine=engine,
    )  # fmt: skip


def predict(trained: Any, raw: Any) -> Any:
    """The probability of each key at the step after each step of a roll `(steps, 88)`, the same shape; for a list of
    rolls, a list.

    Raises:
        BadInput: it is no roll, or it has no steps.
    """
    if isinstance(raw, (list, tuple)) and np.ndim(raw[0] if raw else raw) == 2:
        return [predict(trained, roll) for roll in raw]
    encoded = trained.inputs([raw])
    if not len(encoded.rolls[0]):
        raise BadInput(f"the roll has no steps; expected (steps, {KEYS})")
    trained.model.eval()
    with torch.inference_mode():
        return trained.model.next_scores(trained.inputs.collate(encoded, [0]))[0].sigmoid().numpy()


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
        BadInput: the prompt is no roll.
    """
    network, rng = trained.model.network.eval(), np.random.default_rng(seed)
    begun = np.zeros((0, KEYS)) if isinstance(prompt, str) and not prompt else as_roll(prompt, "the prompt")
    states: Any = None
    written = torch.zeros(max(0, length), KEYS)
    heard = torch.cat([torch.zeros(1, KEYS), torch.from_numpy(begun).float()])  # silence comes before a piece
    for place, chord in enumerate(heard):
        known, states = network.step(chord[None], place, states)
    for place in range(len(written)):
        written[place] = network.chords.draw(known[0], sampling, rng)
        known, states = network.step(written[place][None], len(heard) + place, states)
    return written.numpy().astype(np.uint8)
