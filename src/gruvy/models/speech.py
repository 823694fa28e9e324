"""A recogniser of speech: log-mel frames, convolutions, a recurrent encoder, and symbols by CTC."""

from __future__ import annotations

import math
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
from gruvy.models.spectra import Augmentation, LogMel, Spectra

ANSWER = "recurrent network"
_KERNEL, _ACROSS = 5, 3  # steps and bands that a convolution sees
_FILTERS = (16, 32)
_LOWER, _HIGHER = 0.6, 0.7  # of the warp in training: how much lower and higher a recording is heard, too


class PastConv(nn.Module):
    """Convolution over the bands of a step and of those before it, max pooling of pairs of bands, batch normalisation
    and ReLU: what is to come changes nothing, and what is alike at another pitch is found there, too.

    Args:
        bands: of a step; channels: of each; filters: channels that come out; stride: steps from one that comes out to
            the next.
    """

    def __init__(self, bands: int, channels: int, filters: int, stride: int):
        super().__init__()
        self.channels, self.stride = channels, stride
        self.convolution = nn.Conv2d(channels, filters, (_KERNEL, _ACROSS), (stride, 1), padding=(0, _ACROSS // 2))
        self.bands = -(-bands // 2)
        self.output_size = filters * self.bands
        self.norm = RealStepNorm(self.output_size)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`(batch, steps, channels * bands)` and lengths -> `(batch, fewer steps, output_size)`, 0 past each end, and
        the lengths there, at least 1."""
        x, lengths = self._convolved(self._begun(x)), -(-lengths // self.stride)
        return torch.relu(self.norm(x, real_steps(lengths, x.shape[1]).transpose(0, 1))), lengths

    def step(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """More steps of the same sequences; `before` is what the next step that comes out needs of those before."""
        x = self._begun(x) if before is None else torch.cat([before, x], 1)
        count = max(0, (x.shape[1] - _KERNEL) // self.stride + 1)
        rest = x[:, count * self.stride :]
        if not count:
            return x.new_zeros(len(x), 0, self.output_size), rest
        found = self._convolved(x)
        return torch.relu(self.norm(found, found.new_ones(*found.shape[:2], 1, dtype=torch.bool))), rest

    def _begun(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, _KERNEL - 1, 0))

    def _convolved(self, x: Tensor) -> Tensor:
        found = self.convolution(x.unflatten(2, (self.channels, -1)).transpose(1, 2))
        found = F.pad(found, (0, found.shape[3] % 2), value=float("-inf"))
        return torch.maximum(found[..., ::2], found[..., 1::2]).transpose(1, 2).flatten(2)  # faster than max_pool2d


@dataclass
class Heard:
    """What is kept between the chunks of a stream: samples not yet in a frame, and the state of each part."""

    samples: Tensor
    early: Tensor | None = None  # None before the first frame
    late: Tensor | None = None
    encoder: Any = None
    steps: int = 0  # that the encoder gave


class SpeechModel(nn.Module):
    """Log-probabilities of the blank and of each symbol, every few frames.

    Where training warps the frequencies, a recording is afterwards heard at three pitches, and the probabilities are
    averaged: a voice that nobody heard before is rarely unlike all that were at each of them.

    Args:
        spectra: the frames.
        front: two convolutions, whose output a linear layer brings to the size that the encoder reads.
        encoder: reads from both sides, or the past alone.
        symbols: the blank not among them.
        look_ahead: steps that are heard after a step before it is said; past the end, they are of mean frames. Without,
            a network that reads the past alone learns to say a first symbol before it has heard one.
        locked_dropout: probability of hiding an input unit of the encoder for a whole clip; dropout: of an output unit.
    """

    pitches: Tensor
    answer = ANSWER

    def __init__(
        self, spectra: Spectra, front: tuple[PastConv, PastConv],
        encoder: Recurrent, symbols: int, look_ahead: int, locked_dropout: float, dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.look_ahead = look_ahead
        self.register_buffer("pitches", torch.tensor(_pitches(spectra.augmentation.warp)), persistent=False)
        self.spectra = spectra
        self.early, self.late = front
        self.narrow = nn.Linear(self.late.output_size, encoder.input_size)
        self.encoder = encoder
        self.locked_dropout, self.dropout = LockedDropout(locked_dropout), nn.Dropout(dropout)
        self.head = nn.Linear(encoder.output_units, symbols + 1)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`samples` `(batch, samples)` and `lengths` `(batch,)` -> `(batch, steps, symbols + 1)`, NaN past each end."""
        samples, lengths, pitch = batch["samples"], batch["lengths"], None
        if not self.training:
            pitch = self.pitches.repeat(len(samples))
            samples, lengths = (one.repeat_interleave(len(self.pitches), 0) for one in (samples, lengths))
        x, lengths = self.spectra(samples, lengths, pitch)
        x, lengths = self._ended(x), lengths + self._after
        for block in (self.early, self.late):
            x, lengths = block(x, lengths)
        output, _ = self.encoder(self.locked_dropout(self.narrow(x)), lengths=lengths)
        said, lengths = self._said(output[:, self.look_ahead :]), lengths - self.look_ahead
        if not self.training:
            said, lengths = self._averaged(said), lengths[:: len(self.pitches)]
        return said.masked_fill(~real_steps(lengths, said.shape[1]).transpose(0, 1), float("nan"))

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
        if last and heard.early is None and len(samples):
            ready = max(1, ready)  # a clip shorter than a window is a frame
        rest, begun = samples[ready * mel.hop :], bool(ready) or heard.early is not None
        if not begun or not (ready or last):
            return samples.new_zeros(0, self.head.out_features), replace(heard, samples=rest)
        clips = samples.expand(len(self.pitches), -1)
        frames, _ = mel(clips, torch.full((len(clips),), len(samples), device=samples.device), self.pitches)
        x = self.spectra.normalised(frames[:, :ready])
        x, early = self.early.step(self._ended(x) if last else x, heard.early)
        x, late = self.late.step(x, heard.late)
        output, state = x.new_zeros(len(x), 0, self.head.in_features), heard.encoder
        if x.shape[1]:
            output, state = self.encoder(self.narrow(x), state)
        known = output[:, max(0, self.look_ahead - heard.steps) :]
        return self._averaged(self._said(known))[0], Heard(rest, early, late, state, heard.steps + x.shape[1])

    @property
    def _after(self) -> int:
        """Frames that stand for what comes after the end."""
        return self.look_ahead * self.early.stride * self.late.stride

    def _ended(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, self._after))

    def _said(self, output: Tensor) -> Tensor:
        return self.head(self.dropout(output)).log_softmax(-1)

    def _averaged(self, said: Tensor) -> Tensor:
        """Log-probabilities `(batch * pitches, steps, units)` -> of the mean over pitches, `(batch, steps, units)`."""
        return said.unflatten(0, (-1, len(self.pitches))).logsumexp(1) - math.log(len(self.pitches))


def _pitches(warp: float) -> tuple[float, ...]:
    """Factors of the frequencies that a recording is heard at."""
    return (1 - _LOWER * warp, 1.0, 1 + _HIGHER * warp) if warp else (1.0,)


def speech_model(
    symbols: int, rate: int, mean: Tensor, scale: Tensor, cell: Cell, *, augmentation: Augmentation, hidden_size: int,
    num_layers: int, bidirectional: bool, stride: int, look_ahead: int, locked_dropout: float, dropout: float,
    engine: str,
) -> SpeechModel:  # fmt: skip
    """A `SpeechModel` from numbers.

    Args:
        symbols: there are; rate: of the samples; mean, scale: `(bands,)`, of the training clips' log-mel frames.
        stride: frames a step; look_ahead: steps, see `SpeechModel`.

    Raises:
        BadInput: a cell that reads something else than the sequence.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a speech model feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    encoder = Recurrent(
        cell, hidden_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0,
        bidirectional=bidirectional, engine=engine, recurrent_init="orthogonal",
    )  # fmt: skip
    early = PastConv(len(mean), 1, _FILTERS[0], stride)
    front = early, PastConv(early.bands, *_FILTERS, 1)
    spectra = Spectra(LogMel(rate, len(mean)), mean, scale, augmentation)
    return SpeechModel(spectra, front, encoder, symbols, look_ahead, locked_dropout, dropout)
