"""Sequences that are tagged step by step, as ids: symbols by their alphabet, words by what is seen of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from gruvy.data.batches import pad
from gruvy.data.symbols import PADDING, UNKNOWN, Alphabet
from gruvy.errors import BadInput

FILE = "inputs.json"
_LONGEST_AFFIX = 4
_FEWEST = 2  # times a word or an affix is seen in training to be known


@dataclass(frozen=True)
class StepIds:
    """Ids of many sequences, each int64 `(steps, slots)`: what is known of a step, a slot each."""

    sequences: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.sequences[i]

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence."""
        return np.array([len(one) for one in self.sequences], np.int64)

    def take(self, rows: Sequence[int] | np.ndarray) -> StepIds:
        """The sequences at `rows`."""
        return StepIds([self.sequences[i] for i in rows])


class SymbolInputs:
    """Symbols as ids of an alphabet: one slot."""

    unit = "symbols"

    def __init__(self, alphabet: Alphabet):
        self.alphabet = alphabet

    @classmethod
    def fit(cls, sequences: Sequence[Sequence[str]]) -> Self:
        """The alphabet of training sequences: of DNA, RNA or proteins, or whatever symbols they have."""
        joined = ["".join(one) for one in sequences]
        try:
            return cls(Alphabet.fit(joined))
        except BadInput:  # characters of a text
            return cls(Alphabet.fit(joined, "symbols"))

    @property
    def ids(self) -> int:
        """How many there are."""
        return len(self.alphabet)

    def __call__(self, sequences: Sequence[Sequence[str]]) -> StepIds:
        """The ids of sequences of symbols; a warning names those that are read as unknown.

        Raises:
            BadInput: a sequence is empty.
        """
        _check(sequences)
        return StepIds([ids[:, None] for ids in self.alphabet.encode_all(["".join(one) for one in sequences])])

    def collate(self, encoded: StepIds, rows: Any) -> dict[str, torch.Tensor]:
        """See `collated`."""
        return collated(encoded, rows)

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        (folder / FILE).write_text(json.dumps({"unit": self.unit, "alphabet": self.alphabet.to_json()}))


class WordInputs:
    """Words as ids, in these slots: the word in lower case, its beginnings and its ends of up to four letters, and its
    shape (upper and lower case, digits), which tell much of a word that was never seen.

    Args:
        known: what has an id, in order, from 2 on: texts as `seen` gives them.
    """

    unit = "words"

    def __init__(self, known: Sequence[str]):
        self.known = list(known)

    @classmethod
    def fit(cls, sequences: Sequence[Sequence[str]], most: int) -> Self:
        """What the training words have in common: (at most `most`) texts that occur at least twice."""
        words = Counter(word for one in sequences for word in one)
        counts: Counter[str] = Counter()
        for word, times in words.items():
            for text in seen(word):
                counts[text] += times
        return cls([text for text, times in counts.most_common(most) if times >= _FEWEST])

    @property
    def ids(self) -> int:
        """How many there are."""
        return 2 + len(self.known)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: 2 + i for i, text in enumerate(self.known)}

    def __call__(self, sequences: Sequence[Sequence[str]]) -> StepIds:
        """The ids of sequences of words.

        Raises:
            BadInput: a sequence is empty.
        """
        _check(sequences)
        words = {word: i for i, word in enumerate(dict.fromkeys(w for one in sequences for w in one))}
        slots = len(seen(""))
        table = np.array([[self._numbers.get(text, UNKNOWN) for text in seen(w)] for w in words]).reshape(-1, slots)
        return StepIds([table[[words[word] for word in one]] for one in sequences])

    def collate(self, encoded: StepIds, rows: Any) -> dict[str, torch.Tensor]:
        """See `collated`."""
        return collated(encoded, rows)

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        (folder / FILE).write_text(json.dumps({"unit": self.unit, "known": self.known}))


def load_inputs(folder: Path) -> SymbolInputs | WordInputs:
    """Read what `save` wrote; KeyError, TypeError or ValueError where it is none."""
    data: Mapping[str, Any] = json.loads((folder / FILE).read_text())
    if data["unit"] == "words":
        return WordInputs(data["known"])
    return SymbolInputs(Alphabet.from_json(data["alphabet"]))


def collated(encoded: StepIds, rows: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
    """A batch: `ids` `(batch, steps, slots)`, 0 past each end, and `lengths` `(batch,)`."""
    chosen = [encoded[int(i)] for i in rows]
    slots = [pad([one[:, slot] for one in chosen], PADDING)[0] for slot in range(chosen[0].shape[1])]
    lengths = torch.tensor([len(one) for one in chosen])
    return {"ids": torch.from_numpy(np.stack(slots, -1)), "lengths": lengths}


def seen(word: str) -> list[str]:
    """What is seen of a word, a text a slot: the word, beginnings and ends (without an id where it is shorter), shape.

    >>> seen("Paris")[0], seen("Paris")[-1], seen("Paris")[8]
    ('word paris', 'shape Xx', 'end aris')
    """
    plain = word.lower()
    lengths = range(1, _LONGEST_AFFIX + 1)
    beginnings = [f"begin {plain[:n]}" if len(plain) >= n else "" for n in lengths]
    ends = [f"end {plain[-n:]}" if len(plain) >= n else "" for n in lengths]
    return [f"word {plain}", *beginnings, *ends, f"shape {_shape(word)}"]


def _shape(word: str) -> str:
    """Kinds of characters, each run of a kind once: `Xx` for a name, `9.9` for a number."""
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word]
    return "".join(kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before)


def _check(sequences: Sequence[Sequence[str]]) -> None:
    for number, one in enumerate(sequences, 1):
        if not len(one):
            raise BadInput(f"sequence {number} of {len(sequences)} is empty; give at least one step")
