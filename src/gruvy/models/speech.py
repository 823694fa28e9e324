"""A recogniser of speech: log-mel frames, convolutions, a recurrent encoder, and symbols by CTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.models.front import RealStepNorm
from gruvy.models.parts import LockedDropout
from gruvy.models.spectra import Augmentation, LogMel, MaskBands, Spectra

ANSWER = "recurrent network"
_KERNEL = 5
_PRIOR = 50.0  # frames that the level of all training clips counts for in that of one


class Levelled(nn.Module):
    """Frames less the level of their clip in each band, which is that of its speaker's voice, distance and microphone.

    Args:
        running: take the level of the frames up to now, not of the whole clip.
    """

    def __init__(self, running: bool):
        super().__init__()
        self.running = running

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, frames, bands)` of mean 0 over all clips, 0 past each end, and lengths -> the same shape."""
        real = real_steps(lengths, frames.shape[1]).transpose(0, 1)
        if self.running:
            return self.step(frames, None)[0].masked_fill(~real, 0)
        level = frames.sum(1) / (_PRIOR + lengths[:, None])
        return (frames - level[:, None]).masked_fill(~real, 0)

    def step(self, frames: Tensor, before: tuple[Tensor, int] | None) -> tuple[Tensor, tuple[Tensor, int]]:
        """More frames of the same clips, at least one; `before` is the sum and the number of those before them."""
        total, count = before if before is not None else (frames.new_zeros(len(frames), 1, frames.shape[2]), 0)
        sums = total + frames.cumsum(1)
        counts = count + torch.arange(1, frames.shape[1] + 1, device=frames.device)
        return frames - sums / (_PRIOR + counts[:, None]), (sums[:, -1:], count + frames.shape[1])


class PastConv(nn.Module):
    """Convolution, batch normalisation and ReLU of a step and those before it: what is to come changes nothing.

    Args:
        input_size, output_size: units of a step; stride: steps from one that comes out to the next.
    """

    def __init__(self, input_size: int, output_size: int, stride: int):
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv1d(input_size, output_size, _KERNEL, stride)
        self.norm = RealStepNorm(output_size)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, steps, input_size)` and lengths -> `(batch, fewer steps, output_size)`, 0 past each end, and the
        lengths there, at least 1."""
        x, lengths = self._convolved(self._begun(x)), -(-lengths // self.stride)
        return torch.relu(self.norm(x, real_steps(lengths, x.shape[1]).transpose(0, 1))), lengths

    def step(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """More steps of the same sequences; `before` is what the next step that comes out needs of those before."""
        x = self._begun(x) if before is None else torch.cat([before, x], 1)
        count = max(0, (x.shape[1] - _KERNEL) // self.stride + 1)
        rest = x[:, count * self.stride :]
        if not count:
            return x.new_zeros(len(x), 0, self.convolution.out_channels), rest
        found = self._convolved(x)
        return torch.relu(self.norm(found, found.new_ones(*found.shape[:2], 1, dtype=torch.bool))), rest

    def _begun(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, _KERNEL - 1, 0))

    def _convolved(self, x: Tensor) -> Tensor:
        return self.convolution(x.transpose(1, 2)).transpose(1, 2)


@dataclass
class Heard:
    """What is kept between the chunks of a stream: samples not yet in a frame, and the state of each part."""

    samples: Tensor
    level: tuple[Tensor, int] | None = None  # None before the first frame
    early: Tensor | None = None
    late: Tensor | None = None
    encoder: Any = None


class SpeechModel(nn.Module):
    """Log-probabilities of the blank and of each symbol, every few frames.

    Args:
        spectra: the frames; levelled: takes their level out; mask: hides some in training.
        front: two convolutions; encoder: reads what comes out of them, from both sides or from the past alone.
        symbols: the blank not among them.
        locked_dropout: probability of hiding an input unit of the encoder for a whole clip; dropout: of an output unit.
    """

    answer = ANSWER

    def __init__(
        self, spectra: Spectra, levelled: Levelled, mask: MaskBands, front: tuple[PastConv, PastConv],
        encoder: Recurrent, symbols: int, locked_dropout: float, dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.spectra, self.levelled, self.mask = spectra, levelled, mask
        self.early, self.late = front
        self.encoder = encoder
        self.locked_dropout, self.dropout = LockedDropout(locked_dropout), nn.Dropout(dropout)
        self.head = nn.Linear(encoder.output_units, symbols + 1)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`samples` `(batch, samples)` and `lengths` `(batch,)` -> `(batch, steps, symbols + 1)`, NaN past each end."""
        x, lengths = self.spectra(batch["samples"], batch["lengths"])
        x = self.mask(self.levelled(x, lengths), lengths)
        for block in (self.early, self.late):
            x, lengths = block(x, lengths)
        output, _ = self.encoder(self.locked_dropout(x), lengths=lengths)
        past = ~real_steps(lengths, output.shape[1]).transpose(0, 1)
        return self._said(output).masked_fill(past, float("nan"))

    def branches(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the network says."""
        return {ANSWER: self(batch)}

    def steps(self, lengths: Tensor) -> Tensor:
        """How many steps come out for clips of so many samples."""
        lengths = self.spectra.mel.frames(lengths)
        for block in (self.early, self.late):
            lengths = -(-lengths // block.stride)
        return lengths

    def hear(self, samples: Tensor, heard: Heard | None, last: bool = False) -> tuple[Tensor, Heard]:
        """The next samples `(samples,)` of a clip -> log-probabilities `(steps, symbols + 1)` of the steps that are
        now known, and what goes on from there. All steps of a clip are those of the clip at once.

        Args:
            heard: of the samples before, None for the first; last: no more samples come.
        """
        mel, heard = self.spectra.mel, heard or Heard(samples[:0])
        samples = torch.cat([heard.samples, samples])
        ready = max(0, 1 + (len(samples) - mel.window) // mel.hop)
        if last and heard.level is None and len(samples):
            ready = max(1, ready)  # a clip shorter than a window is a frame
        rest, units = samples[ready * mel.hop :], self.head.out_features
        if not ready:
            return samples.new_zeros(0, units), replace(heard, samples=rest)
        frames, _ = mel(samples[None], torch.tensor([len(samples)], device=samples.device))
        x, level = self.levelled.step(self.spectra.normalised(frames), heard.level)
        x, early = self.early.step(x, heard.early)
        x, late = self.late.step(x, heard.late)
        said, state = x.new_zeros(1, 0, units), heard.encoder
        if x.shape[1]:
            output, state = self.encoder(x, state)
            said = self._said(output)
        return said[0], Heard(rest, level, early, late, state)

    def _said(self, output: Tensor) -> Tensor:
        return self.head(self.dropout(output)).log_softmax(-1)


def speech_model(
    symbols: int, rate: int, mean: Tensor, scale: Tensor, cell: Cell, *, augmentation: Augmentation, hidden_size: int,
    num_layers: int, bidirectional: bool, stride: int, locked_dropout: float, dropout: float, engine: str,
) -> SpeechModel:  # fmt: skip
    """A `SpeechModel` from numbers.

    Args:
        symbols: there are; rate: of the samples; mean, scale: `(bands,)`, of the training clips' log-mel frames.
        stride: frames a step.

    Raises:
        BadInput: a cell that reads something else than the sequence.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a speech model feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    encoder = Recurrent(
        cell, hidden_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0,
        bidirectional=bidirectional, engine=engine, recurrent_init="orthogonal",
    )  # fmt: skip
    front = PastConv(len(mean), hidden_size, 1), PastConv(hidden_size, hidden_size, stride)
    # What is hidden is set to the level of the clip, once that is known.
    spectra = Spectra(LogMel(rate, len(mean)), mean, scale, replace(augmentation, masked_bands=0.0, masked_frames=0.0))
    mask = MaskBands(augmentation.masked_bands, augmentation.masked_frames)
    return SpeechModel(
        spectra, Levelled(not bidirectional), mask, front, encoder, symbols, locked_dropout, dropout
    )  # fmt: skip
