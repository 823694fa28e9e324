"""Sequences of symbols as a model reads them: ids of an alphabet learned from the training sequences."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.data.batches import pad
from gruvy.data.symbols import PADDING, Alphabet
from gruvy.data.text import TokenIds
from gruvy.errors import BadInput


class LongSequence(UserWarning):
    """A sequence is longer than is read."""


class SequenceInputs:
    """Turns sequences into ids.

    Args:
        alphabet: of the training sequences.
        steps: symbols of a training sequence, on average; aligned: whether all have as many, so that a symbol's place
            says something.
        max_symbols: of a sequence that the network reads; of a longer one, the first and the last.
    """

    FILE = "inputs.json"

    def __init__(self, alphabet: Alphabet, steps: int, aligned: bool, max_symbols: int):
        self.alphabet, self.steps, self.aligned, self.max_symbols = alphabet, steps, aligned, max_symbols

    @classmethod
    def fit(cls, sequences: Sequence[str], max_symbols: int) -> SequenceInputs:
        """Learn the alphabet and how long sequences are.

        Raises:
            BadInput: see `Alphabet.fit` and `__call__`.
        """
        check_sequences(sequences)
        alphabet = Alphabet.fit(sequences)
        lengths = alphabet.lengths(sequences)
        aligned = len(lengths) > 1 and lengths.min() == lengths.max() and lengths.max() <= max_symbols
        return cls(alphabet, min(max_symbols, round(lengths.mean())), bool(aligned), max_symbols)

    @property
    def positions(self) -> int:
        """Symbols that have a place of their own; 0 where places say nothing."""
        return self.steps if self.aligned else 0

    def __call__(self, sequences: Sequence[str]) -> TokenIds:
        """The ids of sequences; a warning names symbols that training never had.

        Raises:
            BadInput: something is no str, or holds no symbol.
        """
        check_sequences(sequences)
        encoded = TokenIds.join(self.alphabet.encode_all(sequences))
        longest = int(encoded.lengths.max(initial=0))
        if longest > self.max_symbols:
            warnings.warn(
                LongSequence(
                    f"a sequence has {longest:,} symbols; the network reads the first and the last "
                    f"{self.max_symbols // 2:,}"
                ),
                stacklevel=2,
            )
        return encoded

    def collate(self, encoded: TokenIds, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """A batch of the sequences at `rows`: `ids` `(batch, steps)`, `lengths` `(batch,)`, and `tokens` uncropped."""
        ids, lengths = pad([self._crop(encoded[i]) for i in rows], PADDING)
        return {"ids": torch.from_numpy(ids), "lengths": torch.from_numpy(lengths), "tokens": encoded.take(rows)}

    def _crop(self, ids: np.ndarray) -> np.ndarray:
        if len(ids) <= self.max_symbols:
            return ids
        head = self.max_symbols // 2
        return np.concatenate([ids[:head], ids[len(ids) - (self.max_symbols - head) :]])

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        content = {"alphabet": self.alphabet.to_json(), "steps": self.steps, "aligned": self.aligned}
        (folder / self.FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, max_symbols: int) -> SequenceInputs:
        """Read what `save` wrote.

        Raises:
            BadInput: the file is damaged.
        """
        try:
            data = json.loads((folder / cls.FILE).read_text(encoding="utf-8"))
            return cls(Alphabet.from_json(data["alphabet"]), int(data["steps"]), bool(data["aligned"]), max_symbols)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{folder / cls.FILE} is damaged ({error}); train the model again") from None


def check_sequences(sequences: Sequence[Any]) -> None:
    """Refuse what is no sequence.

    Raises:
        BadInput: something is no str, or holds no symbol.
    """
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise BadInput(f"sequence {i + 1} is a {type(sequence).__name__}; expected a str")
        if not sequence.strip():
            raise BadInput(f"sequence {i + 1} of {len(sequences)} is empty; give at least one symbol")
