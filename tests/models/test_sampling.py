"""Tokens are drawn as their scores say, and none that must not be."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gruvy.errors import BadInput
from gruvy.models import sampling
from gruvy.models.sampling import Sampling, Scores

SCORES = np.array([1.0, -2.0, 0.5, -math.inf, 2.0, 0.0, 1.5, -math.inf], np.float32)


class Fixed:
    """Draws one number, over and over."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def exact(scores, temperature=1.0, top_k=0, top_p=1.0):
    """The distribution by its definition, `(vocabulary,)`."""
    scores = scores.astype(np.float64) / temperature
    p = np.exp(scores - scores.max())
    if top_k:
        p[np.argsort(-p)[top_k:]] = 0
    p /= p.sum()
    order = np.argsort(-p)
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= top_p]] = 0
    return p / p.sum()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(
    ("top_k", "top_p"), [(0, 1.0), (3, 1.0), (1, 1.0), (0, 0.8), (4, 0.7), (100, 0.999), (0, 1e-9)]
)
def test_draws_follow_the_distribution(temperature, top_k, top_p):
    """Chi-square, against exact probabilities: 99.99 % of right samplers pass, of any number of tokens below 8."""
    how, rng = Sampling(temperature, top_k, top_p), np.random.default_rng(0)
    draws = 4000
    counts = np.bincount([how.draw(SCORES, rng) for _ in range(draws)], minlength=len(SCORES))
    expected = draws * exact(SCORES, temperature, top_k, top_p)
    likely = expected > 0
    assert counts[~likely].sum() == 0
    assert (((counts - expected)[likely] ** 2) / expected[likely]).sum() < 28


score_lists = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)
temperatures, shares = st.sampled_from([0.0, 1e-3, 0.5, 1.0, 3.0, 1e3]), st.sampled_from([1e-6, 0.3, 0.9, 1.0])
ways = st.builds(Sampling, temperatures, st.integers(0, 40), shares)


@given(score_lists, ways, st.sampled_from([0.0, 0.25, 0.5, 1 - 2**-24, 1 - 2**-30, 1 - 2**-53]), st.data())
def test_whatever_is_drawn_is_a_token_that_may_be(scores, how, number, data):
    """Also for the largest number below 1 that a generator gives."""
    scores = np.array(scores, np.float32)
    forbidden = data.draw(st.sets(st.integers(0, len(scores) - 1), max_size=len(scores) - 1))
    scores[list(forbidden)] = -math.inf
    token = how.draw(scores, Fixed(number))
    assert isinstance(token, int)
    assert 0 <= token < len(scores)
    assert scores[token] > -math.inf
    if how.top_k:
        assert (scores > scores[token]).sum() < how.top_k
    if how.temperature == 0:
        assert scores[token] == scores.max()


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1e-50, 1e-38, 1e-3])
def test_next_to_no_temperature_takes_the_likeliest(temperature):
    rng = np.random.default_rng(0)
    assert {Sampling(temperature).draw(SCORES, rng) for _ in range(20)} == {4}
    assert {Sampling(temperature, 3, 0.5).draw(SCORES, rng) for _ in range(20)} == {4}


@pytest.mark.parametrize("temperature", [1e10, 1e38, 1e39, 1e300])
@pytest.mark.parametrize("top_p", [1.0, 0.999])
def test_any_temperature_leaves_out_what_must_not_be_drawn(temperature, top_p):
    rng = np.random.default_rng(0)
    found = {Sampling(temperature, 0, top_p).draw(SCORES, rng) for _ in range(300)}
    assert found == set(np.flatnonzero(np.isfinite(SCORES)))


def test_the_scores_are_left_as_they_are():
    before = SCORES.copy()
    Sampling(0.5, 3, 0.9).draw(SCORES, np.random.default_rng(0))
    np.testing.assert_array_equal(SCORES, before)


def test_a_large_vocabulary_keeps_its_small_probabilities():
    """A hundred thousand tokens that together have half of the probability are drawn half of the time."""
    scores = np.zeros(100_001, np.float32)
    scores[0] = math.log(100_000)
    rng = np.random.default_rng(0)
    first = sum(Sampling().draw(scores, rng) == 0 for _ in range(400))
    assert 150 < first < 250


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": -1.0}, "--temperature -1: expected 0 or more"),
        ({"temperature": math.nan}, "--temperature nan"),
        ({"temperature": math.inf}, "--temperature inf"),
        ({"top_k": -1}, "--top-k -1: expected 0"),
        ({"top_p": 0.0}, "--top-p 0: expected more than 0 and at most 1"),
        ({"top_p": 1.1}, r"--top-p 1\.1"),
        ({"top_p": math.nan}, "--top-p nan"),
    ],
)
def test_values_that_cannot_be_are_refused(values, said):
    with pytest.raises(BadInput, match=said):
        Sampling(**values)


# Scores


def matrix(vocabulary, units):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(vocabulary, units, generator=generator) * torch.rand(vocabulary, 1, generator=generator)
    bias = torch.randn(vocabulary, generator=generator)
    hidden = torch.randn(20, 1, units, generator=generator)
    return weight, bias, hidden


def test_a_small_vocabulary_is_scored_exactly():
    weight, bias, hidden = matrix(50, 7)
    scores = Scores(weight.requires_grad_(), bias.requires_grad_())
    for known in hidden:
        expected = (weight.double() @ known[0].double() + bias.double()).detach()
        torch.testing.assert_close(torch.from_numpy(scores(known)).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not hasattr(torch, "_weight_int8pack_mm"), reason="this torch has no products of eight bits")
@pytest.mark.parametrize("flat", [False, True])
def test_a_large_vocabulary_is_scored_nearly_and_its_likely_tokens_exactly(flat):
    """`flat`: more tokens than can be scored again are as good as the best."""
    weight, bias, hidden = matrix(16384, 64)
    if flat:
        weight, bias = weight * 0.05, bias * 0.05
    bias[[0, 3]] = -math.inf
    scores = Scores(weight, bias)
    assert scores._eight_bits is not None
    for known in hidden:
        expected = (weight @ known[0] + bias).numpy()
        found = scores(known)
        assert (found[[0, 3]] == -math.inf).all()
        finite = np.isfinite(expected)
        assert np.abs(found[finite] - expected[finite]).max() < 0.2 * expected[finite].std()
        likely = np.argsort(-expected)[: 20 if flat else 60]
        likely = likely[expected[likely] > expected.max() - 3.5]
        np.testing.assert_allclose(found[likely], expected[likely], rtol=1e-4, atol=1e-4)
        assert found.argmax() == expected.argmax()


@pytest.mark.skipif(not hasattr(torch, "_weight_int8pack_mm"), reason="this torch has no products of eight bits")
def test_a_row_of_zeros_and_one_huge_row_do_no_harm(monkeypatch):
    monkeypatch.setattr(sampling, "_LARGE", 1)
    weight, bias, hidden = matrix(300, 64)
    weight[5], weight[6] = 0.0, 1e4 * weight[6]
    scores = Scores(weight, bias)
    for known in hidden:
        expected = (weight @ known[0] + bias).numpy()
        assert np.isfinite(scores(known)).all()
        assert scores(known).argmax() == expected.argmax()
