"""The cheap way to tag a step: logistic regression on the steps around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gruvy.data.steps import StepIds

NAME = "windowed logistic regression"
_SYMBOLS, _WORDS = 7, 2  # neighbours on each side
_MANY = 5_000_000  # numbers of an estimator; with more it learns by stochastic gradient steps


class WindowLogistic:
    """One-hot features of each step and its neighbours: symbols up to seven steps away; of words all that is seen of
    the step itself, and the words and their shapes up to two steps away.

    Args:
        ids: how many there are; unit: what a step is.
    """

    def __init__(self, ids: int, unit: str):
        self.ids, self.unit = ids, unit

    def fit(self, encoded: StepIds, tags: Sequence[np.ndarray], seed: int) -> WindowLogistic:
        """Learn from the steps with a tag; tags are int64 `(steps,)` a sequence, negative where there is none."""
        from sklearn.linear_model import LogisticRegression, SGDClassifier

        wanted = np.concatenate(tags)
        there = wanted >= 0
        features = self._features(encoded)[there]
        if features.shape[1] * len(np.unique(wanted[there])) > _MANY:
            self.estimator: Any = SGDClassifier(loss="log_loss", alpha=2e-6, average=True, random_state=seed)
        else:
            self.estimator = LogisticRegression(C=0.1 if self.unit == "symbols" else 1.0, max_iter=300)
        self.estimator.fit(features, wanted[there])
        return self

    def predict(self, encoded: StepIds) -> list[np.ndarray]:
        """Tag numbers of each sequence."""
        said = self.estimator.predict(self._features(encoded))
        return np.split(said, np.cumsum(encoded.lengths)[:-1])

    def _features(self, encoded: StepIds) -> Any:
        """`(steps of all, features)`, sparse."""
        from scipy.sparse import csr_matrix

        reach = _SYMBOLS if self.unit == "symbols" else _WORDS
        slots = encoded[0].shape[1]
        seen = {(offset, slot) for offset in range(-reach, reach + 1) for slot in (0, slots - 1)}
        seen |= {(0, slot) for slot in range(slots)}
        rows = np.concatenate([_around(one, sorted(seen), reach) for one in encoded.sequences])
        columns = rows + self.ids * np.arange(len(seen))
        starts = np.arange(0, columns.size + 1, len(seen))
        shape = len(rows), self.ids * len(seen)
        return csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), starts), shape)


def _around(one: np.ndarray, seen: Sequence[tuple[int, int]], reach: int) -> np.ndarray:
    """Ids at each (offset, slot) from each step, 0 outside of the sequence: `(steps, len(seen))`."""
    wide = np.pad(one, ((reach, reach), (0, 0)))
    return np.stack([wide[reach + offset : reach + offset + len(one), slot] for offset, slot in seen], 1)
