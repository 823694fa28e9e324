"""What the tasks about one recording share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.cells import Cell
from gruvy.data.sound.clips import check_rate
from gruvy.data.sound.inputs import SoundInputs
from gruvy.data.sound.recordings import LABELLED_BY
from gruvy.models.sound import SoundModel, sound_model
from gruvy.models.spectra import Augmentation, LogMel
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.recipes.sound import SoundRecipe

KIND = "sound"
ROLE = "audio"
COMMAND = "gruvy predict DIR clip.wav"
PYTHON = 'gruvy.load("DIR").predict("clip.wav")  # or (samples, rate), or a list of them'
WHAT = "recordings"
COLUMNS = {
    "audio": Column("text", None, "directory of recordings; with --data, its column of their paths", optional=True)
}
SETTINGS = {
    "label_from": Setting(str, None, "what labels a recording [folder, else name]", choices=LABELLED_BY),
    "pattern": Setting(str, None, "of the names of recordings, such as {label}_{speaker}_{take}"),
    "features": Setting(str, None, "what is read of a recording [logmel]", choices=("logmel", "mfcc")),
    "rate": Setting(int, None, "samples a second to read recordings at [that of most, at most 16000]"),
}
READING = ("label_from", "pattern")

_CEPSTRA = 20  # that the baseline reads
_DIGEST_RATE = 8000  # of what is compared

# How a stream tells a sound from what is between sounds; seconds and decibels.
_BLOCK = 0.01
_SMOOTHED = 3  # blocks whose mean level is looked at
_MEMORY = 500  # blocks whose quietest is what is heard between sounds
_ABOVE = 9.0  # what is between sounds
_QUIETEST, _FLOOR = -60.0, -100.0
_PAUSE = 0.2  # that ends a sound
_MARGIN = 0.03  # heard before and after a sound
_SHORTEST, _LONGEST = 0.25, 2.5  # sounds, in training clips of usual length


def with_settings(recipe: SoundRecipe, settings: Mapping[str, Any]) -> SoundRecipe:
    """The recipe with the features and the rate asked for.

    Raises:
        BadInput: a rate that cannot be one.
    """
    rate = settings.get("rate")
    features = settings.get("features") or recipe.features
    return replace(recipe, features=features, rate=recipe.rate if rate is None else check_rate(rate))


def groups(sounds: Sequence[Any]) -> np.ndarray:
    """Which recordings have the same samples, and so belong in the same part of a split."""
    reader = SoundInputs(_DIGEST_RATE, np.zeros(0), np.ones(0))
    numbers: dict[bytes, int] = {}
    found = []
    for start in range(0, len(sounds), 256):  # so that not all are in memory
        clips = reader(sounds[start : start + 256], first=start + 1)
        keys = [blake2b(clip.tobytes(), digest_size=16).digest() for clip in clips.clips]
        found += [numbers.setdefault(key, len(numbers)) for key in keys]
    return np.array(found, np.int64)


def fit_inputs(sounds: Sequence[Any], recipe: SoundRecipe) -> SoundInputs:
    """Learn the rate, and mean and scale of each number of a frame, from the training recordings."""
    return SoundInputs.fit(
        sounds, _frames(recipe), rate=recipe.rate, most=recipe.most_seconds, levelled=recipe.levelled
    )


def load_inputs(folder: Path, recipe: SoundRecipe) -> SoundInputs:
    """Read them from an artefact."""
    return SoundInputs.load(folder)


def _frames(recipe: SoundRecipe) -> Callable[[int], LogMel]:
    cepstra = recipe.cepstra if recipe.features == "mfcc" else 0
    return lambda rate: LogMel(rate, recipe.bands, cepstra=cepstra)


def build_model(inputs: SoundInputs, output_size: int, recipe: SoundRecipe, cell: Cell, engine: str) -> SoundModel:
    """The model a recipe describes."""
    augmentation = Augmentation(
        crop=recipe.crop, gain=recipe.gain, colour=recipe.colour, noise=recipe.noise, shift=recipe.shift,
        warp=recipe.warp, pace=recipe.pace, masked_bands=recipe.masked_bands, masked_frames=recipe.masked_frames,
    )  # fmt: skip
    return sound_model(
        _frames(recipe)(inputs.rate), torch.from_numpy(inputs.mean), torch.from_numpy(inputs.scale), inputs.usual,
        output_size, cell, augmentation=augmentation, filters=recipe.filters,
        hidden_size=recipe.hidden_size, bidirectional=recipe.bidirectional, pooling=recipe.pooling,
        locked_dropout=recipe.locked_dropout, dropout=recipe.dropout, engine=engine,
    )  # fmt: skip


def baselines(inputs: SoundInputs, task: Any) -> dict[str, Any]:
    """The task's estimator on the mean cepstral coefficients of a recording."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = MeanCepstra(inputs), StandardScaler(), task.estimator()
    return {f"mean MFCC + {task.estimator_name}": make_pipeline(*steps)}


class MeanCepstra:
    """The means of mel frequency cepstral coefficients over a recording, in scikit-learn's manner."""

    def __init__(self, inputs: SoundInputs):
        self.inputs, self.mel = inputs, LogMel(inputs.rate, cepstra=_CEPSTRA)

    def fit(self, sounds: Sequence[Any], targets: Any = None) -> MeanCepstra:
        """There is nothing to learn."""
        return self

    def transform(self, sounds: Sequence[Any]) -> np.ndarray:
        """`(recordings, coefficients)`."""
        clips = self.inputs(sounds)
        batches = (clips.batch([row]) for row in range(len(clips)))
        means = [self.mel(batch["samples"], batch["lengths"])[0][0].mean(0) for batch in batches]
        return torch.stack(means).numpy()


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one recording, a list of them for several.

    Args:
        raw: a path, an array of samples at the model's rate, a pair of samples and their rate, or a list of these.
    """
    return predict_examples(trained, raw, isinstance(raw, str | Path | tuple | np.ndarray))


class Listener:
    """Samples in, chunk by chunk, and what is heard out: each sound as soon as it has ended.

    A sound is what is louder than what is between sounds, by an energy gate that follows the quietest of the last
    seconds; a pause ends it. One that goes on is answered in windows of two and a half times the usual length of the
    training clips, and what is the same in the next window is not said again. Clicks are passed over.

    Args:
        trained: a `gruvy.artefact.Trained` of recordings.
    """

    def __init__(self, trained: Any):
        self.trained = trained
        self.rate, self.block = trained.inputs.rate, max(1, round(_BLOCK * trained.inputs.rate))
        self.usual = trained.inputs.usual
        self.rest = np.zeros(0, np.float32)  # samples that are no whole block yet
        self.powers: deque[float] = deque(maxlen=_SMOOTHED)
        self.levels: deque[float] = deque(maxlen=_MEMORY)
        self.before: deque[np.ndarray] = deque(maxlen=round(_MARGIN / _BLOCK) + _SMOOTHED)
        self.sound: list[np.ndarray] = []
        self.quiet, self.heard = 0, 0  # blocks of the pause, and in all
        self.said: str | None = None  # of the window before, where the sound goes on

    def hear(self, samples: Sequence[float] | np.ndarray, last: bool = False) -> list[dict[str, Any]]:
        """Take samples in, at the model's rate.

        Args:
            last: nothing comes after them.

        Returns:
            What has ended: `time` and `end` of the sound in seconds of the stream, and the model's prediction.
        """
        samples = np.concatenate([self.rest, np.asarray(samples, np.float32)])
        whole = len(samples) // self.block * self.block
        blocks, self.rest = samples[:whole].reshape(-1, self.block), samples[whole:]
        found = [answer for block in blocks for answer in self._take(block)]
        if last and self.sound:
            found += self._decide()
        return found

    def _take(self, block: np.ndarray) -> list[dict[str, Any]]:
        self.heard += 1
        loud = self._is_loud(block)
        if not self.sound and not loud:
            self.before.append(block)
            self.said = None
            return []
        if not self.sound:
            self.sound, self.quiet = [*self.before], 0
            self.before.clear()
        self.sound.append(block)
        self.quiet = 0 if loud else self.quiet + 1
        if self.quiet * _BLOCK >= _PAUSE:
            found = self._decide()
            self.said = None
            return found
        return self._decide() if len(self.sound) * _BLOCK >= _LONGEST * self.usual + _MARGIN else []

    def _is_loud(self, block: np.ndarray) -> bool:
        self.powers.append(float(np.square(block).mean()))
        level = max(_FLOOR, 10 * math.log10(sum(self.powers) / len(self.powers) + 1e-20))
        self.levels.append(level)
        return level > max(_QUIETEST, min(self.levels) + _ABOVE)

    def _decide(self) -> list[dict[str, Any]]:
        """What the sound was, and begin anew."""
        blocks, start = self.sound, self.heard - len(self.sound)
        end = len(blocks) - max(0, self.quiet - round(_MARGIN / _BLOCK))
        self.before.extend(blocks[end:])
        self.sound = []
        if (end * _BLOCK - 2 * _MARGIN) < _SHORTEST * self.usual:
            return []
        (answer,) = self.trained.predict([np.concatenate(blocks[:end])])
        said, self.said = self.said, answer.get("label")
        if said is not None and said == self.said:
            return []
        prediction = {name: value for name, value in answer.items() if name != "probabilities"}
        return [{"time": round(start * _BLOCK, 2), "end": round((start + end) * _BLOCK, 2), **prediction}]
