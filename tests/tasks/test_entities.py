"""Entities in tags, as the CoNLL evaluation counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.tasks.entities import Entity, entities, entity_figures, of_entities


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("", []),
        ("O O", []),
        ("B-A I-A O B-B", [("A", 0, 2), ("B", 3, 4)]),
        ("B-A B-A", [("A", 0, 1), ("A", 1, 2)]),
        ("I-A I-A O I-B", [("A", 0, 2), ("B", 3, 4)]),  # IOB
        ("I-A I-B", [("A", 0, 1), ("B", 1, 2)]),
        ("B-A I-B I-A", [("A", 0, 1), ("B", 1, 2), ("A", 2, 3)]),
        ("S-A B-B I-B E-B S-A", [("A", 0, 1), ("B", 1, 4), ("A", 4, 5)]),  # IOBES
        ("U-A B-B L-B I-B", [("A", 0, 1), ("B", 1, 3), ("B", 3, 4)]),  # BILOU
        ("E-A I-A", [("A", 0, 1), ("A", 1, 2)]),
        ("B-A-B I-A-B", [("A-B", 0, 2)]),
    ],
)
def test_entities(tags, found):
    assert entities(tags.split()) == [Entity(*one) for one in found]


@given(st.lists(st.tuples(st.sampled_from(["A", "B", ""]), st.integers(1, 4)), max_size=10))
def test_what_is_written_as_bio_is_found_again(stretches):
    tags, wanted = [], []
    for kind, length in stretches:
        if kind:
            wanted.append(Entity(kind, len(tags), len(tags) + length))
        tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)] if kind else ["O"] * length
    assert entities(tags) == wanted


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (["O", "B-A"], True), (["I-A"], True), (["S-A", "O", "B-A"], True), (["O"], False), (["H", "E"], False),
        (["B", "O"], False), (["B-A", "NOUN"], False), (["I-PER-X", "O"], True), (["E-X", "S-X"], False),
    ],
)  # fmt: skip
def test_which_tags_are_of_entities(tags, told):
    assert of_entities(tags) is told


def test_figures_count_whole_entities():
    wanted = [["B-A", "I-A", "O", "B-B"], ["B-A", "O"]]
    said = [["B-A", "O", "O", "B-B"], ["B-A", "B-B"]]
    figures = entity_figures(said, wanted)
    assert figures == pytest.approx({"entity_f1": 4 / 7, "entity_precision": 2 / 4, "entity_recall": 2 / 3})
    assert entity_figures([["O"]], [["O"]])["entity_f1"] == 0
