"""What comes next in a series, with intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gruvy.data.panels.windows import Windows
from gruvy.errors import BadInput
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.modalities import panel

LOSSES = ("quantile", "mae", "mse", "huber")
_DECILES = tuple(k / 10 for k in range(1, 10))
_EACH_STEP = 200  # calibration windows from which on each step of the horizon has a width of its own
_BLOCKS = 3  # stretches of time that a standard error takes
_ENOUGH = 20  # windows to calibrate on

Widening = Mapping[int, Tensor]  # by level, how much wider than the model says, (windows, horizon)


@dataclass(frozen=True)
class Forecast:
    """Quantiles (or one point) of every step of the horizon.

    Attributes:
        horizon: steps.
        levels: of the intervals, in percent, rising.
        kind: of the loss, one of `LOSSES`.
        widening: for each level, by how much each step's interval is widened about the point forecast,
            `(horizon,)`; empty before calibration.
    """

    horizon: int
    levels: tuple[int, ...] = (80, 95)
    kind: str = "quantile"
    widening: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    study: ClassVar[str] = "forecast"
    name: ClassVar[str] = "forecast"
    summary: ClassVar[str] = "Learn what comes next in series, with intervals."
    columns: ClassVar[Mapping[str, Column]] = {
        "target": Column("number", None, "column to forecast; several for several", many=True),
        "time": Column("any", None, "column with the time stamps; rows are steps in order without it", optional=True),
        "id": Column("label", None, "column that names the series a row belongs to", optional=True),
        "known": Column("any", None, "covariates known ahead (holidays, prices)", many=True, optional=True),
        "past": Column("any", None, "covariates known only up to now", many=True, optional=True),
        "static": Column("any", None, "what does not change within a series", many=True, optional=True),
    }  # fmt: skip
    settings: ClassVar[Mapping[str, Setting]] = {
        "horizon": Setting(int, ..., "steps to forecast"),
        "input": Setting(int, None, "steps of history the model reads [chosen on validation data]"),
        "season": Setting(int, None, "steps of a season, for the seasonal naive forecast [from stamps or data]"),
        "level": Setting(int, (80, 95), "percent of the intervals", many=True),
        "loss": Setting(str, "quantile", "what is minimised", choices=LOSSES),
        "head": Setting(str, "direct", "all steps at once, or each fed back", choices=("direct", "autoregressive")),
        "scale": Setting(str, "instance", "normalise by each window, or by the series", choices=("instance", "series")),
        "mode": Setting(str, "independent", "how several targets are read", choices=("independent", "joint")),
        "split": Setting(float, (0.7, 0.1, 0.2), "shares (or steps) of training, validation and test", many=True),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (panel,)
    score: ClassVar[str] = "absolute error (negated)"

    @classmethod
    def fit(cls, settings: Mapping[str, Any]) -> Self:
        """From the user's settings.

        Raises:
            BadInput: levels that are no percentages, or no horizon.
        """
        levels = tuple(sorted(set(settings["level"])))
        wrong = [level for level in levels if not 0 < level < 100]
        if wrong or not levels:
            raise BadInput(f"--level {wrong[0] if wrong else ''}: expected percentages between 1 and 99, such as 80 95")
        return cls(settings["horizon"], levels, settings["loss"])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        widening = {int(level): tuple(widths) for level, widths in data["widening"].items()}
        return cls(data["horizon"], tuple(data["levels"]), data["kind"], widening)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        widening = {str(level): list(widths) for level, widths in self.widening.items()}
        return {"horizon": self.horizon, "levels": list(self.levels), "kind": self.kind, "widening": widening}

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Probabilities of the outputs, rising: deciles and the ends of the intervals; one half for a point loss."""
        if self.kind != "quantile":
            return (0.5,)
        ends = {round(p, 4) for level in self.levels for p in (0.5 - level / 200, 0.5 + level / 200)}
        return tuple(sorted({*_DECILES, *ends}))

    @property
    def middle(self) -> int:
        """The output that is the point forecast."""
        return self.quantiles.index(0.5)

    @property
    def output_size(self) -> int:
        """Outputs a step."""
        return len(self.quantiles)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over what is there of `targets` `(batch, horizon, targets)`, in standard deviations of the series.

        The quantile loss is twice the pinball loss, so that it is the absolute error at the median; the median has
        half of the weight, the mean of all quantiles the other half.
        """
        missing = targets.isnan()
        error = targets[..., None] - outputs
        if missing.any():
            error = torch.where(missing[..., None], 0, error)
        count = (~missing).sum().clamp(min=1)
        point = error[..., self.middle]
        if self.kind == "quantile":  # 2 max(q e, (q - 1) e) = |e| + (2 q - 1) e, summed without another array
            tilt = 2 * outputs.new_tensor(self.quantiles) - 1
            total = error.abs().sum() + error.flatten(0, -2).sum(0) @ tilt
            return (total / len(self.quantiles) + point.abs().sum()) / (2 * count)
        if self.kind == "mse":
            return point.square().sum() / count
        if self.kind == "huber":
            return F.smooth_l1_loss(point, torch.zeros_like(point), reduction="sum") / count
        return point.abs().sum() / count

    def calibrated(self, outputs: Tensor, truth: Tensor) -> Self:
        """With intervals widened (or narrowed) until they hold the right share of these windows.

        Split conformal prediction on the distance from the point forecast, in units of the interval's own half
        (Romano et al. 2019, arXiv:1905.03222, with relative widths); a point loss has widths of one standard deviation.
        """
        scores = self._scores(outputs, truth)
        return replace(self, widening={level: _widths(scores[level], level) for level in self.levels})

    def rolled(self, outputs: Tensor, windows: Windows, reach: int) -> Widening:
        """Widenings of every window, as if the intervals had been calibrated again at every `horizon` steps.

        Each is learned from windows whose horizon was over by then, at most `reach` steps back; the task's own serves
        as long as there are too few of them.

        Returns:
            By level, `(windows, horizon)`.
        """
        scores = self._scores(outputs, windows[slice(None)])
        times = windows.times
        order = np.argsort(times, kind="stable")
        ordered = times[order]
        found = {level: torch.ones(len(windows), self.horizon) for level in self.levels}
        for level, widths in found.items():
            if level in self.widening:
                widths[:] = torch.tensor(self.widening[level])
        for start in range(int(times.min(initial=0)), int(times.max(initial=0)) + 1, self.horizon):
            over = start - self.horizon
            first, last, now, then = np.searchsorted(ordered, [over - reach, over + 1, start, start + self.horizon])
            if last - first >= _ENOUGH and then > now:
                for level, widths in found.items():
                    widths[order[now:then]] = torch.tensor(_widths(scores[level][order[first:last]], level))
        return found

    def intervals(self, outputs: Tensor, widening: Widening | None = None) -> dict[int, tuple[Tensor, Tensor]]:
        """By level, lower and upper ends `(batch, horizon, targets)`; a higher level holds the lower ones.

        Args:
            widening: of each window, as `rolled` gives it; the task's own otherwise.
        """
        middle = outputs[..., self.middle]
        found: dict[int, tuple[Tensor, Tensor]] = {}
        inner = middle, middle
        for level in self.levels:
            lower, upper = self._edges(outputs, level)
            if widening is not None:
                factor = widening[level][..., None]
            else:
                factor = outputs.new_tensor(self.widening.get(level, (1.0,) * self.horizon))[:, None]
            ends = middle - factor * (middle - lower), middle + factor * (upper - middle)
            found[level] = inner = torch.minimum(inner[0], ends[0]), torch.maximum(inner[1], ends[1])
        return found

    def metrics(self, outputs: Tensor, windows: Windows, widening: Widening | None = None) -> dict[str, float]:
        """Errors of the point forecast in the target's units, in standard deviations (`scaled`), and relative to the
        seasonal naive one (MASE); CRPS from the deciles, in the target's units; the share each interval holds."""
        truth = windows[slice(None)]
        there = ~truth.isnan()
        scale = torch.from_numpy(windows.scales("scale"))[:, None].expand(truth.shape)[there]
        naive = torch.from_numpy(windows.scales("naive"))[:, None].expand(truth.shape)[there]
        error = (outputs[..., self.middle] - truth)[there].double()
        absolute = error.abs() * scale
        figures = {
            "mae": absolute.mean(), "mse": (error * scale).square().mean(), "scaled_mae": error.abs().mean(),
            "scaled_mse": error.square().mean(), "mase": (absolute / naive).nanmean(),
            "crps": self._crps(outputs[there], truth[there], scale),
        }  # fmt: skip
        for level, (lower, upper) in self.intervals(outputs, widening).items():
            inside = (truth[there] >= lower[there]) & (truth[there] <= upper[there])
            figures[f"coverage_{level}"] = inside.double().mean()
        return {name: float(value) for name, value in figures.items()}

    def scores(self, outputs: Tensor, windows: Windows) -> np.ndarray:
        """Minus the mean absolute error of each window, in standard deviations of its series."""
        error = (outputs[..., self.middle] - windows[slice(None)]).abs()
        return -error.double().nanmean((1, 2)).numpy()

    def _crps(self, outputs: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
        if len(self.quantiles) == 1:
            return ((truth - outputs[..., 0]).abs() * scale).mean()
        places = [self.quantiles.index(p) for p in _DECILES]
        q = torch.tensor(_DECILES)
        error = truth[..., None] - outputs[..., places]
        return (2 * torch.maximum(q * error, (q - 1) * error).mean(-1) * scale).mean()

    def _edges(self, outputs: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """The interval as the model gives it."""
        if len(self.quantiles) == 1:
            return outputs[..., 0] - 1, outputs[..., 0] + 1
        places = [self.quantiles.index(round(0.5 + side * level / 200, 4)) for side in (-1, 1)]
        return outputs[..., places[0]], outputs[..., places[1]]

    def _scores(self, outputs: Tensor, truth: Tensor) -> dict[int, Tensor]:
        """By level, how many halves of the interval the truth lies from its middle, `(windows, horizon, targets)`."""
        middle = outputs[..., self.middle]
        error = truth - middle
        found = {}
        for level in self.levels:
            lower, upper = self._edges(outputs, level)
            half = torch.where(error > 0, upper - middle, middle - lower).clamp(min=1e-6)
            found[level] = error.abs() / half
        return found


def _widths(scores: Tensor, level: int) -> tuple[float, ...]:
    """`(horizon,)` from scores `(windows, horizon, targets)`, NaN where there was no target; of one window's step where
    there are windows enough, else of all its steps together."""
    horizon = scores.shape[1]
    if len(scores) < _EACH_STEP:
        return (_quantile(scores.flatten(), level / 100),) * horizon
    return tuple(_quantile(scores[:, step].flatten(), level / 100) for step in range(horizon))


def _quantile(scores: Tensor, share: float) -> float:
    """The smallest score that is not exceeded by `share` of the scores and one more, as conformal prediction asks."""
    scores = scores[~scores.isnan()]
    if not len(scores):
        return 1.0
    rank = min(len(scores), math.ceil((len(scores) + 1) * share))
    return float(scores.kthvalue(rank).values)


def weighed(points: Tensor, truth: Tensor, blocks: np.ndarray) -> Tensor:
    """How much each of several forecasts counts: weights of at least 0 that sum to 1.

    Those of least squared error, if that is lower than the first forecast's by more than one standard error; otherwise
    all to the first, so that a series that gives no clear reason to leave its last value stays there.

    Args:
        points: `(forecasts, windows, horizon, targets)`; truth: `(windows, horizon, targets)`, NaN where missing.
        blocks: number of each window's stretch of time, since windows that overlap err alike.
    """
    there = ~truth.isnan()
    first = torch.eye(len(points))[0]
    if not there.any():
        return first
    errors = (points - truth)[:, there].double()
    best = _simplex(errors @ errors.T / errors.shape[1])
    mixed = (torch.tensordot(best.to(points.dtype), points, 1) - truth).square().nanmean((1, 2))
    gains = ((points[0] - truth).square().nanmean((1, 2)) - mixed).numpy()
    fine = np.isfinite(gains)
    gain = np.array([gains[fine & (blocks == b)].mean() for b in np.unique(blocks[fine])])
    doubt = gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) >= _BLOCKS else 0.0
    return best.float() if gain.mean() > doubt else first


def _simplex(products: Tensor) -> Tensor:
    """The weights `w >= 0` that sum to 1 with least `w @ products @ w`, by trying every support."""
    count = len(products)
    best, least = torch.eye(count, dtype=products.dtype)[0], float("inf")
    ridge = 1e-9 * products.diagonal().mean().clamp(min=1e-12) * torch.eye(count, dtype=products.dtype)
    for size in range(1, count + 1):
        for support in map(list, itertools.combinations(range(count), size)):
            own = torch.linalg.solve((products + ridge)[support][:, support], torch.ones(size, dtype=products.dtype))
            weights = torch.zeros(count, dtype=products.dtype)
            weights[support] = own / own.sum()
            error = float(weights @ products @ weights)
            if (weights >= 0).all() and error < least:
                best, least = weights, error
    return best
