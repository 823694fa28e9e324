"""Recipes of models of recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class SoundRecipe(Recipe):
    """The hyper-parameters of a model of recordings.

    Attributes:
        features: `"logmel"`, or `"mfcc"` for the first `cepstra` cepstral coefficients.
        rate: samples a second that recordings are read at; 0 for that of most of them, at most 16000.
        bands: of the mel scale.
        most_seconds: read of a recording, those in its middle; levelled: recordings are made equally loud.
        crop, gain, colour, noise, shift, warp, pace, masked_bands, masked_frames: see
            `gruvy.models.spectra.Augmentation`.
        filters, hidden_size, bidirectional, pooling, locked_dropout, dropout: see `gruvy.models.sound.sound_model`.
        samples: aimed at; the epochs follow from steps or samples, whichever is used up first.
    """

    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    steps: int = 2000
    min_epochs: int = 4
    max_epochs: int = 60
    patience: int = 12
    averaging: float = 0.99
    features: str = "logmel"
    rate: int = 0
    bands: int = 40
    cepstra: int = 20
    most_seconds: float = 30.0
    levelled: bool = True
    crop: float = 5.0
    gain: float = 6.0
    colour: float = 3.0
    noise: float = 0.5
    shift: float = 0.05
    warp: float = 0.15
    pace: float = 0.2
    masked_bands: float = 0.15
    masked_frames: float = 0.15
    filters: tuple[int, ...] = (16, 32, 64)
    hidden_size: int = 64
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max", "mean")
    locked_dropout: float = 0.2
    dropout: float = 0.3
    samples: float = 4e9

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training clips of `lengths`, in samples."""
        return self._bounded(min(self.steps / self.batches(len(lengths)), self.samples / max(1, int(lengths.sum()))))
