"""Series as a model reads them: scaled, filled, averaged when long, the same before and after saving."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gruvy.data.labelled.inputs import SeriesInputs, SeriesValues
from gruvy.errors import BadInput

NAN = float("nan")
VALUES = st.floats(-1e6, 1e6, width=32) | st.just(NAN)
SHAPES = st.tuples(st.integers(1, 9), st.just(2))
ONE = arrays.arrays(np.float32, SHAPES, elements=VALUES).filter(lambda x: not np.isnan(x).all())
SERIES = st.lists(ONE, min_size=1)


def series(*channels):
    return np.array(channels, np.float32).T


def random_series(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal([5, -300], [0.1, 40], (rng.integers(1, 30), 2)).astype(np.float32) for _ in range(count)]


def fitted(*training, max_steps=100):
    return SeriesInputs.fit(training, max_steps)


def test_channels_have_mean_0_and_deviation_1_over_all_training_steps():
    training = random_series()
    values = fitted(*training)(training).values
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-5)


def test_new_series_are_scaled_as_the_training_series_were():
    inputs = fitted(series([1, 3]))
    np.testing.assert_allclose(inputs([series([2, 4, 8])])[0][:, 0], [0, 2, 6])


def test_a_constant_channel_is_not_scaled():
    inputs = fitted(series([0.1, 0.1, 0.1], [1, 2, 3]))
    np.testing.assert_allclose(inputs([series([0.1, 2.1], [2, 2])])[0], [[0, 0], [2, 0]], atol=1e-6)


def test_a_missing_value_is_the_last_one_or_the_mean_and_has_a_mask():
    inputs = fitted(series([1, 3, NAN], [0, 1, 2]))
    assert inputs.features == 3
    encoded = inputs([series([NAN, 3, NAN, NAN, 1], [1, 1, 1, 1, 1])])[0]
    np.testing.assert_allclose(encoded[:, 0], [0, 1, 1, 1, -1])
    np.testing.assert_allclose(encoded[:, 2], [1, 0, 1, 1, 0])


def test_a_channel_complete_in_training_has_no_mask_and_may_miss_values_later():
    inputs = fitted(series([1, 3], [0, 2]))
    assert inputs.features == inputs.channels == 2
    np.testing.assert_allclose(inputs([series([3, NAN], [NAN, 2])])[0], [[1, 0], [1, 1]])


def test_a_channel_without_any_value_is_0():
    inputs = fitted(series([NAN, NAN], [0, 2]))
    np.testing.assert_allclose(inputs([series([NAN, NAN], [0, 2])])[0], [[0, -1, 1], [0, 1, 1]])


def test_long_series_are_averaged_by_one_factor_and_none_is_cut():
    long, short = series(range(10)), series([4, 8, NAN, NAN, NAN, NAN, 3])
    inputs = fitted(long, short, max_steps=4)
    assert (inputs.factor, inputs.steps) == (3, 4)
    encoded = inputs([long, short, series(range(30))])
    assert encoded.lengths.tolist() == [4, 3, 10]
    raw = [e[:, 0] * inputs.scale[0] + inputs.mean[0] for e in (encoded[0], encoded[1])]
    np.testing.assert_allclose(raw[0], [1, 4, 7, 9], rtol=1e-6)
    np.testing.assert_allclose(raw[1], [6, 6, 3], rtol=1e-6)  # the middle one is missing, and carried forward
    assert encoded[1][:, 1].tolist() == [0, 1, 0]


def test_series_of_the_most_steps_are_read_as_they_are():
    assert fitted(series(range(7)), max_steps=7).factor == 1


@given(SERIES)
def test_a_series_alone_gives_what_it_gives_among_others(many):
    inputs = SeriesInputs.fit(many, 4)
    together = inputs(many)
    assert np.isfinite(together.values).all()
    for i, one in enumerate(many):
        assert np.array_equal(together[i], inputs([one])[0])
        assert together[i].shape == (-(-len(one) // inputs.factor), inputs.features)


def test_saving_and_loading_changes_nothing(tmp_path):
    training = [*random_series(), np.full((300, 2), [NAN, 1.0], np.float32)]
    inputs = fitted(*training)
    inputs.save(tmp_path)
    again = SeriesInputs.load(tmp_path)
    assert (again.channels, again.features, again.steps, again.factor) == (2, 3, 100, 3)
    assert np.array_equal(again(training).values, inputs(training).values)


GOOD = {"mean": [0.0], "scale": [1.0], "masked": [False], "steps": 3, "factor": 1}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "\0", json.dumps(GOOD | {"mean": [0, 0]}), json.dumps(GOOD | {"factor": 0}),
     json.dumps(GOOD | {"mean": ["a"]}), json.dumps(GOOD | {"steps": None}), None],
)  # fmt: skip
def test_a_file_that_is_something_else_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(BadInput, match=r"inputs\.json does not describe .* train the model again"):
        SeriesInputs.load(tmp_path)


FINE = series([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.zeros((3, 1), np.float32), "series 2 has 1 channels, expected 2"),
        (np.zeros(3, np.float32), r"series 2 is float32 of shape \(3,\); expected an array of numbers \(steps, chan"),
        (np.full((3, 2), "x"), "series 2 is <U1 of shape"),
        ([[1, 2]], "series 2 is a list; expected"),
        (np.zeros((0, 2), np.float32), "series 2 has no value"),
        (np.full((3, 2), NAN), "series 2 has no value"),
        (np.array([[1, np.inf]]), "series 2 has a value that is infinite"),
        (np.array([[1, -1e200]]), r"infinite or beyond 1e\+30"),
    ],
)
def test_a_series_that_cannot_be_read_is_refused_in_training_and_later(bad, said):
    for read in (lambda s: SeriesInputs.fit(s, 10), fitted(FINE)):
        with pytest.raises(BadInput, match=said):
            read([FINE, bad])


def test_no_series_at_all_is_refused():
    with pytest.raises(BadInput, match="no series to learn from"):
        SeriesInputs.fit([], 10)


def test_whole_numbers_are_read_too():
    np.testing.assert_allclose(fitted(np.array([[1], [3]]))([np.array([[3]])])[0], [[1]])


# Encoded series and batches


def test_a_batch_is_padded_with_0_and_knows_its_lengths():
    inputs = fitted(*random_series())
    encoded = inputs(random_series())
    batch = inputs.collate(encoded, np.array([3, 0, 3]))
    assert batch["lengths"].tolist() == encoded.lengths[[3, 0, 3]].tolist()
    assert batch["values"].shape == (3, max(encoded.lengths[[0, 3]]), 2)
    for row, values, length in zip([3, 0, 3], batch["values"], batch["lengths"], strict=True):
        assert np.array_equal(values[:length], encoded[row])
        assert not values[length:].any()


@given(st.lists(st.integers(0, 19), max_size=8))
def test_taking_rows_gives_those_series_in_that_order(rows):
    encoded = fitted(*random_series())(random_series())
    taken = encoded.take(rows)
    assert len(taken) == len(rows)
    assert taken.values.dtype == np.float32
    assert all(np.array_equal(taken[i], encoded[row]) for i, row in enumerate(rows))


def test_no_series_encode_to_an_empty_collection():
    encoded = fitted(FINE)([])
    assert isinstance(encoded, SeriesValues)
    assert (len(encoded), encoded.values.shape) == (0, (0, 2))
