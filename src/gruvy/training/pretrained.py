"""A text model that starts from the encoder of a language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gruvy import artefact
from gruvy.cells import Cell
from gruvy.data.text import TextInputs
from gruvy.errors import BadInput
from gruvy.models.language import LanguageNetwork
from gruvy.models.text import RecurrentText
from gruvy.tasks.recipes import TextRecipe


class Pretrained:
    """A language model to start from (Howard & Ruder 2018, arXiv:1801.06146; here all weights learn on at once).

    Args:
        folder: what `gruvy train language` wrote; cell: of the text model.

    Raises:
        BadInput: it is another kind of model, or of another cell.
    """

    def __init__(self, folder: str, cell: Cell):
        trained = artefact.load(folder)
        if trained.task.name != "language":
            raise BadInput(
                f"--pretrain {folder} holds a {trained.task.name} model; give one that gruvy train language wrote"
            )
        if trained.cell.key != cell.key:
            raise BadInput(f"--pretrain {folder} has the cell {trained.cell.name}; give --cell {trained.cell.name} too")
        self.hashes = artefact.read_json(Path(folder), "hashes.json")
        self.network: LanguageNetwork = trained.model.network
        self.tokenizer, self._of = trained.inputs.vocabulary.tokenizer, trained.recipe

    def inputs(self, recipe: TextRecipe) -> TextInputs:
        """Its tokens, for texts."""
        return TextInputs(self.tokenizer, recipe.max_tokens)

    def recipe(self, recipe: TextRecipe) -> TextRecipe:
        """A recipe with its sizes and its one direction."""
        sizes = {name: getattr(self._of, name) for name in ("embedding_size", "hidden_size", "num_layers")}
        return replace(recipe, bidirectional=False, **sizes)

    @torch.no_grad()
    def start(self, network: RecurrentText) -> None:
        """Give its embeddings and recurrent layers to the network of a text model."""
        network.embedding.weight.copy_(self.network.embedding.weight)
        own = dict(network.encoder.named_parameters())
        for place, layer in enumerate(self.network.layers):
            for name, weight in layer.named_parameters():
                own[name.replace("_l0", f"_l{place}")].copy_(weight)
