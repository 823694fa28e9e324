"""Models that tag every step of a sequence: vectors of steps, convolutions, a recurrent encoder, tags one by one or,
with a conditional random field, as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcrf import CRF

from gruvy.cells import Cell
from gruvy.data.symbols import PADDING, UNKNOWN
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.models.encoders import RecurrentEncoder
from gruvy.models.parts import LockedDropout

_NEVER = -1e4  # the score of a tag that cannot be


class StepVectors(nn.Module):
    """Ids as vectors: given ones, or learned ones, one an id, which the slots of a step add up.

    Args:
        ids: how many there are.
        size: of learned vectors.
        given: `(ids, size)`, instead of learned ones.
        substitutions: `(ids, ids)`, how likely each id stands for another; None where none does.
        hiding: probability, in training, of reading a step's first slot as unknown; mutation: of reading one of its
            substitutions.
    """

    table: Tensor
    likely: Tensor

    def __init__(
        self, ids: int, size: int, given: np.ndarray | None = None, substitutions: np.ndarray | None = None,
        hiding: float = 0.0, mutation: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.hiding, self.mutation = hiding, mutation if substitutions is not None else 0.0
        self.embedding = None
        self.size = size
        if given is None:
            self.embedding = nn.Embedding(ids, size, padding_idx=PADDING)
            nn.init.normal_(self.embedding.weight[1:].detach(), std=0.1)
        else:
            self.register_buffer("table", torch.from_numpy(given), persistent=False)
            self.size = given.shape[1]
        if substitutions is not None:
            self.register_buffer("likely", torch.from_numpy(substitutions), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """`(batch, steps, slots)` -> `(batch, steps, size)`, 0 where the ids are padding."""
        if self.training:
            ids = self._disturbed(ids)
        vectors = F.embedding(ids, self.table) if self.embedding is None else self.embedding(ids)
        return vectors.sum(2)

    def _disturbed(self, ids: Tensor) -> Tensor:
        first = ids[..., 0]
        if self.mutation:
            drawn = torch.multinomial(self.likely[first.flatten()], 1).view_as(first)
            first = torch.where(torch.rand(first.shape, device=ids.device) < self.mutation, drawn, first)
        hidden = (torch.rand(first.shape, device=ids.device) < self.hiding) & (first != PADDING)
        return torch.cat([first.masked_fill(hidden, UNKNOWN)[..., None], ids[..., 1:]], -1)


class ParallelFront(nn.Module):
    """Convolutions of several widths side by side, with ReLU: motifs around each step; no step is lost."""

    def __init__(self, input_size: int, filters: int, kernel_sizes: Sequence[int]):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(input_size, filters, size, padding="same") for size in kernel_sizes)
        self.output_units = filters * len(kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, steps, input_size)`, 0 past the ends -> `(batch, steps, output_units)`."""
        turned = x.transpose(1, 2)
        return torch.relu(torch.cat([one(turned) for one in self.convolutions], 1)).transpose(1, 2)


class Tagger(nn.Module):
    """Scores of tags at every step.

    Args:
        vectors: of steps; front: reads them, None for none; encoder: reads what comes out.
        tags: how many there are.
        crf: tags depend on their neighbours.
        locked_dropout: probability of hiding a unit from the encoder in all steps; dropout: a unit of its output.
        smoothing: of labels (Szegedy et al. 2016), where there is no random field.
    """

    def __init__(
        self, vectors: StepVectors, front: ParallelFront | None, encoder: RecurrentEncoder, tags: int, *,
        crf: bool = False, locked_dropout: float = 0.0, dropout: float = 0.0, smoothing: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.vectors, self.front, self.encoder = vectors, front, encoder
        self.locked_dropout, self.dropout = LockedDropout(locked_dropout), nn.Dropout(dropout)
        self.head = nn.Linear(encoder.output_units, tags)
        self.crf = CRF(tags, batch_first=True) if crf else None
        self.smoothing = smoothing

    def scores(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`ids` `(batch, steps, slots)` and `lengths` -> `(batch, steps, tags)`."""
        x = self.vectors(batch["ids"])
        if self.front is not None:
            x = self.front(x)
        return self.head(self.dropout(self.encoder(self.locked_dropout(x), batch["lengths"])))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Negative log-likelihoods of `tags` `(batch, steps)`, negative where none counts: `(steps that count,)`, or
        with a random field their mean, `(1,)`."""
        scores, tags = self.scores(batch), batch["tags"]
        known = tags >= 0
        if self.crf is not None:
            real = real_steps(batch["lengths"], tags.shape[1])[..., 0].T
            return (field_loss(self.crf, scores, tags, real).sum() / known.sum())[None]
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(scores[known], tags[known], label_smoothing=smoothing, reduction="none")


def field_loss(crf: CRF, scores: Tensor, tags: Tensor, real: Tensor) -> Tensor:
    """The negative log-likelihood of each sequence under a conditional random field (Lafferty et al. 2001), `(batch,)`.

    A step without a tag may have any: the likelihood is that of all sequences of tags that agree with the known ones.

    Args:
        scores: `(batch, steps, tags)`; tags: `(batch, steps)`, negative where none is known; real: bool, as `tags`.
    """
    some, known = tags.clamp(min=0), tags >= 0
    loss = -crf(scores, some, real, reduction="none")
    if not known[real].all():
        # Beside all sequences of tags or beside those that agree, the score of `some` is the same, and cancels.
        barred = known[..., None] & (F.one_hot(some, scores.shape[-1]) == 0)
        loss = loss + crf(scores.masked_fill(barred, _NEVER), some, real, reduction="none")
    return loss


@torch.enable_grad()
def marginals(crf: CRF, scores: Tensor, real: Tensor) -> Tensor:
    """The probability of each tag at each step, whatever the others are, `(batch, steps, tags)`: the derivative of the
    logarithm of the partition function by the scores."""
    scores = scores.detach().requires_grad_()
    some = torch.zeros(scores.shape[:2], dtype=torch.int64, device=scores.device)
    (slope,) = torch.autograd.grad(crf(scores, some, real), scores)
    return (F.one_hot(some, scores.shape[-1]) - slope).clamp(min=0).detach()


class TagModel(nn.Module):
    """Taggers of one make, which answer with the mean of their scores."""

    def __init__(self, members: Sequence[Tagger]):
        super().__init__()
        self.members = nn.ModuleList(members)

    @torch.no_grad()
    def say(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Probabilities `(batch, steps, tags)` and the tags of each step `(batch, steps)`, -1 past the ends: the
        likeliest of each step, or with a random field the likeliest sequence (Viterbi 1967)."""
        scores = torch.stack([member.scores(batch) for member in self.members]).mean(0)  # type: ignore[operator]
        real = real_steps(batch["lengths"], scores.shape[1])[..., 0].T
        crf = self._mean_field()
        if crf is None:
            return scores.softmax(-1), scores.argmax(-1).masked_fill(~real, -1)
        chosen = torch.full(scores.shape[:2], -1)
        for row, path in zip(chosen, crf.decode(scores, real), strict=True):
            row[: len(path)] = torch.tensor(path)
        return marginals(crf, scores, real), chosen

    def _mean_field(self) -> CRF | None:
        """The members' random fields as one."""
        fields: list[CRF] = [member.crf for member in self.members if member.crf is not None]
        if len(fields) < 2:
            return fields[0] if fields else None
        mean = CRF(fields[0].num_tags, batch_first=True)
        states = [field.state_dict() for field in fields]
        mean.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
        return mean


def tag_model(
    ids: int, tags: int, cell: Cell, *, given: np.ndarray | None = None, substitutions: np.ndarray | None = None,
    embedding_size: int, filters: int, kernel_sizes: Sequence[int], hidden_size: int, num_layers: int, hiding: float,
    mutation: float, locked_dropout: float, dropout: float, smoothing: float, crf: bool, members: int, engine: str,
) -> TagModel:  # fmt: skip
    """A `TagModel` from numbers.

    Args:
        ids: how many there are; given, substitutions, hiding, mutation: see `StepVectors`.
        kernel_sizes: steps the convolutions see, odd numbers; none for no front; filters: of each.
        members: networks, trained one after the other.

    Raises:
        BadInput: the cell reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a tagger feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")

    def member() -> Tagger:
        vectors = StepVectors(ids, embedding_size, given, substitutions, hiding, mutation)
        front = ParallelFront(vectors.size, filters, kernel_sizes) if kernel_sizes else None
        encoder = RecurrentEncoder(
            cell, vectors.size if front is None else front.output_units, hidden_size, num_layers, dropout, engine
        )
        return Tagger(
            vectors, front, encoder, tags, crf=crf, locked_dropout=locked_dropout, dropout=dropout, smoothing=smoothing
        )

    return TagModel([member() for _ in range(members)])
