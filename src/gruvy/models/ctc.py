"""Connectionist temporal classification (CTC, Graves et al. 2006): symbols for steps, without saying when each is said.

A network gives at every step the probabilities of the symbols, 1 and up, and of the blank, 0. A path is one of them a
step; it reads as its symbols without repeats, and then without blanks. A text is as likely as all paths that read as
it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
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


def read_path(path: Sequence[int], before: int = BLANK) -> list[int]:
    """The symbols of a path.

    Args:
        before: what the path goes on from, its last symbol or blank.
    """
    return [s for last, s in itertools.pairwise([before, *path]) if s not in (last, BLANK)]


def greedy(log_probabilities: Tensor) -> list[int]:
    """The symbols of the likeliest path of `(steps, symbols + 1)`."""
    return read_path(torch.as_tensor(log_probabilities).argmax(-1).tolist())


def prefix_beam(log_probabilities: Tensor | np.ndarray, beam: int) -> list[tuple[list[int], float]]:
    """Likely texts, by prefix beam search (Hannun et al. 2014, arXiv:1408.2873): paths that read the same are summed.

    Args:
        log_probabilities: `(steps, symbols + 1)`; beam: prefixes that are kept at each step.

    Returns:
        The symbols and the log-likelihood of each text that is left, the likeliest first. It is exact where the beam
        holds all prefixes, and at most the text's own otherwise.
    """
    prefixes: list[tuple[int, ...]] = [()]
    blank, spoken = np.zeros(1), np.full(1, _NEVER)  # of the paths that end with a blank, and with the last symbol
    for now in np.asarray(log_probabilities, np.float64):
        whole = np.logaddexp(blank, spoken)
        last = np.array([prefix[-1] if prefix else BLANK for prefix in prefixes])
        longer = whole[:, None] + now
        longer[np.arange(len(prefixes)), last] = blank + now[last]  # the same symbol again, after a blank
        longer[:, BLANK] = _NEVER
        kept_blank, kept_spoken = whole + now[BLANK], np.where(last == BLANK, _NEVER, spoken + now[last])
        place = {prefix: i for i, prefix in enumerate(prefixes)}
        for i, prefix in enumerate(prefixes):  # what grows into a prefix that is there already
            if prefix and (shorter := place.get(prefix[:-1])) is not None:
                kept_spoken[i] = np.logaddexp(kept_spoken[i], longer[shorter, prefix[-1]])
                longer[shorter, prefix[-1]] = _NEVER
        scores = np.concatenate([np.logaddexp(kept_blank, kept_spoken), longer.ravel()])
        best = np.argsort(-scores, kind="stable")[:beam]
        best = best[scores[best] > _NEVER]
        old, new = best[best < len(prefixes)], best[best >= len(prefixes)] - len(prefixes)
        grown = [(*prefixes[i], int(s)) for i, s in zip(*np.divmod(new, len(now)), strict=True)]
        prefixes = [prefixes[i] for i in old] + grown
        blank = np.concatenate([kept_blank[old], np.full(len(new), _NEVER)])
        spoken = np.concatenate([kept_spoken[old], longer.ravel()[new]])
    likelihood = np.logaddexp(blank, spoken)
    return [(list(prefixes[i]), float(likelihood[i])) for i in np.argsort(-likelihood, kind="stable")]
