"""Folds of rows for cross-validation: every row is in the test part of exactly one fold."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np

from gruvy.errors import BadInput


def parse_fold(text: str) -> tuple[int, int]:
    """A fold as users write it, `"3/10"` for the third of ten, as its number from 0 and the count: `(2, 10)`.

    Raises:
        BadInput: it is written otherwise, there are fewer than two folds, or it is none of them.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if count < 2 or not 1 <= number <= count:
        raise BadInput(
            f"--fold {text}: expected K/N, the K-th of N folds with N at least 2 and K from 1 to N, such as 1/5"
        )
    return number - 1, count


def fold_rows(
    groups: Sequence[Hashable] | np.ndarray, count: int, *, labels: Sequence[Hashable] | None = None, seed: int = 0
) -> np.ndarray:
    """The fold of each row, `(rows,)` int64 from 0: folds about as large as each other, groups never across two.

    Args:
        groups: one value a row; rows with equal values stay together. `numpy.arange(rows)` for none.
        count: of folds; labels: one a row, which every fold has in about the same shares; seed: of the order.

    Raises:
        BadInput: there are fewer groups than folds.
    """
    number, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)[1:]
    if len(sizes) < count:
        raise BadInput(
            f"{count} folds were asked for, and there are {len(sizes)} groups of rows that must stay together; "
            f"give --fold K/N with N of at most {len(sizes)}, or more data"
        )
    named = np.zeros(len(number), int) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1]
    content = np.zeros((len(sizes), named.max(initial=0) + 1), int)  # rows of each label in each group
    np.add.at(content, (number, named), 1)
    # The largest groups first, each to the fold that then differs least from the others; like scikit-learn's
    # StratifiedGroupKFold, but no fold is left empty.
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    held = np.zeros((count, content.shape[1]))
    share = np.maximum(content.sum(axis=0), 1) / count
    fold = np.empty(len(sizes), np.int64)
    for place, group in enumerate(order):
        free = np.arange(count)
        empty = free[held.sum(axis=1) == 0]
        if len(empty) >= len(order) - place:
            free = empty
        cost = ((2 * held[free] + content[group]) * content[group] / share**2).sum(axis=1)
        fold[group] = free[np.lexsort((held[free].sum(axis=1), np.round(cost, 9)))[0]]
        held[fold[group]] += content[group]
    return fold[number]
