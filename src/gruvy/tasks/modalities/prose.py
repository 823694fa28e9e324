"""What the tasks about running text share: how it is prepared, what reads it, how it is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy.cells import Cell
from gruvy.data.prose import ProseInputs, Stream, clean
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput
from gruvy.models.language import LanguageModel, LanguageNetwork, language_model
from gruvy.models.sampling import Sampling
from gruvy.tasks.examples import listed
from gruvy.tasks.recipes import LanguageRecipe

KIND = "prose"
COMMAND = 'gruvy generate DIR --prompt "..."'
PYTHON = 'print("".join(gruvy.load("DIR").generate("a beginning", length=100)))'
WHAT = "texts"
_WINDOW = 512  # steps of a batch that is scored
_AT_LEAST = 20_000  # tokens of a row of it
_ROWS = 32
_MOST_READ = 20_000  # tokens of a prompt: what is further back is long forgotten
_MOST_SCORES = 2**25  # numbers held at once


def load_inputs(folder: Path, recipe: LanguageRecipe) -> ProseInputs:
    """Read the vocabulary from an artefact."""
    return ProseInputs.load(folder)


def build_model(
    inputs: ProseInputs, output_size: int, recipe: LanguageRecipe, cell: Cell, engine: str
) -> LanguageModel:
    """The model a recipe describes."""
    return language_model(
        len(inputs.vocabulary), cell, embedding_size=recipe.embedding_size, hidden_size=recipe.hidden_size,
        num_layers=recipe.num_layers, embedding_dropout=recipe.embedding_dropout, input_dropout=recipe.input_dropout,
        layer_dropout=recipe.layer_dropout, output_dropout=recipe.output_dropout,
        weight_dropout=recipe.weight_dropout, samples=recipe.samples, engine=engine,
    )  # fmt: skip


@torch.no_grad()
def log_likelihoods(network: LanguageNetwork, ids: np.ndarray, hidden: bool = False) -> tuple[Tensor, Tensor]:
    """Of every token of a stream given those before it, exactly, `(tokens,)` in nats.

    A long stream is read in several rows, each of at least 20,000 tokens, that begin without a past.

    Args:
        hidden: also give what the network knew before each token, `(tokens, embedding size)`; nothing otherwise.
    """
    network.eval()
    device = network.bias.device
    rows = max(1, min(_ROWS, len(ids) // _AT_LEAST))
    window = max(1, min(_WINDOW, _MOST_SCORES // (rows * len(network.bias))))
    losses, known, there, states = [], [], [], None
    for batch in Stream(ids, window).batches(rows):
        read, states = network.read(batch["ids"].to(device), states)
        found = torch.full(batch["there"].shape, float("nan"))
        kept = read[batch["there"].to(device)]
        scores = network.scores(kept).log_softmax(-1)
        found[batch["there"]] = scores.gather(1, batch["targets"].to(device)[:, None])[:, 0].cpu()
        losses.append(found)
        if hidden:
            known.append(read.cpu())
        there.append(batch["there"])
    place = torch.cat(there, 1)
    return torch.cat(losses, 1)[place], torch.cat(known, 1)[place] if hidden else torch.empty(0)


def predict(trained: Any, raw: Any) -> Any:
    """How probable a text is, or each of several: tokens, perplexity and bits a character."""
    if isinstance(raw, str):
        return predict(trained, [raw])[0]
    return [_judged(trained, text, number + 1) for number, text in enumerate(listed(raw))]


def _judged(trained: Any, text: Any, number: int) -> dict[str, Any]:
    if not isinstance(text, str):
        raise BadInput(f"text {number} is a {type(text).__name__}; expected a str")
    texts = clean([text], f"text {number}").texts
    found, _ = log_likelihoods(trained.model.network, trained.inputs(texts))
    figures = trained.task.metrics(found.double().numpy(), len(texts[0]), words(texts))
    return {"tokens": len(found), **figures}


def words(texts: Sequence[str]) -> int:
    """What stands between spaces in texts, and every line end."""
    return sum(len(text.split()) + len(text.splitlines()) for text in texts)


class LongPrompt(UserWarning):
    """A prompt is longer than is read."""

    def __init__(self, tokens: int):
        super().__init__(f"the prompt has {tokens:,} tokens; the last {_MOST_READ:,} are read")


class Writer:
    """Goes on with a text, token by token.

    Args:
        trained: a `gruvy.artefact.Trained` language model.
        sampling: how tokens are drawn; seed: of the draws.
    """

    def __init__(self, trained: Any, sampling: Sampling, seed: int | None = None):
        self.network, self.vocabulary = trained.model.network.eval(), trained.inputs.vocabulary
        self.inputs, self.sampling, self.rng = trained.inputs, sampling, np.random.default_rng(seed)
        self.states: Any = None
        self.scores = trained.model.scores()

    def write(self, prompt: str, length: int) -> Iterator[str]:
        """Pieces of text, as they come, `length` tokens in all; a text that ends before begins another."""
        ids = self.inputs.prompt(prompt)
        if len(ids) > _MOST_READ:
            warnings.warn(LongPrompt(len(ids) - 1), stacklevel=3)
            ids = ids[-_MOST_READ:]
        after_word = self.vocabulary.unit == "word" and ids[-1] != END and not prompt[-1].isspace()
        return self.vocabulary.written(self._tokens(ids, length), after_word)

    @torch.inference_mode()
    def _read(self, ids: np.ndarray) -> Tensor:
        """Read the beginning of a text; what is known after it, `(1, embedding size)`."""
        for part in torch.from_numpy(ids).long().split(_WINDOW):
            known, self.states = self.network.read(part[None], self.states)
        return known[:, -1]

    def _tokens(self, ids: np.ndarray, length: int) -> Iterator[int]:
        known = self._read(ids)
        for _ in range(length):
            token = self.sampling.draw(self.scores(known), self.rng)
            yield token
            known = self._step(token)

    @torch.inference_mode()
    def _step(self, token: int) -> Tensor:
        known, self.states = self.network.step(torch.tensor([token]), self.states)
        return known


def generate(trained: Any, prompt: str, length: int, sampling: Sampling, seed: int | None) -> Iterator[str]:
    """A text that goes on from `prompt`, in pieces as they come."""
    return Writer(trained, sampling, seed).write(prompt, length)
