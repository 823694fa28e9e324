"""The dictionary is IBM model 1's, and translates what it knows."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.models import dictionary as module
from gruvy.models.dictionary import Dictionary

SOURCES = ["the house", "the book", "a book", "the big house is here.", "a big book", "Houses?"]
TARGETS = ["das Haus", "das Buch", "ein Buch", "das große Haus hier.", "ein großes Buch", "Häuser?"]


def test_it_finds_the_words_that_go_together():
    found = Dictionary.fit(SOURCES, TARGETS)
    assert {w: found.words[w] for w in ("the", "house", "a", "book")} == {
        "the": "das", "house": "Haus", "a": "ein", "book": "Buch",
    }  # fmt: skip


def test_unknown_words_signs_and_spaces_stay():
    found = Dictionary({"the": "das", "house": "Haus", "is": "", ".": "!"})
    assert found.translate(["the house, is  (the) HOUSE.", "", "  "]) == ["das Haus, (das) HOUSE.", "", ""]


def written_out(sources, targets, iterations):
    """Model 1 as textbooks write it; "" generates what nothing else does."""
    pairs = [(["", *s.split()], t.split()) for s, t in zip(sources, targets, strict=True)]
    chance = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in pairs:
            for t in target:
                norm = sum(chance[s, t] for s in source)
                for s in source:
                    counts[s, t] += chance[s, t] / norm
                    totals[s] += chance[s, t] / norm
        chance = defaultdict(float, {(s, t): count / totals[s] for (s, t), count in counts.items()})
    return chance


WORDS = st.lists(st.sampled_from("abcde"), max_size=4).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=6))
def test_it_is_model_1(pairs):
    sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
    chance = written_out(sources, targets, module._ITERATIONS)
    found = Dictionary.fit(sources, targets)
    assert set(found.words) == {s for s, _ in chance if s}
    for source, target in found.words.items():
        best = max(value for (s, _), value in chance.items() if s == source)
        if target:
            assert chance[source, target] == pytest.approx(best)
            assert chance[source, target] > chance["", target]
        else:
            likely = [t for (s, t), value in chance.items() if s == source and value == pytest.approx(best)]
            assert any(chance["", t] >= best - 1e-9 for t in likely)


def test_nothing_to_learn_from_gives_an_empty_dictionary():
    assert Dictionary.fit([], []).words == Dictionary.fit(["", "a"], ["", ""]).words == {}
    assert Dictionary.fit([], []).translate(["a b"]) == ["a b"]


def test_past_a_limit_pairs_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 20)
    assert set(Dictionary.fit(SOURCES, TARGETS).words) == {"the", "house", "book", "a"}
