"""Models of polyphonic music: which keys are held next, given all steps before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.layers.recurrent import States
from gruvy.models.parts import LockedDropout
from gruvy.models.recall import Recall, Remembered
from gruvy.models.sampling import Sampling

_STAYS = 0.5  # share of pieces that stay in their own key
_PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # steps, of bars and phrases
CLOCK = 2 * len(_PERIODS)
_RARE = -3.0  # log odds of a key before anything is learned
_AT_ONCE = 8192  # chords, so that memory is bounded
_LOUD = 0.7  # spread of the embeddings of keys: a few are held, and their sum is to be heard


class Transposition(nn.Module):
    """Moves every other piece up or down in training, by a random number of keys, as far as no note is lost.

    Args:
        most: keys, either way.
    """

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def forward(self, rolls: Tensor) -> Tensor:
        """`(batch, steps, keys)` -> the same shape."""
        if not self.training or not self.most:
            return rolls
        keys = rolls.shape[2]
        used = rolls.any(1)
        place = torch.arange(keys, device=rolls.device)
        lowest = torch.where(used, place, keys - 1).amin(1)
        highest = torch.where(used, place, 0).amax(1)
        down, up = lowest.clamp(max=self.most), (keys - 1 - highest).clamp(max=self.most)
        drawn = torch.rand(len(rolls), device=rolls.device)
        moved = torch.floor(drawn * (down + up + 1)).long().clamp(max=down + up) - down
        stays = torch.rand(len(rolls), device=rolls.device) < _STAYS
        source = (place - moved.masked_fill(stays, 0)[:, None]) % keys
        return rolls.gather(2, source[:, None].expand_as(rolls))


class ChordHead(nn.Module):
    """The probability of a whole chord: its keys from low to high, each given those below it, then the end.

    log p(v) = sum over the held keys k of log p(k | keys held below k) + log p(end | all held keys), a softmax over
    the keys above the last and the end; with sums of key embeddings as in NADE (Larochelle & Murray 2011; over time,
    RNN-NADE, Boulanger-Lewandowski et al. 2012), but only over the keys that are held.

    Args:
        known_size: units of what is known before the chord; size: hidden units.
    """

    def __init__(self, known_size: int, keys: int, size: int):
        super().__init__()
        self.keys = keys
        self.known = nn.Linear(known_size, size)
        self.key_embedding = nn.Embedding(keys, size)
        self.scores = nn.Linear(size, keys + 1)

    def forward(self, known: Tensor, chords: Tensor) -> Tensor:
        """Negative log-likelihoods `(chords,)` of `chords` `(chords, keys)`, given `known` `(chords, known size)`."""
        most = int(chords.sum(1).max()) if len(chords) else 0
        place = torch.arange(self.keys, device=chords.device)
        written = torch.where(chords > 0, place, self.keys).sort(1).values[:, :most]
        written = F.pad(written, (0, 1), value=self.keys)  # keys from low to high, then ends
        below = F.pad(written[:, :-1], (1, 0), value=-1)  # the key before each
        before = F.pad(self.key_embedding.weight, (0, 0, 0, 1))[written[:, :-1]].cumsum(1)
        hidden = self.known(known)[:, None] + F.pad(before, (0, 0, 1, 0))
        found = self._log_probabilities(hidden, below).gather(2, written[..., None])[..., 0]
        return -found.sum(1)  # after the end there is nothing but the end, so that what follows it adds 0

    def draw(self, known: Tensor, sampling: Sampling, rng: np.random.Generator) -> Tensor:
        """One chord, float `(keys,)`, given `known` `(known size,)`."""
        chord, hidden, last = known.new_zeros(self.keys), self.known(known), -1
        while True:
            scores = self._log_probabilities(hidden, torch.tensor(last)).numpy()
            last = sampling.draw(scores, rng)
            if last == self.keys:
                return chord
            chord[last] = 1.0
            hidden = hidden + self.key_embedding.weight[last]

    def _log_probabilities(self, hidden: Tensor, last: Tensor) -> Tensor:
        """Of the next key or the end `(..., keys + 1)`, given `last`, the key before or -1."""
        scores: Tensor = self.scores(torch.relu(hidden))
        place = torch.arange(self.keys + 1, device=hidden.device)
        return scores.masked_fill((place <= last[..., None]) & (place < self.keys), float("-inf")).log_softmax(-1)


@dataclass(frozen=True)
class Played:
    """What is kept of the steps so far: the states of each layer, and what can be recalled."""

    layers: Sequence[States | None]
    remembered: Remembered | None = None


class MusicNetwork(nn.Module):
    """Keys of a step -> embedding, with a clock beside it -> recurrent layers -> the keys of the next step.

    Two heads say what comes next, by the recurrent outputs, the step's own keys, and what came after steps like it in
    the piece so far (`Recall`): log odds of each key by itself, and the probability of the whole chord (`ChordHead`).
    The first step is predicted from silence.

    Args:
        layers: recurrent, one direction, `batch_first`, of `embedding_size` and `CLOCK` units together.
        embedding_size: of a step's keys.
        chord_size: hidden units of the chord head; transposition: keys, see `Transposition`.
        recall_size: of queries and keys; 0 for a network that recalls nothing.
        input_dropout, layer_dropout, output_dropout: of units, one mask a sequence, see `LockedDropout`.
    """

    def __init__(
        self, keys: int, embedding_size: int, layers: Sequence[Recurrent], *, chord_size: int, transposition: int,
        recall_size: int, input_dropout: float, layer_dropout: float, output_dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.transposition = Transposition(transposition)
        self.front = nn.Linear(keys, embedding_size)
        nn.init.normal_(self.front.weight, std=_LOUD)
        self.layers = nn.ModuleList(layers)
        units = layers[-1].output_units
        self.recall = Recall(units, keys, recall_size) if recall_size else None
        known_size = units + keys + (self.recall.output_size if self.recall else 0)
        self.scores = nn.Linear(known_size, keys)
        nn.init.constant_(self.scores.bias, _RARE)
        self.chords = ChordHead(known_size, keys, chord_size)
        self.input_dropout = LockedDropout(input_dropout)
        self.layer_dropout, self.output_dropout = LockedDropout(layer_dropout), LockedDropout(output_dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Losses `(steps,)` of all steps of a batch of `rolls` and `lengths`: of each key by itself, and of the chord.

        In training the pieces are transposed, and the first step counts too; otherwise it does not.
        """
        rolls = self.transposition(batch["rolls"])
        there = real_steps(batch["lengths"], rolls.shape[1])[..., 0].T
        if not self.training:
            there = there & (torch.arange(rolls.shape[1], device=rolls.device) > 0)
        known, chords = self.read(rolls, batch["lengths"])[:, :-1][there], rolls[there]
        return key_losses(self.scores(known), chords) + self.chords(known, chords)

    def read(self, rolls: Tensor, lengths: Tensor) -> Tensor:
        """What is known before each step of pieces and after the last, `(batch, steps + 1, known size)`."""
        heard = F.pad(rolls, (0, 0, 1, 0))  # silence comes before a piece
        x: Tensor = self._heard(self.input_dropout(torch.relu(self.front(heard))), 0)
        for place, layer in enumerate(self.layers):
            x = layer(self.layer_dropout(x) if place else x, lengths=lengths + 1)[0]
        x = self.output_dropout(x)
        recalled = [self.output_dropout(self.recall(x, heard))] if self.recall else []
        return torch.cat([x, heard, *recalled], -1)

    def step(self, chord: Tensor, place: int, played: Played | None) -> tuple[Tensor, Played]:
        """What is known after one step more: `(batch, keys)` -> `(batch, known size)`.

        Args:
            place: of the step, from 0, which is the silence before a piece.
        """
        played = played or Played([None] * len(self.layers))
        x, after = self._heard(torch.relu(self.front(chord))[:, None], place)[:, 0], []
        for layer, before in zip(self.layers, played.layers, strict=True):
            x, state = layer.step(x, before)  # type: ignore[operator]
            after.append(state)
        if self.recall is None:
            return torch.cat([x, chord], -1), Played(after)
        recalled, remembered = self.recall.step(x, chord, played.remembered)
        return torch.cat([x, chord, recalled], -1), Played(after, remembered)

    def _heard(self, embedded: Tensor, first: int) -> Tensor:
        """Embeddings `(batch, steps, size)` with the clock beside them; the first is of step `first`."""
        told = clock(torch.arange(first, first + embedded.shape[1], device=embedded.device))
        return torch.cat([embedded, told.expand(len(embedded), -1, -1)], -1)


def clock(places: Tensor) -> Tensor:
    """Where steps are in bars and phrases of several lengths, as sines and cosines: `(steps,)` -> `(steps, size)`."""
    turns = 2 * math.pi * (places[:, None] / torch.tensor(_PERIODS, device=places.device))
    return torch.cat([turns.sin(), turns.cos()], -1)


def key_losses(scores: Tensor, chords: Tensor) -> Tensor:
    """Binary cross-entropy summed over the keys: `(..., keys)` twice -> `(...)`."""
    return F.binary_cross_entropy_with_logits(scores, chords, reduction="none").sum(-1)


class MusicModel(nn.Module):
    """A music network as a model; see `gruvy.tasks.contract.Modality`."""

    def __init__(self, network: MusicNetwork):
        super().__init__()
        self.network = network

    def next_scores(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Log odds of each key after each step, `(batch, steps, keys)`."""
        found: Tensor = self.network.scores(self.network.read(batch["rolls"], batch["lengths"])[:, 1:])
        return found

    def judged(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of each step but the first, `(batch, steps - 1)`, NaN past each end, what `gruvy.tasks.music` measures.

        `keys` and `chord` are negative log-likelihoods in nats; `hits` and `misses` count keys that are held and more
        likely than not, and keys that are one of both only.
        """
        known, chords = self.network.read(batch["rolls"], batch["lengths"])[:, 1:-1], batch["rolls"][:, 1:]
        there = real_steps(batch["lengths"] - 1, chords.shape[1])[..., 0].T
        known, chords = known[there], chords[there]
        scores = self.network.scores(known)
        said, held = scores > 0, chords > 0
        few = zip(known.split(_AT_ONCE), chords.split(_AT_ONCE), strict=True)
        found = {
            "keys": key_losses(scores, chords), "chord": torch.cat([self.network.chords(*some) for some in few]),
            "hits": (said & held).sum(-1), "misses": (said != held).sum(-1),
        }  # fmt: skip
        empty = known.new_full(there.shape, float("nan"))
        return {name: empty.masked_scatter(there, values.to(empty.dtype)) for name, values in found.items()}


def music_model(
    keys: int, cell: Cell, *, embedding_size: int, hidden_size: int, num_layers: int, chord_size: int,
    transposition: int, recall_size: int, input_dropout: float, layer_dropout: float, output_dropout: float,
    engine: str,
) -> MusicModel:  # fmt: skip
    """A `MusicModel` from numbers.

    A cell that adds its input to its state gets embeddings that make up the state's size with the clock.

    Raises:
        BadInput: the cell reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a model of music feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another")
    if "H" in cell.inputs.values():
        embedding_size = max(1, hidden_size - CLOCK)
    layers: list[Recurrent] = []
    for _ in range(num_layers):
        units = layers[-1].output_units if layers else embedding_size + CLOCK
        layers.append(Recurrent(cell, units, hidden_size, batch_first=True, engine=engine, recurrent_init="orthogonal"))
    return MusicModel(MusicNetwork(
        keys, embedding_size, layers, chord_size=chord_size, transposition=transposition, recall_size=recall_size,
        input_dropout=input_dropout, layer_dropout=layer_dropout, output_dropout=output_dropout,
    ))  # fmt: skip
