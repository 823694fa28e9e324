"""Reading tables: four formats, the same table; and one sentence for everything that cannot be read."""

import contextlib
import csv
import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruvy.data import tables
from gruvy.data.tables import Table, read_table
from gruvy.errors import BadInput

REVIEWS = {"review": "text", "stars": "number", "label": "label"}


def save(path: Path, content: bytes | str) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def save_columns(path: Path, columns: dict[str, list]) -> Path:
    """`columns` as a file of the kind that the suffix names."""
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        save(path, "\n".join(lines))
    elif path.suffix == ".tsv":
        save(path, "".join("\t".join(map(str, row)) + "\n" for row in [tuple(columns), *rows]))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([tuple(columns), *rows])
    return path


def refusal(path: Path, columns: dict[str, str] = REVIEWS, **options) -> str:
    """The message without the path; one line, one sentence, no chained traceback."""
    with pytest.raises(BadInput) as caught:
        read_table(path, columns, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert not message.endswith(".")
    assert caught.value.__suppress_context__
    return message.removeprefix(f"{path}: ")


def contents(table: Table) -> dict:
    columns = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in table.columns.items()}
    return {**columns, "rows": table.rows.tolist(), "dropped": table.dropped}


# The same content in every format

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
TSV_TEXT = ANY_TEXT.filter(lambda text: not set(text) & set("\t\r\n"))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


def columns_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict]:
    rows = st.lists(st.tuples(texts, NUMBER, texts), min_size=1, max_size=5)
    return rows.map(lambda rows: dict(zip(REVIEWS, map(list, zip(*rows, strict=True)), strict=True)))


@settings(max_examples=60, deadline=None)
@given(columns_of(ANY_TEXT))
@example(
    {
        "review": ["NA", 'say "no"', "a,\r\nb", "\ufeffnull"],
        "stars": [1e-310, -0.0, 5, 1e300],
        "label": list("0101"),
    }
)
@example(
    {
        "review": ["None", "nan", "2020-01-01", "\x00"],
        "stars": [1, 2, 3, 4],
        "label": ["true", " x ", "1.0", "007"],
    }
)
def test_formats_agree(columns):
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".jsonl", ".parquet"):
            table = read_table(save_columns(Path(folder, "reviews" + suffix), columns), REVIEWS)
            assert contents(table) == {**columns, "rows": list(range(1, len(table) + 1)), "dropped": 0}
            assert table.columns["stars"].dtype == np.float64
            assert table.rows.dtype == np.int64


@settings(max_examples=30, deadline=None)
@given(columns_of(TSV_TEXT))
@example({"review": ['a "bare quote', '"', "NA"], "stars": [1, 2, 3], "label": ["'", "x,y", '"z"']})
def test_tsv_keeps_quotes(columns):
    with tempfile.TemporaryDirectory() as folder:
        table = read_table(save_columns(Path(folder, "reviews.tsv"), columns), REVIEWS)
    assert contents(table) == {**columns, "rows": list(range(1, len(table) + 1)), "dropped": 0}


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"]), st.booleans())
@example(b'{"a": ' + b"[" * 100_000, ".jsonl", False)
@example(b"PAR1\x00\x00\x00\x00PAR1", ".parquet", False)
def test_any_bytes_are_read_or_refused(content, suffix, drop_empty):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x" + suffix)
        path.write_bytes(content)
        with contextlib.suppress(BadInput):
            read_table(path, {"a": "text"}, drop_empty=drop_empty)


# What cells become


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", "text,label\ngood,1\nbad,0\n"),
        ("no-last-line-end.csv", "text,label\ngood,1\nbad,0"),
        ("windows.csv", b"\xef\xbb\xbftext,label\r\ngood,1\r\nbad,0\r\n"),
        ("blank-lines.csv", "\n\ntext,label\n\ngood,1\n   \nbad,0\n\n"),
        ("other-columns.CSV", 'id,label,id,text\n1,1,"x\ny",good\n2,0,,bad\n'),
        ("packed.csv.gz", "text,label\ngood,1\nbad,0\n"),
        ("windows.tsv", b"\xef\xbb\xbftext\tlabel\r\ngood\t1\r\nbad\t0\r\n"),
        ("packed.TSV.GZ".lower(), "text\tlabel\ngood\t1\nbad\t0\n"),
        ("plain.jsonl", '{"text": "good", "label": 1}\n{"label": "0", "text": "bad", "more": [{}]}'),
        (
            "windows.ndjson",
            b'\xef\xbb\xbf{"text": "good", "label": 1}\r\n\r\n{"text": "bad", "label": 0}\r\n',
        ),
        ("packed.jsonl.gz", '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n'),
    ],
)
def test_layouts(tmp_path, name, content):
    table = read_table(save(tmp_path / name, content), {"text": "text", "label": "label"})
    assert contents(table) == {"text": ["good", "bad"], "label": ["1", "0"], "rows": [1, 2], "dropped": 0}
    assert len(table) == 2


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ("1", "1"), ("1.0", "1.0"), ("1e2", "1e2"), ("true", "true"), ("false", "false"), ('"NaN"', "NaN"),
        ("9" * 5000, "9" * 5000), (r'"\ud83d\ude00"', "\U0001f600"),
    ],
)  # fmt: skip
def test_jsonl_labels_are_what_stands_there(tmp_path, values, cells):
    path = save(tmp_path / "x.jsonl", f'{{"a": {values}}}')
    assert read_table(path, {"a": "label"}).columns["a"] == [cells]


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        (pa.array([1, 0]), ["1", "0"]),
        (pa.array([1.0, 0.5]), ["1.0", "0.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["b", "a"]).dictionary_encode(), ["b", "a"]),
        (pa.array([b"caf\xc3\xa9", b"x"]), ["café", "x"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.chunked_array([["x"], ["y"]]), ["x", "y"]),
    ],
)
def test_parquet_labels_are_what_stands_there(tmp_path, values, cells):
    pq.write_table(pa.table({"a": values}), tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet", {"a": "label"}).columns["a"] == cells


@pytest.mark.parametrize(
    ("cell", "value"),
    [("3", 3.0), (" 3.5 ", 3.5), ("+.5", 0.5), ("-1e-3", -0.001), ("7.", 7.0), ("1E2", 100.0)],
)
def test_numbers(tmp_path, cell, value):
    path = save(tmp_path / "x.csv", f"a,b\n{cell},\n")
    assert read_table(path, {"a": "number"}).columns["a"].tolist() == [value]
    path = save(tmp_path / "x.jsonl", json.dumps({"a": cell}))
    assert read_table(path, {"a": "number"}).columns["a"].tolist() == [value]


def test_parquet_numbers_keep_every_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal(1000)
    pq.write_table(pa.table({"wide": values, "narrow": values.astype(np.float32)}), tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet", {"wide": "number", "narrow": "number"})
    np.testing.assert_array_equal(table.columns["wide"], values)
    np.testing.assert_array_equal(table.columns["narrow"], values.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_text_of_five_million_characters(tmp_path, suffix):
    long = "word, " * 833_334
    path = save_columns(tmp_path / f"x{suffix}", {"a": ["short", long], "b": ["1", "2"]})
    assert read_table(path, {"a": "text", "b": "label"}).columns == {"a": ["short", long], "b": ["1", "2"]}


# Which rows stay

SOURCES = """\
source,review,stars,label
imdb,good,1,p
yelp,meh,,n
imdb,bad,2,n
imdb, ,3,n
yelp,ok,nan,
yelp,x,5,p
"""


@pytest.mark.parametrize(
    ("where", "drop_empty", "rows", "dropped"),
    [
        (None, True, [1, 3, 6], 3),
        ({"source": "imdb"}, True, [1, 3], 1),
        ({"source": "yelp"}, True, [6], 2),
        ({"source": "imdb", "label": "p"}, False, [1], 0),
        ({"label": "p"}, False, [1, 6], 0),
        ({"stars": "5"}, False, [6], 0),
    ],
)
def test_where_and_drop_empty(tmp_path, where, drop_empty, rows, dropped):
    path = save(tmp_path / "x.csv", SOURCES)
    table = read_table(path, REVIEWS, where=where, drop_empty=drop_empty)
    assert (table.rows.tolist(), table.dropped) == (rows, dropped)
    lines = [SOURCES.splitlines()[row].split(",") for row in rows]
    assert table.columns["review"] == [line[1] for line in lines]
    assert table.columns["stars"].tolist() == [float(line[2]) for line in lines]
    assert list(table.columns) == list(REVIEWS)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_drop_empty_in_every_format(tmp_path, suffix):
    columns = {"a": ["x", None, " \t", "NA"], "n": [1.5, 2.5, 3.5, None]}
    path = save_columns(tmp_path / f"x{suffix}", columns)
    table = read_table(path, {"a": "text", "n": "number"}, drop_empty=True)
    assert contents(table) == {"a": ["x"], "n": [1.5], "rows": [1], "dropped": 3}


def test_float_nan_is_an_empty_label(tmp_path):
    pq.write_table(pa.table({"a": [1.0, float("nan"), None]}), tmp_path / "x.parquet")
    save(tmp_path / "x.jsonl", '{"a": 1.0}\n{"a": NaN}\n{"b": 1}\n')
    for name in ("x.parquet", "x.jsonl"):
        assert contents(read_table(tmp_path / name, {"a": "label"}, drop_empty=True))["a"] == ["1.0"]
        assert "column 'a' is empty in rows 2, 3;" in refusal(tmp_path / name, {"a": "label"})


# What is refused

REFUSED = [
    ("x.csv", "", ["the file is empty", "expected named columns"]),
    ("x.csv.gz", "", ["the file is empty"]),
    ("x.csv", "\n \n\n", ["the file is empty"]),
    ("x.jsonl", " \n", ["the file is empty"]),
    ("x.parquet", "", ["not a sound Parquet file"]),
    ("x.csv", "a,b\n", ["columns but no rows; add"]),
    ("x.tsv", "b\ta", ["columns but no rows; add"]),
    ("x.csv", "A,b\n1,2\n", ["no column 'a', only 'A', 'b'; did you mean 'A'?"]),
    ("x.csv", "good film,1\nbad film,0\n", ["no column 'a', only 'good film', '1'; name one of these"]),
    ("x.csv", "a;b\nx;1\n", ["only 'a;b'"]),
    ("x.jsonl", '{"b": 1}\n{"c": 2}\n', ["no column 'a', only 'b', 'c'"]),
    ("x.csv", ",".join(f"c{i}" for i in range(99)) + "\n", ["'c11' and 87 more"]),
    ("x.csv", "a,b,a\n1,2,3\n", ["has 2 columns 'a'; rename"]),
    ("x.jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n', ["line 2 has 2 columns 'a'"]),
    ("x.csv", "a,b\n\nx,1\n\ny,2,3\n", ["row 2 (line 5) has 3 fields where the header has 2; quote the"]),
    ("x.csv", "a,b\nx\n", ["row 1 (line 2) has 1 field where the header has 2; add the missing"]),
    ("x.tsv", "a\tb\nx\t1\t2\n", ["row 1 (line 2) has 3 fields", "take the tabs out"]),
    ("x.csv", "a\n  \nx,\n", ["row 2 (line 3) has 2 fields where the header has 1;"]),
    ("x.csv", 'a,b\nx,1\ny,"2\nz,3\n', ["row 2 (read up to line 4) is not well-formed CSV", "close"]),
    ("x.csv", 'a,b\n"say \\"no\\"",1\n', ["row 1", "not well-formed CSV", "write a quote inside it twice"]),
    ("x.csv", 'a,"b\n', ["the header", "not well-formed CSV"]),
    ("x.csv", b"a,b\nx,1\ncaf\xe9,2\n\xe9,3\n", ["line 3 is not UTF-8 (byte 0xe9 at place 4", "as UTF-8"]),
    ("x.csv.gz", b"a,b\ncaf\xe9,2\n", ["line 2 is not UTF-8"]),
    ("x.csv", b"caf\xe9,a\n1,2\n", ["line 1 is not UTF-8"]),
    ("x.csv", "a,b\nx,1\n".encode("utf-16"), ["line 1 is not UTF-8"]),
    ("x.csv", b"a,b\nx,1\xc3", ["line 2 is not UTF-8"]),
    ("x.tsv", b"a\tb\n\xff\t1\n", ["line 2 is not UTF-8"]),
    ("x.jsonl", b'{"a": "x"}\n{"a": "caf\xe9"}\n', ["line 2 is not UTF-8", "save the file as UTF-8"]),
    ("x.jsonl", '{"a": 1}\n\n{"a": 1,}\n', ["line 3 is not JSON (", "one JSON object on each line"]),
    ("x.jsonl", '[\n{"a": 1}\n]\n', ["line 1 is not JSON", "one JSON object on each line"]),
    ("x.jsonl", '[{"a": 1}]', ["line 1 holds '[{\"a\": 1}]'; expected one JSON object on each line"]),
    ("x.jsonl", '{"a": 1}\n"a"\n', ["line 2 holds"]),
    ("x.jsonl", '{"a": 1} {"a": 2}\n', ["line 1 is not JSON (Extra data"]),
    ("x.jsonl", '{"a": ["x"]}\n', ["line 1 has a list in column 'a'"]),
    ("x.jsonl", '{"a": {}}\n', ["line 1 has an object in column 'a'"]),
    ("x.jsonl", '{"a": "\\ud800"}\n', ["line 1 has half a character, '\\ud800', in 'a'"]),
    ("x.jsonl", '{"a": 1}\n' + "[" * 99_999, ["line 2 is nested too deeply"]),
    ("x.csv", "a,b\n ,1\nx,1\n,2\n\n\t,3\n,4\n", ["column 'a' is empty in 4 rows (1, 3, 4, ...);"]),
    ("x.csv", "a\nx\n  \n", ["row 2; fill them, delete those rows, or pass --drop-empty"]),
    ("x.parquet", "PAR1 and so on", ["not a sound Parquet file", "write or copy it again"]),
    ("x.txt", "a,b\nx,1\n", ["unknown kind", ".csv, .tsv, .jsonl (or .ndjson) or .parquet"]),
    ("x.parquet.gz", "x", ["unknown kind of file"]),
    ("x", "x", ["unknown kind of file"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "parts"), REFUSED)
def test_refusals(tmp_path, name, content, parts):
    message = refusal(save(tmp_path / name, content), {"a": "text"})
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("cells", "drop_empty", "parts"),
    [
        (["1", "x"], False, ["column 'a' holds 'x' where a finite number was expected, in row 2; write"]),
        (["x", "1", "inf", "1e999", "1_0"], True, ["holds 'x'", "in 4 rows (1, 3, 4, ...)"]),
        (["1", "", "3,5"], True, ["holds '3,5'", "in row 3;"]),
        (["1", "", "3"], False, ["column 'a' is empty or NaN in row 2;", "--drop-empty"]),
        (["NaN", "1", " "], False, ["column 'a' is empty or NaN in rows 1, 3;"]),
        (["1", "٣"], False, ["holds '٣'"]),
        (["1", "9" * 500 + "x"], False, ["holds '" + "9" * 37 + "...'"]),
        (["NA"], True, ["holds 'NA'"]),
        (["nan", ""], True, ["every row has an empty cell in 'a'"]),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_refused_numbers(tmp_path, suffix, cells, drop_empty, parts):
    path = save_columns(tmp_path / f"x{suffix}", {"a": cells, "b": ["x"] * len(cells)})
    message = refusal(path, {"a": "number"}, drop_empty=drop_empty)
    for part in parts:
        assert part in message


def test_refused_where(tmp_path):
    path = save(tmp_path / "x.csv", SOURCES)
    message = refusal(path, where={"source": "IMDB"})
    assert message == "no row is left where 'source' is 'IMDB'; that column holds 'imdb', 'yelp'"
    assert "did you mean 'source'?" in refusal(path, where={"sauce": "imdb"})
    assert "did you mean 'review'?" in refusal(path, {"REVIEW": "text"})
    # A row that `where` leaves out may hold anything.
    assert "column 'review' is empty in row 4;" in refusal(path, where={"source": "imdb"})


def test_refused_paths(tmp_path, monkeypatch):
    assert refusal(tmp_path / "reviews.csv") == "no such file"
    assert refusal(save(tmp_path / "x.csv", "a") / "y.csv") == "no such file"
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "folder.csv") == "this is a folder; name a data file"
    assert "no ordinary file" in refusal(Path("/dev/null"))
    assert "cannot be read (File name too long)" in refusal(tmp_path / ("x" * 300 + ".csv"))

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # the user who runs the tests may be allowed to read everything
    assert "cannot be read (Permission denied); check its permissions" in refusal(tmp_path / "x.csv")


def test_broken_gzip(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"x,1\n" * 1000)
    middle = len(whole) // 2
    cut, flipped = whole[:middle], whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    stored = bytearray(gzip.compress(b"a,b\nx,1\n", compresslevel=0))
    stored[stored.index(b"x,1")] = 0xFF  # not UTF-8 either, but the broken archive is what to name
    for content in (b"a,b\nx,1\n", cut, flipped, bytes(stored)):
        (tmp_path / "x.csv.gz").write_bytes(content)
        assert "not a complete gzip file" in refusal(tmp_path / "x.csv.gz", {"a": "text"})


def test_broken_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"a": [f"text {i}" for i in range(1000)]})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_page_checksum=True)
    whole = path.read_bytes()
    middle = len(whole) // 2
    wrong = whole.replace(b"text 500", b"text 400")  # only the checksum tells
    for content in (whole[:middle], whole[:4] + bytes(middle) + whole[4 + middle :], wrong):
        path.write_bytes(content)
        assert "not a sound Parquet file" in refusal(path, {"a": "text"})


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (pa.table({"a": [["x"]]}), "column 'a' holds list<"),
        (pa.table({"a": [{"b": 1}]}), "column 'a' holds struct<"),
        (pa.table({"a": [b"caf\xe9"]}), "bytes that are not UTF-8"),
        (pa.table([["x"], ["y"]], names=["a", "a"]), "has 2 columns 'a'"),
        (pa.table({"b": ["x"]}), "no column 'a', only 'b'"),
        (pa.table({"a": pa.array([], pa.string())}), "columns but no rows"),
        (pa.table({"a": [None, None]}), "column 'a' is empty in rows 1, 2;"),
        (pa.table({}), "the file is empty"),
    ],
)
def test_refused_parquet(tmp_path, table, part):
    pq.write_table(table, tmp_path / "x.parquet")
    assert part in refusal(tmp_path / "x.parquet", {"a": "text"})


def test_cells_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_MAX_CELL", 100)
    before = csv.field_size_limit(100)
    try:
        message = refusal(save(tmp_path / "x.csv", f"a,b\nx,1\n{'y' * 101},2\n"), {"a": "text"})
        assert "row 2 (read up to line 3) is not well-formed CSV (field larger than field limit" in message
    finally:
        csv.field_size_limit(before)
    message = refusal(save(tmp_path / "x.jsonl", '{"a": "x"}\n' + json.dumps({"a": "y" * 101})), {"a": "text"})
    assert "line 2 is longer than 100 bytes" in message


@pytest.mark.parametrize("columns", [{}, {"a": "texts"}])
def test_columns_that_make_no_sense(tmp_path, columns):
    assert "expected columns as name" in refusal(save(tmp_path / "x.csv", "a\nx\n"), columns)
