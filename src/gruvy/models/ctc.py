"""Connectionist temporal classification (CTC, Graves et al. 2006): symbols for steps, without saying when each is said.

A network gives at every step the probabilities of the symbols, 1 and up, and of the blank, 0. A path is one of them a
step; it reads as its symbols without repeats, and then without blanks. A text is as likely as all paths that read as
it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from gruvy.engines import real_steps

BLANK = 0
_NEVER = float("-inf")


def ctc_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over a batch of the negative log-likelihood of each text, a symbol; 0 for one that no path reads as.

    Args:
        outputs: log-probabilities `(batch, steps, symbols + 1)`, NaN past each end.
        targets: `(batch, longest)`, -1 past each end.
    """
    steps = (~outputs[:, :, 0].isnan()).sum(1)
    paths = outputs.masked_fill(~real_steps(steps, outputs.shape[1]).transpose(0, 1), 0)
    symbols = (targets >= 0).sum(1)
    # A text may be longer than its clip where an augmentation made that faster.
    return F.ctc_loss(paths.transpose(0, 1), targets.clamp(min=0), steps, symbols, BLANK, zero_infinity=True)


def fewest_steps(symbols: Sequence[int]) -> int:
    """Steps of the shortest path that reads as `symbols`: equal neighbours need a blank between them."""
    return len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))


class BestPath:
    """The text of the likeliest path, which takes the likeliest symbol at each step."""

    def __init__(self) -> None:
        self.symbols: list[int] = []
        self.last, self.likelihood = BLANK, 0.0

    def step(self, now: np.ndarray) -> None:
        """Take the log-probabilities of a step, `(symbols + 1,)`."""
        symbol = int(now.argmax())
        if symbol not in (self.last, BLANK):
            self.symbols.append(symbol)
        self.last, self.likelihood = symbol, self.likelihood + float(now[symbol])

    def texts(self) -> list[tuple[list[int], float]]:
        """Its symbols, and the log-likelihood of the path."""
        return [(self.symbols, self.likelihood)]

    def certain(self) -> list[int]:
        """All of its symbols: later steps change none."""
        return self.symbols


class Lexicon:
    """The words that may be written, as a tree of their symbols.

    Args:
        words: the symbols of each; symbols: how many there are.
        space: the symbol between words, `BLANK` where there is none.

    Attributes:
        after: `(nodes, symbols + 1)`, the node that each symbol leads to, -1 for none; node 0 begins a word.
        complete: `(nodes,)`, whether a text may end there.
    """

    def __init__(self, words: Iterable[Sequence[int]], space: int, symbols: int):
        self.space = space
        tree: list[dict[int, int]] = [{}]
        ends = [0]
        for word in words:
            node = 0
            for symbol in word:
                if symbol not in tree[node]:
                    tree[node][symbol] = len(tree)
                    tree.append({})
                node = tree[node][symbol]
            ends.append(node)
        self.after = np.full((len(tree), symbols + 1), -1)
        for node, leads in enumerate(tree):
            self.after[node, list(leads)] = list(leads.values())
        self.complete = np.zeros(len(tree), bool)
        self.complete[ends] = True
        self.after[self.complete, space] = 0
        self.after[0, space] = -1

    def whole_words(self, symbols: Sequence[int]) -> list[int]:
        """Symbols up to the last space."""
        ends = [place for place, symbol in enumerate(symbols) if symbol == self.space]
        return list(symbols[: ends[-1]]) if ends else []


class PrefixBeam:
    """Likely texts, by prefix beam search (Hannun et al. 2014, arXiv:1408.2873): paths that read the same are summed.

    Args:
        beam: prefixes that are kept at each step.
        lexicon: the words there are; None for any.
        margin: in nats; prefixes that are so much less likely than the likeliest are dropped.
    """

    def __init__(self, beam: int, lexicon: Lexicon | None = None, margin: float = math.inf):
        self.beam, self.lexicon, self.margin = beam, lexicon, margin
        self.prefixes: list[tuple[int, ...]] = [()]
        self.nodes = np.zeros(1, np.int64)  # of the lexicon
        self.blank, self.spoken = np.zeros(1), np.full(1, _NEVER)  # paths that end with a blank, with the last symbol

    def step(self, now: np.ndarray) -> None:
        """Take the log-probabilities of a step, `(symbols + 1,)`."""
        count, whole = len(self.prefixes), np.logaddexp(self.blank, self.spoken)
        last = np.array([prefix[-1] if prefix else BLANK for prefix in self.prefixes])
        longer = whole[:, None] + now
        longer[np.arange(count), last] = self.blank + now[last]  # the same symbol again, after a blank
        longer[:, BLANK] = _NEVER
        if self.lexicon is not None:
            longer[self.lexicon.after[self.nodes] < 0] = _NEVER
        blank, spoken = whole + now[BLANK], np.where(last == BLANK, _NEVER, self.spoken + now[last])
        place = {prefix: i for i, prefix in enumerate(self.prefixes)}
        for i, prefix in enumerate(self.prefixes):  # what grows into a prefix that is there already
            if prefix and (shorter := place.get(prefix[:-1])) is not None:
                spoken[i] = np.logaddexp(spoken[i], longer[shorter, prefix[-1]])
                longer[shorter, prefix[-1]] = _NEVER
        scores = np.concatenate([np.logaddexp(blank, spoken), longer.ravel()])
        best = np.argsort(-scores, kind="stable")[: self.beam]
        best = best[scores[best] > max(_NEVER, scores[best[0]] - self.margin)]
        old, new = best[best < count], best[best >= count] - count
        rows, symbols = np.divmod(new, len(now))
        self.prefixes = [self.prefixes[i] for i in old] + [
            (*self.prefixes[i], int(s)) for i, s in zip(rows, symbols, strict=True)
        ]
        if self.lexicon is not None:
            self.nodes = np.concatenate([self.nodes[old], self.lexicon.after[self.nodes[rows], symbols]])
        self.blank = np.concatenate([blank[old], np.full(len(new), _NEVER)])
        self.spoken = np.concatenate([spoken[old], longer.ravel()[new]])

    def texts(self) -> list[tuple[list[int], float]]:
        """The symbols and the log-likelihood of each text that is left, the likeliest first.

        The likelihood is exact where the beam holds all prefixes, and at most the text's own otherwise. With a lexicon,
        texts that end within a word are left out; where all do, the begun word is.
        """
        likelihood = np.logaddexp(self.blank, self.spoken)
        order = np.argsort(-likelihood, kind="stable")
        if self.lexicon is None:
            return [(list(self.prefixes[i]), float(likelihood[i])) for i in order]
        whole = self.lexicon.complete[self.nodes[order]]
        if whole.any():
            return [(list(self.prefixes[i]), float(likelihood[i])) for i in order[whole]]
        return [(self.lexicon.whole_words(self.prefixes[i]), float(likelihood[i])) for i in order]

    def certain(self) -> list[int]:
        """The symbols that all texts that are left begin with; with a lexicon, the words."""
        common = itertools.takewhile(lambda symbols: len(set(symbols)) == 1, zip(*self.prefixes, strict=False))
        symbols = [same[0] for same in common]
        return symbols if self.lexicon is None else self.lexicon.whole_words(symbols)


def texts(log_probabilities: Tensor | np.ndarray, search: BestPath | PrefixBeam) -> list[tuple[list[int], float]]:
    """What a new search makes of `(steps, symbols + 1)`: the symbols and the log-likelihood of texts, best first."""
    for now in np.asarray(log_probabilities, np.float64):
        search.step(now)
    return search.texts()
