"""The cache gives the probabilities of the paper's formula, and they sum to 1."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gruvy.errors import BadInput
from gruvy.models import cache
from gruvy.models.cache import Cache, fit_cache


def stream(steps, units=3, vocabulary=5, seed=0):
    """Outputs, targets and what a model says of every token, `(steps, vocabulary)`."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(steps, units, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, vocabulary, (steps,), generator=generator)
    every = torch.randn(steps, vocabulary, generator=generator, dtype=torch.float64).log_softmax(1)
    return hidden, targets, every


def said(every, targets):
    return every.gather(1, targets[:, None])[:, 0]


def slow_distribution(hidden, targets, every, given_cache, step):
    """From the formula, `(vocabulary,)`."""
    model = every[step].exp()
    past = range(max(0, step - given_cache.size), step)
    if not past:
        return model
    found = torch.zeros_like(model)
    for i in past:
        found[targets[i]] += math.exp(given_cache.theta * float(hidden[step] @ hidden[i]))
    return (1 - given_cache.weight) * model + given_cache.weight * found / found.sum()


caches = st.builds(Cache, st.integers(1, 12), st.sampled_from([0.0, 0.3, 2.0]), st.sampled_from([0.0, 0.2, 1.0]))


@given(caches, st.integers(0, 20), st.integers(1, 7), st.integers(0, 99))
def test_agrees_with_the_formula_in_blocks_of_any_size(given_cache, steps, block, seed):
    hidden, targets, every = stream(steps, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_BLOCK", block)
        found = given_cache.log_probabilities(hidden, targets, said(every, targets))
    expected = [slow_distribution(hidden, targets, every, given_cache, t)[targets[t]] for t in range(steps)]
    torch.testing.assert_close(found.exp(), torch.tensor(expected, dtype=torch.float64))


@given(caches, st.integers(1, 20), st.integers(0, 99))
def test_the_probabilities_of_all_next_tokens_sum_to_one(given_cache, steps, seed):
    hidden, targets, every = stream(steps, seed=seed)
    total = 0.0
    for token in range(every.shape[1]):
        targets[-1] = token
        total += given_cache.log_probabilities(hidden, targets, said(every, targets))[-1].exp().item()
    assert total == pytest.approx(1)


def test_a_weight_of_zero_gives_the_model_back():
    hidden, targets, every = stream(50)
    alone = said(every, targets)
    assert torch.equal(Cache(10, 1.0, 0.0).log_probabilities(hidden, targets, alone), alone)


def test_float32_agrees_with_float64_over_many_blocks():
    hidden, targets, every = stream(1000, units=8)
    alone = said(every, targets)
    expected = Cache(300, 0.7, 0.3).log_probabilities(hidden, targets, alone)
    found = Cache(300, 0.7, 0.3).log_probabilities(hidden.float(), targets, alone.float())
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_large_outputs_stay_finite():
    hidden, targets, every = stream(50)
    found = Cache(10, 5.0, 0.5).log_probabilities(1e4 * hidden, targets, said(every, targets))
    assert found.isfinite().all()


def test_no_gradient_is_kept():
    hidden, targets, every = stream(20)
    assert (
        not Cache(5, 1.0, 0.5).log_probabilities(hidden.requires_grad_(), targets, said(every, targets)).requires_grad
    )


# Theta and weight


def repeating(steps=600):
    """A text where alike outputs are followed by the same token, and a model that knows nothing of 50."""
    generator = torch.Generator().manual_seed(1)
    places = torch.randn(50, 16, generator=generator)
    targets = torch.randint(0, 50, (steps,), generator=generator)
    hidden = places[targets] + torch.randn(steps, 16, generator=generator)
    return hidden, targets, torch.full((steps,), -math.log(50))


def test_a_text_that_repeats_itself_is_foreseen():
    hidden, targets, alone = repeating()
    fitted = fit_cache(hidden, targets, alone, 400)
    assert fitted.theta > 0
    after = fitted.log_probabilities(hidden, targets, alone)
    assert -after.mean() < -0.8 * alone.mean()


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_scale_of_the_outputs_does_not_matter(scale):
    hidden, targets, alone = repeating()
    fitted, expected = fit_cache(scale * hidden, targets, alone, 400), fit_cache(hidden, targets, alone, 400)
    assert fitted.weight == expected.weight
    assert fitted.theta == pytest.approx(expected.theta / scale**2)


def test_the_fit_is_the_best_of_its_neighbours():
    hidden, targets, alone = repeating()
    fitted = fit_cache(hidden, targets, alone, 400)

    def total(theta):
        return Cache(400, theta, fitted.weight).log_probabilities(hidden, targets, alone).sum()

    assert total(fitted.theta) > max(total(fitted.theta / 3), total(3 * fitted.theta))


def test_a_cache_that_never_helps_gets_no_weight():
    hidden = torch.randn(30, 3)
    assert fit_cache(hidden, torch.arange(30), torch.full((30,), -3.0), 10) == Cache(10, 0.0, 0.0)


def test_outputs_that_are_all_alike_leave_how_often_each_token_came():
    targets = torch.zeros(30, dtype=torch.long)
    fitted = fit_cache(torch.ones(30, 3), targets, torch.full((30,), -3.0), 10)
    assert fitted.theta == 0
    assert fitted.weight == 0.5


@pytest.mark.parametrize("steps", [0, 1])
def test_a_text_too_short_to_look_back(steps):
    hidden, targets, every = stream(steps)
    assert fit_cache(hidden, targets, said(every, targets), 5).weight == 0


# Saved, and refused


def test_json_brings_it_back():
    given_cache = Cache(2000, 0.3, 0.1)
    assert Cache.from_json(json.loads(json.dumps(given_cache.to_json()))) == given_cache


@pytest.mark.parametrize(
    "numbers", [(0, 0.3, 0.1), (5, -0.1, 0.1), (5, math.nan, 0.1), (5, math.inf, 0.1), (5, 1, 1.1)]
)
def test_numbers_that_make_no_cache_are_refused(numbers):
    with pytest.raises(BadInput, match="expected a size of at least 1"):
        Cache(*numbers)


@pytest.mark.parametrize("shapes", [((4, 2), (3,), (4,)), ((4, 2), (4,), (4, 2)), ((4,), (4,), (4,))])
def test_shapes_that_do_not_fit_are_refused(shapes):
    hidden, targets, alone = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(BadInput, match=r"expected \(steps, units\), \(steps,\) and \(steps,\)"):
        Cache(5, 0.3, 0.1).log_probabilities(hidden, targets, alone)
    with pytest.raises(BadInput, match="came"):
        fit_cache(hidden, targets, alone, 5)
