"""Interpolated modified Kneser-Ney: the n-gram language model others are measured against.

Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 3:

    p(w | h) = (c(hw) - D(c(hw))) / c(h.) + left(h) p(w | h without its first token)
    left(h)  = (D(1) N1(h.) + D(2) N2(h.) + D(3) N3+(h.)) / c(h.)

c(hw) is how often hw occurs, for the longest n-grams; for shorter ones, how many different tokens come before it, the
start of the text being one of them. c(h.) is its sum over w, and Ni(h.) how many w have c(hw) = i, or at least 3.
Below the unigrams is the uniform distribution, so that no token has probability 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np

from gruvy.errors import BadInput


@dataclass(frozen=True)
class _Level:
    """What the n-grams of one length say.

    An n-gram is its place in `keys`, -1 for one never seen, which reads the last entry of `share` and of `left`.

    Attributes:
        keys: sorted int64 `(n-grams,)`, of place(the first n - 1 tokens) * vocabulary + the last token.
        share: `(n-grams + 1,)`, the discounted count over that of its first n - 1 tokens.
        left: `(shorter n-grams + 1,)`, the probability each leaves, as a context, to the level below.
    """

    keys: np.ndarray
    share: np.ndarray
    left: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Places of n-grams."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.keys, keys)
        place[place == len(self.keys)] = 0
        return np.where(self.keys[place] == keys, place, -1)


@dataclass(frozen=True)
class KneserNey:
    """A distribution of the next token, given those before it.

    Attributes:
        levels: of unigrams, bigrams and so on.
        vocabulary_size: ids are from 0 to below it.
    """

    levels: tuple[_Level, ...]
    vocabulary_size: int

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.levels)

    @classmethod
    def fit(cls, ids: np.ndarray, vocabulary_size: int, order: int) -> Self:
        """Count the n-grams of one text `(tokens,)`, up to `order` tokens long.

        Raises:
            BadInput: ids that are not of the vocabulary, or an order below 1.
        """
        return next(cls._of_orders(ids, vocabulary_size, [order]))

    @classmethod
    def _of_orders(cls, ids: np.ndarray, vocabulary_size: int, orders: Sequence[int]) -> Iterator[Self]:
        """A model for each of `orders`, rising; they share what they count."""
        for name, number in (("vocabulary_size", vocabulary_size), *(("order", order) for order in orders)):
            if not isinstance(number, Integral) or number < 1:
                raise BadInput(f"{name} is {number!r}; expected a whole number of at least 1")
        ids = _checked(ids, vocabulary_size)
        lower: list[_Level] = []
        keys = np.zeros(1, np.int64)  # the n-gram of no tokens
        places, contexts = np.zeros(len(ids) + 1, np.int64), 0  # of the n-gram that starts at each token
        for n in range(1, max(orders) + 1):
            starts = places[: len(ids[n - 1 :])]
            longer, first, longer_places, times = np.unique(
                starts * vocabulary_size + ids[n - 1 :], return_index=True, return_inverse=True, return_counts=True
            )
            if n > 1:
                before = np.bincount(places[first + 1], minlength=len(keys))
                before[places[:1]] += 1
                lower.append(_level(keys, before, contexts, vocabulary_size))
            keys, places, contexts = longer, longer_places, len(keys)
            if n in orders:
                yield cls((*lower, _level(keys, times, contexts, vocabulary_size)), vocabulary_size)

    def log_probabilities(self, ids: np.ndarray, context: np.ndarray | Sequence[int] = ()) -> np.ndarray:
        """Natural logarithm of the probability of each token, float64 `(tokens,)`, given those before it.

        Args:
            ids: a text `(tokens,)`.
            context: tokens that come before it.

        Raises:
            BadInput: ids that are not of the vocabulary.
        """
        ids, before = (_checked(part, self.vocabulary_size) for part in (ids, context))
        before = before[max(0, len(before) - self.order + 1) :]
        tokens = np.concatenate([before, ids])
        probabilities = np.full(len(tokens), 1 / self.vocabulary_size)
        places = np.zeros(len(tokens), np.int64)  # of the n-gram that starts at each token, n rising from 0
        for n, level in enumerate(self.levels):
            places = places[: len(tokens[n:])]
            longer = level.find(places * self.vocabulary_size + tokens[n:])
            probabilities[n:] = level.share[longer] + level.left[places] * probabilities[n:]
            places = longer
        return np.log(probabilities[len(before) :])


def choose_order(train: np.ndarray, validation: np.ndarray, vocabulary_size: int, orders: Iterable[int]) -> KneserNey:
    """The model of the training text, of the order that gives the validation text the highest probability.

    Raises:
        BadInput: no orders or validation tokens, or what `KneserNey.fit` refuses.
    """
    candidates = sorted(set(orders))
    if not candidates or not len(validation):
        raise BadInput(f"{len(candidates)} orders and {len(validation)} validation tokens came; expected at least one")
    models = KneserNey._of_orders(train, vocabulary_size, candidates)
    return max(models, key=lambda model: model.log_probabilities(validation).sum())


def _level(keys: np.ndarray, counts: np.ndarray, contexts: int, vocabulary_size: int) -> _Level:
    """Of n-grams with their counts, all at least 1; `contexts`: how many n-grams one token shorter there are."""
    discount = _discounts(counts)[np.minimum(counts, 3) - 1]
    context = keys // vocabulary_size
    total = np.bincount(context, counts, contexts)
    taken = np.bincount(context, discount, contexts)
    share = (counts - discount) / total[context]
    left = np.divide(taken, total, out=np.ones(contexts), where=total > 0)
    return _Level(keys, np.append(share, 0.0), np.append(left, 1.0))


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D(1), D(2) and D(3), the last for every larger count too, each above 0 and below its count.

    Where too few counts are that small to say, half the count, as KenLM has it (Heafield et al. 2013).
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5]
    count = np.arange(1, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        discounts = count - (count + 1) * (n[0] / (n[0] + 2 * n[1])) * n[1:] / n[:-1]
    return np.where((discounts > 0) & (discounts < count), discounts, count / 2)


def _checked(ids: Any, vocabulary_size: int) -> np.ndarray:
    """As int64."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
        raise BadInput(f"ids have shape {ids.shape} and type {ids.dtype}; expected whole numbers (tokens,)")
    if len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary_size:
        raise BadInput(
            f"ids run from {ids.min()} to {ids.max()}; expected 0 to {vocabulary_size - 1}: give the vocabulary's size"
        )
    return ids.astype(np.int64)
