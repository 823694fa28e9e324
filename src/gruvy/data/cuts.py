"""Byte-pair encoding cut at random: a text's pieces differ from one epoch to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from gruvy.data.batches import pad
from gruvy.data.text import TokenIds

_MOST_WAYS = 8  # in which an epoch cuts a word, however often it occurs
_AT_ONCE = 4096  # words


class RandomCuts:
    """BPE-dropout: of the merges that are possible, each is left out with some probability and the best of the others
    made, again and again until none is left (Provilkov et al. 2020, arXiv:1910.13267, algorithm 1).

    The tokenizer's own `dropout` draws without a seed, and leaves most words whole that the algorithm would cut.

    Args:
        tokenizer: of byte-level BPE.
        texts: to be cut again and again.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]):
        model = json.loads(tokenizer.to_str())["model"]
        ids, merges = model["vocab"], model["merges"]
        self._tokens = len(ids)
        keys = np.array([ids[left] * self._tokens + ids[right] for left, right in merges], np.int64)
        self._ranks = np.append(np.argsort(keys), len(keys))
        self._keys = np.append(np.sort(keys), np.iinfo(np.int64).max)  # past every pair, so that all find a place
        self._merged = np.array([ids[left + right] for left, right in merges], np.int64)
        numbers: dict[str, int] = {}
        split = tokenizer.pre_tokenizer.pre_tokenize_str
        self._texts = TokenIds.join(
            [[numbers.setdefault(word, len(numbers)) for word, _ in split(text)] for text in texts]
        )
        self._words = [np.array([ids[byte] for byte in word]) for word in numbers]
        self._ways = np.minimum(np.bincount(self._texts.ids, minlength=len(numbers)), _MOST_WAYS)

    def __call__(self, probability: float, rng: np.random.Generator) -> TokenIds:
        """The ids of each text, without an end, each merge left out with `probability`."""
        cut = self._cut(np.repeat(np.arange(len(self._words)), self._ways), probability, rng)
        words, first = self._texts.ids, np.cumsum(self._ways) - self._ways
        way = first[words] + (rng.random(len(words)) * self._ways[words]).astype(np.int64)
        lengths = cut.lengths[way]
        ends = np.append(0, np.cumsum(lengths))
        places = np.repeat(cut.offsets[way] - ends[:-1], lengths) + np.arange(ends[-1])
        return TokenIds(cut.ids[places], ends[self._texts.offsets])

    def _cut(self, words: np.ndarray, probability: float, rng: np.random.Generator) -> TokenIds:
        """The ids of `words` `(n,)`."""
        order = np.argsort([len(self._words[word]) for word in words], kind="stable")
        found: list[np.ndarray] = [np.zeros(0)] * len(words)
        for some in np.split(order, range(_AT_ONCE, len(order), _AT_ONCE)):
            ids, _ = pad([self._words[word] for word in words[some]], -1)
            for place, row in zip(some, self._merge(ids, probability, rng), strict=True):
                found[place] = row[row >= 0]
        return TokenIds.join(found)

    def _merge(self, ids: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
        """Bytes `(words, longest)`, -1 past the end of each word -> what they are merged to, of the same shape."""
        columns, none = np.arange(ids.shape[1]), len(self._merged)
        rows = np.arange(len(ids))  # of the words that are not done
        while len(rows):
            now = ids[rows]
            after = np.pad(now[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
            pairs = now * self._tokens + after
            places = np.searchsorted(self._keys, pairs)
            possible = (self._keys[places] == pairs) & (after >= 0) & (rng.random(pairs.shape) >= probability)
            ranks = np.where(possible, self._ranks[places], none)
            best = ranks.min(1)
            going = best < none
            rows, now, after, best = rows[going], now[going], after[going], best[going]
            at = ranks[going].argmin(1)[:, None]
            ids[rows] = np.where(columns < at, now, np.where(columns > at, after, self._merged[best][:, None]))
        return ids
