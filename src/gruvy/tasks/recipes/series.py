"""Recipes of forecasts and of models of labelled series."""

from __future__ import annotations

from dataclasses import dataclass

from gruvy.tasks.recipes.base import Recipe


@dataclass(frozen=True)
class ForecastRecipe(Recipe):
    """The hyper-parameters of a forecasting model.

    Attributes:
        hidden_size, num_layers, dropout: of the recurrent network.
        members: networks that are trained, one after the other, and averaged.
        segment: steps the direct head reads and answers at once; 0 chooses by horizon and window.
        head, scaling: see `gruvy.models.forecast.forecast_model`; settings of the task set them.
    """

    batch_size: int = 512
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    steps: int = 700
    min_epochs: int = 3
    max_epochs: int = 60
    patience: int = 5
    epoch_steps: int = 250
    averaging: float = 0.98
    hidden_size: int = 256
    num_layers: int = 1
    dropout: float = 0.5
    segment: int = 0
    members: int = 2
    head: str = "direct"
    scaling: str = "instance"

    def batch_for(self, rows: int) -> int:
        """Windows a batch: at least some thirty batches an epoch, as long as one holds 32 windows."""
        return max(32, min(self.batch_size, rows // 32))

    def segment_for(self, window: int, horizon: int) -> int:
        """Steps of a segment: a quarter of the horizon, at most 32 segments in the window."""
        if self.segment:
            return min(self.segment, window)
        return min(window, max(1, min(48, max(round(horizon / 4), -(-window // 32)))))


@dataclass(frozen=True)
class SeriesRecipe(Recipe):
    """The hyper-parameters of a model of labelled series.

    Attributes:
        max_steps: longer series are averaged over several steps.
        front, hidden_size, num_layers, bidirectional, pooling, noise, scaling, warping, locked_dropout, dropout,
        convolutions: see `gruvy.models.series.series_model`.
        members: networks that are trained, each without one fold of the rows; one where there are more than `few`
            rows, which can spare some for validation.
    """

    weight_decay: float = 0.01
    warm_up: float = 0.1
    steps: int = 600
    min_epochs: int = 30
    max_epochs: int = 200
    max_steps: int = 2048
    front: str = "conv"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    pooling: tuple[str, ...] = ("max", "mean")
    noise: float = 0.05
    scaling: float = 0.1
    warping: float = 0.1
    locked_dropout: float = 0.1
    dropout: float = 0.3
    convolutions: int = 10_000
    members: int = 5
    few: int = 2000
