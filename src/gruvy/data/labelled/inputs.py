"""Labelled series as a model reads them: scaled and filled by what the training series taught."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gruvy.errors import BadInput

_LARGEST = 1e30  # its square is a number still


@dataclass(frozen=True, eq=False)
class SeriesValues:
    """The values of many series, end to end.

    Attributes:
        values: float32 `(steps, features)`, finite.
        offsets: int64 `(series + 1,)`; series i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each series."""
        return np.diff(self.offsets)

    def take(self, rows: Iterable[int] | np.ndarray) -> SeriesValues:
        """The series at `rows`, in that order."""
        return SeriesValues.join([self[i] for i in rows], self.values.shape[1])

    def batch(self, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """The series at `rows`: `values` `(batch, steps, features)`, 0 past each end, and `lengths` `(batch,)`."""
        lengths = self.lengths[np.asarray(rows, np.int64)]
        values = np.zeros((len(lengths), int(lengths.max(initial=0)), self.values.shape[1]), np.float32)
        for padded, row, length in zip(values, rows, lengths, strict=True):
            padded[:length] = self[row]
        return {"values": torch.from_numpy(values), "lengths": torch.from_numpy(lengths)}

    @classmethod
    def join(cls, parts: Sequence[np.ndarray], features: int) -> SeriesValues:
        """One array from one `(steps, features)` a series."""
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(p) for p in parts], out=offsets[1:])
        return cls(np.concatenate([np.zeros((0, features), np.float32), *parts]), offsets)


class SeriesInputs:
    """Turns series into what a model reads: every channel with mean 0 and deviation 1 over all training steps.

    A missing value (NaN) becomes the last one before it in its channel, or the channel's mean where there is none.
    A channel with missing values in training also gets a mask: a feature that is 1 where the value is missing.
    Where a training series is longer than `max_steps`, all series are averaged over `factor` steps, so that every
    series is read whole and on the same scale of time; one longer than all of training is read whole, too.

    Args:
        mean, scale: float64 `(channels,)`.
        masked: bool `(channels,)`, which channels get a mask.
        steps: of the longest training series, as it is read.
        factor: steps averaged into one.
    """

    FILE = "inputs.json"

    def __init__(self, mean: np.ndarray, scale: np.ndarray, masked: np.ndarray, steps: int, factor: int):
        self.mean, self.scale, self.masked, self.steps, self.factor = mean, scale, masked, steps, factor

    @classmethod
    def fit(cls, series: Sequence[np.ndarray], max_steps: int) -> SeriesInputs:
        """Learn from the training series, each `(steps, channels)`; a constant channel is not scaled.

        Raises:
            BadInput: there are none, or one cannot be read (see `__call__`).
        """
        if not len(series):
            raise BadInput("there is no series to learn from; expected at least one")
        channels = _channels(series[0], 1)
        for i, one in enumerate(series, 1):
            _check(one, i, channels)
        longest = max(len(one) for one in series)
        factor = -(-longest // max_steps)
        values = np.concatenate([_averaged(one, factor) for one in series])
        masked = np.isnan(values).any(0)
        given = [column[~np.isnan(column)] for column in values.T]
        mean = np.array([column.mean() if len(column) else 0.0 for column in given])
        scale = np.array([column.std() if len(column) and np.ptp(column) > 0 else 1.0 for column in given])
        return cls(mean, scale, masked, -(-longest // factor), factor)

    @property
    def channels(self) -> int:
        """Channels of the user's series."""
        return len(self.mean)

    @property
    def features(self) -> int:
        """Numbers a step, masks included."""
        return self.channels + int(self.masked.sum())

    def __call__(self, series: Sequence[np.ndarray]) -> SeriesValues:
        """Encode series, each `(steps, channels)` with NaN where a value is missing.

        Raises:
            BadInput: a series is not such an array, has another number of channels than in training, an infinite
                or huge value, or no value at all.
        """
        for i, one in enumerate(series, 1):
            _check(one, i, self.channels)
        return SeriesValues.join([self._encode(one) for one in series], self.features)

    def _encode(self, one: np.ndarray) -> np.ndarray:
        scaled = (_averaged(one, self.factor) - self.mean) / self.scale
        missing = np.isnan(scaled)
        filled = _carried_forward(scaled, missing)
        return np.concatenate([filled, missing[:, self.masked]], 1).astype(np.float32)

    def collate(self, encoded: SeriesValues, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """A batch of the series at `rows`, see `SeriesValues.batch`."""
        return encoded.batch(rows)

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        learned = {
            "mean": self.mean.tolist(), "scale": self.scale.tolist(), "masked": self.masked.tolist(),
            "steps": self.steps, "factor": self.factor,
        }  # fmt: skip
        (folder / self.FILE).write_text(json.dumps(learned, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> SeriesInputs:
        """Read what `save` wrote.

        Raises:
            BadInput: the file is something else.
        """
        try:
            learned = json.loads((folder / cls.FILE).read_text(encoding="utf-8"))
            mean, scale = np.array(learned["mean"], np.float64), np.array(learned["scale"], np.float64)
            masked = np.array(learned["masked"], np.bool_)
            steps, factor = int(learned["steps"]), int(learned["factor"])
            if not (mean.ndim == 1 and mean.shape == scale.shape == masked.shape and min(steps, factor) >= 1):
                raise ValueError("its entries do not fit together")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{folder / cls.FILE} does not describe the inputs of a model ({error}); train the model again"
            ) from None
        return cls(mean, scale, masked, steps, factor)


def _channels(one: np.ndarray, number: int) -> int:
    if not isinstance(one, np.ndarray) or one.ndim != 2 or one.dtype.kind not in "fiu":
        came = f"{one.dtype} of shape {one.shape}" if isinstance(one, np.ndarray) else f"a {type(one).__name__}"
        raise BadInput(f"series {number} is {came}; expected an array of numbers (steps, channels)")
    return one.shape[1]


def _check(one: np.ndarray, number: int, channels: int) -> None:
    """Refuse what cannot be read; `number` counts from 1."""
    if _channels(one, number) != channels:
        raise BadInput(
            f"series {number} has {one.shape[1]} channels, expected {channels}: give every series the same channels, "
            "with NaN where a value is missing"
        )
    if (np.abs(one) > _LARGEST).any():
        raise BadInput(
            f"series {number} has a value that is infinite or beyond {_LARGEST:.0e}; expected smaller numbers, or NaN "
            "where a value is missing"
        )
    if np.isnan(one).all():  # also of an empty one
        raise BadInput(f"series {number} has no value; expected at least one number: leave the series out")


def _averaged(one: np.ndarray, factor: int) -> np.ndarray:
    """Means of `factor` steps each, of the values that are there; the last may be of fewer steps."""
    one = one.astype(np.float64)
    if factor == 1:
        return one
    starts = np.arange(0, len(one), factor)
    given = ~np.isnan(one)
    sums = np.add.reduceat(np.where(given, one, 0), starts)
    counts = np.add.reduceat(given.astype(np.int64), starts)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _carried_forward(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """`(steps, channels)` with each missing value as the last one before it, 0 where there is none."""
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(values))[:, None]))
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), 0), 0.0)
