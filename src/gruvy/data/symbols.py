"""Symbols of a sequence: nucleotides, residues, or whatever letters a column holds, as ids and as vectors."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from gruvy.errors import BadInput

PADDING, UNKNOWN = 0, 1
KINDS = ("dna", "rna", "protein", "symbols")

_NUCLEOTIDES = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
    "N": "ACGT", "-": "", ".": "",
}  # fmt: skip
# Which letters a symbol may stand for (IUPAC-IUB 1984; IUPAC-IUBMB 2013 for J, O and U); a gap stands for none.
_AMBIGUOUS = {
    "dna": {**_NUCLEOTIDES, "U": "T"},
    "rna": {code: letters.replace("T", "U") for code, letters in _NUCLEOTIDES.items()} | {"T": "U"},
    # Selenocysteine and pyrrolysine are read as what they are made from.
    "protein": {"B": "DN", "Z": "EQ", "J": "IL", "X": "ACDEFGHIKLMNPQRSTVWY", "U": "C", "O": "K",
                "-": "", ".": "", "*": ""},
    "symbols": {},
}  # fmt: skip
_LETTERS = {"dna": "ACGT", "rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY"}
_PAIRS = {"dna": str.maketrans("ACGT", "TGCA"), "rna": str.maketrans("ACGU", "UGCA")}

_SAMPLE = 2000  # sequences looked at to tell the kind
_MOSTLY = 0.9  # share of symbols a kind must explain
_FEWEST_RESIDUES = 10  # different ones, in what are proteins: strings of secondary structure have up to eight
_MOST_SYMBOLS, _MOST_SPACE = 96, 0.05  # of what is a sequence: texts have spaces


class UnknownSymbols(UserWarning):
    """Sequences hold symbols the alphabet does not."""


@dataclass(frozen=True)
class Alphabet:
    """The symbols sequences are made of.

    Ids are 0 for padding, 1 for an unknown symbol, then the letters, then the symbols that may stand for several
    letters or for none.

    Attributes:
        kind: one of `KINDS`; the first three ignore case.
        letters: the unambiguous ones, in the order of their ids and of the features of `vectors`.
    """

    kind: str
    letters: str

    @classmethod
    def fit(cls, sequences: Sequence[str], kind: str | None = None) -> Self:
        """The alphabet of training sequences, of a `kind` or of the one they look like.

        Raises:
            BadInput: there is nothing to read, or what is there is text rather than sequences.
        """
        if kind is not None and kind not in KINDS:
            raise BadInput(f"the kind of symbols is {kind!r}; expected one of {', '.join(KINDS)}")
        counts = Counter("".join(sequences[:: -(-len(sequences) // _SAMPLE) or 1]))
        everything = counts.total()
        for symbol in [symbol for symbol in counts if symbol.isspace()]:
            del counts[symbol]
        if not counts:
            raise BadInput("the sequences are empty; give at least one with symbols")
        told = kind or _kind(counts)
        if told != "symbols":
            return cls(told, _LETTERS[told])
        letters = "".join(sorted(symbol for symbol in set().union(*sequences) if not symbol.isspace()))
        if kind is None and (len(letters) > _MOST_SYMBOLS or counts.total() < (1 - _MOST_SPACE) * everything):
            raise BadInput(
                f"{sequences[0]!r:.60} and what follows look like text, not like sequences of symbols; "
                "name a column of sequences, or give it as --text"
            )
        return cls(told, letters)

    @cached_property
    def symbols(self) -> str:
        """All that have an id of their own, in order: the first has id 2."""
        return self.letters + "".join(_AMBIGUOUS[self.kind])

    def __len__(self) -> int:
        """How many ids there are."""
        return 2 + len(self.symbols)

    @staticmethod
    def lengths(sequences: Sequence[str]) -> np.ndarray:
        """Symbols of each sequence, `(sequences,)`."""
        return np.array([len("".join(sequence.split())) for sequence in sequences], np.int64)

    def encode(self, sequence: str) -> np.ndarray:
        """See `encode_all`, for one sequence."""
        return self.encode_all([sequence])[0]

    def encode_all(self, sequences: Sequence[str]) -> list[np.ndarray]:
        """The ids of each sequence, int64 `(symbols,)`; white space is no symbol.

        A warning names symbols that are read as unknown.
        """
        codes, ids = self._lookup
        found, unknown = [], set()
        for sequence in sequences:
            points = np.frombuffer("".join(sequence.split()).encode("utf-32-le", "surrogatepass"), np.uint32)
            place = np.searchsorted(codes, points).clip(max=len(codes) - 1)
            known = codes[place] == points
            found.append(np.where(known, ids[place], UNKNOWN))
            unknown |= set(map(chr, points[~known].tolist()))
        if unknown:
            named = ", ".join(map(repr, sorted(unknown)[:10])) + (", ..." if len(unknown) > 10 else "")
            what = self.kind if self.kind != "symbols" else "these"
            warnings.warn(UnknownSymbols(f"no {what} symbols, read as unknown: {named}"), stacklevel=2)
        return found

    def decode(self, ids: np.ndarray) -> str:
        """The symbols of ids; `?` where they are unknown."""
        return "".join(("", "?", *self.symbols)[i] for i in ids)

    @cached_property
    def vectors(self) -> np.ndarray:
        """What each id stands for, float32 `(ids, letters)`: one-hot, or in equal parts all the letters it may be.

        An unknown symbol may be any letter; padding and gaps are none.
        """
        several = _AMBIGUOUS[self.kind]
        meant = ["", self.letters, *self.letters, *several.values()]
        vectors = np.array([[letter in one for letter in self.letters] for one in meant], np.float32)
        return vectors / np.maximum(vectors.sum(1, keepdims=True), 1)

    @cached_property
    def complement(self) -> np.ndarray | None:
        """The id of what pairs with each id, int64 `(ids,)`; None where nothing pairs."""
        if self.kind not in _PAIRS:
            return None
        several = _AMBIGUOUS[self.kind]
        meant = [*self.letters, *several.values()]
        pairs = ["".join(sorted(one.translate(_PAIRS[self.kind]))) for one in meant]
        places = [meant.index(pair) if pair else i for i, pair in enumerate(pairs)]
        return np.array([PADDING, UNKNOWN, *(2 + i for i in places)])

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray]:
        """Code points that have an id, rising, and their ids."""
        ids = {symbol: 2 + i for i, symbol in enumerate(self.symbols)}
        if self.kind != "symbols":
            ids |= {symbol.lower(): i for symbol, i in ids.items()}
        codes = sorted(ids)
        return np.array([ord(c) for c in codes], np.uint32), np.array([ids[c] for c in codes], np.int64)

    def to_json(self) -> dict[str, str]:
        """What `from_json` reads."""
        return {"kind": self.kind, "letters": self.letters}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave; KeyError or ValueError where it is none."""
        kind, letters = data["kind"], str(data["letters"])
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of symbols")
        return cls(kind, letters)


def _kind(counts: Mapping[str, int]) -> str:
    """What most symbols are."""
    upper: Counter[str] = Counter()
    for symbol, count in counts.items():
        upper[symbol.upper()] += count
    total = sum(upper.values())

    def share(letters: str) -> float:
        return sum(upper[letter] for letter in letters) / total

    if share("ACGTUN-") >= _MOSTLY and share("ACGTU") > 0:
        return "rna" if upper["U"] > upper["T"] else "dna"
    residues = sum(upper[letter] > 0 for letter in _LETTERS["protein"])
    if share(_LETTERS["protein"] + "X-") >= 0.95 and residues >= _FEWEST_RESIDUES:
        return "protein"
    return "symbols"
