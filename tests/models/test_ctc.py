"""CTC against all paths of tiny cases."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gruvy.models.ctc import BestPath, Lexicon, PrefixBeam, ctc_loss, fewest_steps, texts


def drawn(steps, symbols, seed):
    """Log-probabilities `(steps, symbols + 1)`."""
    return torch.randn(steps, symbols + 1, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(-1)


def all_texts(log_probabilities):
    """The log-likelihood of every text, by going through every path; reads paths in a way of its own."""
    found = {}
    steps, units = log_probabilities.shape
    for path in itertools.product(range(units), repeat=steps):
        text = tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)
        likelihood = float(sum(log_probabilities[t, s] for t, s in enumerate(path)))
        found[text] = np.logaddexp(found.get(text, -np.inf), likelihood)
    return found


@settings(max_examples=25, deadline=None)
@given(steps=st.integers(1, 5), symbols=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_a_wide_beam_is_exact(steps, symbols, seed):
    given = drawn(steps, symbols, seed)
    exact = all_texts(given.double().numpy())
    found = texts(given, PrefixBeam(10**4))
    assert {tuple(text) for text, _ in found} == set(exact)
    for text, likelihood in found:
        assert likelihood == pytest.approx(exact[tuple(text)], abs=1e-5)
    likelihoods = [likelihood for _, likelihood in found]
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert np.logaddexp.reduce(likelihoods) == pytest.approx(0, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(steps=st.integers(0, 6), symbols=st.integers(1, 3), beam=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_a_narrow_beam_says_no_more_than_is_true(steps, symbols, beam, seed):
    given = drawn(steps, symbols, seed)
    exact = all_texts(given.double().numpy())
    found = texts(given, PrefixBeam(beam))
    assert 1 <= len(found) <= beam
    assert all(likelihood <= exact[tuple(text)] + 1e-5 for text, likelihood in found)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 6),
    words=st.sets(st.lists(st.integers(2, 3), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
)
def test_with_a_lexicon_the_texts_are_those_of_its_words(steps, words, seed):
    space, given = 1, drawn(steps, 3, seed)
    found = texts(given, PrefixBeam(10**4, Lexicon(words, space, 3)))

    def allowed(text):
        spelt = [tuple(g) for is_space, g in itertools.groupby(text, lambda s: s == space) if not is_space]
        spaces = [len(list(g)) for is_space, g in itertools.groupby(text, lambda s: s == space) if is_space]
        ends = not text or (text[0] != space and text[-1] != space)
        return ends and all(word in words for word in spelt) and all(n == 1 for n in spaces)

    exact = {text: likelihood for text, likelihood in all_texts(given.double().numpy()).items() if allowed(text)}
    inner = {tuple(text): likelihood for text, likelihood in found if not text or text[-1] != space}
    assert set(inner) == set(exact)
    assert all(likelihood == pytest.approx(exact[text], abs=1e-5) for text, likelihood in inner.items())


def test_a_begun_word_is_left_out_where_nothing_else_is_left():
    given = torch.tensor([[0.0, 0, 9, 0], [0, 9, 0, 0], [0, 0, 9, 0]]).mul(9).log_softmax(-1)  # blank, space, a, b
    search = PrefixBeam(1, Lexicon([[2], [2, 3]], 1, 3))
    assert texts(given, search)[0][0] == [2, 1, 2]
    search = PrefixBeam(1, Lexicon([[2, 3]], 1, 3))
    assert texts(given[:1], search)[0][0] == []


@given(
    steps=st.integers(0, 8), beam=st.integers(1, 5), words=st.booleans(), seed=st.integers(0, 10**6)
)  # fmt: skip
def test_what_is_certain_stays(steps, beam, words, seed):
    search, before = PrefixBeam(beam, Lexicon([[2], [3, 2]], 1, 3) if words else None), []
    for now in drawn(steps, 3, seed).double().numpy():
        search.step(now)
        certain = search.certain()
        assert certain[: len(before)] == before
        assert all(text[: len(certain)] == certain for text, _ in search.texts())
        before = certain


def test_beam_sums_paths_where_greedy_takes_one():
    given = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()  # no text 0.36, the text 0.64
    assert texts(given, BestPath()) == [([], pytest.approx(np.log(0.36), abs=1e-6))]
    assert texts(given, PrefixBeam(2))[0] == ([1], pytest.approx(np.log(0.64), abs=1e-6))


def test_certain_and_impossible_symbols_are_read():
    given = torch.tensor([[0.0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).log()
    assert texts(given, BestPath()) == [([1, 1, 2], 0.0)]
    assert texts(given, PrefixBeam(3)) == [([1, 1, 2], 0.0)]


@given(path=st.lists(st.integers(0, 3), max_size=12))
def test_a_path_reads_as_its_symbols_without_repeats_and_blanks(path):
    sure = torch.eye(4)[torch.tensor(path, dtype=torch.long)].log()
    read = [symbol for symbol, _ in itertools.groupby(path) if symbol]
    assert texts(sure, BestPath()) == [(read, 0.0)]
    assert texts(sure, PrefixBeam(2)) == [(read, 0.0)]
    assert fewest_steps(read) <= len(path)


def test_the_loss_is_that_of_all_paths():
    ends, said = [5, 3, 1], [[1, 1], [2], [1]]
    rows = [drawn(5, 2, seed) for seed in range(3)]
    past = torch.arange(5)[:, None] >= torch.tensor(ends)[:, None, None]
    outputs = torch.stack(rows).masked_fill(past, np.nan)
    targets = torch.tensor([[1, 1], [2, -1], [1, -1]])
    wanted = [
        -all_texts(row[:end].double().numpy())[tuple(text)] / len(text)
        for row, end, text in zip(rows, ends, said, strict=True)
    ]
    assert float(ctc_loss(outputs, targets)) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_padding_has_no_part_in_the_gradient_and_a_text_that_is_too_long_has_none():
    outputs = torch.stack([drawn(4, 2, 0), drawn(4, 2, 1)]).requires_grad_()
    past = torch.tensor([[False] * 4, [False, True, True, True]])[..., None]
    loss = ctc_loss(outputs.masked_fill(past, float("nan")), torch.tensor([[1, 2], [1, 1]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(outputs.grad).all()
    assert outputs.grad[0].any()
    assert not outputs.grad[1].any()
