"""Models of one recording: spectra, convolutions over time and frequency, a recurrent encoder, pooling, head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.models.encoders import RecurrentLayer
from gruvy.models.parts import LockedDropout, Pooling
from gruvy.models.spectra import Augmentation, LogMel, Spectra

ANSWER = "recurrent network"
_KERNEL = 3
_FEWEST_FRAMES = 10  # the front leaves a clip of usual length at least so many
_LOWEST = -1e9  # below every number that a convolution gives: no maximum


class FrameNorm(nn.BatchNorm2d):
    """Batch normalisation of the real frames of a padded batch."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """`(batch, channels, frames, bands)` and lengths `(batch,)` -> as `x`, 0 past each end."""
        batch, channels, frames, bands = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch * frames, bands * channels)
        real = real_steps(lengths, frames)[..., 0].transpose(0, 1).flatten().nonzero()[:, 0]
        kept = rows.index_select(0, real).view(len(real), bands, 1, channels).permute(0, 3, 1, 2)
        found = super().forward(kept).permute(0, 2, 3, 1).reshape(len(real), bands * channels)
        whole = torch.zeros_like(rows).index_copy(0, real, found)
        return whole.view(batch, frames, bands, channels).permute(0, 3, 1, 2)


class BandFront(nn.Module):
    """Blocks of convolution over time and frequency, max pooling, batch normalisation and ReLU.

    What is alike at another pitch is found there, too, and pooling the bands makes little of the difference. A padded
    batch gives what its clips give alone.

    Args:
        bands: numbers a frame.
        filters: what comes out of each block; each pools two bands into one.
        strides: frames each block pools into one.

    Attributes:
        output_size: numbers a step of what comes out.
    """

    def __init__(self, bands: int, filters: tuple[int, ...], strides: tuple[int, ...]):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, _KERNEL, padding="same", bias=False)
            for before, after in zip((1, *filters[:-1]), filters, strict=True)
        )
        self.norms = nn.ModuleList(FrameNorm(size) for size in filters)
        self.strides = strides
        for _ in strides:
            bands = -(-bands // 2)
        self.output_size = bands * filters[-1]

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, frames, bands)`, 0 past each end, and lengths `(batch,)` -> `(batch, steps, output_size)`, 0 past
        each end, and the lengths there, at least 1."""
        x = x[:, None]
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.strides, strict=True):
            x = convolution(x.contiguous(memory_format=torch.channels_last))
            real = real_steps(lengths, x.shape[2]).permute(1, 2, 0)[..., None]
            x = F.max_pool2d(x.masked_fill(~real, _LOWEST), (stride, 2), ceil_mode=True)
            lengths = -(-lengths // stride)
            x = torch.relu(norm(x, lengths))
        return x.permute(0, 2, 1, 3).flatten(2), lengths


class RecurrentSound(nn.Module):
    """Spectra, convolutions, recurrent encoder, pooling, head.

    Args:
        spectra: the frames; front: reads them; encoder: reads what comes out of it.
        output_size: what the head gives, one value a class or one number.
        pooling: see `Pooling`.
        locked_dropout: probability of hiding an input unit of the encoder for the whole clip; dropout: of a pooled
            unit.

    Attributes:
        encoded_size: of what `encode` gives.
    """

    def __init__(
        self, spectra: Spectra, front: BandFront, encoder: RecurrentLayer, output_size: int, pooling: tuple[str, ...],
        locked_dropout: float = 0.0, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.spectra, self.front, self.encoder = spectra, front, encoder
        self.locked_dropout, self.pooling = LockedDropout(locked_dropout), Pooling(pooling)
        self.encoded_size = encoder.output_units * len(pooling)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(self.encoded_size, output_size)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`samples` `(batch, samples)` and `lengths` `(batch,)` -> `(batch, encoded_size)`."""
        x, lengths = self.spectra(batch["samples"], batch["lengths"])
        x, lengths = self.front(x, lengths)
        output, _ = self.encoder(self.locked_dropout(x), None, lengths)
        return self.pooling(output, lengths)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """As `encode` -> `(batch, output_size)`."""
        return self.head(self.dropout(self.encode(batch)))


class SoundModel(nn.Module):
    """A network of recordings; nothing stands beside it.

    Attributes:
        answer: the branch that speaks for the model, its only one.
    """

    answer = ANSWER

    def __init__(self, network: RecurrentSound):
        super().__init__()
        self.network = network

    def branches(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the network says, `(batch, output_size)`."""
        return {ANSWER: self.network(batch)}

    def prepare(self, train: Any, validation: Any, loss: Any, seed: int) -> None:
        """Nothing comes before gradient steps."""

    def finish(self, outputs: Any, targets: Any, loss: Any) -> None:
        """Nothing comes after them."""

    def prune(self, recipe: Any) -> Any:
        """The recipe: everything is kept."""
        return recipe


def sound_model(
    mel: LogMel, mean: Tensor, scale: Tensor, usual: float, output_size: int, cell: Cell, *, augmentation: Augmentation,
    filters: tuple[int, ...], hidden_size: int, bidirectional: bool,
    pooling: tuple[str, ...], locked_dropout: float, dropout: float, engine: str,
) -> SoundModel:  # fmt: skip
    """A `SoundModel` from numbers.

    Args:
        mel, mean, scale, augmentation: see `Spectra`.
        usual: seconds of a clip, which decide how many frames the front pools into one step.

    Raises:
        BadInput: a cell that reads something else than the frames.
    """
    front = BandFront(mel.size, filters, _strides(round(usual * mel.rate / mel.hop), len(filters)))
    if len(cell.inputs) > 1:
        raise BadInput(
            f"a model of sound feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell"
        )
    encoder = RecurrentLayer(cell, front.output_size, hidden_size, engine, bidirectional)
    spectra = Spectra(mel, mean, scale, augmentation)
    network = RecurrentSound(spectra, front, encoder, output_size, pooling, locked_dropout, dropout)
    return SoundModel(network)


def _strides(frames: int, blocks: int) -> tuple[int, ...]:
    """Of each block of the front: halves where that leaves frames enough."""
    strides = []
    for _ in range(blocks):
        strides.append(2 if frames // 2 >= _FEWEST_FRAMES else 1)
        frames //= strides[-1]
    return tuple(strides)
