"""Models of one text: a recurrent branch, an n-gram branch, and their combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gruvy.cells import Cell
from gruvy.data.text import PADDING, UNKNOWN, TokenIds
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.models.embeddings import word_vectors
from gruvy.models.ngrams import Labelled, Loss, NgramText
from gruvy.models.parts import LockedDropout, Pooling, WordDropout

RECURRENT, NGRAMS, BOTH = "recurrent branch", "n-gram branch", "both"
_FEWEST = 4  # validation rows that can weigh branches
_CLEARLY = 0.005  # share of the loss the n-gram branch must save to be kept


class RecurrentText(nn.Module):
    """Embedding, recurrent encoder, pooling, head.

    Args:
        vocabulary_size, embedding_size: of the embedding.
        encoder: reads `(batch, steps, embedding_size)`.
        output_size: what the head gives, one value a class or one number.
        pooling: see `Pooling`.
        word_dropout: probability of hiding a token; locked_dropout: of an embedding unit, for the whole text;
        dropout: of a pooled unit.
    """

    def __init__(
        self, vocabulary_size: int, embedding_size: int, encoder: Recurrent, output_size: int,
        pooling: tuple[str, ...] = ("max", "mean"), word_dropout: float = 0.0, locked_dropout: float = 0.0,
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.word_dropout = WordDropout(word_dropout, UNKNOWN)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING)
        self.locked_dropout = LockedDropout(locked_dropout)
        self.encoder = encoder
        self.pooling = Pooling(pooling)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.output_units * len(pooling), output_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PADDING] = 0

    @property
    def encoded_size(self) -> int:
        """Units of a text as `encode` gives it."""
        return self.head.in_features

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`batch["ids"]` `(batch, steps)` and `batch["lengths"]` `(batch,)` -> `(batch, encoded_size)`."""
        embedded = self.locked_dropout(self.embedding(self.word_dropout(batch["ids"])))
        output, _ = self.encoder(embedded, lengths=batch["lengths"])
        pooled: Tensor = self.pooling(output, batch["lengths"])
        return pooled

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch as `encode` reads it -> `(batch, output_size)`."""
        return self.head(self.dropout(self.encode(batch)))

    @torch.no_grad()
    def start(self, tokens: TokenIds, seed: int) -> None:
        """Begin with word vectors of the training texts."""
        vectors = torch.from_numpy(
            word_vectors(tokens, self.embedding.num_embeddings, self.embedding.embedding_dim, seed)
        )
        known = vectors.abs().sum(1) > 0
        self.embedding.weight[known] = vectors[known]


class Combination(nn.Module):
    """A weighted sum of what branches say, which also calibrates it: `w[0] * first + w[1] * second + ... + bias`."""

    def __init__(self, branches: int, output_size: int):
        super().__init__()
        self.weights = nn.Parameter(torch.full((branches,), 1 / branches))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, *outputs: Tensor) -> Tensor:
        """One `(texts, output_size)` a branch -> the same shape."""
        return torch.stack([w * out for w, out in zip(self.weights, outputs, strict=True)]).sum(0) + self.bias

    def fit(self, outputs: Sequence[Tensor], targets: Tensor, loss: Loss) -> Combination:
        """Minimise the loss on rows no branch was trained on."""
        optimiser = torch.optim.LBFGS(self.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            # A little ridge keeps the answer finite when the branches separate the rows perfectly.
            value = loss(self(*outputs), targets) + 1e-3 * (self.weights**2).sum()
            value.backward()
            return value

        optimiser.step(closure)
        return self


def held_out_loss(outputs: Sequence[Tensor], targets: Tensor, loss: Loss) -> float:
    """What a combination of `outputs` costs on rows it was not fitted on: two halves, each judged by the other."""
    even = torch.arange(len(targets)) % 2 == 0
    total = 0.0
    for fitted, judged in ((even, ~even), (~even, even)):
        combination = Combination(len(outputs), outputs[0].shape[1])
        combination.fit([out[fitted] for out in outputs], targets[fitted], loss)
        with torch.no_grad():
            total += loss(combination(*(out[judged] for out in outputs)), targets[judged]).item()
    return total / 2


class TextModel(nn.Module):
    """A recurrent branch and, where it helps, an n-gram branch beside it.

    Args:
        network: the recurrent branch, which gradient steps train.
        ngrams: the n-gram branch, which `prepare` fits and `finish` weighs; None for a model without.

    Attributes:
        answer: the branch that speaks for the model, a key of `branches`.
    """

    def __init__(self, network: RecurrentText, ngrams: NgramText | None):
        super().__init__()
        self.network, self.ngrams = network, ngrams
        self.combination = Combination(2, network.head.out_features) if ngrams is not None else None
        self.answer = BOTH if ngrams is not None else RECURRENT

    def branches(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What each branch says, `(batch, output_size)`."""
        recurrent = self.network(batch)
        if self.ngrams is None or self.combination is None:
            return {RECURRENT: recurrent}
        ngrams = self.ngrams(batch["tokens"])
        return {NGRAMS: ngrams, RECURRENT: recurrent, BOTH: self.combination(recurrent, ngrams)}

    def prepare(self, train: Labelled, validation: Labelled, loss: Loss, seed: int) -> None:
        """What comes before gradient steps: word vectors to start from, and the whole n-gram branch."""
        self.network.start(train[0], seed)
        if self.ngrams is not None:
            self.ngrams.fit(train, validation, loss)

    def finish(self, outputs: Mapping[str, Tensor], targets: Tensor, loss: Loss) -> None:
        """Weigh the branches on the validation rows, given what each says of them.

        Both speak for the model where that costs clearly less than the recurrent branch alone, on held-out rows.
        """
        if self.combination is None:
            return
        recurrent, ngrams = outputs[RECURRENT], outputs[NGRAMS]
        if len(targets) < _FEWEST:
            self.answer = RECURRENT
            return
        self.combination.fit([recurrent, ngrams], targets, loss)
        alone, together = (held_out_loss(branches, targets, loss) for branches in ([recurrent], [recurrent, ngrams]))
        self.answer = BOTH if together < (1 - _CLEARLY) * alone else RECURRENT

    def prune(self, recipe: Any) -> Any:
        """Remove the n-gram branch where it does not help; the recipe of what is left."""
        if self.answer == BOTH:
            return recipe
        self.ngrams = self.combination = None
        return replace(recipe, ngram_max_n=0)


def text_model(
    vocabulary_size: int, output_size: int, cell: Cell, *, embedding_size: int, hidden_size: int, num_layers: int,
    bidirectional: bool, pooling: tuple[str, ...], word_dropout: float, locked_dropout: float, dropout: float,
    ngram_max_n: int, ngram_buckets: int, engine: str,
) -> TextModel:  # fmt: skip
    """A `TextModel` from numbers; `ngram_max_n=0` leaves the n-gram branch out.

    A cell that adds its input to its state gets word vectors of the state's size.

    Raises:
        BadInput: the cell reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a text model feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    if "H" in cell.inputs.values():
        embedding_size = hidden_size
    encoder = Recurrent(
        cell, embedding_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0,
        bidirectional=bidirectional, engine=engine, recurrent_init="orthogonal",
    )  # fmt: skip
    network = RecurrentText(
        vocabulary_size, embedding_size, encoder, output_size, pooling, word_dropout, locked_dropout, dropout
    )
    return TextModel(network, NgramText(ngram_buckets, ngram_max_n, output_size) if ngram_max_n else None)
