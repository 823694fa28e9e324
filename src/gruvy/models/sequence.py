"""Models of one sequence of symbols: recurrent networks, a branch of k-mers, and their combination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.data.symbols import Alphabet
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.models.front import ConvFront
from gruvy.models.kmers import KmerSequence
from gruvy.models.members import Members
from gruvy.models.ngrams import Labelled, Loss
from gruvy.models.parts import LockedDropout, Pooling
from gruvy.models.weighing import Weighing

RECURRENT, KMERS, BOTH = "recurrent branch", "k-mer branch", "both"
ENCODINGS, FRONTS = ("one-hot", "k-mer", "learned"), ("conv", "none")
_LEARNED_SIZE = 16  # of a learned vector
_MOST_KMERS = 400  # features of the encoding by k-mers: triples of nucleotides, pairs of residues
_KERNEL_SIZES, _TARGET_STEPS, _MOST_STRIDE = (9, 5), 24, 8
_FEWEST = 4  # validation rows that can weigh branches; with fewer, both count alike


class SymbolVectors(nn.Module):
    """What the network reads of each symbol: its letters in parts (`"one-hot"`), the product of those of the next few
    symbols (`"k-mer"`), or a learned vector for each letter, in parts (`"learned"`).
    """

    vectors: Tensor

    def __init__(self, alphabet: Alphabet, encoding: str):
        super().__init__()
        if encoding not in ENCODINGS:
            raise BadInput(f"encoding is {encoding!r}; expected one of {', '.join(ENCODINGS)}")
        self.register_buffer("vectors", torch.from_numpy(alphabet.vectors), persistent=False)
        letters = len(alphabet.letters)
        self.k = 1
        while encoding == "k-mer" and letters ** (self.k + 1) <= _MOST_KMERS and self.k < 3:
            self.k += 1
        self.learned = nn.Linear(letters, _LEARNED_SIZE, bias=False) if encoding == "learned" else None
        self.size = _LEARNED_SIZE if self.learned is not None else letters**self.k

    def forward(self, ids: Tensor) -> Tensor:
        """`(batch, steps)` -> `(batch, steps, size)`, 0 at padding."""
        found = one = self.vectors[ids]
        for ahead in range(1, self.k):
            # Past the end nothing is known of the symbol.
            following = F.pad(one[:, ahead:], (0, 0, 0, min(ahead, one.shape[1])))
            found = (found[..., :, None] * following[..., None, :]).flatten(2)
        return found if self.learned is None else self.learned(found)


class RecurrentSequence(nn.Module):
    """Vectors of symbols, a convolutional front, places, recurrent encoder, pooling, head.

    Args:
        vectors: of the symbols; front: reads them; None hands them to the encoder as they are.
        encoder: reads what comes out of the front.
        places: steps of aligned sequences that get a vector of their own, added to what the encoder reads; 0 for none.
        output_size: what the head gives, one value a class or one number.
        pooling: see `Pooling`.
        mutation: probability that a symbol is replaced by a letter drawn at random, in training.
        locked_dropout: probability of hiding an input unit of the encoder for the whole sequence; dropout: of a pooled
            unit.
        complement: the id of what pairs with each id, to read both strands and answer with the mean (in training, one
            of them at random); None for one strand.
    """

    complement: Tensor | None

    def __init__(
        self, vectors: SymbolVectors, front: ConvFront | None, encoder: Recurrent, places: int, output_size: int,
        pooling: tuple[str, ...], mutation: float, locked_dropout: float, dropout: float, complement: Tensor | None,
    ):  # fmt: skip
        super().__init__()
        self.vectors, self.front, self.encoder, self.mutation = vectors, front, encoder, mutation
        self.places = nn.Parameter(0.02 * torch.randn(places, encoder.input_size)) if places else None
        self.locked_dropout = LockedDropout(locked_dropout)
        self.pooling = Pooling(pooling)
        self.dropout = nn.Dropout(dropout)
        self.encoded_size = encoder.output_units * len(pooling)
        self.head = nn.Linear(self.encoded_size, output_size)
        self.register_buffer("complement", complement, persistent=False)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`ids` `(batch, steps)` and `lengths` `(batch,)` -> `(batch, encoded_size)`."""
        ids, lengths = self._mutated(batch["ids"]), batch["lengths"]
        if self.complement is None:
            return self._read(ids, lengths)
        other = reverse_complement(ids, lengths, self.complement)
        if self.training:  # one strand at random teaches as much as both, and takes half the time
            return self._read(torch.where(torch.rand(len(ids), 1, device=ids.device) < 0.5, ids, other), lengths)
        return (self._read(ids, lengths) + self._read(other, lengths)) / 2

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """-> `(batch, output_size)`."""
        return self.head(self.dropout(self.encode(batch)))

    def _mutated(self, ids: Tensor) -> Tensor:
        if not self.training or not self.mutation:
            return ids
        drawn = torch.randint(2, 2 + self.vectors.vectors.shape[1], ids.shape, device=ids.device)
        return torch.where((torch.rand(ids.shape, device=ids.device) < self.mutation) & (ids > 0), drawn, ids)

    def _read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x = self.vectors(ids)
        if self.front is not None:
            x, lengths = self.front(x, lengths)
        if self.places is not None:
            x = x + F.pad(self.places[: x.shape[1]], (0, 0, 0, max(0, x.shape[1] - len(self.places))))
        output, _ = self.encoder(self.locked_dropout(x), lengths=lengths)
        return self.pooling(output, lengths)


class Together(Members):
    """Members that, in training, each read their own share of a batch, drawn at random, so that they differ."""

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """-> `(batch, output_size)`."""
        if not self.training or len(self.members) == 1:
            return super().forward(batch)
        ids, lengths = batch["ids"], batch["lengths"]
        order = torch.randperm(len(ids), device=ids.device)
        shares = order.chunk(len(self.members))
        said = [
            member({"ids": ids[rows, : int(lengths[rows].max())], "lengths": lengths[rows]})
            for member, rows in zip(self.members, shares, strict=False)  # a last batch may have fewer rows than members
        ]
        return torch.cat(said)[order.argsort()]


class SequenceModel(nn.Module):
    """Recurrent networks and a branch of k-mers beside them, each counting as much as helps.

    Args:
        network: what gradient steps train.
        kmers: the other branch, which `prepare` fits and `finish` weighs; None for a model without.

    Attributes:
        answer: the branch that speaks for the model, a key of `branches`.
    """

    def __init__(self, network: Together, kmers: KmerSequence | None):
        super().__init__()
        self.network, self.kmers = network, kmers
        self.weighing = Weighing(2) if kmers is not None else None
        self.answer = BOTH if kmers is not None else RECURRENT

    def branches(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What each branch says, `(batch, output_size)`."""
        recurrent = self.network(batch)
        if self.kmers is None or self.weighing is None:
            return {RECURRENT: recurrent}
        kmers = self.kmers(batch["tokens"])
        return {KMERS: kmers, RECURRENT: recurrent, BOTH: self.weighing(recurrent, kmers)}

    def prepare(self, train: Labelled, validation: Labelled, loss: Loss, seed: int) -> None:
        """Fit the k-mer branch, which needs no gradient steps of the network."""
        if self.kmers is not None:
            self.kmers.fit(train, validation, loss)

    def finish(self, outputs: Mapping[str, Tensor], targets: Tensor, loss: Loss) -> None:
        """Weigh the branches on the validation rows, given what each says of them."""
        if self.weighing is not None and len(targets) >= _FEWEST:
            self.weighing.fit([outputs[RECURRENT], outputs[KMERS]], targets, loss)

    def prune(self, recipe: Any) -> Any:
        """Nothing is removed: the branches err in different places, and few rows cannot tell that one is idle."""
        return recipe


def sequence_model(
    alphabet: Alphabet, steps: int, aligned: bool, output_size: int, cell: Cell, *, encoding: str, front: str,
    hidden_size: int, num_layers: int, bidirectional: bool, pooling: tuple[str, ...], mutation: float,
    locked_dropout: float, dropout: float, members: int, reverse_complement: bool, kmers: bool, engine: str,
) -> SequenceModel:  # fmt: skip
    """A `SequenceModel` from numbers.

    Args:
        steps: symbols of a sequence, which decide how much the front pools; aligned: all sequences have as many, and
            places count, but for reading both strands.
        encoding: see `SymbolVectors`; front: `"conv"`, or `"none"` for a recurrent layer that reads symbols as such.
        members: recurrent networks; kmers: whether a `KmerSequence` stands beside them.

    Raises:
        BadInput: an encoding or a front there is not, letters that pair with none where both strands are to be read, or
            a cell that reads something else than the sequence.
    """
    if front not in FRONTS:
        raise BadInput(f"front is {front!r}; expected one of {', '.join(FRONTS)}")
    if reverse_complement and alphabet.complement is None:
        raise BadInput(
            f"--reverse-complement needs DNA or RNA, and these sequences are of {_called(alphabet)}; leave it out"
        )
    if len(cell.inputs) > 1:
        raise BadInput(
            f"a sequence model feeds one input, and {cell.name} reads {', '.join(cell.inputs)}; use another cell"
        )
    adds = "H" in cell.inputs.values()
    if adds and front == "none":
        raise BadInput(f"{cell.name} adds its input to its state and needs a front of that size: use --front conv")
    complement = alphabet.complement if reverse_complement else None
    aligned = aligned and not reverse_complement
    strides = _strides(steps)

    def member() -> RecurrentSequence:
        vectors = SymbolVectors(alphabet, encoding)
        conv, left = None, steps
        if front == "conv":
            conv = ConvFront(vectors.size, (3 * hidden_size // 2, hidden_size), _KERNEL_SIZES, strides)
            for stride in strides:
                left = -(-left // stride)
        encoder = Recurrent(
            cell, hidden_size if conv else vectors.size, hidden_size, num_layers, batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0, bidirectional=bidirectional, engine=engine,
            recurrent_init="orthogonal",
        )  # fmt: skip
        return RecurrentSequence(
            vectors, conv, encoder, left if aligned and conv else 0, output_size, pooling, mutation, locked_dropout,
            dropout, None if complement is None else torch.from_numpy(complement),
        )  # fmt: skip

    branch = None
    if kmers:
        branch = KmerSequence(len(alphabet), len(alphabet.letters), steps if aligned else 0, output_size, complement)
    return SequenceModel(Together(member() for _ in range(members)), branch)


def reverse_complement(ids: Tensor, lengths: Tensor, complement: Tensor) -> Tensor:
    """The other strand of each sequence, `(batch, steps)`, padded at the end as `ids` are."""
    place = lengths[:, None] - 1 - torch.arange(ids.shape[1], device=ids.device)
    return complement[ids.gather(1, place.clamp(min=0))].masked_fill(place < 0, 0)


def _strides(steps: int) -> tuple[int, ...]:
    """Symbols each block of the front pools into one, so that about `_TARGET_STEPS` are left."""
    each = round((max(1, steps) / _TARGET_STEPS) ** (1 / len(_KERNEL_SIZES)))
    return (min(_MOST_STRIDE, max(1, each)),) * len(_KERNEL_SIZES)


def _called(alphabet: Alphabet) -> str:
    return "proteins" if alphabet.kind == "protein" else f"the letters {alphabet.letters}"
