"""Cuts of BPE-dropout: the tokenizer's own without it, the published algorithm's with it, the same for a seed."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data import cuts as module
from gruvy.data.cuts import RandomCuts
from gruvy.data.vocabulary import Vocabulary

TEXTS = ["the dogs are running", "a dog runs", "the cats were sleeping there, there!", "", "Größe größer größte 1 12"]
VOCABULARY = Vocabulary.fit(TEXTS, "bpe", 330)


def cut(texts, probability, seed=0, vocabulary=VOCABULARY):
    return RandomCuts(vocabulary.tokenizer, texts)(probability, np.random.default_rng(seed))


def listed(tokens):
    return [tokens[i].tolist() for i in range(len(tokens))]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_without_dropout_it_is_the_tokenizer(texts):
    texts = [*texts, *TEXTS]
    assert listed(cut(texts, 0.0)) == listed(VOCABULARY.encode(texts))


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_pieces_make_the_same_text(seed, probability):
    assert [VOCABULARY.decode(ids) for ids in listed(cut(TEXTS, probability, seed))] == TEXTS


def test_with_every_merge_left_out_bytes_are_left():
    assert cut(TEXTS, 1.0).lengths.tolist() == [len(text.encode()) for text in TEXTS]


def written_out(word, merges, probability):
    """Algorithm 1 of Provilkov et al. 2020, one word at a time."""
    while True:
        possible = [
            (merges.index([a, b]), i)
            for i, (a, b) in enumerate(pairwise(word))
            if [a, b] in merges and random.random() >= probability
        ]
        if not possible:
            return " ".join(word)
        _, i = min(possible)
        word = [*word[:i], word[i] + word[i + 1], *word[i + 2 :]]


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_each_cut_is_as_frequent_as_the_published_algorithm_makes_it(monkeypatch, probability):
    count = 10_000
    monkeypatch.setattr(module, "_MOST_WAYS", count)
    random.seed(0)
    merges = json.loads(VOCABULARY.tokenizer.to_str())["model"]["merges"]
    expected = [written_out(["Ġ", *"there"], merges, probability) for _ in range(count)]
    found = [
        " ".join(VOCABULARY.tokenizer.id_to_token(i) for i in ids)
        for ids in listed(cut([" there"] * count, probability))
    ]
    for way in {*expected, *found}:
        assert found.count(way) / count == pytest.approx(expected.count(way) / count, abs=0.03)


def test_the_cuts_are_the_seed_s():
    assert listed(cut(TEXTS, 0.5, seed=1)) == listed(cut(TEXTS, 0.5, seed=1)) != listed(cut(TEXTS, 0.5, seed=2))


def test_a_frequent_word_is_cut_in_several_ways():
    assert len({tuple(ids) for ids in listed(cut([" running"] * 100, 0.5))}) > 3


def test_words_of_all_lengths_together_are_cut_as_alone(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    texts = ["a" * 500, "the", *TEXTS, "x"]
    assert listed(cut(texts, 0.0)) == listed(VOCABULARY.encode(texts))


def test_no_text_is_no_trouble():
    assert listed(cut([], 0.5)) == []
    assert listed(cut(["", ""], 0.5)) == [[], []]
