"""The estimators keep scikit-learn's rules and say what the commands say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.fixtures.labelled import NAME, waves
from tests.fixtures.series import NAME as FORECAST
from tests.fixtures.series import one, small_recipe

from gruvy import Forecaster, SequenceClassifier, SequenceRegressor
from gruvy.errors import BadInput


def flat(count=36):
    """Series of one length and channel, `(series, steps)`, and their labels."""
    series, labels = waves(count)
    return np.stack([s[:12, 0] for s in series]), np.array(labels)


def test_series_of_unequal_length_are_classified():
    series, labels = waves(60)
    model = SequenceClassifier(recipe=NAME).fit(series, labels)
    assert list(model.classes_) == ["fast", "slow"]
    again, truth = waves(30, seed=1)
    assert model.score(again, truth) > 0.8
    probabilities = model.predict_proba(again)
    assert probabilities.shape == (30, 2)
    assert probabilities.sum(1) == pytest.approx(1)


def test_labels_keep_their_type_and_order():
    X, y = flat()
    model = SequenceClassifier(recipe=NAME).fit(X, np.where(y == "fast", 10, 9))
    assert list(model.classes_) == [9, 10]
    assert set(model.predict(X)) <= {9, 10}
    assert model.score(X, np.where(y == "fast", 10, 9)) > 0.8


def test_numbers_are_learned():
    X, y = flat(60)
    speed = np.where(y == "fast", 1.5, 0.5)
    model = SequenceRegressor(recipe=NAME).fit(X, speed)
    assert model.predict(X).shape == (60,)
    assert model.score(X, speed) > 0.5


@pytest.mark.parametrize("make", [SequenceClassifier, SequenceRegressor])
def test_the_rules_of_scikit_learn_are_kept(make):
    model = make(recipe=NAME, cell="mgu", seed=3)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(flat()[0])
    X, y = flat()
    y = y if make is SequenceClassifier else np.where(y == "fast", 1.0, 0.0)
    assert model.fit(X, y) is model
    np.testing.assert_allclose(np.asarray(clone(model).fit(X, y).predict(X) == model.predict(X), float), 1)


def test_pipelines_searches_and_cross_validation_work():
    X, y = flat()
    scores = cross_val_score(make_pipeline(StandardScaler(), SequenceClassifier(recipe=NAME)), X, y, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(SequenceClassifier(recipe=NAME), {"cell": ["gru", "mgu"]}, cv=2).fit(X, y)
    assert search.best_params_["cell"] in ("gru", "mgu")


def test_a_data_frame_is_forecast():
    frame = pd.DataFrame(one(160)).assign(time=lambda f: pd.to_datetime(f["time"]), y=lambda f: f["y"].astype(float))
    with small_recipe():
        model = Forecaster("y", 4, time="time", input=12, recipe=FORECAST)
        assert clone(model).get_params() == model.get_params()
        with pytest.raises(NotFittedError):
            model.predict()
        rows = model.fit(frame).predict()
    assert [row["time"] for row in rows] == [f"2024-01-07 {hour}:00:00" for hour in range(16, 20)]
    later = model.predict(frame[:100])
    assert later[0]["time"] == "2024-01-05 04:00:00"


@pytest.mark.parametrize("X", [[], "series", 3, np.zeros((2, 3, 4, 5)), [np.zeros((2, 2)), np.zeros((2, 3))]])
def test_what_is_no_series_is_refused(X):
    with pytest.raises(BadInput):
        SequenceClassifier(recipe=NAME).fit(X, ["a", "b"])


def test_as_many_targets_as_series_are_asked_for():
    with pytest.raises(BadInput, match="36 inputs and 2 targets"):
        SequenceClassifier(recipe=NAME).fit(flat()[0], ["a", "b"])


def test_columns_are_asked_for():
    with pytest.raises(BadInput, match="give a data frame"):
        Forecaster("y", 4).fit([1, 2, 3])
