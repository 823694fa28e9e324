"""The paired bootstrap, the table, the curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.training.report import comparison, paired_bootstrap, table, training_curve

SCORES = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=30).map(np.array)


def bootstrap(pairs, **options):
    return paired_bootstrap(pairs[:, 0], pairs[:, 1], **{"samples": 200, **options})


@given(SCORES)
def test_the_difference_is_of_the_means_and_lies_about_the_interval(pairs):
    found = bootstrap(pairs)
    gain = pairs[:, 0] - pairs[:, 1]
    assert found["difference"] == pytest.approx(pairs[:, 0].mean() - pairs[:, 1].mean(), abs=1e-9)
    assert gain.min() - 1e-9 <= found["low"] <= found["high"] <= gain.max() + 1e-9
    assert 0 <= found["better"] <= 1
    assert all(isinstance(value, float) for value in found.values())


@given(SCORES)
def test_exchanging_the_two_mirrors_the_result(pairs):
    one, other = bootstrap(pairs), bootstrap(pairs[:, ::-1])
    assert one["low"] == pytest.approx(-other["high"], abs=1e-9)
    assert one["better"] == pytest.approx(1 - other["better"])


@given(SCORES)
def test_a_model_does_not_differ_from_itself(pairs):
    assert bootstrap(np.stack([pairs[:, 0]] * 2, 1)) == {"difference": 0, "low": 0, "high": 0, "better": 0.5}


def test_the_same_seed_gives_the_same_interval():
    pairs = np.random.default_rng(0).normal(size=(50, 2))
    assert bootstrap(pairs, seed=1) == bootstrap(pairs, seed=1) != bootstrap(pairs, seed=2)


def test_the_interval_is_that_of_the_mean():
    gain = np.random.default_rng(0).normal(0.3, 1, 400)
    found = paired_bootstrap(gain, np.zeros(400), samples=2000)
    half = 1.96 * gain.std() / 20
    assert (found["low"], found["high"]) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.02)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "ahead"), (-0.2, -0.1, "behind"), (-0.1, 0.1, "not distinguishable"), (0, 0, "not disting")],
)
def test_the_verdict_follows_the_interval(low, high, verdict):
    from gruvy.tasks.classify import Classify

    said = comparison(Classify.score, {"difference": (low + high) / 2, "low": low, "high": high})
    assert f": {verdict}" in said
    assert "accuracy" in said


def test_the_table_has_a_line_for_each_and_aligned_columns():
    lines = table({"model": {"f1": 0.5, "calibration_error": 0.125}, "a baseline": {"f1": 1.0, "calibration_error": 0}})
    lines = lines.splitlines()
    assert lines[0].split() == ["f1", "calibration", "error"]
    assert lines[1].split() == ["model", "0.5000", "0.1250"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_curve_is_a_png(epochs):
    history = [{"train_loss": 1 / (i + 1), "validation_loss": 1 / (i + 1)} for i in range(epochs)]
    assert training_curve(history).startswith(b"\x89PNG\r\n\x1a\n")
