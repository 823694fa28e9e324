"""What is said in a recording, character by character."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from gruvy.data.sound.transcripts import characters_of, to_symbols, to_text
from gruvy.errors import BadInput
from gruvy.models.ctc import BestPath, Lexicon, PrefixBeam, ctc_loss, texts
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.examples import GROUP
from gruvy.tasks.modalities import utterances

WORDS = KNOWN, ANY = "known", "any"
_MARGIN = 6.0  # nats: what is less likely by that comes back too rarely to keep a stream waiting


@dataclass(frozen=True)
class Speech:
    """Transcripts of recordings, by CTC over characters.

    Attributes:
        characters: those of the training transcripts; the model knows no others.
        beam: prefixes that the search keeps; 1 takes the likeliest path, where any word may be written.
        words: those that may be written, in order; none for any.
    """

    characters: str
    beam: int = 10
    words: tuple[str, ...] = ()

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
        "one_direction": Setting(bool, False, "hear the past and 0.2 s more; gruvy stream writes while one speaks"),
        "words": Setting(str, None, "that may be written [what errs less on the validation part]", choices=WORDS),
        "beam": Setting(int, 10, "prefixes that the search keeps; 1 takes the likeliest path"),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (utterances,)
    score: ClassVar[str] = "word accuracy of a recording"

    @classmethod
    def fit(cls, texts: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Learn the characters, and the words where no others may be written.

        Raises:
            BadInput: a beam that cannot be.
        """
        task = cls(characters_of(texts), check_beam(settings["beam"]))
        return task.with_words(texts) if settings["words"] == KNOWN else task

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**{**data, "words": tuple(data["words"])})

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

    def with_words(self, texts: Sequence[str]) -> Self:
        """The same, which writes the words of some texts and no others."""
        return replace(self, words=tuple(sorted({word for text in texts for word in text.split()})))

    def search(self) -> BestPath | PrefixBeam:
        """What makes a text of log-probabilities, from its beginning."""
        return BestPath() if self.beam == 1 and not self.words else PrefixBeam(self.beam, self._lexicon, _MARGIN)

    @functools.cached_property
    def _lexicon(self) -> Lexicon | None:
        if not self.words:
            return None
        spelt = [to_symbols(word, self.characters) for word in self.words]
        return Lexicon(spelt, self.characters.find(" ") + 1, len(self.characters))

    def read(self, outputs: Tensor) -> str:
        """What log-probabilities `(steps, characters + 1)` say."""
        return to_text(texts(outputs, self.search())[0][0], self.characters)

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
