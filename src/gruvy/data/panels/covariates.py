"""Columns beside the target, of numbers or of categories, as features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gruvy.errors import BadInput

_MOST = 30  # categories of a column that get a feature of their own


def carried(values: np.ndarray, start: float) -> np.ndarray:
    """`values` `(steps,)` with the last number carried over what is missing (NaN), and `start` where there is none."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last < 0, start, values[np.maximum(last, 0)])


@dataclass(frozen=True)
class Column:
    """What training has learned of a column: mean and scale of its numbers, or its categories."""

    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] | None = None

    @classmethod
    def fit(cls, parts: Iterable[np.ndarray]) -> Self:
        """Learn from the training steps of every series: float arrays with NaN, or str objects with ""."""
        parts = list(parts)
        if any(part.dtype == object for part in parts):
            counts = Counter(str(cell) for part in parts for cell in part if cell != "")
            return cls(categories=tuple(name for name, _ in counts.most_common(_MOST)))
        values = np.concatenate(parts) if parts else np.zeros(0)
        values = values[np.isfinite(values)]
        if not len(values):
            return cls()
        spread = float(values.std())
        constant = spread <= 1e-12 * float(np.abs(values).max())
        return cls(float(values.mean()), 1.0 if constant else spread)

    @property
    def width(self) -> int:
        """Features."""
        return 1 if self.categories is None else len(self.categories)

    def __call__(self, name: str, values: np.ndarray) -> np.ndarray:
        """Features `(steps, width)`, float32: 0 for what is missing or unknown at the start, else the last known.

        Raises:
            BadInput: texts where training had numbers.
        """
        if self.categories is None:
            if values.dtype == object:
                values = np.array([_number(name, cell) for cell in values])
            standard = (carried(values, self.mean) - self.mean) / self.scale
            return standard.astype(np.float32)[:, None]
        texts = [f"{v:g}" if np.isfinite(v) else "" for v in values] if values.dtype != object else values
        place = {category: i for i, category in enumerate(self.categories)}
        found = np.array([place.get(str(text), -1) for text in texts])
        return (found[:, None] == np.arange(len(place))).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """For `inputs.json`."""
        return {"mean": self.mean, "scale": self.scale, "categories": self.categories}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        categories = data["categories"]
        return cls(data["mean"], data["scale"], None if categories is None else tuple(categories))


def _number(name: str, cell: Any) -> float:
    try:
        return float(cell) if cell != "" else float("nan")
    except ValueError:
        raise BadInput(f"column {name!r} holds {cell!r}, where training had numbers; write a number there") from None


def features(
    columns: Mapping[str, Column], names: Sequence[str], values: Mapping[str, np.ndarray], steps: int
) -> np.ndarray:
    """The features of several columns side by side, float32 `(steps, features)`."""
    parts = [columns[name](name, values[name]) for name in names]
    return np.concatenate(parts, axis=1) if parts else np.zeros((steps, 0), np.float32)
