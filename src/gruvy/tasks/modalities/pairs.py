"""What the tasks about pairs of texts share: how they are prepared, what reads and writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gruvy.cells import Cell
from gruvy.data.pairs import PairInputs, plain
from gruvy.data.text import TokenIds
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput
from gruvy.models.beam import Translation, translate
from gruvy.models.translation import TranslationModel, translation_model
from gruvy.tasks.examples import listed
from gruvy.tasks.recipes import TranslationRecipe

KIND = "pairs"
COMMAND = 'gruvy predict DIR "..."'
PYTHON = 'gruvy.load("DIR").predict("a text")["translation"]'
WHAT = "texts"
TURN = " ⏎ "  # between the texts of a conversation


def load_inputs(folder: Path, recipe: TranslationRecipe) -> PairInputs:
    """Read the vocabularies from an artefact."""
    return PairInputs.load(folder)


def build_model(
    inputs: PairInputs, output_size: int, recipe: TranslationRecipe, cell: Cell, engine: str
) -> TranslationModel:
    """The model a recipe describes."""
    return translation_model(
        len(inputs.source), len(inputs.target), cell, shared=inputs.shared, encoder=recipe.encoder,
        attention=recipe.attention, embedding_size=recipe.embedding_size, hidden_size=recipe.hidden_size,
        num_layers=recipe.num_layers, word_dropout=recipe.word_dropout, locked_dropout=recipe.locked_dropout,
        dropout=recipe.dropout, smoothing=recipe.smoothing, engine=engine,
    )  # fmt: skip


def translations(trained: Any, sources: TokenIds) -> list[Translation]:
    """The best translation of each source, as ids, with its attention; see `gruvy.models.beam.translate`.

    Args:
        trained: a `gruvy.artefact.Trained`; sources: from `PairInputs.encode`.
    """
    return translate(trained.model.eval(), sources, trained.task.beam, trained.task.length_penalty)


def predict(trained: Any, raw: Any) -> Any:
    """The translation of a text, or of each of several; a blank text gives a blank one.

    Returns:
        `translation`, and as `attention` the tokens of both sides and how much each target token attended to each
        source token; `score`, of the search, is among them.

    Raises:
        BadInput: something is not a text.
    """
    if isinstance(raw, str):
        return predict(trained, [raw])[0]
    texts = listed(raw)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"text {number + 1} is a {type(text).__name__}; expected a str")
    filled = [i for i, text in enumerate(texts) if plain(text).strip()]
    found: list[dict[str, Any]] = [{"translation": ""} for _ in texts]
    sources = trained.inputs.encode([texts[i] for i in filled])
    for place, (i, one) in enumerate(zip(filled, translations(trained, sources), strict=True)):
        said = trained.inputs.target.decode(one.ids)
        found[i] = {"translation": said, "attention": attended(trained.inputs, sources[place].tolist(), one)}
    return found


def attended(inputs: PairInputs, source: list[int], one: Translation) -> dict[str, Any]:
    """Tokens of a source and of its translation, ends included, and the attention between them, ready for JSON."""
    written = one.ids + [END] * one.ended
    return {
        "source": inputs.source.tokens(source), "target": inputs.target.tokens(written),
        "weights": [[round(float(w), 4) for w in row] for row in one.attention], "score": one.score,
    }  # fmt: skip


class Conversation:
    """Answers turn by turn; the turns before are read with each, as many pairs as the model learned to read.

    Args:
        trained: a `gruvy.artefact.Trained` model of answers.
    """

    def __init__(self, trained: Any):
        self.trained = trained
        self.begin()

    def begin(self) -> None:
        """Forget what was said."""
        self.turns: list[str] = []

    def answer(self, text: str) -> str:
        """The answer to a text, which is not blank."""
        kept = self.turns[-2 * self.trained.task.context :] if self.trained.task.context else []
        said: str = predict(self.trained, TURN.join([*kept, text]))["translation"]
        self.turns += [text, said]
        return said
