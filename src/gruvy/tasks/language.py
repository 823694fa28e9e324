"""What comes next in a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from gruvy.data.vocabulary import UNITS
from gruvy.errors import BadInput
from gruvy.models.cache import Cache
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.modalities import prose


@dataclass(frozen=True)
class Language:
    """Next tokens.

    Attributes:
        unit: of the tokens, see `Vocabulary`.
        cache: scored beside the model, fitted on the validation part; None for none.
    """

    unit: str
    cache: Cache | None = None

    name: ClassVar[str] = "language"
    summary: ClassVar[str] = "Learn what comes next in a text, to score texts and to write."
    study: ClassVar[str] = "language"
    columns: ClassVar[Mapping[str, Column]] = {
        "text": Column("text", None, "column with the texts, of a table", optional=True),
    }
    settings: ClassVar[Mapping[str, Setting]] = {
        "unit": Setting(str, "bpe", "tokens", choices=UNITS),
        "valid": Setting(str, None, "file to validate on [a part of the text, see --split]"),
        "test": Setting(str, None, "file to judge on [a part of the text, or the validation file]"),
        "split": Setting(float, (0.9, 0.05, 0.05), "shares of training, validation and test, in order", many=True),
        "vocabulary": Setting(int, None, "tokens at most [the recipe's]"),
        "cache": Setting(int, 0, "also score with a cache of so many tokens"),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (prose,)
    score: ClassVar[str] = "log-likelihood a token (nats)"

    @classmethod
    def fit(cls, settings: Mapping[str, Any]) -> Self:
        """From the user's settings.

        Raises:
            BadInput: sizes that cannot be.
        """
        if settings["cache"] < 0:
            raise BadInput(f"--cache {settings['cache']}: expected a number of tokens, or 0 for none")
        if settings["vocabulary"] is not None and settings["vocabulary"] < 2:
            raise BadInput(f"--vocabulary {settings['vocabulary']}: expected at least 2 tokens")
        return cls(settings["unit"])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(data["unit"], Cache.from_json(data["cache"]) if data["cache"] else None)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return {"unit": self.unit, "cache": self.cache.to_json() if self.cache else None}

    @property
    def output_size(self) -> int:
        """One log-likelihood a token; the scores are as many as the vocabulary."""
        return 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of negative log-likelihoods `(tokens,)`."""
        return outputs.mean()

    def metrics(self, log_likelihoods: np.ndarray, characters: int, words: int) -> dict[str, float]:
        """Perplexity of a token, of a word (what stands between spaces, and every line break), bits a character.

        Args:
            log_likelihoods: of every token, in nats; characters, words: of the same text.
        """
        total = -float(log_likelihoods.sum())
        return {
            "perplexity": _exp(total / len(log_likelihoods)), "word_perplexity": _exp(total / max(1, words)),
            "bits_per_character": total / math.log(2) / max(1, characters), "nll": total / len(log_likelihoods),
        }  # fmt: skip


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
