"""Windows over series, and the parts of time they belong to. Nothing is ever shuffled over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gruvy.data.panels.grid import positions
from gruvy.data.panels.inputs import EncodedPanel
from gruvy.data.panels.panel import Panel
from gruvy.errors import BadInput

PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True, eq=False)
class Periods:
    """Where the parts of each series begin and end.

    Attributes:
        bounds: int64 `(series, 5)`: train is from `bounds[i, 0]` to `bounds[i, 1]`, then the others of `PARTS`.
        together: whether all series are cut at the same stamps.
    """

    bounds: np.ndarray
    together: bool

    def of(self, part: str) -> np.ndarray:
        """`(series, 2)`: first step, and the step after the last."""
        place = PARTS.index(part)
        return self.bounds[:, place : place + 2]


def periods(panel: Panel, horizon: int, shares: Sequence[float]) -> Periods:
    """Cut time into training, validation, calibration and test.

    Args:
        shares: of training, validation and test; or their steps, where they are above 1. The second half of the
            validation part is for calibrating the intervals. Steps that are left over at the end are not used.

    Raises:
        BadInput: a part would be shorter than the horizon.
    """
    ends = np.array([series.end for series in panel.series])
    stamps = np.unique(np.concatenate([s.stamps[: s.end] for s in panel.series])) if len(ends) > 1 else None
    together = stamps is not None and _overlap(panel, len(stamps))
    total = len(stamps) if together and stamps is not None else int(ends.max())
    # Series that lie apart in time are cut each by its own length.
    if together and stamps is not None:
        cuts = _cuts(total, horizon, shares)
        marks = [stamps[c] if c < total else None for c in cuts]
        bounds = np.array(
            [[0, *(s.end if m is None else min(s.end, int(np.searchsorted(s.stamps, m))) for m in marks)]
             for s in panel.series]
        )  # fmt: skip
    else:
        bounds = np.array([[0, *_cuts(int(end), horizon, shares, len(ends) > 1)] for end in ends])
    if not (bounds[:, 4] - bounds[:, 3] >= horizon).any() or not (bounds[:, 1] > horizon).any():
        raise BadInput(_too_short(int(ends.max()), horizon))
    return Periods(bounds, together or len(ends) == 1)


def _overlap(panel: Panel, union: int) -> bool:
    """Whether most series live in the same time: then a stamp cuts them all, and none sees another's future."""
    lengths = np.array([series.end for series in panel.series])
    return bool(np.median(lengths) >= 0.3 * union)


def _cuts(total: int, horizon: int, shares: Sequence[float], lenient: bool = False) -> list[int]:
    """Ends of the four parts."""
    if max(shares) > 1:
        train, validation, test = (round(s) for s in shares)
        if train + validation + test > total and not lenient:
            raise BadInput(
                f"--split asks for {train + validation + test} steps, and the series has {total}; give smaller numbers"
            )
        if validation < 2 * horizon or test < horizon:
            raise BadInput(
                f"--split gives {validation} steps to validation (the second half calibrates the intervals) and {test} "
                f"to test; a horizon of {horizon} takes {2 * horizon} and {horizon}: give larger numbers"
            )
    else:
        test = max(horizon, round(total * shares[2]))
        validation = max(2 * horizon, round(total * shares[1]))
        train = total - test - validation
        if train <= horizon and not lenient:  # a short series: as little as can be for the other parts
            test, validation = horizon, 2 * horizon
            train = total - 3 * horizon
        if train <= horizon and not lenient:
            raise BadInput(_too_short(total, horizon))
    ends = np.cumsum([train, (validation + 1) // 2, validation // 2, test])
    return np.clip(ends, 0, total).tolist()


def _too_short(total: int, horizon: int) -> str:
    return (
        f"the longest series has {total} steps, too few for a horizon of {horizon}: training, validation, calibration "
        f"and test each need that many; give a --horizon of at most {max(1, (total - 1) // 5)}, or longer series"
    )


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of `input_size` steps, each with the `horizon` steps after it.

    Attributes:
        track: of each window, `(windows,)`; origin: the step of its series that is forecast first.
    """

    panel: EncodedPanel
    input_size: int
    horizon: int
    track: np.ndarray
    origin: np.ndarray

    @classmethod
    def within(
        cls, panel: EncodedPanel, input_size: int, horizon: int, spans: np.ndarray, least: int, stride: int = 1
    ) -> Self:
        """All windows whose horizon lies within its series' span, `spans` `(series, 2)`.

        Args:
            least: steps of history a window has at least; what it has less than `input_size` is marked as missing.
            stride: steps between origins.
        """
        tracks, origins = [], []
        for number, track in enumerate(panel.tracks):
            first, stop = spans[track.series]
            found = np.arange(max(int(first), least), int(stop) - horizon + 1, stride)
            tracks.append(np.full(len(found), number))
            origins.append(found)
        return cls(panel, input_size, horizon, np.concatenate(tracks), np.concatenate(origins))

    def followed_by(self, others: Windows) -> Windows:
        """These windows, then `others` of the same panel."""
        track, origin = np.concatenate([self.track, others.track]), np.concatenate([self.origin, others.origin])
        return Windows(self.panel, self.input_size, self.horizon, track, origin)

    @classmethod
    def at_the_end(cls, panel: EncodedPanel, input_size: int, horizon: int) -> Self:
        """One window a track, whose horizon is the future."""
        origins = [panel.panel.series[track.series].end for track in panel.tracks]
        return cls(panel, input_size, horizon, np.arange(len(origins)), np.array(origins))

    def __len__(self) -> int:
        return len(self.track)

    @property
    def lengths(self) -> np.ndarray:
        """All alike, `(windows,)`."""
        return np.full(len(self), self.input_size)

    @cached_property
    def times(self) -> np.ndarray:
        """The step of the panel's grid that each window's origin stands on, int64 `(windows,)`, from 0."""
        series = self.panel.series[self.track]
        stamps = [s.stamps for s in self.panel.panel.series]
        origins = np.array([stamps[i][o] for i, o in zip(series, self.origin, strict=True)], stamps[0].dtype)
        distinct, place = np.unique(origins, return_inverse=True)
        return positions(distinct, self.panel.panel.frequency)[0][place] if len(distinct) else place

    def take(self, rows: np.ndarray) -> Windows:
        """The windows at `rows`."""
        return Windows(self.panel, self.input_size, self.horizon, self.track[rows], self.origin[rows])

    def thinned(self, most: int) -> Windows:
        """About `most` windows, evenly spread."""
        return self if len(self) <= most else self.take(np.linspace(0, len(self) - 1, most).round().astype(np.int64))

    def __getitem__(self, rows: np.ndarray | slice) -> Tensor:
        """What came after the windows, float32 `(rows, horizon, targets)`, NaN where missing."""
        steps = self._steps(self.panel.starts, rows)[:, self.input_size :]
        return self.panel.values[steps].masked_fill(~self.panel.observed[steps], float("nan"))

    def collate(self, rows: np.ndarray) -> dict[str, Any]:
        """A batch: `values` and `observed` `(rows, input_size, targets)`, `past` `(rows, input_size, features)`,
        `known` `(rows, input_size + horizon, features)`, `static` `(rows, features)`, `track` `(rows,)`."""
        steps = self._steps(self.panel.starts, rows)[:, : self.input_size]
        feature_steps = self._steps(self.panel.feature_starts, rows)
        tracks = self.track[rows]
        return {
            "values": self.panel.values[steps], "observed": self.panel.observed[steps],
            "past": self.panel.past[feature_steps[:, : self.input_size]], "known": self.panel.known[feature_steps],
            "static": self.panel.static[self.panel.series[tracks]],
            "track": torch.from_numpy(self.panel.numbers[tracks]),
        }  # fmt: skip

    def scales(self, name: str) -> np.ndarray:
        """A scale of each window's track (`mean`, `scale` or `naive`), `(windows, targets)`."""
        table = np.array([[getattr(s, name) for s in track.scales] for track in self.panel.tracks])
        return table[self.track]

    def in_units(self, standardised: Tensor) -> np.ndarray:
        """`(windows, horizon, targets)` in the units of the targets, float64."""
        mean, scale = self.scales("mean")[:, None], self.scales("scale")[:, None]
        return standardised.double().numpy() * scale + mean

    def _steps(self, starts: np.ndarray, rows: np.ndarray | slice) -> Tensor:
        """Places in the panel's arrays, `(rows, input_size + horizon)`; the window of origin o begins there at o."""
        first = starts[self.track[rows]] + self.origin[rows]
        return torch.from_numpy(first[:, None] + np.arange(self.input_size + self.horizon))
