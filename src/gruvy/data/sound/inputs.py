"""Sounds as a model reads them: samples at one rate, and what their spectra are like over the training clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy.data.sound.clips import HIGHEST_RATE, check_rate, common_rate, read_clips, to_clip
from gruvy.errors import BadInput

_MOST = 1000  # clips whose frames are measured
_STRETCH, _LOUD, _SILENT = 0.05, 0.1, 1e-5  # seconds; root mean squares, full scale 1
_LEAST_DEVIATION = 0.1  # of a band, so that one that is always the same is not blown up

# rate -> what turns samples `(batch, samples)` and lengths into frames `(batch, frames, size)` and their numbers
Frames = Callable[[int], Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]


@dataclass(frozen=True, eq=False)
class SoundValues:
    """Clips of one rate, float32 `(samples,)` each."""

    clips: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.clips[i]

    @property
    def lengths(self) -> np.ndarray:
        """Samples of each clip."""
        return np.array([len(clip) for clip in self.clips], np.int64)

    def take(self, rows: Iterable[int] | np.ndarray) -> SoundValues:
        """The clips at `rows`, in that order."""
        return SoundValues([self.clips[i] for i in rows])

    def batch(self, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """The clips at `rows`: `samples` `(batch, samples)`, 0 past each end, and `lengths` `(batch,)`."""
        lengths = np.array([len(self.clips[i]) for i in rows], np.int64)
        samples = np.zeros((len(lengths), int(lengths.max(initial=0))), np.float32)
        for padded, row, length in zip(samples, rows, lengths, strict=True):
            padded[:length] = self.clips[row]
        return {"samples": torch.from_numpy(samples), "lengths": torch.from_numpy(lengths)}


class SoundInputs:
    """Turns recordings into clips of one rate, and holds what scales the frames of their spectra.

    Args:
        rate: samples a second.
        mean, scale: float32 `(size,)`, of each number of a frame over the training clips.
        most: seconds that are read of a clip, those in its middle; 0 for all.
        levelled: every clip is made as loud, by its loudest stretch of 50 ms; one of silence stays as it is.
        usual: seconds of a training clip, the median.
    """

    FILE = "inputs.json"

    def __init__(
        self, rate: int, mean: np.ndarray, scale: np.ndarray, most: float = 0.0, levelled: bool = False,
        usual: float = 1.0,
    ):  # fmt: skip
        self.rate, self.mean, self.scale = rate, mean, scale
        self.most, self.levelled, self.usual = most, levelled, usual

    @classmethod
    def fit(
        cls, sounds: Sequence[Any], frames: Frames, *, rate: int = 0, most: float = 0.0, levelled: bool = False
    ) -> SoundInputs:
        """Learn from the training recordings (from a thousand of them, where there are more).

        Args:
            sounds: see `__call__`; frames: see `Frames`; rate: to read them at, 0 for the most frequent one, see
                `common_rate`.

        Raises:
            BadInput: there are none, or one cannot be read.
        """
        if not len(sounds):
            raise BadInput("there is no recording to learn from; expected at least one")
        rate = check_rate(rate) if rate else _usual_rate(sounds)
        chosen = [sounds[i] for i in np.linspace(0, len(sounds) - 1, min(len(sounds), _MOST)).round().astype(int)]
        inputs = cls(rate, np.zeros(0), np.ones(0), most, levelled)
        clips = inputs(chosen)
        inputs.mean, inputs.scale = _moments(clips, frames(rate))
        inputs.usual = float(np.median(clips.lengths)) / rate
        return inputs

    def __call__(self, sounds: Sequence[Any], first: int = 1) -> SoundValues:
        """Encode recordings: paths, or pairs of samples, `(samples,)` or `(samples, channels)`, and their rate.

        Samples without a rate are taken to have the model's; `first` is the number of the first, for errors.

        Raises:
            BadInput: one cannot be read, see `gruvy.data.sound.clips`.
        """
        paths = [one for one in sounds if isinstance(one, str | Path)]
        read = iter(read_clips(paths, self.rate))
        clips = [
            next(read) if isinstance(one, str | Path) else self._given(one, number)
            for number, one in enumerate(sounds, first)
        ]
        cut = (self._cut(clip) for clip in clips)
        return SoundValues([_as_loud(clip, self.rate) if self.levelled else clip for clip in cut])

    def _given(self, one: Any, number: int) -> np.ndarray:
        samples, rate = one if isinstance(one, tuple) and len(one) == 2 else (one, self.rate)
        if not isinstance(samples, np.ndarray):
            raise BadInput(
                f"recording {number} is {samples!r:.60}; expected a path, an array of samples, or a pair of samples "
                "and rate"
            )
        return to_clip(samples, rate, self.rate, f"recording {number}")

    def _cut(self, clip: np.ndarray) -> np.ndarray:
        most = round(self.most * self.rate)
        if not most or len(clip) <= most:
            return clip
        start = (len(clip) - most) // 2
        return clip[start : start + most].copy()  # a view would keep all of a long recording

    def collate(self, encoded: SoundValues, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """A batch of the clips at `rows`, see `SoundValues.batch`."""
        return encoded.batch(rows)

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        learned = {
            "rate": self.rate, "mean": self.mean.tolist(), "scale": self.scale.tolist(), "most": self.most,
            "levelled": self.levelled, "usual": self.usual,
        }  # fmt: skip
        (folder / self.FILE).write_text(json.dumps(learned, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> SoundInputs:
        """Read what `save` wrote.

        Raises:
            BadInput: the file is something else.
        """
        try:
            learned = json.loads((folder / cls.FILE).read_text(encoding="utf-8"))
            mean, scale = np.array(learned["mean"], np.float32), np.array(learned["scale"], np.float32)
            if mean.ndim != 1 or mean.shape != scale.shape:
                raise ValueError("its entries do not fit together")
            rate, levelled = check_rate(learned["rate"]), bool(learned["levelled"])
            most, usual = float(learned["most"]), float(learned["usual"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{folder / cls.FILE} does not describe the inputs of a model ({error}); train the model again"
            ) from None
        return cls(rate, mean, scale, most, levelled, usual)


def _as_loud(clip: np.ndarray, rate: int) -> np.ndarray:
    stretches = np.array_split(clip, max(1, len(clip) // round(_STRETCH * rate)))
    loudest = max(float(np.square(one).mean()) for one in stretches) ** 0.5
    return clip * np.float32(_LOUD / loudest) if loudest > _SILENT else clip


def _usual_rate(sounds: Sequence[Any]) -> int:
    paths = [one for one in sounds if isinstance(one, str | Path)]
    if paths:
        return common_rate(paths)
    pairs = [one for one in sounds if isinstance(one, tuple)]
    return min(HIGHEST_RATE, check_rate(pairs[0][1])) if pairs else HIGHEST_RATE


@torch.no_grad()
def _moments(clips: SoundValues, frames: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> tuple[Any, Any]:
    """Mean and deviation of each number of the frames of all clips, float32 `(size,)` each."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for row in range(len(clips)):
        batch = clips.batch([row])
        found = frames(batch["samples"], batch["lengths"])[0][0].double().numpy()
        count, total, squares = count + len(found), total + found.sum(0), squares + (found**2).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.maximum(deviation, _LEAST_DEVIATION).astype(np.float32)
