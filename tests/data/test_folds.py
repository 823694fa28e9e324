"""Folds: each row in one, groups whole, labels in like shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data.folds import fold_rows, parse_fold
from gruvy.errors import BadInput


@given(
    groups=st.lists(st.integers(0, 30), min_size=2, max_size=120),
    count=st.integers(2, 6), seed=st.integers(0, 5), labelled=st.booleans(),
)  # fmt: skip
def test_every_row_is_in_one_fold_and_no_group_in_two(groups, count, seed, labelled):
    labels = [str(g % 3) for g in groups] if labelled else None
    if len(set(groups)) < count:
        with pytest.raises(BadInput):
            fold_rows(groups, count, labels=labels, seed=seed)
        return
    fold = fold_rows(groups, count, labels=labels, seed=seed)
    assert fold.shape == (len(groups),)
    assert fold.dtype == np.int64
    assert set(fold) == set(range(count))
    for group in set(groups):
        assert len({f for f, g in zip(fold, groups, strict=True) if g == group}) == 1


@pytest.mark.parametrize("rows", [10, 103, 1000])
def test_folds_of_single_rows_differ_by_at_most_one(rows):
    sizes = np.bincount(fold_rows(np.arange(rows), 10))
    assert sizes.max() - sizes.min() <= 1


def test_labels_are_in_like_shares():
    rng = np.random.default_rng(0)
    labels = rng.choice(["common", "rare"], 500, p=[0.9, 0.1])
    fold = fold_rows(np.arange(500), 5, labels=labels.tolist(), seed=3)
    rare = np.bincount(fold[labels == "rare"], minlength=5)
    assert rare.max() - rare.min() <= 1


def test_large_groups_are_spread():
    groups = np.repeat(np.arange(10), [50, 50, 50, 50, 50, 1, 1, 1, 1, 1])
    sizes = np.bincount(fold_rows(groups, 5, seed=1))
    assert sizes.tolist() == [51] * 5


def test_the_seed_decides():
    first, again, other = (fold_rows(np.arange(60), 3, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(("text", "fold"), [("3/10", (2, 10)), (" 1 / 2 ", (0, 2)), ("5/5", (4, 5))])
def test_a_fold_is_read(text, fold):
    assert parse_fold(text) == fold


@pytest.mark.parametrize("text", ["", "3", "0/5", "6/5", "1/1", "-1/5", "a/b", "1/5/2", "1.5/3", "999999999999/9"])
def test_what_is_no_fold_is_refused(text):
    with pytest.raises(BadInput, match="K-th of N folds"):
        parse_fold(text)


def test_too_few_groups_are_refused():
    with pytest.raises(BadInput, match="5 folds were asked for, and there are 2 groups"):
        fold_rows(["a", "b", "a"], 5)
