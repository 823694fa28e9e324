"""Clips of sound, read from WAV, FLAC and OGG files.

A clip is read whatever is in it: the channels of a stereo one are averaged, a silent or a clipped one is taken as it
is, and one sample is a clip. A clip without samples, or with samples that are no numbers, is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.errors import BadInput

SUFFIXES = (".wav", ".flac", ".ogg")
HIGHEST_RATE = 16_000  # what `common_rate` chooses at most: speech and most sounds are told apart below 8 kHz
_POSSIBLE_RATES = (100, 384_000)
_MOST_CHANNELS = 64
_LOUDEST = 1e6  # samples of files that are not scaled to 1 are below it
_FINEST = 1000  # parts of the ratio of two rates: what rounds it moves a pitch by less than a thousandth


def read_clip(path: str | os.PathLike[str], rate: int) -> np.ndarray:
    """The samples of a file as float32 `(samples,)`, full scale 1, its channels averaged, at `rate` a second.

    Raises:
        BadInput: there is no such file, it holds no sound that can be read, or no sample.
    """
    with _naming(path) as sound:
        samples, own = sound.read(path, dtype="float32", always_2d=True)
    return to_clip(samples, own, rate, str(path))


def read_clips(paths: Sequence[str | os.PathLike[str]], rate: int) -> list[np.ndarray]:
    """`read_clip` of many files at once."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda path: read_clip(path, rate), paths))


def to_clip(samples: np.ndarray, own: int, rate: int, name: str) -> np.ndarray:
    """Samples `(samples,)` or `(samples, channels)` of a rate of their own as `read_clip` gives them.

    Args:
        name: of the clip, for errors.

    Raises:
        BadInput: there are none, they are no numbers, or the rate cannot be one.
    """
    samples = np.asarray(samples)
    if samples.dtype.kind not in "fiu" or samples.ndim not in (1, 2):
        raise BadInput(f"{name} is {samples.dtype} of shape {samples.shape}; expected numbers (samples, channels)")
    if samples.ndim == 2 and samples.shape[1] > _MOST_CHANNELS:
        raise BadInput(
            f"{name} has {samples.shape[1]} channels of {len(samples)} samples; expected (samples, channels)"
        )
    if samples.dtype.kind in "iu" and samples.dtype.itemsize > 4:
        raise BadInput(f"{name} holds {samples.dtype}, whose full scale is unknown; give int16, or floats up to 1")
    if samples.dtype.kind in "iu":  # whole numbers are those of a file, of so many bits
        samples = _full_scale(samples)
    mono = samples.astype(np.float32) if samples.ndim == 1 else samples.mean(1, dtype=np.float32)
    if not len(mono):
        raise BadInput(f"{name} has no samples; expected at least one: leave it out")
    loudest = np.abs(mono).max()
    if not loudest <= _LOUDEST:  # NaN too
        raise BadInput(f"{name} has a sample of {loudest:g}, and full scale is 1; record or convert it again")
    return _resampled(mono, check_rate(own, f"{name}: "), rate)


def check_rate(rate: Any, name: str = "") -> int:
    """A rate in samples a second; `name` of what has it, for the error.

    Raises:
        BadInput: it cannot be one.
    """
    low, high = _POSSIBLE_RATES
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not low <= rate <= high:
        raise BadInput(f"{name}the rate is {rate!r}; expected samples a second from {low} to {high:,}, such as 16000")
    return round(float(rate))


def common_rate(paths: Sequence[str | os.PathLike[str]]) -> int:
    """The most frequent sample rate of the files, at most `HIGHEST_RATE`.

    Raises:
        BadInput: a file cannot be read.
    """
    rates = Counter(_rate(path) for path in paths)
    return min(HIGHEST_RATE, max(rates, key=lambda rate: (rates[rate], rate)))


def _rate(path: str | os.PathLike[str]) -> int:
    with _naming(path) as sound:
        found: int = sound.info(path).samplerate
    return found


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The library that reads sound; what it refuses becomes a sentence about the file."""
    import soundfile

    if not str(path).strip():
        raise BadInput("an empty path came; give a recording")
    if Path(path).is_dir():
        raise BadInput(f"{path} is a directory; give --audio {path} for the recordings in it")
    if not Path(path).is_file():
        raise BadInput(f"{path}: no such file; give a recording")
    try:
        yield soundfile
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:  # raw files want more arguments
        reason = str(error).split(": ")[-1].rstrip(".")
        kinds = ", ".join(suffix[1:].upper() for suffix in SUFFIXES)
        raise BadInput(f"{path} holds no sound that can be read ({reason}); expected {kinds}") from None


def _full_scale(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.uint8:  # the one kind whose silence is not 0
        return (samples.astype(np.float32) - 128) / 128
    return samples / np.float32(np.iinfo(samples.dtype).max)


def _resampled(samples: np.ndarray, own: int, rate: int) -> np.ndarray:
    if own == rate:
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(rate, own).limit_denominator(_FINEST)
    return resample_poly(samples, max(1, ratio.numerator), ratio.denominator).astype(np.float32)
