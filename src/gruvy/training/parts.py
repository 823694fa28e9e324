"""Which rows are trained on, validated on and tested on: at random, by group, or by fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gruvy.data.folds import fold_rows, parse_fold
from gruvy.data.splits import Split, split_rows
from gruvy.errors import BadInput

_FEW = 10  # groups: with fewer, whole ones are too much to lose to validation


def split_examples(
    duplicates: np.ndarray, groups: Sequence[str] | None, labels: Sequence[str] | None, fold: str | None, seed: int
) -> Split:
    """The three parts of some examples, with duplicates and groups on one side of the test part.

    Validation rows are of groups of their own, too, unless there are few groups: then they are rows of the groups that
    are trained on.

    Args:
        duplicates: `(rows,)`, a number that equal inputs share; groups: as the user names them, None for none.
        labels: each part has them in like shares, where groups allow; None for numbers.
        fold: as `"3/10"`, which part is tested on; None for a fifth of the rows at random.

    Raises:
        BadInput: too few rows or groups, or a label with a single row.
    """
    if groups is not None and len(set(groups)) == 1:
        raise BadInput(
            f"--group: every row is of the group {groups[0]!r}, so none can be kept for the test part; name a column "
            "with at least two groups, or leave --group out"
        )
    few = groups is not None and len(set(groups)) < _FEW
    if fold is None and not few:
        together = duplicates if groups is None else _together(duplicates, groups)
        return split_rows(together, labels=labels if groups is None else None, seed=seed)
    if labels is not None:
        _check_labels(labels)
    together = duplicates if groups is None else _together(duplicates, groups)
    number, count = parse_fold(fold) if fold is not None else (0, min(5, len(np.unique(together))))
    in_test = fold_rows(together, count, labels=labels, seed=seed) == number
    learn = np.flatnonzero(~in_test)
    keys = (duplicates if few else together)[learn]
    of_learn = None if labels is None else [labels[int(i)] for i in learn]
    tenth = fold_rows(keys, max(2, min(10, len(np.unique(keys)))), labels=of_learn, seed=seed) == 0
    if of_learn is not None:
        trained = {label for label, held in zip(of_learn, tenth, strict=True) if not held}
        tenth &= np.array([label in trained for label in of_learn])
    repeated = len(duplicates) - len(np.unique(duplicates))
    return Split(learn[~tenth], learn[tenth], np.flatnonzero(in_test), seed, repeated)


def _together(duplicates: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Rows that share an input or a group, or are linked by others that do, under one number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    named = np.unique(np.asarray(groups), return_inverse=True)[1] + duplicates.max() + 1
    size = named.max() + 1
    links = coo_array((np.ones(len(named)), (duplicates, named)), shape=(size, size))
    found: np.ndarray = connected_components(links, directed=False)[1][duplicates]
    return found


def _check_labels(labels: Sequence[str]) -> None:
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    if counts.min() < 2:
        raise BadInput(
            f"label {str(names[counts.argmin()])!r} has one row only, so it cannot be in both train and test; "
            "add rows of that label or take it out"
        )
