"""What the tasks about one sequence of symbols share: how it is prepared, what reads it, what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.cells import Cell
from gruvy.data.sequences import SequenceInputs, check_sequences
from gruvy.data.symbols import Alphabet
from gruvy.models.sequence import ENCODINGS, FRONTS, SequenceModel, sequence_model
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.recipes.sequence import SequenceRecipe

KIND = ROLE = "sequence"
COMMAND = 'gruvy predict DIR "ACGT..."'
PYTHON = 'gruvy.load("DIR").predict("ACGT...")'
WHAT = "sequences"
COLUMNS = {
    "sequence": Column("text", None, "column with sequences of symbols (DNA, RNA, proteins); FASTA needs none",
                       optional=True),
}  # fmt: skip
SETTINGS = {
    "encoding": Setting(str, None, "what is read of each symbol [one-hot]", choices=ENCODINGS),
    "front": Setting(str, None, "what stands before the recurrent layer [conv]", choices=FRONTS),
    "reverse_complement": Setting(bool, False, "read both strands of DNA, and answer with the mean"),
    "labels": Setting(str, None, "table with the labels or numbers of the sequences of a FASTA, by their names"),
}
READING = ("labels",)


def with_settings(recipe: SequenceRecipe, settings: Mapping[str, Any]) -> SequenceRecipe:
    """The recipe with the encoding, the front and the strands asked for."""
    return replace(
        recipe, encoding=settings.get("encoding") or recipe.encoding, front=settings.get("front") or recipe.front,
        reverse_complement=bool(settings.get("reverse_complement")) or recipe.reverse_complement,
    )  # fmt: skip


def groups(sequences: Sequence[str]) -> np.ndarray:
    """Which sequences are the same, or, of nucleotides, the two strands of the same, and so belong in the same part of
    a split.
    """
    check_sequences(sequences)
    alphabet = Alphabet.fit(sequences)
    numbers: dict[bytes, int] = {}
    found = []
    for ids in alphabet.encode_all(sequences):
        key = ids.tobytes()
        if alphabet.complement is not None:
            key = min(key, alphabet.complement[ids[::-1]].tobytes())
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64)


def fit_inputs(sequences: Sequence[str], recipe: SequenceRecipe) -> SequenceInputs:
    """Learn the alphabet from the training sequences."""
    return SequenceInputs.fit(sequences, recipe.max_symbols)


def load_inputs(folder: Path, recipe: SequenceRecipe) -> SequenceInputs:
    """Read it from an artefact."""
    return SequenceInputs.load(folder, recipe.max_symbols)


def build_model(
    inputs: SequenceInputs, output_size: int, recipe: SequenceRecipe, cell: Cell, engine: str
) -> SequenceModel:
    """The model a recipe describes."""
    return sequence_model(
        inputs.alphabet, inputs.steps, inputs.aligned, output_size, cell, encoding=recipe.encoding,
        front=recipe.front, hidden_size=recipe.hidden_size, num_layers=recipe.num_layers,
        bidirectional=recipe.bidirectional, pooling=recipe.pooling, mutation=recipe.mutation,
        locked_dropout=recipe.locked_dropout, dropout=recipe.dropout, members=recipe.members,
        reverse_complement=recipe.reverse_complement, kmers=recipe.kmers, engine=engine,
    )  # fmt: skip


def baselines(inputs: SequenceInputs, task: Any) -> dict[str, Any]:
    """An estimator on how often each k-mer stands in a sequence."""
    from sklearn.pipeline import make_pipeline

    return {f"k-mer {task.estimator_name}": make_pipeline(KmerShares(len(inputs.alphabet.letters)), task.estimator())}


class KmerShares:
    """TF-IDF of k-mers up to the longest of which there are some thousands: six nucleotides, three residues."""

    def __init__(self, letters: int):
        self.longest = min(8, max(1, round(np.log(4000) / np.log(max(2, letters)))))

    def fit_transform(self, sequences: Sequence[str], targets: Any = None) -> Any:
        """`(sequences, k-mers)`, sparse."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.kmers = TfidfVectorizer(
            analyzer="char", ngram_range=(1, self.longest), sublinear_tf=True, min_df=min(2, len(sequences))
        )
        return self.kmers.fit_transform(map(_plain, sequences))

    def fit(self, sequences: Sequence[str], targets: Any = None) -> KmerShares:
        """Learn the k-mers."""
        self.fit_transform(sequences)
        return self

    def transform(self, sequences: Sequence[str]) -> Any:
        """`(sequences, k-mers)`, sparse."""
        return self.kmers.transform(map(_plain, sequences))


def _plain(sequence: str) -> str:
    return "".join(sequence.split())


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one sequence, a list of them for several."""
    return predict_examples(trained, raw, isinstance(raw, str))
