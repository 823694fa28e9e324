"""What is said in a recording, character by character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gruvy.data.sound.transcripts import characters_of, to_symbols, to_text
from gruvy.errors import BadInput
from gruvy.models.ctc import ctc_loss, greedy, prefix_beam
from gruvy.tasks import utterances
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.examples import GROUP


@dataclass(frozen=True)
class Speech:
    """Transcripts of recordings, by CTC over characters.

    Attributes:
        characters: those of the training transcripts; the model knows no others.
        beam: prefixes that the search keeps; 1 takes the likeliest path.
    """

    characters: str
    beam: int = 1

    name: ClassVar[str] = "speech"
    summary: ClassVar[str] = "Learn to write down what is said in recordings."
    study: ClassVar[str] = "speech"
    columns: ClassVar[Mapping[str, Column]] = {
        "audio": Column("text", "path", "column of the recordings' paths, relative to the manifest"),
        "transcript": Column("text", "text", "column of what is said in them"),
        "group": GROUP,
    }
    settings: ClassVar[Mapping[str, Setting]] = {
        "valid": Setting(str, None, "manifest to validate on [a part of the data]"),
        "test": Setting(str, None, "manifest to judge on [a part of the data]"),
        "one_direction": Setting(bool, False, "hear the past alone, so that gruvy stream can write while one speaks"),
        "beam": Setting(int, 1, "prefixes that the search keeps; 1 takes the likeliest path"),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (utterances,)
    score: ClassVar[str] = "word accuracy of a recording"

    @classmethod
    def fit(cls, texts: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Learn the characters.

        Raises:
            BadInput: a beam that cannot be.
        """
        return cls(characters_of(texts), check_beam(settings["beam"]))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)

    @property
    def output_size(self) -> int:
        """Characters; a unit more is for the blank."""
        return len(self.characters)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Targets `(texts, longest)`, -1 past each end, without the characters that training never had."""
        symbols = [to_symbols(text, self.characters) for text in texts]
        targets = torch.full((len(texts), max([1, *map(len, symbols)])), -1)
        for row, found in zip(targets, symbols, strict=True):
            row[: len(found)] = torch.tensor(found)
        return targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `gruvy.models.ctc.ctc_loss`."""
        return ctc_loss(outputs, targets)

    def read(self, outputs: Tensor) -> str:
        """What log-probabilities `(steps, characters + 1)` say."""
        symbols = greedy(outputs) if self.beam == 1 else prefix_beam(outputs, self.beam)[0][0]
        return to_text(symbols, self.characters)

    def metrics(self, said: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
        """Word and character error rate: edits that make what was said of the texts, a word or character of them."""
        from torchmetrics.functional.text import char_error_rate, word_error_rate

        given = list(said), list(texts)
        return {"wer": float(word_error_rate(*given)), "cer": float(char_error_rate(*given))}

    def scores(self, said: Sequence[str], texts: Sequence[str]) -> np.ndarray:
        """1 - word error rate of each text."""
        from torchmetrics.functional.text import word_error_rate

        return np.array([1 - float(word_error_rate([a], [b])) for a, b in zip(said, texts, strict=True)])


def check_beam(beam: int) -> int:
    """A number of prefixes.

    Raises:
        BadInput: it cannot be one.
    """
    if not 1 <= beam <= 1000:
        raise BadInput(f"--beam {beam}: expected a number of prefixes from 1 to 1000")
    return beam
