"""What the tasks about speech share: how recordings are prepared, what reads them, and streams of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.cells import Cell
from gruvy.data.batches import LengthBuckets
from gruvy.data.sound.inputs import SoundInputs
from gruvy.data.sound.transcripts import to_text
from gruvy.errors import BadInput
from gruvy.models.ctc import texts
from gruvy.models.spectra import Augmentation, LogMel
from gruvy.models.speech import Heard, SpeechModel, speech_model
from gruvy.tasks.examples import listed
from gruvy.tasks.recipes import SpeechRecipe

KIND = "utterances"
COMMAND = "gruvy predict DIR clip.wav"
PYTHON = 'gruvy.load("DIR").predict("clip.wav")["text"]'
WHAT = "recordings of speech"
_BATCH = 32


def fit_inputs(paths: Sequence[Path], recipe: SpeechRecipe) -> SoundInputs:
    """Learn the rate, and mean and scale of each band, from the training recordings."""
    return SoundInputs.fit(paths, partial(LogMel, mels=recipe.bands))


def load_inputs(folder: Path, recipe: SpeechRecipe) -> SoundInputs:
    """Read rate and scale from an artefact."""
    return SoundInputs.load(folder)


def build_model(inputs: SoundInputs, output_size: int, recipe: SpeechRecipe, cell: Cell, engine: str) -> SpeechModel:
    """The model a recipe describes."""
    augmentation = Augmentation(
        gain=recipe.gain, colour=recipe.colour, noise=recipe.noise, warp=recipe.warp, bend=recipe.bend,
        pace=recipe.pace, drift=recipe.drift, masked_bands=recipe.masked_bands, masked_frames=recipe.masked_frames,
    )  # fmt: skip
    steps = 0 if recipe.bidirectional else -(-recipe.look_ahead // recipe.frames_per_step)
    return speech_model(
        output_size, inputs.rate, torch.from_numpy(inputs.mean), torch.from_numpy(inputs.scale), cell,
        augmentation=augmentation, hidden_size=recipe.hidden_size, num_layers=recipe.num_layers,
        bidirectional=recipe.bidirectional, stride=recipe.frames_per_step,
        look_ahead=steps, locked_dropout=recipe.locked_dropout,
        dropout=recipe.dropout, engine=engine,
    )  # fmt: skip


@torch.no_grad()
def transcripts(trained: Any, encoded: Any) -> list[str]:
    """What is said in each of the encoded recordings.

    Args:
        trained: a `gruvy.artefact.Trained`; encoded: what its inputs give.
    """
    model, said = trained.model.eval(), [""] * len(encoded)
    for rows in LengthBuckets(encoded.lengths, _BATCH):
        batch = trained.inputs.collate(encoded, rows)
        for row, outputs, steps in zip(rows, model(batch), model.steps(batch["lengths"]), strict=True):
            said[row] = trained.task.read(outputs[:steps])
    return said


def predict(trained: Any, raw: Any) -> Any:
    """The transcript of a recording, or of each of several.

    Args:
        raw: a path; an array of samples, `(samples,)` or `(samples, channels)`, at the model's rate; a pair of samples
            and their rate; a list of these.

    Returns:
        `text`.

    Raises:
        BadInput: a recording that cannot be read.
    """
    if isinstance(raw, (str, Path, np.ndarray)) or is_sound(raw):
        return predict(trained, [raw])[0]
    several = listed(raw)
    return [{"text": said} for said in transcripts(trained, trained.inputs(several))] if several else []


def is_sound(raw: Any) -> bool:
    """Whether something is samples with their rate."""
    return isinstance(raw, tuple) and len(raw) == 2 and isinstance(raw[0], np.ndarray) and np.isscalar(raw[1])


class Dictation:
    """Samples in, chunk by chunk, and text as soon as it is known; it is the text of the whole.

    Args:
        trained: a `gruvy.artefact.Trained` of the task speech, of one direction.

    Raises:
        BadInput: it reads recordings from both ends.

    Attributes:
        text: what was written so far.
    """

    def __init__(self, trained: Any):
        if trained.recipe.bidirectional:
            raise BadInput(
                "the model reads a recording from both ends; for a stream, train one with gruvy train speech "
                "--one-direction"
            )
        self.model, self.characters = trained.model.eval(), trained.task.characters
        self.search = trained.task.search()
        self.heard: Heard | None = None
        self.text = ""

    def hear(self, samples: Sequence[float] | np.ndarray, last: bool = False) -> str:
        """Take samples in, at the model's rate, and give what is new in the text.

        Args:
            last: nothing comes after them.
        """
        with torch.no_grad():
            said, self.heard = self.model.hear(torch.as_tensor(samples, dtype=torch.float32), self.heard, last)
        likeliest = texts(said, self.search)[0][0]
        symbols = likeliest if last else self.search.certain()
        before, self.text = self.text, to_text(symbols, self.characters)
        return self.text[len(before) :]
