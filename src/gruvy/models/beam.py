"""Beam search: the most probable outputs of a model that writes token by token, for many sources at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gruvy.data.batches import LengthBuckets, pad
from gruvy.data.text import PADDING, UNKNOWN, TokenIds
from gruvy.data.vocabulary import END
from gruvy.models.translation import TranslationModel

_BATCH = 64


@dataclass(frozen=True)
class Translation:
    """What was written for one source.

    Attributes:
        ids: without the end.
        score: log-probability over the length penalty.
        attention: `(tokens, sources)`, a row for each of `ids` and, where `ended`, one for the end.
        ended: False where the limit of length cut it.
    """

    ids: list[int]
    score: float
    attention: np.ndarray
    ended: bool


class _Step(NamedTuple):
    """What one step did to the sources that were still open."""

    places: dict[int, int]  # of each source among them
    parents: np.ndarray  # (open, beam): the hypothesis of the step before that each hypothesis continues
    ids: np.ndarray  # (open, beam): by which token
    attention: np.ndarray  # (open, beam, sources): of the step before's hypotheses


class _Last(NamedTuple):
    """How a hypothesis ends: at which step, as the continuation of which hypothesis of the step before."""

    score: float
    step: int
    parent: int
    token: int


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144, equation 14)."""
    return float(((5 + length) / 6) ** alpha)


def length_limits(lengths: Tensor) -> Tensor:
    """The most tokens to write for sources of `lengths`, so that writing ends whatever the model does."""
    return 2 * lengths + 10


def translate(
    model: TranslationModel, sources: TokenIds, beam: int = 5, alpha: float = 1.0, batch_size: int = _BATCH
) -> list[Translation]:
    """The best translation of each source (of at least one token), see `beam_search`."""
    found: dict[int, Translation] = {}
    device = model.bias.device
    for rows in LengthBuckets(sources.lengths, batch_size):
        ids, lengths = (torch.from_numpy(array).to(device) for array in pad([sources[i] for i in rows], PADDING))
        found.update(zip(rows.tolist(), beam_search(model, ids, lengths, beam, alpha), strict=True))
    return [found[i] for i in range(len(sources))]


@torch.inference_mode()
def beam_search(
    model: TranslationModel, source: Tensor, lengths: Tensor, beam: int = 5, alpha: float = 1.0,
    limits: Tensor | None = None,
) -> list[Translation]:  # fmt: skip
    """The best of the hypotheses that the `beam` most probable beginnings lead to; `beam=1` is the greedy choice.

    A source is done when `beam` of its hypotheses have ended, or at its limit, where the best one that has not ended
    is taken if none has. Padding and the unknown token are never written.

    Args:
        model: in evaluation mode.
        source: ids `(batch, sources)`; lengths: `(batch,)`.
        alpha: of the length penalty; 0 for none, more for longer translations.
        limits: `(batch,)`, the most tokens to write, at least 1; see `length_limits`, which gives them when None.
    """
    search = _Search(length_limits(lengths) if limits is None else limits, beam, alpha)
    each = torch.arange(len(source), device=source.device).repeat_interleave(beam)
    state = model.decode_start(source, lengths).take(each)
    while True:
        log_probabilities, state, attention = model.decode_step(search.ids, state)
        rows, kept = search.advance(log_probabilities, attention)
        if not search.unfinished:
            return [search.best(number, length) for number, length in enumerate(lengths.tolist())]
        state = state.take(rows, kept)


class _Search:
    """The hypotheses of the sources that are not done yet, and those that have ended.

    Attributes:
        unfinished: the sources that are not done, by number.
        scores: `(unfinished, beam)`, log-probabilities of their hypotheses, best first.
        ids: `(unfinished * beam,)`, the token each wrote last.
        steps: all so far; ended: the hypotheses of each source that have ended.
    """

    def __init__(self, limits: Tensor, beam: int, alpha: float):
        self.limits, self.beam, self.alpha = limits.tolist(), beam, alpha
        count = len(limits)
        self.unfinished = list(range(count))
        self.scores = torch.full((count, beam), float("-inf"), device=limits.device)
        self.scores[:, 0] = 0  # all hypotheses of a source are the same at first
        self.ids = torch.full((count * beam,), END, device=limits.device)
        self.steps: list[_Step] = []
        self.ended: list[list[_Last]] = [[] for _ in range(count)]

    def advance(self, log_probabilities: Tensor, attention: Tensor) -> tuple[Tensor, Tensor | None]:
        """Write one token more.

        Args:
            log_probabilities: `(unfinished * beam, vocabulary)`, of the next token; attention: `(…, sources)`.

        Returns:
            The rows of `log_probabilities` that go on; the places of their sources among the unfinished ones, None
            for all.
        """
        totals, parents, tokens = _candidates(log_probabilities, self.scores)
        is_end = tokens == END
        self._collect(is_end, totals, parents)
        # Ends outside the beam do not count, and enough candidates are no ends to fill the beam again.
        chosen = is_end.byte().argsort(dim=1, stable=True)[:, : self.beam]
        totals = totals.masked_fill(is_end, float("-inf"))
        self.scores, parents, tokens = (kind.gather(1, chosen) for kind in (totals, parents, tokens))
        places = {number: place for place, number in enumerate(self.unfinished)}
        arrays = (kind.cpu().numpy() for kind in (parents, tokens, attention.unflatten(0, (-1, self.beam))))
        self.steps.append(_Step(places, *arrays))
        return self._close(parents, tokens)

    def _collect(self, is_end: Tensor, totals: Tensor, parents: Tensor) -> None:
        """Put hypotheses that ended within the beam among the ended."""
        step = len(self.steps)
        penalty = length_penalty(step + 1, self.alpha)
        for place, rank in (is_end & totals.isfinite())[:, : self.beam].nonzero().tolist():
            last = _Last(totals[place, rank].item() / penalty, step, int(parents[place, rank]), END)
            self.ended[self.unfinished[place]].append(last)

    def _close(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Leave the sources out that are done; see `advance`."""
        length = len(self.steps)
        best = self.scores[:, 0].tolist()
        still = []
        for place, number in enumerate(self.unfinished):
            full = len(self.ended[number]) >= self.beam or best[place] == float("-inf")
            if not full and length < self.limits[number]:
                still.append(place)
            elif not self.ended[number]:
                score = best[place] / length_penalty(length, self.alpha)
                self.ended[number].append(_Last(score, length - 1, int(parents[place, 0]), int(tokens[place, 0])))
        kept = torch.tensor(still, device=parents.device, dtype=torch.int64)
        everything = len(still) == len(self.unfinished)
        self.unfinished = [self.unfinished[place] for place in still]
        self.scores, self.ids = self.scores[kept], tokens[kept].flatten()
        return (kept[:, None] * self.beam + parents[kept]).flatten(), None if everything else kept

    def best(self, number: int, length: int) -> Translation:
        """The best ended hypothesis of a source of `length`, followed back to its beginning."""
        last = max(self.ended[number], key=lambda last: last.score)
        ids, attention = [], []
        token, parent = last.token, last.parent
        for number_of_step in range(last.step, -1, -1):
            step = self.steps[number_of_step]
            ids.append(token)
            attention.append(step.attention[step.places[number], parent, :length])
            if number_of_step:
                before = self.steps[number_of_step - 1]
                place = before.places[number]
                token, parent = int(before.ids[place, parent]), int(before.parents[place, parent])
        ended = last.token == END
        ids.reverse()
        return Translation(ids[:-1] if ended else ids, last.score, np.stack(attention[::-1]), ended)


def _candidates(log_probabilities: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each source's best continuations: score, hypothesis continued and token, all `(open, 2 * beam)`, best first."""
    beam = scores.shape[1]
    log_probabilities[:, [PADDING, UNKNOWN]] = float("-inf")
    # Of one hypothesis, no more than `beam` continuations and its end can be among them.
    each = min(beam + 1, log_probabilities.shape[1])
    best, tokens = log_probabilities.topk(each)
    totals, places = (scores[..., None] + best.unflatten(0, (-1, beam))).flatten(1).topk(min(2 * beam, beam * each))
    return totals, places // each, tokens.unflatten(0, (-1, beam)).flatten(1).gather(1, places)
