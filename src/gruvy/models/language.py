"""Language models: what the next token is, given all before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.data.text import PADDING, UNKNOWN
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.layers.recurrent import States
from gruvy.models.cross_entropy import cross_entropy, sampled_cross_entropy
from gruvy.models.parts import LockedDropout
from gruvy.models.sampling import Scores

_STARTS_WITHIN = 0.1  # of the embeddings


class LanguageNetwork(nn.Module):
    """Embeddings -> recurrent layers -> scores by the same embeddings (Press & Wolf 2017, arXiv:1608.05859).

    Args:
        vocabulary_size, embedding_size: of the embeddings, which are those of the output too.
        layers: recurrent, one direction, `batch_first`.
        embedding_dropout: share of the vocabulary that is absent from a batch (Gal & Ghahramani 2016).
        input_dropout, layer_dropout, output_dropout: of units, one mask a sequence, see `LockedDropout`.
        weight_dropout: share of the recurrent matrices that is 0 in a batch (Merity et al. 2018, arXiv:1708.02182).
        samples: tokens of a sampled loss in training; 0 for the whole vocabulary.
    """

    def __init__(
        self, vocabulary_size: int, embedding_size: int, layers: Sequence[Recurrent], *, embedding_dropout: float,
        input_dropout: float, layer_dropout: float, output_dropout: float, weight_dropout: float, samples: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.uniform_(self.embedding.weight, -_STARTS_WITHIN, _STARTS_WITHIN)
        self.layers = nn.ModuleList(layers)
        units = layers[-1].output_units
        self.projection = nn.Linear(units, embedding_size) if units != embedding_size else None
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.embedding_dropout, self.weight_dropout, self.samples = embedding_dropout, weight_dropout, samples
        self.input_dropout = LockedDropout(input_dropout)
        self.layer_dropout, self.output_dropout = LockedDropout(layer_dropout), LockedDropout(output_dropout)

    def forward(self, batch: Mapping[str, Any], states: Sequence[States] | None = None) -> tuple[Tensor, list[States]]:
        """Negative log-likelihoods `(targets,)` in nats, and the states at the end.

        Args:
            batch: `ids` `(rows, steps)`, `there` `(rows, steps)`, where there is a target, and `targets`, flat.
            states: of each layer, at the end of the batch before; None to begin.
        """
        hidden, states = self.read(batch["ids"], states)
        kept, targets = hidden[batch["there"]], batch["targets"]
        if self.training and self.samples:
            return sampled_cross_entropy(kept, self.embedding.weight, self.bias, targets, self.samples), states
        return cross_entropy(kept, self.embedding.weight, self.bias, targets), states

    def read(self, ids: Tensor, states: Sequence[States] | None = None) -> tuple[Tensor, list[States]]:
        """What is known after each token, `(rows, steps, embedding size)`, and the states at the end."""
        x: Tensor = self.input_dropout(F.embedding(ids, self._embeddings()))
        after: list[States] = []
        for place, layer in enumerate(self.layers):
            if place:
                x = self.layer_dropout(x)
            x, state = self._run(layer, x, None if states is None else states[place])
            after.append(state)
        x = self.output_dropout(x)
        return x if self.projection is None else self.projection(x), after

    def step(self, ids: Tensor, states: Sequence[States] | None = None) -> tuple[Tensor, list[States]]:
        """What is known after one token more: ids `(rows,)` -> `(rows, embedding size)`, and the states."""
        x = self.embedding.weight[ids]
        after: list[States] = []
        for place, layer in enumerate(self.layers):
            x, state = layer.step(x, None if states is None else states[place])  # type: ignore[operator]
            after.append(state)
        return x if self.projection is None else self.projection(x), after

    def scores(self, hidden: Tensor) -> Tensor:
        """Scores of all tokens, `(..., vocabulary)`."""
        return F.linear(hidden, self.embedding.weight, self.bias)

    def _embeddings(self) -> Tensor:
        weight = self.embedding.weight
        if not (self.training and self.embedding_dropout):
            return weight
        keep = 1 - self.embedding_dropout
        return weight * weight.new_empty(len(weight), 1).bernoulli_(keep).div_(keep)

    def _run(self, layer: nn.Module, x: Tensor, state: States | None) -> tuple[Tensor, States]:
        if not (self.training and self.weight_dropout):
            output, after = layer(x, state)
            return output, after
        dropped = {
            name: F.dropout(weight, self.weight_dropout)
            for name, weight in layer.named_parameters() if name.startswith("weight_hh")
        }  # fmt: skip
        output, after = functional_call(layer, dropped, (x, state))
        return output, after


class Carrying(nn.Module):
    """A language network in training: each batch begins with the states at which the one before it ended.

    The states are in its state dict, so that they are in a checkpoint; those of validation are others.
    """

    def __init__(self, network: LanguageNetwork):
        super().__init__()
        self.network = network
        self._carried: dict[bool, list[States] | None] = {True: None, False: None}
        self.tokens = 0  # trained on

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Negative log-likelihoods `(targets,)`; `batch["fresh"]` forgets the states."""
        before = None if batch["fresh"] else self._carried[self.training]
        if before is not None:  # those of a checkpoint come from the CPU
            before = [_moved(state, batch["ids"].device) for state in before]
        losses, after = self.network(batch, before)
        self.tokens += len(losses) if self.training else 0
        self._carried[self.training] = [_detached(state) for state in after]
        return losses

    def get_extra_state(self) -> Any:
        """The states of training."""
        return self._carried[True]

    def set_extra_state(self, state: Any) -> None:
        """Take the states up again."""
        self._carried[True] = state


def _detached(state: States) -> States:
    return state.detach() if isinstance(state, Tensor) else tuple(s.detach() for s in state)


def _moved(state: States, device: torch.device) -> States:
    return state.to(device) if isinstance(state, Tensor) else tuple(s.to(device) for s in state)


class LanguageModel(nn.Module):
    """A language network as a model; see `gruvy.tasks.contract.Modality`."""

    def __init__(self, network: LanguageNetwork):
        super().__init__()
        self.network = network
        self._scores: tuple[Any, Scores] | None = None

    def scores(self) -> Scores:
        """Scores of the tokens that can be written, for one text; made again only where the weights have changed."""
        weight, bias = self.network.embedding.weight, self.network.bias
        state = weight.data_ptr(), weight._version, bias._version
        if self._scores is None or self._scores[0] != state:
            written = bias.detach().clone()
            written[[PADDING, UNKNOWN]] = -torch.inf
            self._scores = state, Scores(weight, written)
        return self._scores[1]


def language_model(
    vocabulary_size: int, cell: Cell, *, embedding_size: int, hidden_size: int, num_layers: int,
    embedding_dropout: float, input_dropout: float, layer_dropout: float, output_dropout: float,
    weight_dropout: float, samples: int, engine: str,
) -> LanguageModel:  # fmt: skip
    """A `LanguageModel` from numbers.

    A cell that adds its input to its state gets embeddings of the state's size.

    Raises:
        BadInput: the cell reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(
            f"a language model feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell"
        )
    if "H" in cell.inputs.values():
        embedding_size = hidden_size
    layers: list[Recurrent] = []
    for _ in range(num_layers):
        units = layers[-1].output_units if layers else embedding_size
        layers.append(Recurrent(cell, units, hidden_size, batch_first=True, engine=engine, recurrent_init="orthogonal"))
    return LanguageModel(LanguageNetwork(
        vocabulary_size, embedding_size, layers, embedding_dropout=embedding_dropout, input_dropout=input_dropout,
        layer_dropout=layer_dropout, output_dropout=output_dropout, weight_dropout=weight_dropout, samples=samples,
    ))  # fmt: skip
