"""Sequence to sequence: an encoder, and a decoder of two recurrent layers with attention between them.

Attention asks with the output of the first layer, which reads target tokens only, so that in training each layer
runs over all steps in one call; the second layer reads that output and what attention found (the placing of
Wu et al. 2016, arXiv:1609.08144, and of Chen et al. 2018, arXiv:1804.09849, within one decoder).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.data.text import UNKNOWN
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.language.cell import units
from gruvy.language.graph import Size
from gruvy.layers.recurrent import States
from gruvy.models.attention import KINDS, AdditiveAttention, Attention, DotAttention, Source
from gruvy.models.cross_entropy import cross_entropy
from gruvy.models.encoders import Chain, RecurrentLayer, source_encoder
from gruvy.models.parts import LockedDropout, WordDropout


@dataclass(frozen=True)
class Decoding:
    """Where the decoder stands in many hypotheses, the same number for each source sequence.

    Attributes:
        source: what is attended to, a row for each source sequence.
        states: of both layers, each state `(1, rows, units)`, the rows of one source sequence together.
    """

    source: Source
    states: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]

    def take(self, rows: Tensor, sequences: Tensor | None = None) -> Decoding:
        """The hypotheses at int64 `rows`, of the source sequences at `sequences` (all of them when None)."""
        first, second = (tuple(state[:, rows] for state in layer) for layer in self.states)
        return Decoding(self.source if sequences is None else self.source.take(sequences), (first, second))


class InitialState(nn.Module):
    """The states a layer begins with: tanh(W mean of the encoder's output + b), but a cell's own initial values."""

    def __init__(self, cell: Cell, source_units: int, layer: RecurrentLayer):
        super().__init__()
        sizes: dict[Size, int] = {"I": layer.layer.input_size, "H": layer.layer.hidden_size}
        self.widths = {name: units(size, sizes) for name, size in cell.states.items()}
        self.values = {name: cell.init[name] for name in cell.states if name in cell.init}
        self.linear = nn.Linear(source_units, sum(w for name, w in self.widths.items() if name not in self.values))

    def forward(self, mean: Tensor) -> tuple[Tensor, ...]:
        """`(batch, source_units)` -> each state `(1, batch, units)`."""
        learned = torch.tanh(self.linear(mean))[None]
        states = []
        for name, width in self.widths.items():
            if name in self.values:
                states.append(learned.new_full((1, len(mean), width), self.values[name]))
            else:
                states.append(learned[..., :width])
                learned = learned[..., width:]
        return tuple(states)


class TranslationModel(nn.Module):
    """Writes a target sequence for a source sequence, one token after the other.

    Args:
        source_embedding, target_embedding: of token ids; one and the same for a shared vocabulary. The target's is
            the output layer too (Press & Wolf 2017, arXiv:1608.05859).
        encoder: reads the source.
        first, second: the decoder's layers; second reads the output of first and the context.
        attention: from the output of first to the encoder's output.
        word_dropout: probability of hiding a token; locked_dropout: of an embedding unit, for the whole sequence;
        dropout: of a unit between layers and before the output, for the whole sequence.
        smoothing: share of the target's probability spread over the whole vocabulary, in training.
    """

    def __init__(
        self, cell: Cell, source_embedding: nn.Embedding, target_embedding: nn.Embedding, encoder: Chain,
        first: RecurrentLayer, attention: Attention, second: RecurrentLayer, *, word_dropout: float = 0.0,
        locked_dropout: float = 0.0, dropout: float = 0.0, smoothing: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.source_embedding, self.target_embedding = source_embedding, target_embedding
        self.encoder, self.first, self.attention, self.second = encoder, first, attention, second
        source_units = encoder.output_units
        self.initial = nn.ModuleList(InitialState(cell, source_units, layer) for layer in (first, second))
        self.readout = nn.Linear(second.output_units + source_units, target_embedding.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(target_embedding.num_embeddings))
        self.word_dropout = WordDropout(word_dropout, UNKNOWN)
        self.locked_dropout, self.dropout = LockedDropout(locked_dropout), LockedDropout(dropout)
        self.smoothing = smoothing

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Negative log-likelihood, in nats, of each real target token.

        Args:
            batch: ids `"source"` `(batch, sources)` and `"target"` `(batch, targets)`, which begins with the end of
                the text before, their `"source_lengths"` and `"target_lengths"` `(batch,)`, at least 1, and the ids to
                predict, `"targets"` `(tokens,)`, one sequence after the other.

        Returns:
            `(tokens,)`; in training with label smoothing (Szegedy et al. 2016, arXiv:1512.00567).
        """
        lengths = batch["target_lengths"]
        state = self.decode_start(batch["source"], batch["source_lengths"])
        embedded = self.locked_dropout(self.target_embedding(self.word_dropout(batch["target"])))
        asked, _ = self.first(embedded, _unpacked(state.states[0]), lengths)
        asked = self.dropout(asked)
        context, _ = self.attention(asked, state.source)
        read = torch.cat([asked, self.dropout(context)], -1)
        output, _ = self.second(read, _unpacked(state.states[1]), lengths)
        hidden = self.dropout(self._read_out(output, context))
        real = real_steps(lengths, hidden.shape[1])[..., 0].T
        smoothing = self.smoothing if self.training else 0.0
        return cross_entropy(hidden[real], self.target_embedding.weight, self.bias, batch["targets"], smoothing)

    def decode_start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Source ids `(batch, sources)` and their lengths -> one hypothesis for each, with nothing written."""
        embedded = self.locked_dropout(self.source_embedding(self.word_dropout(source)))
        output = self.dropout(self.encoder(embedded, lengths))
        first, second = (initial(output.sum(1) / lengths[:, None]) for initial in self.initial)
        return Decoding(self.attention.prepare(output, lengths), (first, second))

    def decode_step(self, ids: Tensor, state: Decoding) -> tuple[Tensor, Decoding, Tensor]:
        """One more token of each hypothesis.

        Args:
            ids: `(rows,)`, the tokens written last; the end of a text begins one.

        Returns:
            Log-probabilities of the next token `(rows, vocabulary)`, the state after `ids`, and the attention
            `(rows, sources)`.
        """
        asked, first = self.first.step(self.target_embedding(ids), _unpacked(state.states[0]))
        sequences = len(state.source.values)
        context, weights = self.attention(asked.unflatten(0, (sequences, -1)), state.source)
        context = context.flatten(0, 1)
        output, second = self.second.step(torch.cat([asked, context], -1), _unpacked(state.states[1]))
        logits = F.linear(self._read_out(output, context), self.target_embedding.weight, self.bias)
        after = Decoding(state.source, (_packed(first), _packed(second)))
        return logits.log_softmax(-1), after, weights.flatten(0, 1)

    def _read_out(self, output: Tensor, context: Tensor) -> Tensor:
        return torch.tanh(self.readout(torch.cat([output, context], -1)))


def _packed(states: States) -> tuple[Tensor, ...]:
    return (states,) if isinstance(states, Tensor) else tuple(states)


def _unpacked(states: tuple[Tensor, ...]) -> States:
    return states[0] if len(states) == 1 else states


def translation_model(
    source_vocabulary: int, target_vocabulary: int, cell: Cell, *, shared: bool, encoder: str, attention: str,
    embedding_size: int, hidden_size: int, num_layers: int, word_dropout: float, locked_dropout: float, dropout: float,
    smoothing: float, engine: str,
) -> TranslationModel:  # fmt: skip
    """A `TranslationModel` from numbers.

    Args:
        source_vocabulary, target_vocabulary: how many tokens; the same where `shared`.
        encoder: one of `gruvy.models.encoders.ENCODERS`; attention: one of `gruvy.models.attention.KINDS`.
        hidden_size: of the decoder's layers; of the encoder's two directions together.
        num_layers: of the encoder.

    Raises:
        BadInput: a name that is not known, an odd `hidden_size`, or a cell that reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"translation feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    if attention not in KINDS:
        raise BadInput(f"there is no attention {attention!r}; expected one of {', '.join(KINDS)}")
    if hidden_size % 2:
        raise BadInput(f"hidden_size is {hidden_size}; expected an even number, half of it for each direction")
    encode = source_encoder(encoder, cell, embedding_size, hidden_size // 2, num_layers, dropout, engine)
    first = RecurrentLayer(cell, embedding_size, hidden_size, engine)
    second = RecurrentLayer(cell, first.output_units + encode.output_units, hidden_size, engine)
    attend: Attention = (
        AdditiveAttention(first.output_units, encode.output_units, hidden_size // 2)
        if attention == "additive"
        else DotAttention(first.output_units, encode.output_units)
    )
    target_embedding = _embedding(target_vocabulary, embedding_size)
    return TranslationModel(
        cell, target_embedding if shared else _embedding(source_vocabulary, embedding_size), target_embedding, encode,
        first, attend, second, word_dropout=word_dropout, locked_dropout=locked_dropout, dropout=dropout,
        smoothing=smoothing,
    )  # fmt: skip


def _embedding(vocabulary: int, size: int) -> nn.Embedding:
    made = nn.Embedding(vocabulary, size)
    nn.init.normal_(made.weight, std=0.1)
    return made
