"""Tables of sequences with a tag a step: how cells are read, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.small import write_csv

from gruvy.data.tagged import read_sequences, read_tagged, split_steps
from gruvy.errors import BadInput

COLUMNS = {"sequence": "s", "tags": "t", "mask": None, "group": None}


def read(folder, records, **more):
    return read_tagged(write_csv(folder / "a.csv", records), {**COLUMNS, **more})


@pytest.mark.parametrize(
    ("sequence", "tags", "unit", "steps", "wanted"),
    [
        ("MKV", "HHC", "symbols", ["M", "K", "V"], ["H", "H", "C"]),
        ("MKV", "H H C", "symbols", ["M", "K", "V"], ["H", "H", "C"]),
        ("MKV", "helix helix coil", "symbols", ["M", "K", "V"], ["helix", "helix", "coil"]),
        ("MKV KM", "HHCCC", "symbols", ["M", "K", "V", "K", "M"], ["H", "H", "C", "C", "C"]),
        ("Egbert sings .", "B-PER O O", "words", ["Egbert", "sings", "."], ["B-PER", "O", "O"]),
        ("Egbert sings .", "POO", "words", ["Egbert", "sings", "."], ["P", "O", "O"]),
    ],
)
def test_cells_are_read_as_lengths_agree(tmp_path, sequence, tags, unit, steps, wanted):
    found = read(tmp_path, [{"s": sequence, "t": tags}])
    assert (found.unit, found.sequences, found.tags) == (unit, [steps], [wanted])
    assert found.counted[0].all()
    assert found.steps == len(steps)


def test_one_reading_for_the_whole_column(tmp_path):
    found = read(tmp_path, [{"s": "Stop", "t": "VERB"}, {"s": "Go on", "t": "VERB ADV"}])
    assert found.sequences == [["Stop"], ["Go", "on"]]
    assert found.tags[0] == ["VERB"]


@pytest.mark.parametrize("mask", ["1.0 0.0 1.0", "101", "1 0 1", "true false TRUE"])
def test_masks(tmp_path, mask):
    found = read(tmp_path, [{"s": "MKV", "t": "HHC", "m": mask}], mask="m")
    assert found.counted[0].tolist() == [True, False, True]
    assert found.steps == 2


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8), seed=st.integers(0, 3))
def test_what_is_written_is_read(tmp_path_factory, lengths, seed):
    rng = np.random.default_rng(seed)
    records = [
        {"s": "".join(rng.choice(list("ACGT"), n)), "t": "".join(rng.choice(list("xy"), n)),
         "m": " ".join(map(str, rng.integers(0, 2, n)))}
        for n in lengths
    ]  # fmt: skip
    found = read(tmp_path_factory.mktemp("t"), records, mask="m")
    assert ["".join(one) for one in found.sequences] == [r["s"] for r in records]
    assert ["".join(one) for one in found.tags] == [r["t"] for r in records]
    assert [" ".join(str(int(c)) for c in one) for one in found.counted] == [r["m"] for r in records]


def test_rows_groups_and_empty_cells(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"s": "AB", "t": "xy", "g": "1"}, {"s": "", "t": "x", "g": "1"},
                                          {"s": "BA", "t": "yx", "g": "2"}])  # fmt: skip
    found = read_tagged(path, {**COLUMNS, "group": "g"}, drop_empty=True)
    assert (found.rows.tolist(), found.groups, found.dropped) == ([1, 3], ["1", "2"], 1)
    taken = found.take(np.array([1]))
    assert (taken.sequences, taken.rows.tolist(), taken.groups) == ([["B", "A"]], [3], ["2"])
    with pytest.raises(BadInput, match="column 's' is empty in row 2"):
        read_tagged(path, {**COLUMNS, "group": "g"})


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"s": "MKVLA", "t": "HHC", "m": "11111"}, "row 2 has a sequence of 5 steps and 3 in the tags"),
        ({"s": "MKV", "t": "HHCC", "m": "111"}, "row 2 has a sequence of 3 steps and 4 in the tags"),
        ({"s": "MKV", "t": "HHC", "m": "11"}, "row 2 has a sequence of 3 steps and 2 in the mask"),
        ({"s": "MKV", "t": "HHC", "m": "1x1"}, "row 2 has 'x' in its mask; expected 1"),
        ({"s": "MKV", "t": "H C", "m": "111"}, r"expected one a step, and white space is none \(write -\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_row(tmp_path, record, said):
    with pytest.raises(BadInput, match=said):
        read(tmp_path, [{"s": "MKV", "t": "CCH", "m": "101"}, record], mask="m")


def test_other_rows_that_do_not_fit_are_named_beside_the_first(tmp_path):
    good, bad = {"s": "MKV", "t": "CCH"}, {"s": "MKV", "t": "CC"}
    with pytest.raises(BadInput, match=r"row 2 has .* \(and so in rows 3, 5\)"):
        read(tmp_path, [good, bad, bad, good, bad])


@pytest.mark.parametrize(
    ("record", "unit", "steps", "wanted"),
    [
        ({"s": ["Egbert", "sings", "."], "t": ["B-PER", "O", "O"]}, "words", ["Egbert", "sings", "."], "B-PER O O"),
        ({"s": ["10 000", "."], "t": [3, 0]}, "words", ["10 000", "."], "3 0"),
        ({"s": ["M", "K"], "t": ["H", "C"]}, "symbols", ["M", "K"], "H C"),
        ({"s": "MK", "t": ["H", "C"]}, "symbols", ["M", "K"], "H C"),
        ({"s": ["Go", "on"], "t": "VERB ADV"}, "words", ["Go", "on"], "VERB ADV"),
    ],
)
def test_lists_of_steps_are_read_as_they_stand(tmp_path, record, unit, steps, wanted):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({**record, "m": [1, 0, 1][: len(steps)]}))
    found = read_tagged(path, {**COLUMNS, "mask": "m"})
    assert (found.unit, found.sequences, found.tags) == (unit, [steps], [wanted.split()])
    assert found.counted[0].tolist() == [True, False, True][: len(steps)]
    assert read_sequences(path, "s") == [record["s"]]


def test_lists_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    for record, unit, said in (
        ({"s": ["a", "b"], "t": ["X", " "]}, None, "row 1 has a tag of white space, which is none; write - for it"),
        ({"s": ["a", "b"], "t": ["X"]}, None, "row 1 has a sequence of 2 steps and 1 in the tags"),
        ({"s": ["ab", "c"], "t": ["X", "Y"]}, "symbols", "holds words, and the model reads sequences of symbols"),
    ):
        path.write_text(json.dumps(record))
        with pytest.raises(BadInput, match=said):
            read_tagged(path, COLUMNS, unit=unit)


def test_columns_must_be_named_for_a_table_and_are_numbers_of_a_conll_file(tmp_path):
    table = write_csv(tmp_path / "a.csv", [{"s": "MKV", "t": "HHC"}])
    with pytest.raises(BadInput, match=r"which column of .* holds the tags. give --tags COLUMN"):
        read_tagged(table, {"sequence": "s"})
    file = tmp_path / "a.conll"
    file.write_text("Egbert B-PER\n")
    assert read_tagged(file, {}).unit == "words"
    with pytest.raises(BadInput, match="--mask names a column of a table"):
        read_tagged(file, {"mask": "m"})
    with pytest.raises(BadInput, match="the model reads sequences of symbols"):
        read_tagged(file, {}, unit="symbols")


def test_a_model_knows_its_unit():
    assert split_steps(" ab c ", "words") == ["ab", "c"]
    assert split_steps(" ab c ", "symbols") == ["a", "b", "c"]
