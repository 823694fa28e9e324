"""The task: targets, what is read of log-probabilities, word and character error rates."""

import json

import pytest
import torch

from gruvy.errors import BadInput
from gruvy.tasks.speech import Speech

SETTINGS = {"beam": 1, "words": None}


def test_targets_are_places_in_the_alphabet():
    task = Speech.fit(["ab", "b a"], SETTINGS)
    assert (task.characters, task.output_size) == (" ab", 3)
    assert task.encode(["ab", "b a", "?", "b?"]).tolist() == [[2, 3, -1], [3, 1, 2], [-1] * 3, [3, -1, -1]]
    assert task.encode([""]).tolist() == [[-1]]
    assert Speech.from_json(task.to_json()) == task


def test_greedy_takes_the_likeliest_path_and_a_beam_the_likeliest_text():
    said = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    greedy, beam = Speech("a", beam=1), Speech("a", beam=2)
    assert (greedy.read(said), beam.read(said)) == ("", "a")
    assert greedy.read(said[:0]) == beam.read(said[:0]) == ""


def test_known_words_alone_are_written_where_that_is_asked_for():
    task = Speech.fit(["ab b", "b"], {"beam": 4, "words": "known"})
    assert task.words == ("ab", "b")
    assert Speech.from_json(json.loads(json.dumps(task.to_json()))) == task
    said = torch.tensor([[0.0, 1, 7, 2], [0, 1, 7, 3], [0, 6, 2, 1]]).log_softmax(-1)  # blank, space, a, b
    assert Speech(task.characters, 4).read(said) == "a"
    assert task.read(said) == "ab"
    assert set(Speech(task.characters, 1, task.words).read(torch.randn(50, 4).log_softmax(-1)).split()) <= {"ab", "b"}


def _edits(a, b):
    """Levenshtein's distance, by its recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(_edits(a[1:], b) + 1, _edits(a, b[1:]) + 1, _edits(a[1:], b[1:]) + (a[0] != b[0]))


def test_error_rates_are_edits_of_the_whole():
    said, texts = ["a bb c", "d", ""], ["a b c", "d e", "f"]
    task = Speech.fit(texts, SETTINGS)
    words = sum(_edits(a.split(), b.split()) for a, b in zip(said, texts, strict=True))
    characters = sum(_edits(a, b) for a, b in zip(said, texts, strict=True))
    metrics = task.metrics(said, texts)
    assert metrics["wer"] == pytest.approx(words / sum(len(t.split()) for t in texts))
    assert metrics["cer"] == pytest.approx(characters / sum(map(len, texts)))
    assert task.scores(said, texts).tolist() == pytest.approx([1 - 1 / 3, 0.5, 0])


@pytest.mark.parametrize("beam", [0, -1, 1001])
def test_a_beam_that_cannot_be_is_refused(beam):
    with pytest.raises(BadInput, match=f"--beam {beam}: expected a number of prefixes from 1 to 1000"):
        Speech.fit(["a"], {"beam": beam, "words": None})
