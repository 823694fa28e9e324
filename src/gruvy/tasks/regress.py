"""Which number an input has: a text, a recording, DNA, a protein, a series, or several of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gruvy.errors import BadInput
from gruvy.tasks.contract import Column, DefaultData, Modality, Setting
from gruvy.tasks.examples import FOLD, GROUP
from gruvy.tasks.modalities import sequence, series, several, sound, text

_FARTHEST, _LARGEST = 1e15, 1e150  # standard deviations from the mean; what can be squared


@dataclass(frozen=True)
class Regress:
    """Squared error of a number, learned in units of its standard deviation.

    Attributes:
        mean, scale: of the training targets.
        per_step: a number a step, instead of one a row.
    """

    mean: float
    scale: float
    per_step: bool = False

    study: ClassVar[str] = "examples"
    name: ClassVar[str] = "regress"
    summary: ClassVar[str] = (
        "Learn which number a text, a recording, DNA or protein, or a series has, or several of them."
    )
    columns: ClassVar[Mapping[str, Column]] = {
        **text.COLUMNS,
        "target": Column("number", None, "column with the numbers"),
        **sequence.COLUMNS,
        **sound.COLUMNS,
        **series.COLUMNS,
        "group": GROUP,
    }
    target: ClassVar[str] = "target"
    settings: ClassVar[Mapping[str, Setting]] = {
        "per_step": Setting(bool, False, "learn a number for each step of a series"),
        "fold": FOLD,
        **text.SETTINGS,
        **sequence.SETTINGS,
        **sound.SETTINGS,
        **series.SETTINGS,
    }
    default_data: ClassVar[DefaultData | None] = None
    modalities: ClassVar[tuple[Modality, ...]] = (text, sequence, sound, series, several)
    score: ClassVar[str] = "squared error (negated)"
    estimator_name: ClassVar[str] = "ridge regression"

    @classmethod
    def fit(cls, targets: Any, settings: Mapping[str, Any]) -> Self:
        """Learn mean and scale.

        Args:
            targets: a number a row; with the setting `per_step`, an array `(steps,)` a row, NaN where none is given.

        Raises:
            BadInput: every number is the same.
        """
        per_step = bool(settings.get("per_step"))
        values = np.concatenate(targets) if per_step else np.asarray(targets, np.float64)
        values = values[~np.isnan(values)]
        if np.abs(values).max() > _LARGEST:
            raise BadInput(f"the numbers run from {values.min():g} to {values.max():g}; give numbers below 1e150")
        if np.ptp(values) == 0:
            raise BadInput(f"every training row has the number {values[0]:g}; there is nothing to learn from it")
        return cls(float(values.mean()), float(values.std()), per_step)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(float(data["mean"]), float(data["scale"]), bool(data.get("per_step", False)))

    def to_json(self) -> dict[str, Any]:
        """Mean and scale, and whether each step has a number."""
        return {"mean": self.mean, "scale": self.scale, "per_step": self.per_step}

    @property
    def output_size(self) -> int:
        """One unit."""
        return 1

    def encode(self, targets: Any, rows: Sequence[int | str]) -> Tensor:
        """Standardised numbers, float32 `(rows,)`; `(rows, longest)` of steps, NaN where there is none.

        Raises:
            BadInput: a number is so far from those of the training that its error cannot be written.
        """
        if not self.per_step:
            found = (np.asarray(targets, np.float64) - self.mean) / self.scale
            if (far := np.flatnonzero(np.abs(found) > _FARTHEST)).size:
                row, number = rows[far[0]], targets[far[0]]
                raise BadInput(
                    f"{row if isinstance(row, str) else f'row {row}'} has the number {number:g}, and those of the "
                    f"training are about {self.mean:g} (standard deviation {self.scale:g}); correct it, or leave it out"
                )
            return torch.tensor(found, dtype=torch.float32)
        padded = np.full((len(targets), max(map(len, targets))), np.nan)
        for row, values in zip(padded, targets, strict=True):
            row[: len(values)] = values
        return torch.tensor((padded - self.mean) / self.scale, dtype=torch.float32)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error, in standard deviations squared."""
        return F.mse_loss(*self._pairs(outputs, targets))

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """MAE and MSE in the target's units, R² and Spearman's rank correlation."""
        from torchmetrics.functional import regression as metric

        predicted, true = (part.double() for part in self._pairs(outputs, targets))
        enough = len(true) > 1
        return {
            "mae": metric.mean_absolute_error(predicted, true).item() * self.scale,
            "mse": metric.mean_squared_error(predicted, true).item() * self.scale**2,
            "r2": metric.r2_score(predicted, true).item() if enough else float("nan"),
            "spearman": metric.spearman_corrcoef(predicted, true).item() if enough else float("nan"),
        }

    def scores(self, outputs: Tensor, targets: Tensor) -> np.ndarray:
        """Minus the (mean) squared error of each row, in the target's units."""
        outputs, targets = self._alike(outputs, targets)
        return -(((outputs - targets).double() * self.scale) ** 2).nanmean(1).numpy()

    def details(self, outputs: Tensor, targets: Tensor) -> str:
        """Quantiles of the error."""
        predicted, true = self.in_units(outputs, targets)
        low, middle, high = np.quantile(predicted - true, [0.05, 0.5, 0.95])
        return f"error (predicted - true): 5 % below {low:.3g}, median {middle:.3g}, 5 % above {high:.3g}"

    def in_units(self, outputs: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """What was said and what is true, `(numbers,)` each, in the target's units."""
        predicted, true = (part.double().numpy() * self.scale + self.mean for part in self._pairs(outputs, targets))
        return predicted, true

    def predictions(self, outputs: Tensor) -> list[dict[str, Any]]:
        """The number, or those of the steps, in the target's units."""
        values = outputs.double() * self.scale + self.mean
        if self.per_step:
            return [{"values": row[~row.isnan()].tolist()} for row in values]
        return [{"value": value} for value in values[:, 0].tolist()]

    def constant_outputs(self, count: int) -> Tensor:
        """The training mean, for every row."""
        return torch.zeros(count, 1)

    def _alike(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both `(rows, steps)`: one step where a row has one number, and no padding that none of them has."""
        targets = targets if targets.ndim == 2 else targets[:, None]
        steps = targets.shape[1] if outputs.shape[1] == 1 else min(targets.shape[1], outputs.shape[1])
        return outputs.expand(-1, steps) if outputs.shape[1] == 1 else outputs[:, :steps], targets[:, :steps]

    def _pairs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and targets of the steps that have a target, `(numbers,)` each."""
        outputs, targets = self._alike(outputs, targets)
        there = ~targets.isnan()
        return outputs[there], targets[there]

    def estimator(self) -> Any:
        """Ridge regression."""
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1.0)

    def estimator_outputs(self, estimator: Any, features: Any) -> Tensor:
        """Standardised predictions, float32 `(rows, 1)` or `(rows, steps)`."""
        said = torch.from_numpy(np.asarray(estimator.predict(features), np.float32))
        return said if said.ndim == 2 else said[:, None]
