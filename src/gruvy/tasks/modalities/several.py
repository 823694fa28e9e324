"""What the tasks about several inputs at once share; each input is prepared and encoded as it would be alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.cells import Cell
from gruvy.errors import BadInput
from gruvy.models.several import SeveralModel, SeveralNetwork
from gruvy.tasks.contract import Column, Setting
from gruvy.tasks.examples import predict_examples
from gruvy.tasks.modalities import sequence, series, sound, text
from gruvy.tasks.recipes import SeveralRecipe

KIND = "several"
ROLE = ""
COMMAND = "gruvy predict DIR --data FILE"
PYTHON = 'gruvy.load("DIR").predict({"text": "a text", "series": values})  # by role, or a list of these'
WHAT = "several inputs"
COLUMNS: Mapping[str, Column] = {}
SETTINGS: Mapping[str, Setting] = {}
READING = ()

_PARTS: Mapping[str, Any] = {"text": text, "series": series, "sequence": sequence, "audio": sound}
_FILE = "inputs.json"


@dataclass(frozen=True, eq=False)
class SeveralEncoded:
    """Encoded inputs of one length, by role."""

    parts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    @property
    def lengths(self) -> np.ndarray:
        """Steps of all inputs of a row, which rows of a batch should have alike."""
        found: np.ndarray = np.sum([_relative(part.lengths) for part in self.parts.values()], 0)
        return found

    def take(self, rows: Iterable[int] | np.ndarray) -> SeveralEncoded:
        """The inputs at `rows`, in that order."""
        rows = list(rows)
        return SeveralEncoded({role: part.take(rows) for role, part in self.parts.items()})


def _relative(lengths: np.ndarray) -> np.ndarray:
    return np.ceil(1000 * lengths / max(1, lengths.max(initial=1))).astype(np.int64)


class SeveralInputs:
    """The inputs of each role, side by side; `inputs.json` holds the files each of them writes."""

    def __init__(self, parts: Mapping[str, Any]):
        self.parts = parts

    def __call__(self, raw: Sequence[Mapping[str, Any]]) -> SeveralEncoded:
        """Encode mappings from role to input.

        Raises:
            BadInput: one lacks a role, or an input cannot be read.
        """
        for i, row in enumerate(raw, 1):
            missing = [role for role in self.parts if not isinstance(row, Mapping) or role not in row]
            if missing:
                raise BadInput(f"input {i} has no {missing[0]!r}; give {', '.join(self.parts)} of each, by name")
        return SeveralEncoded({role: inputs([row[role] for row in raw]) for role, inputs in self.parts.items()})

    def collate(self, encoded: SeveralEncoded, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """A batch of each part, by role."""
        return {role: inputs.collate(encoded.parts[role], rows) for role, inputs in self.parts.items()}

    def save(self, folder: Path) -> None:
        """Write `inputs.json`."""
        files = {}
        for role, inputs in self.parts.items():
            with tempfile.TemporaryDirectory() as aside:
                inputs.save(Path(aside))
                files[role] = {file.name: file.read_text(encoding="utf-8") for file in Path(aside).iterdir()}
        (folder / _FILE).write_text(json.dumps(files), encoding="utf-8")


def with_settings(recipe: SeveralRecipe, settings: Mapping[str, Any]) -> SeveralRecipe:
    """The recipe with each part's as the settings change it."""
    return replace(
        recipe, **{role: part.with_settings(getattr(recipe, role), settings) for role, part in _PARTS.items()}
    )


def groups(raw: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Which rows have all inputs the same."""
    found = [_PARTS[role].groups([row[role] for row in raw]) for role in raw[0]]
    return np.unique(np.stack(found, 1), axis=0, return_inverse=True)[1].ravel()


def fit_inputs(raw: Sequence[Mapping[str, Any]], recipe: SeveralRecipe) -> SeveralInputs:
    """Learn the inputs of each role from the training rows."""
    return SeveralInputs(
        {role: _PARTS[role].fit_inputs([row[role] for row in raw], getattr(recipe, role)) for role in raw[0]}
    )


def load_inputs(folder: Path, recipe: SeveralRecipe) -> SeveralInputs:
    """Read them from an artefact."""
    parts = {}
    for role, files in json.loads((folder / _FILE).read_text(encoding="utf-8")).items():
        with tempfile.TemporaryDirectory() as aside:
            for name, content in files.items():
                (Path(aside) / Path(name).name).write_text(content, encoding="utf-8")
            parts[role] = _PARTS[role].load_inputs(Path(aside), getattr(recipe, role))
    return SeveralInputs(parts)


def build_model(
    inputs: SeveralInputs, output_size: int, recipe: SeveralRecipe, cell: Cell, engine: str
) -> SeveralModel:
    """The model a recipe describes."""
    models = {
        role: _PARTS[role].build_model(part, output_size, getattr(recipe, role), cell, engine)
        for role, part in inputs.parts.items()
    }
    network = SeveralNetwork(
        {role: model.network for role, model in models.items()}, recipe.fused_size, output_size, recipe.hiding,
        recipe.dropout,
    )  # fmt: skip
    return SeveralModel(network, models["text"].ngrams if "text" in models else None)


def baselines(inputs: SeveralInputs, task: Any) -> dict[str, Any]:
    """One estimator on the features of all parts' baselines, side by side."""
    from sklearn.pipeline import make_pipeline

    parts = {role: next(iter(_PARTS[role].baselines(part, task).values())) for role, part in inputs.parts.items()}
    steps = {role: [step for _, step in pipeline.steps[:-1]] for role, pipeline in parts.items()}
    return {f"features of all + {task.estimator_name}": make_pipeline(SideBySide(steps), task.estimator())}


class SideBySide:
    """The features of each role, joined, in scikit-learn's manner.

    Args:
        steps: transformers by role, one after the other, of the role's inputs.
    """

    def __init__(self, steps: Mapping[str, Sequence[Any]]):
        self.steps = steps

    def fit(self, rows: Sequence[Mapping[str, Any]], targets: Any = None) -> SideBySide:
        """Fit all transformers."""
        for role, steps in self.steps.items():
            found: Any = [row[role] for row in rows]
            for step in steps:
                found = step.fit(found).transform(found)
        return self

    def transform(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """`(rows, features)`, sparse."""
        from scipy.sparse import csr_array, hstack

        parts = []
        for role, steps in self.steps.items():
            found: Any = [row[role] for row in rows]
            for step in steps:
                found = step.transform(found)
            parts.append(csr_array(found))
        return hstack(parts, format="csr")


def predict(trained: Any, raw: Any) -> Any:
    """A prediction for one mapping from role to input, a list of them for several."""
    return predict_examples(trained, raw, isinstance(raw, Mapping))
