"""Regression: metrics as scikit-learn has them, in the target's own units."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from scipy.stats import spearmanr
from tests.fixtures.small import strict_json

from gruvy.artefact import to_json
from gruvy.errors import BadInput
from gruvy.tasks.regress import Regress

TARGETS = np.random.default_rng(0).normal(50, 20, 100)
TASK = Regress.fit(TARGETS, {})


def example(noise=0.5):
    encoded = TASK.encode(TARGETS, range(1, 101))
    return (encoded + noise * torch.randn(100, generator=torch.Generator().manual_seed(0)))[:, None], encoded


def test_metrics_are_those_of_scikit_learn_in_the_target_s_units():
    outputs, encoded = example()
    predicted = [p["value"] for p in TASK.predictions(outputs)]
    metrics = TASK.metrics(outputs, encoded)
    assert metrics["mae"] == pytest.approx(reference.mean_absolute_error(TARGETS, predicted), rel=1e-5)
    assert metrics["mse"] == pytest.approx(reference.mean_squared_error(TARGETS, predicted), rel=1e-5)
    assert metrics["r2"] == pytest.approx(reference.r2_score(TARGETS, predicted), rel=1e-5)
    assert metrics["spearman"] == pytest.approx(spearmanr(TARGETS, predicted).statistic, rel=1e-5)


def test_scores_average_to_minus_the_squared_error():
    outputs, encoded = example()
    assert -TASK.scores(outputs, encoded).mean() == pytest.approx(TASK.metrics(outputs, encoded)["mse"], rel=1e-6)


def test_the_loss_is_the_squared_error_in_standard_deviations():
    outputs, encoded = example()
    by_hand = ((outputs[:, 0] - encoded) ** 2).mean().item()
    assert TASK.loss(outputs, encoded).item() == pytest.approx(by_hand)
    assert by_hand * TARGETS.std() ** 2 == pytest.approx(TASK.metrics(outputs, encoded)["mse"], rel=1e-5)


def test_encoding_standardises_and_predictions_undo_it():
    encoded = TASK.encode(TARGETS, range(100))
    assert encoded.dtype == torch.float32
    assert (encoded.mean().item(), encoded.std(correction=0).item()) == pytest.approx((0, 1), abs=1e-5)
    assert [p["value"] for p in TASK.predictions(encoded[:, None])] == pytest.approx(TARGETS.tolist(), rel=1e-5)


def test_one_number_only_is_refused():
    with pytest.raises(BadInput, match="every training row has the number 3"):
        Regress.fit([3.0, 3.0, 3.0], {})


@pytest.mark.parametrize("targets", [[1e300, -1e300, 0.0], [1e308, -1e308, 1.0]])
def test_numbers_too_large_to_standardise_are_refused(targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BadInput):
            Regress.fit(targets, {})


def test_a_number_out_of_all_proportion_is_refused_by_its_row():
    with pytest.raises(BadInput, match=r"row 2 has the number 1e\+308, and those of the training are about"):
        TASK.encode([50.0, 1e308], [1, 2])


def test_json_and_back():
    assert Regress.from_json(json.loads(json.dumps(TASK.to_json()))) == TASK


def test_the_constant_guess_is_the_training_mean():
    outputs = TASK.constant_outputs(100)
    assert TASK.predictions(outputs)[5]["value"] == pytest.approx(TARGETS.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = TASK.metrics(outputs, TASK.encode(TARGETS, range(100)))
    assert metrics["r2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 100])
def test_the_metrics_of_the_constant_guess_are_json_and_quiet(count):
    """A rank correlation with a constant has no value; what has none is null, not NaN, which is no JSON."""
    metrics = TASK.metrics(TASK.constant_outputs(count), TASK.encode(TARGETS[:count], range(count)))
    strict_json(to_json(metrics))


def test_details_are_quantiles_of_the_error():
    outputs, encoded = example()
    errors = ((outputs[:, 0] - encoded) * TARGETS.std()).numpy()
    details = TASK.details(outputs, encoded)
    for value in np.quantile(errors, [0.05, 0.5, 0.95]):
        assert f"{value:.2g}" in details or f"{value:.3g}" in details


def test_the_estimator_s_outputs_are_standardised_predictions():
    features = np.random.default_rng(1).normal(size=(100, 3))
    encoded = TASK.encode(TARGETS, range(100))
    estimator = TASK.estimator().fit(features, encoded.numpy())
    np.testing.assert_allclose(
        TASK.estimator_outputs(estimator, features)[:, 0], estimator.predict(features), rtol=1e-5
    )
