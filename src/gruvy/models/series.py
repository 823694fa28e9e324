"""Models of one labelled series: recurrent members, a branch of fixed convolutions, and their combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.data.labelled.inputs import SeriesValues
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.models.convolutions import ConvolutionSeries
from gruvy.models.front import ConvFront
from gruvy.models.members import Members
from gruvy.models.parts import LockedDropout, Pooling
from gruvy.models.weighing import Loss, Weighing, held_out_loss

RECURRENT, CONVOLUTIONS, BOTH = "recurrent branch", "convolution branch", "both"
_KERNEL_SIZES = (7, 5, 3)
_FEWEST_STEPS = 24  # the front leaves the recurrent layer at least so many
_FEWEST = 4  # held-out rows that can weigh branches
_CLEARLY = 0.005  # share of the loss the convolution branch must save to be kept


class Distortion(nn.Module):
    """Series a little noisier, larger or smaller, and faster here and slower there, in training (Um et al. 2017,
    arXiv:1706.00527).

    Args:
        noise: deviation of what is added to each value.
        scaling: deviation of the factor of each feature.
        warping: deviation of the logarithm of the pace.
    """

    def __init__(self, noise: float, scaling: float, warping: float):
        super().__init__()
        self.noise, self.scaling, self.warping = noise, scaling, warping

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, steps, features)` -> the same shape; each series keeps its length, its first and its last step."""
        if not self.training:
            return x
        x = x * (1 + self.scaling * torch.randn_like(x[:, :1]))
        return self._warped(x + self.noise * torch.randn_like(x), lengths)

    def _warped(self, x: Tensor, lengths: Tensor) -> Tensor:
        batch, steps, features = x.shape
        pace = torch.exp(self.warping * torch.randn(batch, 1, 4, device=x.device))
        pace = F.interpolate(pace, steps, mode="linear", align_corners=True)[:, 0]
        time = pace.cumsum(1) - pace[:, :1]
        last = lengths[:, None] - 1
        time = (time * last / time.gather(1, last).clamp(min=1e-6)).clamp(max=steps - 1)
        before = time.long()
        after = (before + 1).clamp(max=steps - 1)
        values, following = (x.gather(1, at[:, :, None].expand(-1, -1, features)) for at in (before, after))
        return torch.lerp(values, following, (time - before)[:, :, None])


class RecurrentSeries(nn.Module):
    """Convolutional front, recurrent encoder, pooling, head.

    Args:
        front: reads `(batch, steps, features)`; None hands it to the encoder as it is.
        encoder: reads what comes out of the front.
        output_size: what the head gives, one value a class or one number.
        pooling: see `Pooling`; without any, the head answers at every step.
        distortion: of the series in training.
        locked_dropout: probability of hiding an input unit of the encoder for the whole series; dropout: of a pooled
        unit.
    """

    def __init__(
        self, front: ConvFront | None, encoder: Recurrent, output_size: int, pooling: tuple[str, ...],
        distortion: Distortion, locked_dropout: float = 0.0, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.distortion, self.front, self.encoder = distortion, front, encoder
        self.locked_dropout = LockedDropout(locked_dropout)
        self.pooling = Pooling(pooling) if pooling else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.output_units * max(1, len(pooling)), output_size)

    @property
    def encoded_size(self) -> int:
        """Units of a series as `encode` gives it."""
        return self.head.in_features

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`values` `(batch, steps, features)` and `lengths` `(batch,)` -> `(batch, encoded_size)`."""
        output, lengths = self._outputs(batch)
        assert self.pooling is not None
        pooled: Tensor = self.pooling(output, lengths)
        return pooled

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch as `encode` reads it -> `(batch, output_size)`; without a pooling `(batch, steps)`, NaN past each
        end."""
        if self.pooling is not None:
            return self.head(self.dropout(self.encode(batch)))
        output, lengths = self._outputs(batch)
        past = ~real_steps(lengths, output.shape[1]).transpose(0, 1)[..., 0]
        return self.head(self.dropout(output))[..., 0].masked_fill(past, float("nan"))

    def _outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Of the recurrent layer, `(batch, steps, units)`, and their lengths."""
        x, lengths = self.distortion(batch["values"], batch["lengths"]), batch["lengths"]
        if self.front is not None:
            x, lengths = self.front(x, lengths)
        output, _ = self.encoder(self.locked_dropout(x), lengths=lengths)
        return output, lengths


class SeriesModel(nn.Module):
    """A recurrent branch and, where it helps, a branch of fixed convolutions beside it.

    Few series leave none to spare for validation: they are cut into as many folds as there are members, member k is
    trained on all but fold k, and what it says of fold k, never seen, is what the branches are weighed on.

    Args:
        members: the recurrent branch, which gradient steps train.
        convolutions: the other branch, which `prepare` fits and `finish` weighs; None for a model without.

    Attributes:
        network: the members as one.
        answer: the branch that speaks for the model, a key of `branches`.
    """

    def __init__(self, members: Sequence[RecurrentSeries], convolutions: ConvolutionSeries | None):
        super().__init__()
        self.network, self.convolutions = Members(members), convolutions
        self.weighing = Weighing(2) if convolutions is not None else None
        self.answer = BOTH if convolutions is not None else RECURRENT

    def branches(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each branch says, `(batch, output_size)`."""
        recurrent = self.network(batch)
        if self.convolutions is None or self.weighing is None:
            return {RECURRENT: recurrent}
        convolutions = self.convolutions(batch)
        return {CONVOLUTIONS: convolutions, RECURRENT: recurrent, BOTH: self.weighing(recurrent, convolutions)}

    def prepare(self, series: SeriesValues, targets: Tensor, folds: Tensor, loss: Loss, seed: int) -> dict[str, Tensor]:
        """What comes before gradient steps: the whole convolution branch, see `ConvolutionSeries.fit`.

        Returns:
            What it says of the series held out, in their order, for `finish`.
        """
        if self.convolutions is None:
            return {}
        return {CONVOLUTIONS: self.convolutions.fit(series, targets, folds, loss, seed)}

    def finish(self, outputs: Mapping[str, Tensor], targets: Tensor, loss: Loss) -> None:
        """Weigh the branches, given what each says of series held out from it.

        Both speak for the model where that costs clearly less than the recurrent branch alone, on held-out series.
        """
        if self.weighing is None:
            return
        recurrent, convolutions = outputs[RECURRENT], outputs[CONVOLUTIONS]
        self.answer = RECURRENT
        if len(targets) < _FEWEST:
            return
        self.weighing.fit([recurrent, convolutions], targets, loss)
        alone, both = (held_out_loss(said, targets, loss) for said in ([recurrent], [recurrent, convolutions]))
        if both < (1 - _CLEARLY) * alone:
            self.answer = BOTH

    def prune(self, recipe: Any) -> Any:
        """Remove the convolution branch where it does not help; the recipe of what is left."""
        if self.answer == BOTH:
            return recipe
        self.convolutions = self.weighing = None
        return replace(recipe, convolutions=0)


def series_model(
    features: int, steps: int, output_size: int, cell: Cell, *, front: str, hidden_size: int, num_layers: int,
    bidirectional: bool, pooling: tuple[str, ...], noise: float, scaling: float, warping: float, locked_dropout: float,
    dropout: float, members: int, convolutions: int, engine: str,
) -> SeriesModel:  # fmt: skip
    """A `SeriesModel` from numbers.

    Args:
        features: of a step; steps: of the longest series, which decide how much the front pools.
        front: `"conv"`, or `"none"` for a recurrent layer that reads the series as they are.
        members: recurrent networks; convolutions: features of the other branch, about, 0 to leave it out.

    Raises:
        BadInput: a front there is not, or a cell that reads something else than the series.
    """
    if front not in ("conv", "none"):
        raise BadInput(f"front is {front!r}; expected 'conv' or 'none'")
    if len(cell.inputs) > 1:
        raise BadInput(f"a series model feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    if "H" in cell.inputs.values() and front == "none" and features != hidden_size:
        raise BadInput(f"{cell.name} adds its input to its state and needs a front of that size: use front='conv'")

    def member() -> RecurrentSeries:
        conv = ConvFront(features, (hidden_size, 2 * hidden_size, hidden_size), _KERNEL_SIZES, _strides(steps))
        encoder = Recurrent(
            cell, hidden_size if front == "conv" else features, hidden_size, num_layers, batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0, bidirectional=bidirectional, engine=engine,
            recurrent_init="orthogonal",
        )  # fmt: skip
        return RecurrentSeries(
            conv if front == "conv" else None, encoder, output_size, pooling, Distortion(noise, scaling, warping),
            locked_dropout, dropout,
        )  # fmt: skip

    branch = ConvolutionSeries(convolutions, output_size) if convolutions else None
    return SeriesModel([member() for _ in range(members)], branch)


def _strides(steps: int) -> tuple[int, ...]:
    """Of each block of the front: halves where that leaves steps enough."""
    strides = []
    for _ in _KERNEL_SIZES[1:]:
        strides.append(2 if steps // 2 >= _FEWEST_STEPS else 1)
        steps //= strides[-1]
    return (*strides, 1)
