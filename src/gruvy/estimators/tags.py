"""The estimator of a tag at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from gruvy.data.tagged import Tagged, split_steps
from gruvy.errors import BadInput
from gruvy.estimators.common import check_equal, listed, request_of, trained_by
from gruvy.training.tagged import judge_tags
from gruvy.training.tagging import TagStudy


class Tagger(BaseEstimator):
    """Which tag every step of a sequence has.

    Sequences are a list of str, whose characters are the steps (white space is none), or a list of lists of words.
    Tags are as many as steps: a str of one character each, or a list of str. A mask has, for every step, 1 (True) where
    it counts and 0 (False) where neither training nor score looks.

    Args:
        crf: tags depend on their neighbours, a conditional random field.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
        classes_: the tags, sorted.
        joined_: whether the tags of a sequence are said as a str, as they were given.
    """

    def __init__(
        self, crf: bool = False, cell: str = "gru", recipe: str = "default", engine: str = "auto", seed: int = 0,
        max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.crf, self.cell, self.recipe, self.engine, self.seed = crf, cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Sequence[Any], y: Sequence[Any], mask: Sequence[Any] | None = None) -> Self:
        """Learn from sequences and their tags."""
        tagged = _tagged(X, y, mask)
        request = request_of("tag", self, {"crf": self.crf})
        self.trained_ = trained_by(TagStudy(request, tagged), self.quiet)
        self.classes_ = np.array(self.trained_.task.tags)
        self.joined_ = all(isinstance(one, str) for one in y)
        return self

    def predict(self, X: Sequence[Any]) -> list[Any]:
        """The tags of each sequence: a str where all that was learned from were, otherwise a list of str."""
        check_is_fitted(self, "trained_")
        unit, sequences = _sequences(X)
        self._check(unit, len(sequences))
        said = [list(one["tags"]) for one in self.trained_.predict(sequences)]
        return ["".join(tags) for tags in said] if self.joined_ else said

    def score(self, X: Sequence[Any], y: Sequence[Any], mask: Sequence[Any] | None = None) -> float:
        """The share of the steps that count whose tag is right."""
        check_is_fitted(self, "trained_")
        tagged = _tagged(X, y, mask)
        self._check(tagged.unit, len(tagged))
        found: float = judge_tags(self.trained_, tagged)[1]["metrics"]["accuracy"]
        return found

    def _check(self, unit: str, count: int) -> None:
        known = self.trained_.task.unit
        if count and unit != known:
            raise BadInput(f"sequences came as {_KINDS[unit]}; the model has learned from {_KINDS[known]}: give those")


_KINDS = {"symbols": "texts", "words": "lists of words"}


def _tagged(X: Any, y: Any, mask: Any) -> Tagged:
    """Sequences, their tags and which steps count."""
    unit, sequences = _sequences(X)
    lengths = [len(one) for one in sequences]
    tags = _aligned([_texts(one, f"the tags of sequence {i}") for i, one in enumerate(listed(y), 1)], lengths, "tags")
    counted = [np.ones(length, bool) for length in lengths]
    if mask is not None:
        counted = _aligned([_counted(one, i) for i, one in enumerate(listed(mask), 1)], lengths, "mask")
    return Tagged(unit, sequences, tags, counted, None, np.arange(1, len(sequences) + 1))


def _sequences(X: Any) -> tuple[str, list[list[str]]]:
    """What a step is, see `gruvy.data.tagged.Tagged`, and the steps of each sequence."""
    found = listed(X)
    sequences = [
        split_steps(one, "symbols") if isinstance(one, str) else _texts(one, f"sequence {i}")
        for i, one in enumerate(found, 1)
    ]
    units = {"symbols" if isinstance(one, str) else "words" for one in found}
    if len(units) > 1:
        raise BadInput("some sequences came as texts and some as lists of words; give all in the same way")
    empty = next((i for i, one in enumerate(sequences, 1) if not one), None)
    if empty is not None:
        raise BadInput(f"sequence {empty} is empty; give at least one step, or leave it out")
    return next(iter(units), "words"), sequences


def _texts(one: Any, name: str) -> list[str]:
    """The characters of a str, or a list of str."""
    found = list(one) if isinstance(one, (str, list, tuple, np.ndarray)) else None
    if found is None or not all(isinstance(step, str) for step in found):
        raise BadInput(f"{name}: {one!r:.60} came; expected a str, or a list of str")
    return [str(step) for step in found]


def _aligned(given: list[Any], lengths: Sequence[int], what: str) -> list[Any]:
    """What was given for each sequence, with something for each of its steps."""
    check_equal(len(lengths), len(given))
    for number, (one, length) in enumerate(zip(given, lengths, strict=True), 1):
        if len(one) != length:
            raise BadInput(f"sequence {number} has {length} steps and {len(one)} in its {what}; give one a step")
    return given


def _counted(one: Any, number: int) -> np.ndarray:
    found = np.asarray(one, object)
    if found.ndim != 1 or not all(value in (0, 1) for value in found):
        raise BadInput(f"the mask of sequence {number} is {one!r:.60}; expected 1 where a step counts, or 0")
    return found.astype(bool)
