"""Reading series: every layout gives the same table; and one sentence for everything that cannot be read."""

import gzip
import json
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gruvy.data.labelled.series import SeriesTable, read_series
from gruvy.errors import BadInput

NAN = float("nan")


def save(path: Path, content: bytes | str) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def refusal(path: Path, kind="label", **options) -> str:
    """The message without the path; one line, one sentence, no chained traceback."""
    with pytest.raises(BadInput) as caught:
        read_series(path, kind=kind, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.count(str(path)) == 1
    assert "\n" not in message
    assert not message.endswith(".")
    assert caught.value.__suppress_context__
    return message.removeprefix(f"{path}: ")


def contents(table: SeriesTable) -> list:
    """Inputs as nested lists with None for NaN, and targets."""
    assert all(values.dtype == np.float32 and values.ndim == 2 for values in table.inputs)
    inputs = [[[None if np.isnan(v) else round(float(v), 6) for v in step] for step in x] for x in table.inputs]
    targets = table.targets
    if isinstance(targets, list):
        targets = [t.tolist() if isinstance(t, np.ndarray) else t for t in targets]
    return [inputs, targets.tolist() if isinstance(targets, np.ndarray) else targets]


# One data set, every layout: two series of two channels, 3 and 2 steps, one value missing

INPUTS = [[[1, 10], [2, None], [3.5, 30]], [[-1, 0.5], [4, 5]]]

TS = """\
# made up
@problemName Two
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true a b
@data
1,2,3.5:10,?,30:a
-1,4:0.5,5:b
"""
LONG = """\
time,id,x,y,label,score
2,s,2,,a,7
1,s,1,10,a,7
1,t,-1,.5,b,-2
3,s,3.5,30,a,7
2,t,4,5e0,b,-2
"""
CELLS = """\
x,y,label,score
1 2 3.5,"[10,NaN,30]",a,7
-1  4,0.5; 5,b,-2
"""
LONG_ROLES = {"id": "id", "time": "time", "columns": ["x", "y"], "target": "label"}


@pytest.mark.parametrize(
    ("name", "content", "roles"),
    [
        ("x.ts", TS, {}),
        ("x.TS", "\ufeff" + TS.replace("\n", "\r\n"), {}),
        ("x.ts.gz", TS, {}),
        ("x.ts", TS.replace("@dimensions 2\n", "").replace("?", "NaN"), {}),
        ("x.csv", LONG, LONG_ROLES),
        ("x.csv.gz", LONG, LONG_ROLES),
        ("x.tsv", LONG.replace(",", "\t"), LONG_ROLES),
        ("x.csv", LONG.replace("time,", "when,"), LONG_ROLES | {"time": "when"}),
        ("x.csv", LONG.replace("\n1,", "\n2020-01-01 09:00,").replace("\n2,", "\n2020-01-01 10:00,")
            .replace("\n3,", "\n2020-02-01 08:00,"), LONG_ROLES),
        ("x.csv", CELLS, {"columns": ["x", "y"], "target": "label"}),
    ],
)  # fmt: skip
def test_layouts_with_labels(tmp_path, name, content, roles):
    table = read_series(save(tmp_path / name, content), kind="label", **roles)
    assert contents(table) == [INPUTS, ["a", "b"]]
    assert (len(table), len(table.channels), table.groups.tolist()) == (2, 2, [0, 1])
    assert table.names == (["s", "t"] if "id" in roles else ["", ""])
    assert table.rows.tolist() == ([2, 3] if "id" in roles else [1, 2])
    assert len(table.notes) == ("time" in roles)


def test_long_jsonl_and_parquet(tmp_path):
    header, *lines = [line.split(",") for line in LONG.splitlines()]
    save(tmp_path / "x.jsonl", "\n".join(json.dumps(dict(zip(header, line, strict=True))) for line in lines))
    columns = dict(zip(header, zip(*lines, strict=True), strict=True))
    pq.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), tmp_path / "x.parquet")
    for name in ("x.jsonl", "x.parquet"):
        assert contents(read_series(tmp_path / name, kind="label", **LONG_ROLES)) == [INPUTS, ["a", "b"]]


@pytest.mark.parametrize(
    ("name", "content", "roles"),
    [
        ("x.ts", TS.replace("classLabel true a b", "targetLabel true").replace(":a", ":7").replace(":b", ":-2.0"), {}),
        ("x.csv", LONG, LONG_ROLES | {"target": "score"}),
        ("x.csv", CELLS, {"columns": ["x", "y"], "target": "score"}),
    ],
)  # fmt: skip
def test_layouts_with_numbers(tmp_path, name, content, roles):
    table = read_series(save(tmp_path / name, content), kind="number", **roles)
    assert contents(table) == [INPUTS, [7.0, -2.0]]
    assert table.targets.dtype == np.float64


@pytest.mark.parametrize("missing", [True, False])
def test_without_targets_asked(tmp_path, missing):
    """A file to predict may hold the targets or not; they are no channels."""
    ts = TS.replace(":a", "").replace(":b", "").replace("true a b", "false") if missing else TS.replace(":b", ":?")
    assert contents(read_series(save(tmp_path / "x.ts", ts), kind=None)) == [INPUTS, None]
    long = LONG.replace("score", "more").replace("label", "score" if not missing else "text")
    long = long.replace(",a,7", ",0,z").replace(",b,-2", ",1,z")
    table = read_series(save(tmp_path / "x.csv", long), kind=None, id="id", time="time", target="score")
    assert table.channels == (("x", "y", "text") if missing else ("x", "y"))
    cells = CELLS.replace("label", "other") if missing else CELLS
    table = read_series(save(tmp_path / "y.csv", cells), kind=None, columns=["x", "y"], target="label")
    assert contents(table) == [INPUTS, None]


@pytest.mark.parametrize(("mark", "suffix"), [("\t", ".tsv"), (",", ".csv"), ("   ", ".txt"), ("\t", ".tsv.gz")])
def test_ucr(tmp_path, mark, suffix):
    rows = ["1 0.5 NaN 2", "2.0 1e0 nan NaN", "-1.0000000e+00 7 8 9", "1.5 1 1 1"]
    path = save(tmp_path / f"x{suffix}", "\n".join(rows).replace(" ", mark) + "\n\n")
    table = read_series(path, kind="label")
    assert contents(table) == [
        [[[0.5], [None], [2]], [[1]], [[7], [8], [9]], [[1], [1], [1]]],
        ["1", "2", "-1", "1.5"],
    ]
    assert table.notes == ["took 1 of 4 series to be shorter, ending in NaN"]
    assert read_series(path, kind="number").targets.tolist() == [1, 2, -1, 1.5]


def test_ucr_with_empty_cells(tmp_path):
    table = read_series(save(tmp_path / "x.csv", "1,,2,\n2,3,4,5\n"), kind="label")
    assert contents(table)[0] == [[[None], [2]], [[3], [4], [5]]]


X = np.array([[[1, 10], [2, NAN], [3.5, 30]], [[-1, 0.5], [4, 5], [NAN, NAN]]])


@pytest.mark.parametrize(
    ("arrays", "targets"),
    [
        ({"X": X, "y": np.array(["a", "b"])}, ["a", "b"]),
        ({"x": X, "y": np.array([b"a", "é".encode()])}, ["a", "é"]),
        ({"data": X, "labels": np.array([[3], [1]])}, ["3", "1"]),
        ({"inputs": X.astype(np.float16), "targets": np.array([0.5, 2.0])}, ["0.5", "2"]),
        ({"a": X, "b": np.array([True, False])}, ["true", "false"]),
        ({"a": X, "b": np.array([1, 2]), "lengths": np.array([3, 2])}, ["1", "2"]),
        ({"X": np.nan_to_num(X, nan=99), "y": np.array([1, 2]), "lengths": np.array([1, 2])}, ["1", "2"]),
    ],
)
def test_npz(tmp_path, arrays, targets):
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    table = read_series(tmp_path / "x.npz", kind="label")
    inputs = [INPUTS[0][:1], INPUTS[1]] if "X" in arrays and "lengths" in arrays else INPUTS
    assert contents(table) == [inputs, targets]
    assert table.channels == ("channel 1", "channel 2")


def test_npz_of_one_channel_and_of_channels_first(tmp_path):
    np.savez(tmp_path / "x.npz", X=np.arange(6, dtype=np.int8).reshape(2, 3), y=[0, 1])
    assert contents(read_series(tmp_path / "x.npz", kind="label"))[0] == [[[0], [1], [2]], [[3], [4], [5]]]
    np.savez(tmp_path / "x.npz", X=np.zeros((2, 5, 3)), y=[0, 1])
    assert not read_series(tmp_path / "x.npz", kind="label").notes
    np.savez(tmp_path / "x.npz", X=np.zeros((2, 3, 5)), y=[0, 1])
    assert read_series(tmp_path / "x.npz", kind="label").notes == [
        "read inputs of shape (2, 3, 5) as 3 steps of 5 channels"
    ]


# A target for each step


def test_per_step(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=np.array([[1, NAN, 3], [4, 5, NAN]]))
    long = "id,t,x,level\na,2,1,\na,1,0,5\nb,1,2,6\n"
    save(tmp_path / "long.csv", long)
    save(tmp_path / "cells.csv", 'x,level\n0 1,"[5, NaN]"\n2,6\n')
    table = read_series(tmp_path / "x.npz", kind="per-step")
    np.testing.assert_equal(table.targets, [[1, NAN, 3], [4, 5]])
    for name, roles in (("long.csv", {"id": "id", "time": "t"}), ("cells.csv", {"columns": ["x"]})):
        table = read_series(tmp_path / name, kind="per-step", target="level", **roles)
        assert contents(table)[0] == [[[0], [1]], [[2]]]
        np.testing.assert_equal(table.targets, [[5, NAN], [6]])
        assert table.targets[0].dtype == np.float64


# Windows


def test_windows_of_a_recording(tmp_path):
    walk = "\n".join(f"{i},{i % 3},{label}" for i, label in enumerate("aaaaabbbcbbbb"))
    path = save(tmp_path / "x.csv", f"x,y,activity\n{walk}\n")
    table = read_series(path, kind="label", target="activity", window=2)
    assert [int(x[0, 0]) for x in table.inputs] == [0, 2, 5, 9, 11]
    assert table.targets == ["a", "a", "b", "b", "b"]
    assert table.rows.tolist() == [1, 3, 6, 10, 12]
    assert (table.groups.tolist(), table.channels) == ([0] * 5, ("x", "y"))
    assert table.notes == [
        "cut 5 windows of 2 steps, one every 2, from 4 stretches of one label",
        "left out 1 of the 4 stretches of one label, shorter than a window",
        "left out 2 steps in all that follow a last whole window",
    ]
    table = read_series(path, kind="number", columns=["y"], target="x", window=4, stride=3)
    assert table.targets.tolist() == [3, 6, 9, 12]
    assert [x[:, 0].tolist() for x in table.inputs] == [[0, 1, 2, 0]] * 4
    table = read_series(path, kind="per-step", columns=["y"], target="x", window=6)
    np.testing.assert_equal(table.targets, [np.arange(6), np.arange(6, 12)])
    assert len(read_series(path, kind=None, columns=["x"], window=13)) == 1


def test_windows_of_other_formats(tmp_path):
    path = save(tmp_path / "x.tsv", "1\t0\t1\t2\t3\t4\n2\t5\t6\t7\tNaN\tNaN\n")
    table = read_series(path, kind="label", window=2)
    assert contents(table) == [[[[0], [1]], [[2], [3]], [[5], [6]]], ["1", "1", "2"]]
    assert (table.groups.tolist(), table.rows.tolist()) == ([0, 0, 1], [1, 1, 2])
    assert len(table.notes) == 3
    save(path, "1\t0\tNaN\tNaN\t3\n1\tNaN\tNaN\t4\t5\n")
    table = read_series(path, kind="label", window=2)
    assert contents(table)[0] == [[[0], [None]], [[None], [3]], [[4], [5]]]
    assert table.notes[-1] == "left out 1 of 4 windows, without any number"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=12), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_windows_hold_what_the_file_holds(tmp_path_factory, recordings, window, stride):
    steps = [(i, t, label) for i, labels in enumerate(recordings) for t, label in enumerate(labels)]
    order = np.random.default_rng(0).permutation(len(steps))
    lines = ["{0},{1},{1},{2}".format(*steps[n]) for n in order]
    path = save(tmp_path_factory.mktemp("windows") / "x.csv", "\n".join(["id,t,x,label", *lines]))
    expected = [
        ([float(start + n) for n in range(window)], label, str(i), lines.index(f"{i},{start},{start},{label}") + 1)
        for i, labels in enumerate(recordings)
        for label, run in groupby(range(len(labels)), key=labels.__getitem__)
        for run in [list(run)]
        for start in run[::stride]
        if start + window <= run[-1] + 1
    ]
    appearance = list(dict.fromkeys(line.split(",")[0] for line in lines))
    expected.sort(key=lambda row: appearance.index(row[2]))
    roles = {"id": "id", "time": "t", "target": "label", "window": window, "stride": stride}
    if len(expected) < 2:
        assert "only one series" in (said := refusal(path, **roles)) or "shorter than the window" in said
        return
    table = read_series(path, kind="label", **roles)
    inputs = [x[:, 0].tolist() for x in table.inputs]
    assert list(zip(inputs, table.targets, table.names, table.rows.tolist(), strict=True)) == expected
    assert [appearance[group] for group in table.groups] == table.names


# Which columns are channels


def test_channels_by_default(tmp_path):
    text = "\ufeff,id,x,note,empty,z,label\n0,a,1,fine,,?,1\n1,a,2,,,3,1\n2,b,3,,,4,2\n"
    table = read_series(save(tmp_path / "x.csv", text), kind="label", id="id", target="label")
    assert table.channels == ("x", "z")
    assert contents(table) == [[[[1, None], [2, 3]], [[3, 4]]], ["1", "2"]]
    assert [note.split("'")[1] for note in table.notes] == ["", "note", "empty"]


@pytest.mark.parametrize(
    "times",
    [
        ["10", "9", "-1"], ["1700000000000000002", "1700000000000000001", "1700000000000000000"], ["1e1", "9.5", "0"],
        ["2020-01-10", "2020-01-09", "2019-12-31"], ["2020-01-01T10:00Z", "2020-01-01T09:00Z", "2019-01-01T01:00Z"],
    ],
)  # fmt: skip
def test_times_sort_as_numbers_or_stamps(tmp_path, times):
    lines = "".join(f"{time},{n}\n" for n, time in enumerate(times))
    table = read_series(save(tmp_path / "x.csv", "t,x\n" + lines), kind=None, time="t", window=3)
    assert contents(table)[0] == [[[2], [1], [0]]]
    assert "sorted 1 of 1 series by 't'" in table.notes


# What is refused

ROWS = "id,t,x,y\na,1,1,p\na,2,2,p\nb,1,3,q\n"
ROLES = {"id": "id", "target": "y"}
LISTS = {"columns": ["x"], "target": "y"}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["the file ends before a line @data"]),
        ("@problemName x\n", ["the file ends before a line @data; expected lines of @"]),
        ("@data\n", ["there are no series in the file; add at least one"]),
        ("@problemName x\n1,2:a\n@data\n", ["line 2 stands before a line @data"]),
        (TS.replace("@timeStamps false", "@timestamps TRUE"), ["@timeStamps true", "CSV file with columns"]),
        (TS.replace("@dimensions 2", "@dimensions 3"), ["line 10 has 2 dimensions and a target where 3 were"]),
        (TS.replace("@dimensions 2", "@dimensions two"), ["@dimensions is 'two'"]),
        (TS.replace("-1,4:0.5,5:b", "-1,4:b"), ["line 11 has 1 dimension and a target where 2 were expected"]),
        (TS.replace("-1,4:0.5,5:b", "-1,4:0.5,5"), ["line 11 ends with '0.5,5', which is no label of @classLabel"]),
        (TS.replace("-1,4:", "-1,4,5:"), ["line 11 has 3 steps in dimension 1 and 2 in dimension 2; give all"]),
        (TS.replace("-1,4:", "-1,x:"), ["line 11, dimension 1, value 2 holds 'x' where a finite number"]),
        (TS.replace("-1,4:", "-1,inf:"), ["value 2 holds 'inf'"]),
        (TS.replace("-1,4:", "-1,1e39:"), ["value 2 holds '1e39'"]),
        (TS.replace("5:b", "5:c"), ["line 11 ends with 'c'"]),
        (TS.replace("5:b", "5:"), ["the target is missing in row 2; fill it in or delete"]),
        (TS.replace("5:b", "5:?"), ["the target is missing in row 2"]),
        (TS.encode() + b"1:\xff:a\n", ["line 12 is not UTF-8; save the file as UTF-8"]),
        (TS.replace("@equalLength false", "@equalLength true"), ["line 11 has 2 steps where the first series has 3"]),
        (TS.replace("-1,4:0.5,5:b", "?,NaN:,:b"), ["row 2 holds no number at all; fill it in or take it out"]),
        (TS.replace("-1,4:0.5,5:b\n", ""), ["there is only one series to learn from", "--window"]),
        (TS.replace(":a", "").replace(":b", "").replace("true a b", "false"), ["there are no targets in the file"]),
    ],
)
def test_refused_ts(tmp_path, content, parts):
    message = refusal(save(tmp_path / "x.ts", content))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "the file is empty"),
        ("1\t2\t3\n1\t2\n", "line 2 has 2 columns where 3 were expected, the label and then the series; fill"),
        ("1\t2\t3\n1\t2\t3\t4\n", "line 2 has 4 columns"),
        ("1\n2\n", "line 1 has 1 column where 2 were expected"),
        ("1\t2\t3\n\n1\t2\tx\n", "line 3, column 3 holds 'x' where a finite number was expected"),
        ("1\t2\t3\n1\t2\t-inf\n", "line 2, column 3 holds '-inf'"),
        ("1\t2\t3\na\t2\t4\n", "line 2, column 1 holds 'a'"),
        ("1\t2\t3\nNaN\t2\t4\n", "the target is missing in row 2"),
        ("1\t2\t3\n1\tNaN\tNaN\n", "row 2 holds no number at all"),
        ("1\t2\t3\n", "only one series"),
    ],
)
def test_refused_ucr(tmp_path, content, part):
    assert part in refusal(save(tmp_path / "x.tsv", content))


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"X_train": X, "X_test": X, "y_train": [1, 2]}, ["X_train (2, 3, 2), X_test (2, 3, 2), y_train (2,); save"]),
        ({"y": np.array([1, 2])}, ["expected arrays named X, y", "found y (2,)"]),
        ({}, ["found none"]),
        ({"X": np.zeros(5), "y": np.zeros(5)}, ["float64 of shape (5,)", "(series, steps, channels)", "transpose"]),
        ({"X": np.zeros((2, 2, 2, 2))}, ["of shape (2, 2, 2, 2)"]),
        ({"X": np.array([["a", "b"]])}, ["the inputs are <U1"]),
        ({"X": np.array([[1, None]], dtype=object)}, ["Python objects", ".astype(str)"]),
        ({"X": X, "y": np.array(["a", None], dtype=object)}, ["Python objects"]),
        ({"X": X, "y": np.array([1, 2, 3])}, ["targets are of shape (3,); expected one a series, (2,), or one a step"]),
        ({"X": X, "y": np.eye(2)}, ["targets are of shape (2, 2)"]),
        ({"X": X, "y": np.array(["2020-01-01"] * 2, "M8[D]")}, ["the targets are datetime64[D]"]),
        ({"X": X, "y": np.array([b"\xff", b"a"])}, ["not UTF-8"]),
        ({"X": X, "y": np.array([1.0, NAN])}, ["the target is missing in row 2"]),
        ({"X": X, "y": np.array(["a", " "])}, ["the target is missing in row 2"]),
        ({"X": X, "y": np.ones((2, 3)) * [1, 2, 3]}, ["row 1 has the targets '1' and '2'", "--window"]),
        ({"X": np.where(X == 4, np.inf, X), "y": np.array([1, 2])}, ["the inputs hold inf at (1, 1, 0)"]),
        ({"X": np.zeros((2, 3)), "y": [1, 2], "lengths": [3, 4]}, ["lengths do not fit", "from 1 to 3"]),
        ({"X": np.zeros((2, 3)), "y": [1, 2], "lengths": [3, 0]}, ["lengths do not fit"]),
        ({"X": np.zeros((2, 3)), "y": [1, 2], "lengths": [3]}, ["expected 2 whole numbers"]),
        ({"X": np.full((2, 3), NAN), "y": [1, 2]}, ["row 1 holds no number at all"]),
        ({"X": np.zeros((0, 3)), "y": np.zeros(0)}, ["there are no series in the file"]),
        ({"X": np.zeros((2, 0)), "y": [1, 2]}, ["row 1 holds no number at all"]),
        ({"X": X}, ["there are no targets in the file"]),
    ],
)
def test_refused_npz(tmp_path, arrays, parts):
    np.savez(tmp_path / "x.npz", **arrays)
    message = refusal(tmp_path / "x.npz")
    for part in parts:
        assert part in message


def test_broken_npz(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).standard_normal((20, 30)), y=np.arange(20))
    content = path.read_bytes()
    for broken in (b"", b"PK", content[: len(content) // 2], content[:99] + b"??" + content[101:], b"a,b\n1,2\n"):
        assert "not a sound .npz file" in refusal(save(path, broken))
    np.save(tmp_path / "x.npy", X)
    assert "not a sound .npz file" in refusal(save(path, (tmp_path / "x.npy").read_bytes()))


@pytest.mark.parametrize(
    ("content", "options", "parts"),
    [
        ("id,x,y\n", ROLES, ["columns but no rows"]),
        (ROWS, {"id": "ID", "target": "y"}, ["no column 'ID'", "did you mean 'id'?"]),
        (ROWS, {"id": "id"}, ["no column of targets is named; name one with --label"]),
        (ROWS, {"target": "y"}, ["every row is one step", "--id", "--window", "--series"]),
        (ROWS, {"target": "y", "columns": ["x"]}, ["every row is one step"]),
        (ROWS, ROLES | {"time": "id"}, ["column 'id' is named for two things"]),
        (ROWS, ROLES | {"columns": ["x", "x"]}, ["column 'x' is named for two things"]),
        (ROWS, ROLES | {"columns": ["y"]}, ["column 'y' is named for two things"]),
        (ROWS, ROLES | {"columns": ["y"], "target": "x"}, ["column 'y', row 1 holds 'p' where a finite number"]),
        (ROWS.replace("b,1,3", "b,1,inf"), ROLES, ["column 'x', row 3 holds 'inf'"]),
        (ROWS.replace("b,1,3", "b,1,"), ROLES | {"columns": ["x"]}, ["series 'b' holds no number at all"]),
        (ROWS.replace("\nb", "\n "), ROLES, ["column 'id' is empty in row 3"]),
        (ROWS.replace("a,2", "a,"), ROLES | {"time": "t"}, ["column 't' is empty in row 2"]),
        (ROWS.replace("a,2", "a,1.0"), ROLES | {"time": "t"}, ["rows 1 and 2 of series 'a' have the same time, '1'"]),
        (ROWS, {"time": "t", "target": "y", "window": 1}, ["rows 1 and 3 have the same time, '1'", "--id"]),
        (ROWS.replace("a,2", "a,soon"), ROLES | {"time": "t"}, ["row 1", "'t'"]),
        (ROWS.replace("2,p", "2,q"), ROLES, ["series 'a' has the targets 'p' and 'q'", "--window"]),
        (ROWS.replace("2,p", "2,"), ROLES, ["the target is missing in row 2; fill it in or delete"]),
        (ROWS.replace("2,p", "2, "), ROLES | {"window": 1}, ["the target is missing in row 2"]),
        (ROWS.replace("b,", "a,"), {"id": "id", "target": "t", "columns": ["x"]}, ["targets '1' and '2'"]),
        ("id,x,y\na,1,p\na,2,p\n", ROLES, ["there is only one series"]),
        ("id,x,y\na,p,p\nb,q,p\n", ROLES, ["there is no column of numbers beside the named ones"]),
        (ROWS, ROLES | {"window": 0}, ["the window is 0; expected at least 1 step"]),
        (ROWS, ROLES | {"window": 1, "stride": -1}, ["the stride is -1"]),
        (ROWS, ROLES | {"stride": 1}, ["a stride of 1 was given without a window"]),
        (ROWS, ROLES | {"window": 3}, ["of one label are shorter than the window of 3 steps; give at most 2"]),
        ("id,x,y\na,,p\na,,p\na,1,p\n", ROLES | {"window": 2}, ["no window of 2 steps holds a number"]),
        ('x,y\n"1,,2",a\n1 2 3,b\n1 z,c\n', LISTS, ["row 3, column 'x', value 2 holds 'z'"]),
        ("x,y\n[1. 2. ... 3.],a\n1 2,b\n", LISTS, ["row 1, column 'x', value 3 holds '...'"]),
        ('x,y\n"0,1 0,2",a\n1 2,b\n', LISTS, ["row 1, column 'x', holds '0,1 0,2', separated in different ways"]),
        ("x,y\n1 2,a\n,b\n", LISTS, ["row 2 holds no number at all"]),
        ("x,z,y\n1 2,1 2,a\n1 2,1,b\n", LISTS | {"columns": ["x", "z"]}, ["row 2 has 2 values in 'x' and 1 in 'z'"]),
        ("x,y\n1 2,a\n1 2,\n", LISTS, ["the target is missing in row 2"]),
        ("1,2,3\n2,3,4\n", ROLES, ["there is no column 'id', as its first row is all numbers; write a header"]),
    ],
)  # fmt: skip
def test_refused_columns(tmp_path, content, options, parts):
    message = refusal(save(tmp_path / "x.csv", content), **options)
    for part in parts:
        assert part in message


def test_refused_numbers(tmp_path):
    path = save(tmp_path / "x.csv", ROWS)
    assert "the target in row 1 holds 'p' where a finite number was expected" in refusal(path, "number", **ROLES)
    save(path, "id,x,y\na,1,1\na,2,1\nb,3,\n")
    assert "the target is missing in row 3" in refusal(path, "number", **ROLES)
    assert "the last step of a window has no target in row 3" in refusal(path, "number", **ROLES, window=1)
    save(path, "id,x,y\na,1,\nb,3,\n")
    assert "no step has a target; fill in at least some" in refusal(path, "per-step", **ROLES)
    save(path, "x,y\n1 2 3,1 2\n1 2,1 2\n")
    assert "row 1 has 2 targets where 3 were expected; give one for each step" in refusal(path, "per-step", **LISTS)
    assert "row 1 has 1 target where 3 were expected" in refusal(save(tmp_path / "x.ts", TS), "per-step")
    assert "the target in row 1 holds 'a'" in refusal(tmp_path / "x.ts", "number")


def test_refused_paths(tmp_path):
    assert refusal(tmp_path / "x.ts") == "no such file"
    assert refusal(tmp_path / "x.csv", **ROLES) == "no such file"
    (tmp_path / "folder.ts").mkdir()
    assert refusal(tmp_path / "folder.ts") == "this is a folder; name a data file"
    assert "unknown kind of file; give a .ts, .npz" in refusal(save(tmp_path / "x.arff", "x"))
    (tmp_path / "x.ts.gz").write_bytes(gzip.compress(TS.encode())[:-12])
    assert "not a complete gzip file" in refusal(tmp_path / "x.ts.gz")
    assert "the file is empty" in refusal(save(tmp_path / "x.jsonl", ""), **ROLES)
    assert "no columns were found in it" in refusal(tmp_path / "x.jsonl", None, window=2)
    assert "line 1 is not JSON" in refusal(save(tmp_path / "x.jsonl", "{"), **ROLES)
    assert "not a sound Parquet file" in refusal(save(tmp_path / "x.parquet", "{"), **ROLES)
