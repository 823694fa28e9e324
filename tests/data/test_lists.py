"""Columns of lists in JSONL and Parquet files."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gruvy.data.lists import holds_lists, read_lists
from gruvy.errors import BadInput

ROWS = [{"w": ["Egbert", "sings"], "t": [3, 0]}, {"w": ["go"], "t": [True]}, {"w": [], "t": [1]}, {"w": ["x"]}]


def jsonl(path, rows):
    text = "\n\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz", "a.parquet"])
def test_lists_are_read_whatever_the_kind_of_file(tmp_path, name):
    path = tmp_path / name
    rows = [{"w": ["Egbert", "sings"], "t": [3, 0], "who": "a"}, {"w": ["go"], "t": [1], "who": "b"}]
    pq.write_table(pa.Table.from_pylist(rows), path) if name == "a.parquet" else jsonl(path, rows)
    assert holds_lists(path, ["who", "w"])
    assert not holds_lists(path, ["who"])
    found = read_lists(path, ["w", "t", "who"])
    assert found.columns == {"w": [["Egbert", "sings"], ["go"]], "t": [["3", "0"], ["1"]], "who": ["a", "b"]}
    assert (found.rows.tolist(), found.dropped) == ([1, 2], 0)
    with pytest.raises(BadInput, match=r"no column 'x', only 'w', 't', 'who'; name one of these"):
        read_lists(path, ["w", "x"])


def test_rows_with_an_empty_cell_are_refused_or_left_out(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(BadInput, match=r"a\.jsonl: a cell is empty in rows 3, 4; .* --drop-empty"):
        read_lists(path, ["w", "t"])
    found = read_lists(path, ["w", "t"], drop_empty=True)
    assert found.columns["t"] == [["3", "0"], ["true"]]
    assert (found.rows.tolist(), found.dropped) == ([1, 2], 2)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROWS[0], {"w": ["a", None], "t": [1, 2]}], "row 2 holds 'None' in column 'w'; expected texts"),
        ([ROWS[0], {"w": [["a"]], "t": [1]}], "row 2 holds .* in column 'w'"),
        ([ROWS[0], "{"], "line 3 holds '{'; expected one JSON object on each line"),
        ([{"w": [], "t": []}], "a cell is empty in row 1"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(tmp_path, rows, said):
    with pytest.raises(BadInput, match=said):
        read_lists(jsonl(tmp_path / "a.jsonl", rows), ["w", "t"], drop_empty=len(rows) == 1)


def test_other_files_hold_none(tmp_path):
    (tmp_path / "a.csv").write_text("w\n[1]\n")
    (tmp_path / "a.parquet").write_text("no")
    assert not any(holds_lists(tmp_path / name, ["w"]) for name in ("a.csv", "a.parquet", "none.jsonl"))
