"""Translation word by word: the dictionary that IBM model 1 finds in pairs of texts.

Brown et al. 1993, "The mathematics of statistical machine translation", Computational Linguistics 19(2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_WORD = re.compile(r"\w+")
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_ITERATIONS = 8
_MOST = 15_000_000  # couples of words, one of each side, that are looked at; pairs with more are left out
_NOTHING = 0  # the source word that explains target words with no counterpart


@dataclass(frozen=True)
class Dictionary:
    """Attributes:
    words: the most probable target word of each source word or sign, "" for one that has none.
    """

    words: dict[str, str]

    @classmethod
    def fit(cls, sources: Sequence[str], targets: Sequence[str]) -> Self:
        """Learn from pairs; words are letters and digits between spaces and signs, in their case."""
        source_words, source_ids = _numbered(sources)
        target_words, target_ids = _numbered(targets)
        couples = _Couples.of(source_ids, target_ids, len(target_words))
        probabilities = couples.probabilities()
        # The last of a source word's couples in this order is its most probable one.
        order = np.lexsort((probabilities, couples.source))
        last = order[np.append(np.diff(couples.source[order]) > 0, True)] if len(order) else order
        by_nothing = np.zeros(len(target_words))
        unexplained = couples.source == _NOTHING
        by_nothing[couples.target[unexplained]] = probabilities[unexplained]
        words = {}
        for couple in last[couples.source[last] != _NOTHING]:
            target = couples.target[couple]
            explains = probabilities[couple] > by_nothing[target]
            words[source_words[couples.source[couple]]] = target_words[target] if explains else ""
        return cls(words)

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Each word by its target word where it is; unknown words, signs and spaces stay as they are."""
        return [" ".join(_WORD.sub(lambda word: self.words.get(word[0], word[0]), text).split()) for text in texts]


@dataclass(frozen=True)
class _Couples:
    """Words that occur in one pair, source words with what explains nothing.

    Attributes:
        source, target: `(couples,)`, of each different couple; occurrences: `(n,)`, which couple it is;
        place: `(n,)`, which word of the target texts, counted through, it would explain.
    """

    source: np.ndarray
    target: np.ndarray
    occurrences: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], target_words: int) -> Self:
        keys, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        start = total = 0
        for source, target in zip(sources, targets, strict=True):
            if total + (len(source) + 1) * len(target) > _MOST:
                continue
            total += (len(source) + 1) * len(target)
            keys.append(np.add.outer(np.append(_NOTHING, source) * target_words, target).ravel())
            places.append(np.tile(np.arange(start, start + len(target)), len(source) + 1))
            start += len(target)
        couples, occurrences = np.unique(np.concatenate(keys), return_inverse=True)
        return cls(*np.divmod(couples, target_words), occurrences, np.concatenate(places))

    def probabilities(self) -> np.ndarray:
        """`(couples,)`, of the target word given the source word, by expectation and maximisation from uniform."""
        found = np.ones(len(self.source))
        for _ in range(_ITERATIONS):
            each = found[self.occurrences]
            share = each / np.bincount(self.place, each)[self.place]
            counts = np.bincount(self.occurrences, share, len(found))
            found = counts / np.bincount(self.source, counts)[self.source]
        return found


def _numbered(texts: Sequence[str]) -> tuple[list[str], list[np.ndarray]]:
    """The different words, after one that stands for none, and each text as numbers of them."""
    numbers: dict[str, int] = {"": _NOTHING}
    ids = [
        np.array([numbers.setdefault(word, len(numbers)) for word in _WORD_OR_SIGN.findall(text)], np.int64)
        for text in texts
    ]
    return list(numbers), ids
