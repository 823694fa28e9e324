"""Splits: whole groups, every row once, every label on every side, the same for the same seed."""

import json
import string
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruvy.data.splits import Split, duplicate_groups, split_rows
from gruvy.errors import BadInput

PARTS = ("train", "validation", "test")


def parts_of(split: Split) -> list[np.ndarray]:
    return [getattr(split, name) for name in PARTS]


# Which texts are duplicates


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A good film", "a GOOD film", True),
        ("A good film", " A  good\t\nfilm\u00a0", True),
        ("Good.<br /><br />Really", "good. Really", True),
        ("Good.<BR>Really", "good.\nreally", True),
        ("Straße", "STRASSE", True),
        ("ﬁlm", "film", True),  # a ligature
        ("cafe\u0301", "CAF\u00c9", True),
        ("\uff1cbr\uff1e", " ", True),  # full-width < and >
        ("", "\n", True),
        ("Good film!", "Good film", False),
        ("café", "cafe", False),
        ("a<b r>c", "a c", False),
        ("goodfilm", "good film", False),
    ],
)
def test_duplicates(one, other, same):
    assert (len(set(duplicate_groups([one, other]).tolist())) == 1) is same


def test_groups_are_numbered_as_they_appear():
    groups = duplicate_groups(iter(["b", "a", "B", "c", "A ", "b", "\ud800"]))
    assert groups.tolist() == [0, 1, 0, 2, 1, 0, 3]
    assert groups.dtype == np.int64
    assert duplicate_groups([]).tolist() == []


@settings(deadline=None)
@given(
    st.text(string.printable),
    st.sampled_from([str.upper, str.lower, lambda text: f" {text}<br/>", lambda text: text + "\n"]),
)
def test_layout_and_case_do_not_count(text, change):
    assert len(set(duplicate_groups([text, change(text), change(change(text))]).tolist())) == 1


# Properties of every split


@st.composite
def inputs(draw):
    """Groups of one to many rows in any order, labels (one for all rows of a group) or none, options."""
    sizes = draw(st.lists(st.integers(1, 4) | st.just(60), min_size=3, max_size=60))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    np.random.default_rng(draw(st.integers(0, 99))).shuffle(groups)
    names = draw(st.lists(st.sampled_from("abc"), min_size=len(sizes), max_size=len(sizes)))
    labels = [names[group] for group in groups] if draw(st.booleans()) else None
    options = {
        "test_size": draw(st.none() | st.floats(0.01, 0.6)),
        "validation_size": draw(st.floats(0.01, 0.3)),
        "seed": draw(st.integers(0, 2**32)),
    }
    return groups, labels, options


def dealt(groups, labels, options) -> Split | None:
    """The split, or None where no split can be made: a label of one row, or no label of three groups."""
    by_label = [groups] if labels is None else [groups[np.array(labels) == name] for name in sorted(set(labels))]
    possible = min(map(len, by_label)) > 1 and max(len(np.unique(rows)) for rows in by_label) > 2
    if possible:
        return split_rows(groups, labels=labels, **options)
    with pytest.raises(BadInput, match="add rows"):
        split_rows(groups, labels=labels, **options)
    return None


@settings(max_examples=300, deadline=None)
@given(inputs())
@example((np.repeat(np.arange(30), [1] * 29 + [1000]), None, {}))
@example((np.repeat(np.arange(60), [1] * 30 + [40] * 30), ["a"] * 30 + ["b"] * 1200, {"test_size": 0.5}))
def test_whole_groups_and_every_row_once(drawn):
    groups, labels, options = drawn
    if (split := dealt(groups, labels, options)) is None:
        return
    parts = parts_of(split)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    for part in parts:
        assert part.dtype == np.int64
        assert len(part)
        assert (np.diff(part) > 0).all()
    held = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, held)) == len(set(groups.tolist()))
    assert split.duplicates == len(groups) - len(set(groups.tolist()))
    for name in set(labels or []):
        those = [set(groups[[row for row in part if labels[row] == name]].tolist()) for part in parts]
        count = sum(map(len, those))
        assert [bool(groups) for groups in those] == ([True] * 3 if count > 2 else [True, False, count > 1])


@settings(max_examples=60, deadline=None)
@given(inputs(), st.randoms(use_true_random=False))
def test_the_names_of_groups_do_not_matter(drawn, random):
    groups, labels, options = drawn
    names = random.sample(range(10**6), int(groups.max()) + 1)
    renamed = np.array([names[group] for group in groups])
    split, again = dealt(groups, labels, options), dealt(renamed, labels, options)
    assert (split and split.to_json()) == (again and again.to_json())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=6),
    st.floats(0.05, 0.5),
    st.floats(0.05, 0.3),
    st.integers(0, 99),
)
def test_sizes_of_single_rows(counts, test, validation, seed):
    counts = [max(3, count) for count in counts]
    rows = sum(counts)
    labels = np.repeat(list("abcdef"[: len(counts)]), counts)
    np.random.default_rng(seed).shuffle(labels)
    split = split_rows(np.arange(rows), labels=labels, test_size=test, validation_size=validation, seed=seed)
    common = min(counts) * min(test, validation, 1 - test - validation) >= 3
    assert abs(len(split.test) - test * rows) <= (0.5 + 1e-6 if common else len(counts))
    assert abs(len(split.validation) - validation * rows) <= (0.5 + 1e-6 if common else len(counts))
    for name, count in zip("abcdef", counts, strict=False):  # stratified: within a row of each exact share
        assert abs((labels[split.test] == name).sum() - test * count) <= 1 + 1e-6
        assert abs((labels[split.validation] == name).sum() - validation * count) <= 1 + 1e-6


def test_small_groups_keep_the_sizes():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 6000, 10_000)
    labels = rng.choice(["a", "b", "c"], p=[0.1, 0.3, 0.6], size=10_000)
    split = split_rows(groups, labels=labels, test_size=2000, seed=3)
    assert abs(len(split.test) - 2000) <= 10
    assert abs(len(split.validation) - 1000) <= 10


def test_one_text_repeated_very_often_goes_to_train():
    groups = np.concatenate([np.arange(1, 1001), np.zeros(3000, dtype=int)])
    split = split_rows(groups)
    assert set(range(1000, 4000)) <= set(split.train.tolist())
    assert (len(split.test), len(split.validation)) == (200, 100)  # shares of the 1001 different texts


def test_a_group_counts_under_the_label_of_its_first_row():
    groups, labels = [0, 1, 2, 3, 4, 0, 1, 2], list("aaabbbbb")
    split = split_rows(groups, labels=labels)
    first = [{labels[groups.index(groups[row])] for row in part} for part in parts_of(split)]
    assert first == [{"a", "b"}, {"a"}, {"a", "b"}]  # three groups of label a, two of label b


# Seeds and storage


def test_seeds():
    splits = [split_rows(np.arange(1000), seed=seed).to_json() for seed in (0, 0, 1)]
    assert splits[0] == splits[1]
    assert splits[0]["test"] != splits[2]["test"]
    assert split_rows([0, 1, 2, 3]).to_json()["seed"] == 0


def test_a_split_stays_what_it_was():
    """A saved seed must give the same rows again in later versions of this package and of NumPy."""
    split = split_rows(np.arange(20), labels=["a", "b"] * 10, seed=7)
    assert (split.test.tolist(), split.validation.tolist()) == ([3, 6, 11, 12], [4, 13])


def test_json_round_trip():
    split = split_rows([0, 0, 1, 2, 3, 4, 4], seed=np.int64(5), test_size=np.int64(2))
    again = Split.from_json(json.loads(json.dumps(split.to_json())))
    assert again.to_json() == split.to_json()
    assert (again.seed, again.duplicates) == (5, 2)
    assert all(part.dtype == np.int64 for part in parts_of(again))


@pytest.mark.parametrize(
    "change",
    [{"test": None}, {"test": [0, 99]}, {"train": [[1]]}, {"seed": "x"}, {"validation": ["x"]}, None],
)
def test_from_json_refuses(change):
    data = split_rows(np.arange(9)).to_json()
    with pytest.raises(BadInput, match=r"not a saved split .*; expected what Split.to_json wrote"):
        Split.from_json({} if change is None else data | change)


def test_two_hundred_thousand_rows():
    rng = np.random.default_rng(0)
    texts = [f"Text <br /> number {i}" for i in rng.integers(0, 150_000, 200_000)]
    labels = [f"label {i}" for i in rng.integers(0, 1000, 200_000)]
    start = time.perf_counter()
    groups = duplicate_groups(texts)
    split = split_rows(groups, labels=labels)
    assert time.perf_counter() - start < 10  # about half a second on an idle core; quadratic would be minutes
    assert split.duplicates == 200_000 - len(set(texts))
    assert abs(len(split.test) - 40_000) < 1000


# What is refused


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([], {}, "a split needs at least 3 different inputs but the rows hold 0; add rows"),
        ([4] * 50 + [5] * 50, {}, "a split needs at least 3 different inputs but the rows hold 2; add rows"),
        (range(5), {"labels": list("aabba")[:4]}, "4 labels came for 5 rows; give one label per row"),
        (range(5), {"labels": list("aaaba")}, "label 'b' has one row only"),
        (range(4), {"labels": list("aabb")}, "no label has 3 different inputs"),
        (
            range(9),
            {"test_size": 0},
            "test_size must be a fraction above 0 and below 1 or 1 to 8 rows, not 0",
        ),
        (range(9), {"test_size": 9}, "test_size must be .* not 9"),
        (range(9), {"test_size": 1.0}, "test_size must be .* not 1.0"),
        (range(9), {"test_size": -1}, "test_size must be .* not -1"),
        (range(9), {"test_size": True}, "test_size must be .* not True"),
        (range(9), {"test_size": "2"}, "test_size must be .* not '2'"),
        (range(9), {"test_size": float("nan")}, "test_size must be .* not nan"),
        (range(9), {"validation_size": 0.0}, "validation_size must be .* not 0.0"),
        (range(9), {"test_size": 0.6, "validation_size": 0.4}, "leave none to train on; make them smaller"),
        (range(10), {"test_size": 5, "validation_size": 5}, "50% and 50% of the rows"),
        (range(9), {"seed": -1}, "seed must be a whole number from 0 up, not -1"),
        (range(9), {"seed": 0.5}, "seed must be a whole number from 0 up, not 0.5"),
    ],
)
def test_refusals(groups, options, message):
    with pytest.raises(BadInput, match=message) as caught:
        split_rows(list(groups), **options)
    assert "\n" not in str(caught.value)
