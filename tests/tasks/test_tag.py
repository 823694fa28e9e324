"""What a tagger says and how it is judged."""

import numpy as np
import pytest
import sklearn.metrics
from tests.fixtures.tagged import trained

import gruvy
from gruvy.data.steps import SymbolInputs, WordInputs
from gruvy.data.tagged import Tagged
from gruvy.errors import BadInput
from gruvy.tasks.tag import Tag
from gruvy.tasks.windows import WindowLogistic


def tagged(*rows, unit="symbols"):
    sequences, tags, counted = [], [], []
    for sequence, its_tags, mask in rows:
        sequences.append(list(sequence))
        tags.append(its_tags.split() if " " in its_tags else list(its_tags))
        counted.append(np.array([c == "1" for c in mask]))
    return Tagged(unit, sequences, tags, counted, None, np.arange(1, len(rows) + 1))


PART = tagged(("ABCD", "xyxy", "1101"), ("BB", "xz", "11"), ("A", "x", "0"))
TASK = Tag.fit(PART)


def test_tags_are_those_that_count():
    assert (TASK.tags, TASK.unit, TASK.commonest) == (("x", "y", "z"), "symbols", "x")
    assert Tag.from_json(TASK.to_json()) == TASK
    assert [one.tolist() for one in TASK.encode(PART)] == [[0, 1, -1, 1], [0, 2], [-1]]


@pytest.mark.parametrize(("mask", "said"), [("11", "every step that counts has the tag 'x'"), ("00", "no step counts")])
def test_one_tag_is_nothing_to_learn(mask, said):
    with pytest.raises(BadInput, match=said):
        Tag.fit(tagged(("AB", "xx", mask)))


def test_figures_are_scikit_learns():
    rng = np.random.default_rng(0)
    rows = [("A" * n, "".join(rng.choice(list("xyz"), n)), "".join(rng.choice(list("01"), n))) for n in (30, 1, 12)]
    part = tagged(*rows)
    said = [list(rng.choice(list("xyz"), len(one))) for one in part.sequences]
    counts = [
        np.concatenate([np.array(one)[c] for one, c in zip(t, part.counted, strict=True)]) for t in (part.tags, said)
    ]
    figures = TASK.metrics(said, part)
    assert figures["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(*counts))
    assert figures["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(*counts, average="macro"))
    assert TASK.scores(said, part).mean() == pytest.approx(figures["accuracy"])
    shown = TASK.details(said, part).split("\n")
    assert len(shown) == 4
    first = shown[1].split()
    of_it = sklearn.metrics.precision_recall_fscore_support(*counts, labels=[first[0]])
    assert [float(number) for number in first[1:]] == pytest.approx([float(n[0]) for n in of_it], abs=1e-4)


def test_the_head_of_a_table_of_many_tags_stands_above_its_columns():
    many = Tag(tuple(f"t{i}" for i in range(60)), "words", "t0")
    tags = list(many.tags)
    part = Tagged("words", [tags], [tags], [np.ones(60, bool)], None, np.array([1]))
    head, *rows = many.details([tags], part).split("\n")
    assert len(rows) == 40
    assert "the 40 most frequent of 60" in head
    assert {len(row) for row in rows} == {len(head)}


def test_tags_training_never_had_count_as_wrong_and_are_told():
    part = tagged(("AB", "xq", "11"))
    assert TASK.encode(part)[0].tolist() == [0, -1]
    assert TASK.metrics([["x", "x"]], part)["accuracy"] == 0.5
    assert TASK.strange(part) == "1 step has a tag that training never had ('q') and counts as wrong"
    assert TASK.strange(PART) == ""


def test_entities_do_not_reach_into_what_does_not_count():
    part = tagged(("ABC", "B-X I-X O", "101"), ("AB", "B-X O", "11"), unit="words")
    figures = Tag.fit(part).metrics([["B-X", "O", "O"], ["B-X", "O"]], part)
    assert figures["entity_f1"] == 1


@pytest.mark.parametrize("steps", [1, 3, 30])
def test_a_model_of_symbols_says_a_tag_a_symbol(steps):
    model = gruvy.load(trained("symbols")[0])
    found = model.predict(("a" + "cdcdc" * 12)[:steps])
    assert found["tags"] == "U" * steps
    assert len(found["probabilities"]) == steps
    assert all(0.5 < p <= 1 for p in found["probabilities"])
    assert found.keys() == {"tags", "probabilities"}


def test_white_space_is_no_symbol_and_lists_are_sequences():
    model = gruvy.load(trained("symbols")[0])
    one, other = model.predict([" ac\ndb ", ["a", "c", "d", "b"]])
    assert one == other
    assert one["tags"] == "UUUD"


@pytest.mark.parametrize("kind", ["words", "field"])
def test_a_model_of_words_says_tags_and_entities(kind):
    model = gruvy.load(trained(kind)[0])
    found = model.predict("Egbert Morgental visits Altburg .")
    assert found["tags"] == ["B-PER", "I-PER", "O", "B-LOC", "O"]
    assert found["tokens"] == ["Egbert", "Morgental", "visits", "Altburg", "."]
    assert found["entities"] == [
        {"type": "PER", "start": 0, "stop": 2, "steps": ["Egbert", "Morgental"]},
        {"type": "LOC", "start": 3, "stop": 4, "steps": ["Altburg"]},
    ]
    assert found == model.predict([["Egbert", "Morgental", "visits", "Altburg", "."]])[0]


def test_words_never_seen_are_read_by_their_form():
    found = gruvy.load(trained("words")[0]).predict("Egbert paints Neuerburg .")
    assert found["tags"][2] == "B-LOC"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "sequence 1 of 1 is empty"), (["ab", " "], "sequence 2 of 2 is empty"), ([3], "sequence 1 is 3; expected"),
        ([["a", 1]], "sequence 1 is"), (5, "expected one input, or a list"),
    ],
)  # fmt: skip
def test_what_is_no_sequence_is_refused(raw, said):
    with pytest.raises(BadInput, match=said):
        gruvy.load(trained("symbols")[0]).predict(raw)


def test_nothing_gives_nothing():
    assert gruvy.load(trained("symbols")[0]).predict([]) == []


@pytest.mark.parametrize("unit", ["symbols", "words"])
def test_windows_see_neighbours_and_no_further(unit):
    rng = np.random.default_rng(0)
    reach = 7 if unit == "symbols" else 2
    for distance, learned in ((reach, True), (reach + 2, False)):
        sequences = [list(rng.choice(["oo", "kk"] if unit == "words" else list("ok"), 40)) for _ in range(60)]
        wanted = [np.array([-1] * distance + [int(step[0] == "o") for step in one[:-distance]]) for one in sequences]
        inputs = WordInputs.fit(sequences, 100) if unit == "words" else SymbolInputs.fit(sequences)
        encoded = inputs(sequences)
        said = WindowLogistic(inputs.ids, unit).fit(encoded, wanted, 0).predict(encoded)
        right = np.concatenate([(a == b)[distance:] for a, b in zip(said, wanted, strict=True)]).mean()
        assert right == 1 if learned else right < 0.75
