"""The n-gram model gives the probabilities of the paper's formula, and they sum to 1."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.errors import BadInput
from gruvy.models.kneser_ney import KneserNey, choose_order

vocabularies = st.integers(1, 4)
orders = st.integers(1, 5)


@st.composite
def cases(draw):
    """A vocabulary, a text and a context of it, and an order."""
    size = draw(vocabularies)
    texts = st.lists(st.integers(0, size - 1), max_size=40)
    return size, draw(texts), draw(texts), draw(orders)


def fitted(text, size, order):
    return KneserNey.fit(np.array(text, np.int64), size, order)


def distribution(model, context=()):
    return np.exp([model.log_probabilities([token], context)[0] for token in range(model.vocabulary_size)])


# From the formula, in Python's own numbers


def slow_counts(text, n, order):
    if n == order:
        return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
    before = {(text[i - 1] if i else None, *text[i : i + n]) for i in range(len(text) - n + 1)}
    return Counter(extended[1:] for extended in before)


def slow_discount(counts, count):
    n = [sum(c == i for c in counts.values()) for i in range(5)]
    i = min(count, 3)
    if not n[1] or not n[i]:
        return i / 2
    discount = i - (i + 1) * n[1] / (n[1] + 2 * n[2]) * (n[i + 1] / n[i] if i < 4 else 0)
    return discount if 0 < discount < i else i / 2


def slow_probability(text, size, order, token, context):
    probability = 1 / size
    for n in range(1, order + 1):
        if n - 1 > len(context):
            break
        history = tuple(context[len(context) - n + 1 :])
        counts = slow_counts(text, n, order)
        after = {gram: c for gram, c in counts.items() if gram[:-1] == history}
        if after:
            total = sum(after.values())
            left = sum(slow_discount(counts, c) for c in after.values()) / total
            count = after.get((*history, token), 0)
            own = count - slow_discount(counts, count) if count else 0
            probability = own / total + left * probability
    return probability


@given(cases())
def test_agrees_with_the_formula(case):
    size, text, given_text, order = case
    found = np.exp(fitted(text, size, order).log_probabilities(given_text))
    expected = [slow_probability(text, size, order, t, given_text[:i]) for i, t in enumerate(given_text)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(cases())
def test_sums_to_one_after_any_context(case):
    size, text, context, order = case
    model = fitted(text, size, order)
    probabilities = distribution(model, context)
    assert (probabilities > 0).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


def test_an_example_worked_by_hand():
    """The text a b a b a, with a third token c that never comes.

    Bigrams: ab 2, ba 2, so no count is 1: half of each is discounted, 1. Unigrams: a comes after the start and after b,
    2; b after a, 1. One count is 1, one is 2: Y = 1/3, D(1) = 1 - 2/3 = 1/3, and D(2) = 2 as no count is 3, which is
    all of it, so it is half, 1.
    """
    a = (2 - 1) / 3 + (1 + 1 / 3) / 3 / 3
    b = (1 - 1 / 3) / 3 + (1 + 1 / 3) / 3 / 3
    c = (1 + 1 / 3) / 3 / 3
    model = fitted([0, 1, 0, 1, 0], 3, 2)
    np.testing.assert_allclose(distribution(model), [a, b, c])
    np.testing.assert_allclose(distribution(model, [0]), [a / 2, (2 - 1) / 2 + b / 2, c / 2])
    np.testing.assert_allclose(distribution(model, [1]), [(2 - 1) / 2 + a / 2, b / 2, c / 2])
    np.testing.assert_allclose(distribution(model, [2]), [a, b, c])
    np.testing.assert_allclose(model.log_probabilities([0, 1, 2, 0]), np.log([a, (2 - 1) / 2 + b / 2, c / 2, a]))


@given(cases(), st.integers(0, 40))
def test_a_text_in_two_parts_is_the_text(case, cut):
    size, text, given_text, order = case
    model = fitted(text, size, order)
    first, second = given_text[:cut], given_text[cut:]
    parts = [model.log_probabilities(first), model.log_probabilities(second, first)]
    np.testing.assert_array_equal(np.concatenate(parts), model.log_probabilities(given_text))


@given(cases())
def test_tokens_never_seen_share_equally(case):
    size, text, context, order = case
    unseen = distribution(fitted(text, size + 3, order), context)[size:]
    np.testing.assert_allclose(unseen, unseen[0])


@pytest.mark.parametrize("order", [1, 2, 5])
def test_no_text_gives_the_uniform_distribution(order):
    model = fitted([], 4, order)
    np.testing.assert_allclose(distribution(model, [3, 3]), 1 / 4)
    assert model.log_probabilities([]).shape == (0,)
    assert model.log_probabilities([]).dtype == np.float64


def test_one_token_makes_itself_likelier():
    """Half its count is left to the uniform distribution."""
    np.testing.assert_allclose(distribution(fitted([1], 2, 1)), [1 / 4, 3 / 4])


def test_an_order_longer_than_the_text_adds_nothing():
    text, context = [0, 1, 1, 2], [0, 1, 1]
    expected = distribution(fitted(text, 3, 4), context)
    np.testing.assert_allclose(distribution(fitted(text, 3, 9), context), expected)


def test_a_vocabulary_of_one_is_certain():
    np.testing.assert_allclose(fitted([0] * 9, 1, 3).log_probabilities([0, 0, 0]), 0, atol=1e-12)


def test_learns_what_text_repeats():
    """A cycle is foreseen after one token, where a unigram model knows only the shares."""
    text = np.tile([0, 1, 2], 300)
    assert -fitted(text, 3, 1).log_probabilities(text).mean() == pytest.approx(np.log(3), abs=0.01)
    assert -fitted(text, 3, 3).log_probabilities(text).mean() < 0.02


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_the_type_of_ids_does_not_matter(dtype):
    """255 * 256 + 255 is not a uint8."""
    text = np.array([255, 254, 255, 255, 0, 255, 254], dtype)
    found = KneserNey.fit(text, 256, 3).log_probabilities(text)
    np.testing.assert_array_equal(found, fitted(text.tolist(), 256, 3).log_probabilities(text.tolist()))


# The order


def test_the_order_chosen_is_the_best_on_validation():
    random = np.random.default_rng(0)
    transitions = random.dirichlet(np.full(6, 0.3), size=(6, 6))
    text = [0, 0]
    for _ in range(3000):
        text.append(random.choice(6, p=transitions[text[-2], text[-1]]))
    train, validation = np.array(text[:2500]), np.array(text[2500:])
    model = choose_order(train, validation, 6, [5, 1, 3, 2])
    losses = {n: -fitted(train, 6, n).log_probabilities(validation).mean() for n in (1, 2, 3, 5)}
    assert model.order == min(losses, key=losses.__getitem__) == 3
    assert -model.log_probabilities(validation).mean() == losses[3]


# Bad input


@pytest.mark.parametrize(
    ("ids", "size", "order", "message"),
    [
        ([0, 3], 3, 2, "ids run from 0 to 3; expected 0 to 2"),
        ([-1, 0], 3, 2, "ids run from -1"),
        ([0.0, 1.0], 3, 2, "whole numbers"),
        ([[0, 1]], 3, 2, r"shape \(1, 2\)"),
        ([0, 1], 3, 0, "order is 0"),
        ([0, 1], 3, 2.5, r"order is 2\.5"),
        ([0, 1], 0, 2, "vocabulary_size is 0"),
    ],
)
def test_bad_input_is_refused(ids, size, order, message):
    with pytest.raises(BadInput, match=message):
        KneserNey.fit(np.array(ids), size, order)


def test_ids_outside_the_vocabulary_are_refused_later_too():
    model = fitted([0, 1], 2, 2)
    with pytest.raises(BadInput, match="ids run from 2 to 2"):
        model.log_probabilities([2])
    with pytest.raises(BadInput, match="ids run from 5 to 5"):
        model.log_probabilities([0], [5])


@pytest.mark.parametrize(("validation", "orders"), [([], [1, 2]), ([0], [])])
def test_nothing_to_choose_from_is_refused(validation, orders):
    with pytest.raises(BadInput, match="expected at least one"):
        choose_order(np.array([0, 1]), np.array(validation, np.int64), 2, orders)
