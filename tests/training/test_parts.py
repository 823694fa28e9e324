"""Which rows are trained on, validated on and tested on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gruvy.errors import BadInput
from gruvy.training.parts import split_examples

ROWS = 120
ALONE = np.arange(ROWS)
SPEAKERS = [f"s{i % 6}" for i in range(ROWS)]
LABELS = [str(i // 6 % 10) for i in range(ROWS)]


def parts(split):
    return split.train, split.validation, split.test


def assert_all_rows_once(split):
    assert np.array_equal(np.sort(np.concatenate(parts(split))), ALONE)


def test_a_group_is_on_one_side_of_the_test_part():
    split = split_examples(ALONE, SPEAKERS, LABELS, None, 0)
    assert_all_rows_once(split)
    tested = {SPEAKERS[i] for i in split.test}
    learned = {SPEAKERS[i] for i in np.concatenate([split.train, split.validation])}
    assert tested
    assert not tested & learned


def test_few_groups_are_all_trained_on_but_for_the_test_part():
    split = split_examples(ALONE, SPEAKERS, LABELS, "2/6", 0)
    assert len({SPEAKERS[i] for i in split.train}) == 5
    assert len(split.validation) == pytest.approx(0.1 * (ROWS - len(split.test)), abs=3)


def test_many_groups_are_validated_on_groups_of_their_own():
    groups = [f"g{i // 4}" for i in range(ROWS)]
    for fold in (None, "1/5"):
        split = split_examples(ALONE, groups, None, fold, 0)
        assert_all_rows_once(split)
        own = [{groups[i] for i in part} for part in parts(split)]
        assert all(own)
        assert not (own[0] & own[1])
        assert not (own[0] & own[2])
        assert not (own[1] & own[2])


@pytest.mark.parametrize("groups", [None, SPEAKERS])
def test_folds_test_every_row_once(groups):
    splits = [split_examples(ALONE, groups, LABELS, f"{k}/6", 0) for k in range(1, 7)]
    assert np.array_equal(np.sort(np.concatenate([split.test for split in splits])), ALONE)
    for split in splits:
        assert_all_rows_once(split)


def test_a_fold_has_the_labels_in_their_shares():
    labels = ["rare" if i % 6 == 0 else "often" for i in range(ROWS)]
    for k in range(1, 6):
        split = split_examples(ALONE, None, labels, f"{k}/5", 0)
        assert sum(labels[i] == "rare" for i in split.test) == ROWS / 6 / 5


def test_duplicates_link_groups():
    duplicates = ALONE.copy()
    duplicates[1] = duplicates[0]  # the same recording under the names s0 and s1
    for k in range(1, 6):
        split = split_examples(duplicates, SPEAKERS, None, f"{k}/5", 0)
        tested = {SPEAKERS[i] for i in split.test}
        assert ("s0" in tested) == ("s1" in tested)


@given(st.integers(0, 2**31), st.integers(2, 8), st.lists(st.integers(0, 9), min_size=30, max_size=60))
@settings(max_examples=50, deadline=None)
def test_no_duplicate_is_in_the_test_part_and_elsewhere(seed, count, duplicates):
    numbered = np.unique(duplicates, return_inverse=True)[1]
    if len(set(duplicates)) < max(count, 3):
        return
    split = split_examples(numbered, None, None, f"1/{count}", seed)
    assert not set(numbered[split.test]) & set(numbered[np.concatenate([split.train, split.validation])])


def test_every_label_of_the_learning_rows_is_trained_on():
    labels = ["a"] * 60 + ["b"] * 58 + ["c"] * 2
    for k in range(1, 11):
        split = split_examples(ALONE, None, labels, f"{k}/10", 0)
        assert {labels[i] for i in split.validation} <= {labels[i] for i in split.train}


@pytest.mark.parametrize(
    ("groups", "labels", "fold", "message"),
    [
        (["one"] * ROWS, None, None, "every row is of the group 'one'"),
        (SPEAKERS, None, "1/7", "there are 6 groups"),
        (None, None, "0/5", "expected K/N"),
        (None, None, "six", "expected K/N"),
        (None, ["lone", *["often"] * (ROWS - 1)], "1/5", "'lone' has one row only"),
    ],
)
def test_what_cannot_be_split_is_said(groups, labels, fold, message):
    with pytest.raises(BadInput, match=message):
        split_examples(ALONE, groups, labels, fold, 0)
