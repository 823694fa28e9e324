"""How transcripts are judged; what the commands need of it without a training."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gruvy import artefact
from gruvy.data.sound.transcripts import Transcripts, read_transcripts
from gruvy.models.spectra import LogMel
from gruvy.tasks.modalities import utterances as modality

PARTS = ("train", "validation", "test")
CONSTANT, NEAREST = "constant guess", "nearest training recording"
_CEPSTRA = 13


def judge_transcripts(
    trained: artefact.Trained, encoded: Any, texts: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """Transcripts of encoded recordings, and how good and how quick they are."""
    began = time.monotonic()
    said = modality.transcripts(trained, encoded)
    took = max(1e-9, time.monotonic() - began)
    heard = float(np.sum(encoded.lengths)) / trained.inputs.rate
    measured = {
        "metrics": trained.task.metrics(said, texts), "n": len(texts), "seconds_of_speech": round(heard, 1),
        "times_faster_than_speech": round(heard / took, 1),
    }  # fmt: skip
    return said, measured


def read_manifest(file: str, columns: Mapping[str, str], drop_empty: bool) -> Transcripts:
    """A manifest, by the names of its columns."""
    return read_transcripts(file, columns["audio"], columns["transcript"], columns.get("group"), drop_empty)


def most_frequent(texts: Sequence[str]) -> str:
    """The constant guess."""
    return Counter(texts).most_common(1)[0][0]


def strange_characters(texts: Sequence[str], characters: str, part: str) -> list[str]:
    """A sentence about the characters that training never had, if there are any."""
    strange = Counter(c for text in texts for c in text if c not in characters)
    if not strange:
        return []
    shown = " ".join(map(repr, sorted(strange)[:10])) + (" ..." if len(strange) > 10 else "")
    return [
        f"{len(strange)} character(s) of the {part}, {strange.total()} times in all, were never in a training "
        f"transcript and count as errors: {shown}"
    ]


class NearestRecording:
    """Says of a recording what was said in the training recording whose mean spectrum is nearest.

    Args:
        rate, encoded, texts: of the training recordings.
    """

    def __init__(self, rate: int, encoded: Any, texts: Sequence[str]):
        self.mel, self.texts = LogMel(rate, cepstra=_CEPSTRA), list(texts)
        means = self._means(encoded)
        self.level, self.spread = means.mean(0), means.std(0) + 1e-6
        self.means = (means - self.level) / self.spread

    def transcripts(self, encoded: Any) -> list[str]:
        """Of encoded recordings."""
        means = (self._means(encoded) - self.level) / self.spread
        return [self.texts[int(((self.means - mean) ** 2).sum(1).argmin())] for mean in means]

    def _means(self, encoded: Any) -> np.ndarray:
        """`(recordings, coefficients + 1)`: the mean cepstrum of each, and the logarithm of its length."""
        found = []
        for i in range(len(encoded)):
            samples = torch.from_numpy(np.asarray(encoded[i], np.float32))
            frames, _ = self.mel(samples[None], torch.tensor([len(samples)]))
            found.append([*frames[0].mean(0).tolist(), np.log(len(samples))])
        return np.array(found)
