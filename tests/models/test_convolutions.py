"""The convolution branch: shares against a plain loop, held-out answers against regressions without the fold."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from gruvy.data.labelled.inputs import SeriesValues
from gruvy.models import convolutions
from gruvy.models.convolutions import ConvolutionFeatures, ConvolutionSeries, ridge


def collection(lengths, features=2, seed=0):
    rng = np.random.default_rng(seed)
    return SeriesValues.join([rng.normal(size=(n, features)).astype(np.float32) for n in lengths], features)


def fitted_features(series, count=400):
    features = ConvolutionFeatures(count)
    features.fit(series, torch.Generator().manual_seed(0))
    return features


def plain_shares(features, one):
    """The same shares, step by step: each kernel's response to the series with zeros around it, compared."""
    shares = []
    steps = len(one)
    for place, dilation in enumerate(features.dilations.tolist()):
        responses = np.zeros((84, steps))
        for kernel in range(84):
            summed = one @ features.subsets[place, kernel].numpy()
            for t in range(steps):
                for tap, weight in enumerate(features.kernels[kernel, 0].tolist()):
                    at = t + (tap - 4) * dilation
                    responses[kernel, t] += weight * summed[at] if 0 <= at < steps else 0
        for threshold in features.thresholds[place].numpy().T:
            shares += [(r > b).mean() for r, b in zip(responses, threshold, strict=True)]
    return np.array(shares)


def test_shares_are_what_a_loop_over_steps_gives():
    series = collection([30, 17, 4])
    features = fitted_features(series)
    found = features(series.batch([0, 1, 2]))
    assert len(features.dilations) == 3
    for i, row in enumerate(found):
        # In so short a series two steps may respond alike, and rounding puts them above or below a threshold between.
        assert (np.abs(row.numpy() - plain_shares(features, series[i])) > 1e-5).mean() < 0.01


def test_about_as_many_shares_as_asked_for_spread_between_0_and_1():
    series = collection([40] * 30)
    found = fitted_features(series, 2000)(series.batch(range(30)))
    assert 1600 <= found.shape[1] <= 2400
    assert found.min() >= 0
    assert found.max() <= 1
    assert 0.3 < found.mean() < 0.7


@pytest.mark.parametrize("lengths", [[1], [1, 1, 2], [9, 300]])
def test_any_length_will_do(lengths):
    series = collection(lengths)
    assert torch.isfinite(fitted_features(series)(series.batch(range(len(lengths))))).all()


def test_padding_changes_nothing():
    series = collection([30, 5])
    features = fitted_features(series)
    batch = series.batch([1])
    longer = {"values": F.pad(batch["values"], (0, 0, 0, 9), value=7.0), "lengths": batch["lengths"]}
    assert torch.equal(features(longer), features(batch))


# Ridge regression


FOLDS = {
    "one by one": torch.arange(24),
    "five": torch.arange(24) % 5,
    "some never held out": torch.arange(24) % 5 - 1,
}


@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
def test_a_held_out_answer_is_that_of_a_regression_without_its_fold(folds):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(24, 60, generator=generator, dtype=torch.float64)
    rows -= rows.mean(0)
    targets = rows[:, :2] + 0.1 * torch.randn(24, 2, generator=generator, dtype=torch.float64)
    targets -= targets.mean(0)
    weight, said = ridge(rows, targets, folds)
    penalty = min(
        np.logspace(-1, 5, 13), key=lambda p: np.abs(Ridge(alpha=p).fit(rows, targets).coef_.T - weight.numpy()).max()
    )
    np.testing.assert_allclose(weight, Ridge(alpha=penalty).fit(rows, targets).coef_.T, rtol=1e-6, atol=1e-9)
    for fold in folds[folds >= 0].unique():
        out = folds == fold
        without = Ridge(alpha=penalty).fit(rows[~out], targets[~out])
        np.testing.assert_allclose(said[out], without.predict(rows[out]), rtol=1e-6, atol=1e-9)


def test_the_penalty_is_strong_where_there_is_nothing_to_learn():
    generator = torch.Generator().manual_seed(0)
    rows, noise = torch.randn(40, 30, generator=generator).double(), torch.randn(40, 1, generator=generator).double()
    folds = torch.arange(40)
    assert ridge(rows, noise, folds)[0].norm() < 0.1 * ridge(rows, rows[:, :1], folds)[0].norm()


# The branch


def waves(count=60, seed=0):
    """Noise, and a wave of one of two frequencies somewhere in it."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, count)
    parts = []
    for target in targets:
        steps = rng.integers(30, 60)
        wave = np.sin(np.arange(20) * (0.5 + target) + rng.uniform(0, 6))
        one = 0.3 * rng.normal(size=(steps, 1))
        start = rng.integers(steps - 20)
        one[start : start + 20, 0] += wave
        parts.append(one.astype(np.float32))
    return SeriesValues.join(parts, 1), torch.from_numpy(targets)


def fitted_branch(targets=None, loss=F.cross_entropy, outputs=2):
    series, classes = waves()
    branch = ConvolutionSeries(1000, outputs)
    targets = classes if targets is None else targets
    return branch, branch.fit(series, targets, torch.arange(60) % 5, loss, seed=0)


def test_it_finds_planted_waves_and_knows_how_sure_it_is():
    branch, held_out = fitted_branch()
    series, targets = waves(seed=1)
    said = branch(series.batch(range(60)))
    assert (said.argmax(1) == targets).double().mean() >= 0.95
    assert F.cross_entropy(said, targets) < 0.25
    assert abs(F.cross_entropy(held_out, waves()[1]) - F.cross_entropy(said, targets)) < 0.15


def test_it_learns_numbers():
    _, classes = waves()
    numbers = classes * 4.0 - 2.0
    branch, held_out = fitted_branch(numbers, lambda said, wanted: F.mse_loss(said[:, 0], wanted), 1)
    series, targets = waves(seed=1)
    assert F.mse_loss(branch(series.batch(range(60)))[:, 0], targets * 4.0 - 2.0) < 0.8  # of a variance of 4
    assert held_out.shape == (60, 1)


def test_series_never_held_out_are_learned_from_but_not_judged():
    series, targets = waves()
    folds = (torch.arange(60) < 20).long() - 1
    held_out = ConvolutionSeries(500, 2).fit(series, targets, folds, F.cross_entropy, seed=0)
    assert held_out.shape == (20, 2)
    assert (held_out.argmax(1) == targets[:20]).double().mean() > 0.8


def test_of_very_many_series_some_are_learned_from_and_the_others_judged(monkeypatch):
    monkeypatch.setattr(convolutions, "_MOST", 40)
    _, held_out = fitted_branch()
    assert held_out.shape == (60, 2)
    assert (held_out.argmax(1) == waves()[1]).double().mean() > 0.8


def test_the_same_seed_gives_the_same_branch_and_another_seed_another_for_many_features():
    series = collection([20] * 12, features=5)
    targets, folds = torch.arange(12) % 2, torch.arange(12) % 4
    said = []
    for seed in (0, 0, 1):
        branch = ConvolutionSeries(500, 2)
        branch.fit(series, targets, folds, F.cross_entropy, seed)
        said.append(branch(series.batch(range(12))))
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])


def test_series_that_are_all_the_same_leave_a_finite_branch():
    series = SeriesValues.join([np.zeros((5, 1), np.float32)] * 6, 1)
    branch = ConvolutionSeries(200, 2)
    branch.fit(series, torch.tensor([0, 1, 0, 0, 0, 1]), torch.arange(6) % 3, F.cross_entropy, seed=0)
    said = branch(series.batch(range(6)))
    assert torch.isfinite(said).all()
    assert (said.argmax(1) == 0).all()


def test_the_state_goes_into_a_fresh_module():
    branch, _ = fitted_branch()
    fresh = ConvolutionSeries(1000, 2)
    fresh.load_state_dict(branch.state_dict())
    series, _ = waves(seed=2)
    assert torch.equal(fresh(series.batch(range(60))), branch(series.batch(range(60))))
