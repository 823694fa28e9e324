"""Recipes of speech recognisers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class SpeechRecipe(Recipe):
    """The hyper-parameters of a speech recogniser.

    Attributes:
        bands: of the log-mel frames.
        frames_per_step: that a step of the encoder stands for, at most; fewer where people speak fast.
        look_ahead: frames that are heard after a step before it is said, where the past alone is read.
        hidden_size, num_layers, bidirectional, locked_dropout, dropout: see `gruvy.models.speech.speech_model`.
        gain, colour, noise, warp, bend, pace, drift, masked_bands, masked_frames: see
            `gruvy.models.spectra.Augmentation`.
        clips: training clips aimed at; the epochs follow.
    """

    batch_size: int = 32
    weight_decay: float = 0.01
    warm_up: float = 0.1
    max_epochs: int = 200
    patience: int = 12
    averaging: float = 0.998
    judging: float = 0.08
    epoch_steps: int = 1000
    bands: int = 40
    frames_per_step: int = 4
    look_ahead: int = 20
    hidden_size: int = 128
    num_layers: int = 2
    bidirectional: bool = True
    locked_dropout: float = 0.3
    dropout: float = 0.3
    gain: float = 6.0
    colour: float = 3.0
    noise: float = 0.8
    warp: float = 0.2
    bend: float = 0.06
    pace: float = 0.2
    drift: float = 0.4
    masked_bands: float = 0.2
    masked_frames: float = 0.05
    clips: int = 64_000

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training clips of `lengths`, in samples."""
        return self._bounded(self.clips / (self.batches(len(lengths)) * self.batch_for(len(lengths))))
