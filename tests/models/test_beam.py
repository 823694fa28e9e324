"""Beam search finds what trying everything finds, and each source's answer is its own."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.test_translation import stepwise
from tests.models.writing import SOURCES, padded, small_model

from gruvy.cells import CATALOGUE
from gruvy.data.text import PADDING, UNKNOWN, TokenIds
from gruvy.data.vocabulary import END
from gruvy.models.beam import beam_search, length_penalty, translate

TOKENS = (3, 4)  # with a vocabulary of 5, all that can be written but the end


def searched(model, sources=SOURCES, extra=0, **options):
    return beam_search(model, *padded(sources, extra), **options)


def log_probability(model, source, target):
    with torch.no_grad():
        return -float(stepwise(model, source, target).sum())


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 3, 4])
def test_a_beam_that_holds_everything_finds_the_best_of_all(seed, alpha):
    model, limit = small_model(vocabulary=5, seed=seed), 3
    sources = [[3, 4, 2], [2], [4, 4, 4, 3, 2]]
    everything = [[*ids, END] for n in range(limit) for ids in itertools.product(TOKENS, repeat=n)]
    found = searched(model, sources, beam=16, alpha=alpha, limits=torch.full((3,), limit))
    for source, translation in zip(sources, found, strict=True):
        scores = [log_probability(model, source, ids) / length_penalty(len(ids), alpha) for ids in everything]
        assert [*translation.ids, END] == everything[int(np.argmax(scores))]
        assert translation.score == pytest.approx(max(scores), abs=1e-5)


@pytest.mark.parametrize("cell", [CATALOGUE["gru"], CATALOGUE["lstm"]], ids=lambda c: c.name)
def test_a_beam_of_one_takes_the_most_probable_token_each_time(cell):
    model = small_model(cell)
    for source, translation in zip(SOURCES, searched(model, beam=1), strict=True):
        state, ids = model.decode_start(*padded([source])), [END]
        with torch.no_grad():
            while len(ids) <= 2 * len(source) + 10 and (len(ids) == 1 or ids[-1] != END):
                log_probabilities, state, _ = model.decode_step(torch.tensor(ids[-1:]), state)
                log_probabilities[:, [PADDING, UNKNOWN]] = float("-inf")
                ids.append(int(log_probabilities.argmax()))
        assert translation.ended == (ids[-1] == END)
        assert translation.ids == [i for i in ids[1:] if i != END]


@settings(max_examples=15)
@given(st.lists(st.lists(st.integers(3, 8), max_size=6), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 3))
def test_many_sources_at_once_give_what_each_gives_alone_and_padding_changes_nothing(texts, beam, extra):
    model, sources = small_model(seed=1), [[*text, END] for text in texts]
    for source, together in zip(sources, searched(model, sources, extra, beam=beam), strict=True):
        (alone,) = searched(model, [source], beam=beam)
        assert (together.ids, together.ended) == (alone.ids, alone.ended)
        assert together.score == pytest.approx(alone.score, abs=1e-4)
        np.testing.assert_allclose(together.attention, alone.attention, atol=1e-5)


def test_the_score_and_the_attention_are_those_of_the_tokens_written():
    model = small_model(seed=2)
    for source, translation in zip(SOURCES, searched(model, beam=3, alpha=0.7), strict=True):
        written = [*translation.ids, END][: len(translation.attention)]
        expected = log_probability(model, source, written) / length_penalty(len(written), 0.7)
        assert translation.score == pytest.approx(expected, abs=1e-4)
        state = model.decode_start(*padded([source]))
        for before, row in zip([END, *written[:-1]], translation.attention, strict=True):
            _, state, weights = model.decode_step(torch.tensor([before]), state)
            np.testing.assert_allclose(row, weights[0].detach().numpy(), atol=1e-5)


def test_padding_and_the_unknown_token_are_never_written():
    model = small_model()
    with torch.no_grad():
        model.bias[[PADDING, UNKNOWN]] = 100.0
    for translation in searched(model):
        assert not {PADDING, UNKNOWN} & set(translation.ids)


def test_what_would_not_end_is_cut_at_its_limit():
    model = small_model()
    with torch.no_grad():
        model.bias[END] = -1000.0
    for source, translation in zip(SOURCES, searched(model, beam=2), strict=True):
        assert not translation.ended
        assert len(translation.ids) == len(translation.attention) == 2 * len(source) + 10
        assert END not in translation.ids


def test_what_ends_at_once_is_empty():
    model = small_model()
    with torch.no_grad():
        model.bias[END] = 1000.0
    for translation in searched(model):
        assert translation.ids == []
        assert translation.ended
        assert len(translation.attention) == 1


def test_a_vocabulary_smaller_than_the_beam_is_no_trouble():
    model = small_model(vocabulary=4)
    assert all(set(translation.ids) <= {3} for translation in searched(model, [[3, 3, END], [END]], beam=7))


def test_translations_come_in_the_order_of_their_sources():
    model = small_model(seed=3)
    tokens = TokenIds.join([np.array(s, np.int32) for s in SOURCES * 3])
    found = translate(model, tokens, beam=2, batch_size=5)
    expected = searched(model, SOURCES * 3, beam=2)
    assert [t.ids for t in found] == [t.ids for t in expected]
    assert translate(model, TokenIds.join([])) == []
