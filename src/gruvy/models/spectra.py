"""Sound as a sequence of spectra, and what augments them in training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.engines import real_steps

_FLOOR = 1e-7  # of the power in a band, full scale 1: below what is heard in a quiet recording
_AT_ONCE = 2**24  # samples whose spectra are in memory together, about
_PLACES = 5  # along the frequencies, that are coloured
_BENDS = 4  # places between the lowest and the highest frequency, which stay
_SYLLABLE = 25  # frames, about, from one place to the next where the pace changes
_KNEE = 0.6  # of the highest frequency: a warp is a factor below it (Jaitly & Hinton 2013: 4800 of 8000 Hz)


def to_mel(hertz: Tensor) -> Tensor:
    """Frequency on the mel scale: m = 2595 log10(1 + f / 700) (O'Shaughnessy 1987; HTK)."""
    return 2595 * torch.log10(1 + hertz / 700)


def mel_filters(rate: float, size: int, mels: int, warp: Tensor | None = None, bend: Tensor | None = None) -> Tensor:
    """Triangles of equal width on the mel scale, each from the peak of the one before to that of the one after (HTK).

    Args:
        rate: samples a second; size: samples of the Fourier transform.
        warp: `(batch,)`, a factor of all frequencies for each clip; near the highest one it bends, which stays where
            it is (vocal tract length perturbation, Jaitly & Hinton 2013).
        bend: `(batch, places)`, shares that are added at places between the lowest and the highest.

    Returns:
        `(size // 2 + 1, mels)`, with `warp` or `bend` `(batch, size // 2 + 1, mels)`.
    """
    highest = rate / 2
    hertz = torch.linspace(0, highest, size // 2 + 1)
    if warp is not None:
        factor = warp[:, None]
        knee = _KNEE * highest * factor.clamp(max=1) / factor
        slope = (highest - knee * factor) / (highest - knee)
        hertz = torch.where(hertz <= knee, hertz * factor, highest - slope * (highest - hertz))
    if bend is not None:
        hertz = hertz * (1 + _along(F.pad(bend, (1, 1)), hertz.shape[-1]))
    spacing = to_mel(torch.tensor(highest)) / (mels + 1)
    peaks = spacing * torch.arange(1, mels + 1)
    return torch.relu(1 - (to_mel(hertz)[..., None] - peaks).abs() / spacing)


class LogMel(nn.Module):
    """The logarithm of the power in bands of the mel scale, a frame every few milliseconds.

    Frame t is of the samples from t * hop to t * hop + window and of no others, its mean taken out: a stream gives the
    frames of the whole. Samples after the last whole window are left out; a clip shorter than a window is padded with
    zeros to one. A padded batch gives what its clips give alone, and silence gives finite numbers.

    Args:
        rate: samples a second.
        mels: bands.
        window_seconds: of a frame (Hann); hop_seconds: from one to the next.
        cepstra: first coefficients of the discrete cosine transform of the bands to give instead of them, orthonormal
            (mel frequency cepstral coefficients, Davis & Mermelstein 1980); 0 for the bands themselves.

    Attributes:
        window, hop: in samples; size: numbers a frame.
    """

    hann: Tensor
    filters: Tensor
    cosines: Tensor

    def __init__(
        self, rate: int, mels: int = 40, window_seconds: float = 0.025, hop_seconds: float = 0.010, cepstra: int = 0
    ):
        super().__init__()
        self.rate, self.mels, self.cepstra = rate, mels, cepstra
        self.window, self.hop = max(2, round(rate * window_seconds)), max(1, round(rate * hop_seconds))
        self.size = cepstra or mels
        self.fourier = 2 ** math.ceil(math.log2(self.window))
        while not mel_filters(rate, self.fourier, mels).sum(0).all():  # the lowest bands are narrow
            self.fourier *= 2
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        self.register_buffer("filters", mel_filters(rate, self.fourier, mels), persistent=False)
        self.register_buffer("cosines", _cosines(mels)[:, :cepstra], persistent=False)

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of clips of so many samples, at least 1."""
        return 1 + (lengths - self.window).clamp(min=0) // self.hop

    def forward(
        self, samples: Tensor, lengths: Tensor, warp: Tensor | None = None, bend: Tensor | None = None,
        colour: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Samples `(batch, samples)` and their lengths `(batch,)` -> `(batch, frames, size)`, 0 past each end, and the
        numbers of frames.

        Args:
            warp, bend: of the frequencies of each clip, see `mel_filters`; colour: `(batch, mels)`, of the power in
                each band of each clip, factors.
        """
        samples = F.pad(samples, (0, max(0, self.window - samples.shape[1])))
        samples = samples.masked_fill(~real_steps(lengths, samples.shape[1]).transpose(0, 1)[..., 0], 0)
        filters = self.filters[None]
        if warp is not None or bend is not None:
            moved = (None if one is None else one.cpu() for one in (warp, bend))
            filters = mel_filters(self.rate, self.fourier, self.mels, *moved).to(samples)
        if colour is not None:
            filters = filters * colour[:, None]
        rows = max(1, _AT_ONCE // samples.shape[1])
        parts = zip(samples.split(rows), filters.expand(len(samples), -1, -1).split(rows), strict=True)
        found = torch.cat([self._bands(*part) for part in parts])
        lengths = self.frames(lengths)
        past = ~real_steps(lengths, found.shape[1]).transpose(0, 1)
        return found.masked_fill(past, 0), lengths

    def _bands(self, samples: Tensor, filters: Tensor) -> Tensor:
        frames = samples.unfold(1, self.window, self.hop)
        frames = (frames - frames.mean(-1, keepdim=True)) * self.hann
        power = torch.fft.rfft(frames, self.fourier).abs().square() / self.hann.square().sum()
        bands = torch.log(power @ filters + _FLOOR)
        return bands @ self.cosines if self.cepstra else bands


@dataclass(frozen=True)
class Augmentation:
    """How much sound is disturbed in training; 0 leaves a disturbance out.

    Attributes:
        crop: seconds that are heard of a longer clip, some anywhere in it.
        gain: deviation of the loudness, in decibels; colour: of that of a few places along the frequencies, as from
            another microphone or room (FilterAugment, Nam et al. 2022, arXiv:2110.03282).
        noise: share of the clips that get white noise, of 10 to 50 decibels below the clip.
        shift: seconds a clip begins earlier or later, at most; what is moved out is lost.
        warp: the most that all frequencies are moved, as a share (vocal tract length perturbation); bend: deviation of
            what is added to it at a few places along them, so that the formants of a voice move apart or together.
        pace: the most that a clip is slower or faster, as a share, its frequencies as they are; drift: the most that
            it then is so on the way, some syllables drawn out and others short.
        masked_bands, masked_frames: share of the bands and of the frames that each of two masks hides, at most
            (SpecAugment, Park et al. 2019).
    """

    crop: float = 0.0
    gain: float = 0.0
    colour: float = 0.0
    noise: float = 0.0
    shift: float = 0.0
    warp: float = 0.0
    bend: float = 0.0
    pace: float = 0.0
    drift: float = 0.0
    masked_bands: float = 0.0
    masked_frames: float = 0.0


class Spectra(nn.Module):
    """Sound as frames of mean 0 and deviation 1, disturbed in training.

    Args:
        mel: the frames; mean, scale: `(mel.size,)`, of each of their numbers over the training clips.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mel: LogMel, mean: Tensor, scale: Tensor, augmentation: Augmentation):
        super().__init__()
        self.mel, self.augmentation = mel, augmentation
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)
        self.mask = MaskBands(augmentation.masked_bands, augmentation.masked_frames)

    def forward(self, samples: Tensor, lengths: Tensor, warp: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`(batch, samples)` and lengths `(batch,)` -> `(batch, frames, mel.size)`, 0 past each end, and lengths.

        Args:
            warp: of the frequencies of each clip, see `mel_filters`; in training it is drawn.
        """
        how, bend, colour = self.augmentation, None, None
        if self.training:
            samples, lengths = cropped(samples, lengths, round(how.crop * self.mel.rate))
            samples = disturbed(samples, lengths, how, self.mel.rate)
            warp = _around_one(len(samples), how.warp, samples) if how.warp else None
            bend = how.bend * torch.randn(len(samples), _BENDS) if how.bend else None
            colour = coloured(len(samples), self.mel.mels, how.colour, samples) if how.colour else None
        frames, lengths = self.mel(samples, lengths, warp, bend, colour)
        if self.training and (how.pace or how.drift):
            pace = _around_one(len(frames), how.pace, frames)[:, None] * drifting(frames, how.drift)
            frames, lengths = at_pace(frames, lengths, pace)
        real = real_steps(lengths, frames.shape[1]).transpose(0, 1)
        frames = self.normalised(frames).masked_fill(~real, 0)
        return self.mask(frames, lengths), lengths

    def normalised(self, frames: Tensor) -> Tensor:
        """`(..., mel.size)` -> the same shape."""
        return (frames - self.mean) / self.scale


class MaskBands(nn.Module):
    """Hides stretches of bands and of frames in training (SpecAugment, Park et al. 2019, arXiv:1904.08779): two masks
    each, of a width between none and a share of the whole, set to the mean.

    Args:
        bands, frames: that share.
    """

    def __init__(self, bands: float, frames: float, masks: int = 2):
        super().__init__()
        self.bands, self.frames, self.masks = bands, frames, masks

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, frames, bands)` of mean 0 -> the same shape."""
        if not self.training:
            return x
        for _ in range(self.masks):
            x = x.masked_fill(_stretches(lengths, self.frames, x.shape[1])[:, :, None], 0)
            x = x.masked_fill(_stretches(torch.full_like(lengths, x.shape[2]), self.bands, x.shape[2])[:, None], 0)
        return x


def _stretches(lengths: Tensor, share: float, steps: int) -> Tensor:
    """`(batch, steps)`, True in one stretch of each row, of at most a share of its length."""
    width, place = torch.rand(2, len(lengths), 1, device=lengths.device)
    width = width * share * lengths[:, None]
    start = place * (lengths[:, None] - width)
    step = torch.arange(steps, device=lengths.device) + 0.5
    return (step > start) & (step < start + width)


def cropped(samples: Tensor, lengths: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """At most so many samples of each clip, from anywhere in it, and their numbers; 0 for all."""
    if not most or samples.shape[1] <= most:
        return samples, lengths
    start = (torch.rand(len(lengths), device=lengths.device) * (lengths - most + 1).clamp(min=0)).long()
    return samples.gather(1, start[:, None] + torch.arange(most, device=samples.device)), lengths.clamp(max=most)


def disturbed(samples: Tensor, lengths: Tensor, how: Augmentation, rate: int) -> Tensor:
    """Clips `(batch, samples)` of other loudness, with noise, and a little earlier or later."""
    batch, longest = samples.shape
    if how.shift:
        moved = (torch.empty(batch, 1, device=samples.device).uniform_(-1, 1) * how.shift * rate).long()
        source = torch.arange(longest, device=samples.device) - moved
        inside = (source >= 0) & (source < lengths[:, None])
        samples = samples.gather(1, source.clamp(0, longest - 1)).masked_fill(~inside, 0)
    if how.noise:
        power = samples.square().sum(1, keepdim=True) / lengths[:, None]
        below = torch.empty_like(power).uniform_(10, 50)
        noisy = torch.rand_like(power) < how.noise
        samples = samples + torch.randn_like(samples) * (power * 10 ** (-below / 10)).sqrt() * noisy
    if how.gain:
        samples = samples * 10 ** (torch.randn(batch, 1, device=samples.device) * how.gain / 20)
    return samples


def coloured(batch: int, bands: int, deviation: float, like: Tensor) -> Tensor:
    """Factors of the power in each band `(batch, bands)`, smooth along them; the deviation is in decibels."""
    return 10 ** (_along(deviation * torch.randn(batch, _PLACES, device=like.device), bands) / 10)


def _along(values: Tensor, places: int) -> Tensor:
    """Values `(batch, few)`, and between them in straight lines, `(batch, places)`."""
    return F.interpolate(values[:, None], places, mode="linear", align_corners=True)[:, 0]


def drifting(frames: Tensor, most: float) -> Tensor:
    """Factors around 1 for `(batch, frames, size)`, `(batch, frames)`, smooth along the frames."""
    batch, count, _ = frames.shape
    wave = 2 * torch.rand(batch, 2 + count // _SYLLABLE, device=frames.device) - 1
    return 1 + most * _along(wave, count)


def at_pace(frames: Tensor, lengths: Tensor, pace: Tensor) -> tuple[Tensor, Tensor]:
    """Frames `(batch, frames, size)` as of clips so many times `(batch, frames)` as fast there, and their numbers.

    Between two frames, what is given is interpolated.
    """
    heard = (1 / pace).cumsum(1)  # when each frame is over, in frames of the new clip
    shorter = heard.gather(1, lengths[:, None] - 1)[:, 0].round().long().clamp(min=1)
    now = torch.arange(int(shorter.max()), device=frames.device, dtype=heard.dtype).repeat(len(frames), 1)
    frame = torch.searchsorted(heard, now).clamp(max=frames.shape[1] - 1)
    time = frame + (now - F.pad(heard, (1, 0)).gather(1, frame)) * pace.gather(1, frame)
    time = time.clamp(max=frames.shape[1] - 1).minimum(lengths[:, None] - 1)
    before = time.long()
    values, following = (
        frames.gather(1, at[:, :, None].expand(-1, -1, frames.shape[2]))
        for at in (before, (before + 1).minimum(lengths[:, None] - 1))
    )
    return torch.lerp(values, following, (time - before)[:, :, None]), shorter


def _around_one(count: int, most: float, like: Tensor) -> Tensor:
    return torch.empty(count, device=like.device).uniform_(1 - most, 1 + most)


def _cosines(bands: int) -> Tensor:
    """The orthonormal discrete cosine transform II, `(bands, bands)`, a column a coefficient."""
    band, order = torch.arange(bands)[:, None] + 0.5, torch.arange(bands)
    cosines = torch.cos(math.pi / bands * band * order) * math.sqrt(2 / bands)
    cosines[:, 0] /= math.sqrt(2)
    return cosines
