"""What `gruvy stream` does with a model of recordings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from gruvy.artefact import Trained, to_json
from gruvy.data.sound.clips import check_rate, read_clip
from gruvy.errors import BadInput
from gruvy.tasks.modalities.sound import Listener

_CHUNK = 0.1  # seconds that are heard at once


def listen(trained: Trained, audio: str | None, rate: int | None) -> None:
    """Print a JSON line for each sound in a recording, or in raw samples on standard input, once it has ended."""
    listener = Listener(trained)
    for samples in chunks(audio, rate, trained.inputs.rate):
        _print(listener.hear(samples))
    _print(listener.hear(np.zeros(0, np.float32), last=True))


def _print(found: list[dict[str, Any]]) -> None:
    for one in found:
        print(to_json(one), flush=True)


def chunks(audio: str | None, rate: int | None, own: int) -> Iterator[np.ndarray]:
    """Samples of a recording, or of standard input, a tenth of a second at a time.

    Args:
        rate: of standard input, which must be the model's `own`; None for that.

    Raises:
        BadInput: the rate is another, or there is nothing to hear.
    """
    if audio is not None and rate is not None:
        raise BadInput("--rate is of samples on standard input, and --audio names a file, which says its own")
    if rate is not None and check_rate(rate) != own:
        raise BadInput(
            f"--rate {rate}: the model hears {own} samples a second; record with that rate, or convert on the way: "
            f"ffmpeg -f s16le -ar {rate} -i - -f s16le -ar {own} -"
        )
    return _of_file(audio, own) if audio is not None else _of_input(own)


def _of_file(path: str, rate: int) -> Iterator[np.ndarray]:
    samples = read_clip(path, rate)
    size = round(_CHUNK * rate)
    yield from (samples[i : i + size] for i in range(0, len(samples), size))


def _of_input(rate: int) -> Iterator[np.ndarray]:
    """Samples of 16 bits, signed, the low byte first, one channel."""
    if sys.stdin.isatty():
        raise BadInput("nothing to hear; give --audio FILE, or raw 16-bit samples on standard input with --rate")
    source: Any = sys.stdin.buffer
    rest, came = b"", False
    while chunk := source.read1(2 * round(_CHUNK * rate)):  # as soon as there is any
        came = True
        whole = len(rest + chunk) // 2 * 2
        samples, rest = (rest + chunk)[:whole], (rest + chunk)[whole:]
        yield np.frombuffer(samples, "<i2") / np.float32(2**15)
    if not came:
        raise BadInput("standard input is empty; give raw 16-bit samples, or --audio FILE")
