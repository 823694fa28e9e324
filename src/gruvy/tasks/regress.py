"""Which number a text or a series has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gruvy.errors import BadInput
from gruvy.tasks import series, text
from gruvy.tasks.contract import Column, DefaultData, Modality, Setting
from gruvy.tasks.series import SERIES_COLUMNS, SERIES_SETTINGS


@dataclass(frozen=True)
class Regress:
    """Squared error of a number, learned in units of its standard deviation.

    Attributes:
        mean, scale: of the training targets.
    """

    mean: float
    scale: float

    study: ClassVar[str] = "examples"
    name: ClassVar[str] = "regress"
    summary: ClassVar[str] = "Learn which number a text or a series has."
    columns: ClassVar[Mapping[str, Column]] = {
        "text": Column("text", "text", "column with the texts"),
        "target": Column("number", None, "column with the numbers"),
        **SERIES_COLUMNS,
    }
    target: ClassVar[str] = "target"
    settings: ClassVar[Mapping[str, Setting]] = SERIES_SETTINGS
    default_data: ClassVar[DefaultData | None] = None
    modalities: ClassVar[tuple[Modality, ...]] = (text, series)
    score: ClassVar[str] = "squared error (negated)"
    baseline_name: ClassVar[str] = "TF-IDF + ridge regression"

    @classmethod
    def fit(cls, targets: Sequence[float], settings: Mapping[str, Any]) -> Self:
        """Learn mean and scale.

        Raises:
            BadInput: every number is the same.
        """
        values = np.asarray(targets, np.float64)
        if np.ptp(values) == 0:
            raise BadInput(f"every training row has the number {values[0]:g}; there is nothing to learn from it")
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = float(values.mean()), float(values.std())
        if not math.isfinite(scale):
            raise BadInput(f"the numbers run from {values.min():g} to {values.max():g}; give numbers below 1e150")
        return cls(mean, scale)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(float(data["mean"]), float(data["scale"]))

    def to_json(self) -> dict[str, Any]:
        """Mean and scale."""
        return {"mean": self.mean, "scale": self.scale}

    @property
    def output_size(self) -> int:
        """One unit."""
        return 1

    def encode(self, targets: Sequence[float], rows: Sequence[int]) -> Tensor:
        """Standardised numbers, float32 `(rows,)`."""
        return torch.tensor((np.asarray(targets, np.float64) - self.mean) / self.scale, dtype=torch.float32)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error, in standard deviations squared."""
        return F.mse_loss(outputs[:, 0], targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """MAE and MSE in the target's units, R² and Spearman's rank correlation."""
        from torchmetrics.functional import regression as metric

        predicted, true = outputs[:, 0].double(), targets.double()
        enough = len(true) > 1
        return {
            "mae": metric.mean_absolute_error(predicted, true).item() * self.scale,
            "mse": metric.mean_squared_error(predicted, true).item() * self.scale**2,
            "r2": metric.r2_score(predicted, true).item() if enough else float("nan"),
            "spearman": metric.spearman_corrcoef(predicted, true).item() if enough else float("nan"),
        }

    def scores(self, outputs: Tensor, targets: Tensor) -> np.ndarray:
        """Minus the squared error, in the target's units."""
        return -(((outputs[:, 0] - targets).double() * self.scale) ** 2).numpy()

    def details(self, outputs: Tensor, targets: Tensor) -> str:
        """Quantiles of the error."""
        errors = ((outputs[:, 0] - targets).double() * self.scale).numpy()
        low, middle, high = np.quantile(errors, [0.05, 0.5, 0.95])
        return f"error (predicted - true): 5 % below {low:.3g}, median {middle:.3g}, 5 % above {high:.3g}"

    def predictions(self, outputs: Tensor) -> list[dict[str, Any]]:
        """The number, in the target's units."""
        return [{"value": value} for value in (outputs[:, 0].double() * self.scale + self.mean).tolist()]

    def constant_outputs(self, count: int) -> Tensor:
        """The training mean, for every row."""
        return torch.zeros(count, 1)

    def estimator(self) -> Any:
        """Ridge regression."""
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1.0)

    def estimator_outputs(self, estimator: Any, features: Any) -> Tensor:
        """Standardised predictions, float32 `(rows, 1)`."""
        return torch.from_numpy(np.asarray(estimator.predict(features), np.float32))[:, None]
