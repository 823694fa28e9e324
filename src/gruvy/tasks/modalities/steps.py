"""What the tasks about every step of a sequence share: how steps are prepared, what reads and tags them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.cells import Cell
from gruvy.data.batches import LengthBuckets
from gruvy.data.residues import residue_vectors, substitutions
from gruvy.data.steps import StepIds, SymbolInputs, WordInputs
from gruvy.data.steps import load_inputs as read_inputs
from gruvy.data.tagged import split_steps
from gruvy.errors import BadInput
from gruvy.models.tagging import TagModel, tag_model
from gruvy.tasks.examples import listed
from gruvy.tasks.recipes import TagRecipe

KIND = "steps"
COMMAND = 'gruvy predict DIR "..."'
PYTHON = 'gruvy.load("DIR").predict("a sequence")["tags"]'
WHAT = "sequences"

_BATCH, _MOST_STEPS = 64, 2**17  # sequences, and steps with padding, that are tagged at once


@dataclass(frozen=True)
class Answer:
    """What a model says of a sequence: tag numbers int64 `(steps,)`, and probabilities `(steps, tags)`."""

    tags: np.ndarray
    probabilities: np.ndarray


def fit_inputs(unit: str, sequences: Sequence[Sequence[str]], recipe: TagRecipe) -> SymbolInputs | WordInputs:
    """Learn symbols or words from the training sequences."""
    return WordInputs.fit(sequences, recipe.vocabulary_size) if unit == "words" else SymbolInputs.fit(sequences)


def load_inputs(folder: Path, recipe: TagRecipe) -> SymbolInputs | WordInputs:
    """Read them from an artefact."""
    return read_inputs(folder)


def build_model(
    inputs: SymbolInputs | WordInputs, output_size: int, recipe: TagRecipe, cell: Cell, engine: str
) -> TagModel:
    """The model a recipe describes; vectors are learned, but for nucleotides and residues."""
    given = likely = None
    if isinstance(inputs, SymbolInputs) and inputs.alphabet.kind == "protein":
        given, likely = residue_vectors(inputs.alphabet), substitutions(inputs.alphabet)
    elif isinstance(inputs, SymbolInputs) and inputs.alphabet.kind != "symbols":
        given = inputs.alphabet.vectors
    return tag_model(
        inputs.ids, output_size, cell, given=given, substitutions=likely, embedding_size=recipe.embedding_size,
        filters=recipe.filters, kernel_sizes=recipe.kernel_sizes if inputs.unit == "symbols" else (),
        hidden_size=recipe.hidden_size, num_layers=recipe.num_layers, hiding=recipe.hiding, mutation=recipe.mutation,
        locked_dropout=recipe.locked_dropout, dropout=recipe.dropout, smoothing=recipe.smoothing, crf=recipe.crf,
        members=recipe.members, engine=engine,
    )  # fmt: skip


def answers(trained: Any, encoded: StepIds) -> list[Answer]:
    """What a model says of each of some encoded sequences.

    Args:
        trained: a `gruvy.artefact.Trained`.
    """
    model, found = trained.model.eval(), dict[int, Answer]()
    for rows in _batches(encoded.lengths):
        probabilities, tags = (said.numpy() for said in model.say(trained.inputs.collate(encoded, rows)))
        for place, i in enumerate(rows):
            steps = len(encoded[i])
            found[i] = Answer(tags[place, :steps].copy(), probabilities[place, :steps].copy())
    return [found[i] for i in range(len(encoded))]


def _batches(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Row numbers in order of length, fewer where one is long."""
    for rows in LengthBuckets(lengths, _BATCH):
        count = max(1, _MOST_STEPS // max(1, int(lengths[rows].max())))
        yield from (rows[start : start + count] for start in range(0, len(rows), count))


def predict(trained: Any, raw: Any) -> Any:
    """The tags of a sequence, or of each of several: a text of symbols, a text of words apart by spaces, or a list of
    symbols or words in a list of sequences.

    Returns:
        `tags`, a string where every tag is one character and the steps are symbols, otherwise a list; `probabilities`
        of the tags said; for words the `tokens`, and `entities` where the tags are of the BIO kind.

    Raises:
        BadInput: something is no sequence, or an empty one.
    """
    if isinstance(raw, str):
        return predict(trained, [raw])[0]
    sequences = [_steps(one, number, trained.inputs.unit) for number, one in enumerate(listed(raw), 1)]
    said = answers(trained, trained.inputs(sequences))
    return [trained.task.prediction(s, a.tags, a.probabilities) for s, a in zip(sequences, said, strict=True)]


def _steps(one: Any, number: int, unit: str) -> list[str]:
    if isinstance(one, str):
        return split_steps(one, unit)
    if isinstance(one, (list, tuple)) and all(isinstance(step, str) for step in one):
        return list(one)
    raise BadInput(f"sequence {number} is {one!r:.60}; expected a text, or a list of its steps")
