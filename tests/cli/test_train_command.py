"""`gruvy train`: options, outputs, and a table of what users get wrong."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures import my_cells
from tests.fixtures.small import FILES, NAME, data_file, rows, small_recipe, trained, write_csv


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def train(data, out, *more, task="classify"):
    return ("train", task, "--data", data, "--out", out, "--recipe", NAME, *more)


# What a good command gives


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*train(data_file(), out))
    assert done.code == 0
    assert done.out.rstrip("\n") == trained("classify")[1].printed
    for part in ("120 rows", "12 duplicates", "cell gru", "epoch  1", f'gruvy predict {out} "..."'):
        assert part in done.err
    assert {p.name for p in out.iterdir()} == FILES
    assert str(out) in (out / "README.md").read_text()  # the command, as it was typed


def test_json_alone_is_on_standard_output(out):
    done = gruvy(*train(data_file(), out, "--json", "--quiet", "--target", "number", task="regress"))
    assert (done.code, done.err) == (0, "")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    assert done.json["metrics"] == trained("regress")[1].measured["metrics"]


def test_quiet_prints_results_only(out):
    done = gruvy(*train(data_file(), out, "--quiet"))
    assert (done.code, done.err) == (0, "")
    assert "n-gram branch" in done.out


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet", "csv.gz"])
def test_other_kinds_of_files_give_the_same_model(kind, tmp_path, out):
    made, path = rows(), tmp_path / f"rows.{kind}"
    if kind == "tsv":
        lines = ["\t".join(cells) for cells in (made[0], *(row.values() for row in made))]
        path.write_text("\n".join(lines))
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in made))
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(made), path)
    else:
        path.write_bytes(gzip.compress(data_file().read_bytes()))
    done = gruvy(*train(path, out, "--json"))
    assert done.json["metrics"] == trained("classify")[1].measured["metrics"]


def test_columns_of_other_names_and_texts_like_na(tmp_path, out):
    made = [{"Review": row["text"], "Verdict": row["label"]} for row in rows()]
    made[3]["Review"], made[4]["Review"], made[5]["Review"] = "NA", "None", "null"
    done = gruvy(*train(write_csv(tmp_path / "d.csv", made), out, "--text", "Review", "--label", "Verdict"))
    assert done.code == 0
    assert "120 rows;" in done.err
    assert gruvy("predict", out, "NA", "None").code == 0


def test_labels_like_na_are_labels(tmp_path, out):
    made = [{**row, "label": {"good": "NA", "bad": "None"}[row["label"]]} for row in rows()]
    assert gruvy(*train(write_csv(tmp_path / "d.csv", made), out)).code == 0
    assert gruvy("predict", out, "splendid lamp", "--json").json["label"] in ("NA", "None")


def test_empty_rows_are_refused_or_left_out(tmp_path, out):
    made = rows()
    made[7]["text"] = made[30]["text"] = "  "
    data = write_csv(tmp_path / "d.csv", made)
    said = refused(*train(data, out))
    assert "column 'text' is empty in rows 8, 31" in said
    assert "--drop-empty" in said
    done = gruvy(*train(data, out, "--drop-empty"))
    assert done.code == 0
    assert "118 rows, 2 left out because a cell is empty" in done.err


def test_a_text_of_five_million_characters_is_read_with_a_note(tmp_path, out):
    made = rows(60)
    made[41]["text"] = "splendid lamp " * 360_000
    done = gruvy(*train(write_csv(tmp_path / "d.csv", made), out))
    assert done.code == 0
    notes = [line for line in done.err.splitlines() if line.startswith("gruvy: ")]
    assert len(notes) == 1
    assert "5,040,000 characters; the first 100,000 are read" in notes[0]


def test_a_cell_of_one_s_own(out):
    done = gruvy(*train(data_file(), out, "--cell", f"{my_cells.__file__}:my_gru"))
    assert done.code == 0
    assert "cell my_gru" in done.err


def test_help_lists_the_columns_and_every_common_option():
    done = gruvy("train", "classify", "--help")
    assert done.code == 0
    own = ["text", "label", "class-weights"]
    common = ["data", "out", "cell", "engine", "recipe", "seed", "max-minutes", "drop-empty", "overwrite"]
    for option in [*own, *common, "quiet", "json"]:
        assert f"--{option} " in done.out
    assert "--target " in gruvy("train", "regress", "--help").out


# What users get wrong. Each is refused with one sentence that says what to do, and leaves nothing.


def table(tmp_path, **columns):
    count = len(next(iter(columns.values())))
    return write_csv(tmp_path / "d.csv", [{k: v[i] for k, v in columns.items()} for i in range(count)])


def with_row(tmp_path, place, **cells):
    made = rows()
    made[place - 1].update(cells)
    return write_csv(tmp_path / "d.csv", made)


BAD_DATA = {
    "one label": (
        lambda p: table(p, text=["a b", "c d", "e f", "g h"], label=["x"] * 4),
        "every .*row has the label 'x'",
    ),
    "a label once": (lambda p: with_row(p, 5, label="rare"), "label 'rare' has one row only"),
    "two texts": (
        lambda p: table(p, text=["a", "b"] * 3, label=["x", "y"] * 3),
        "at least 3 different inputs",
    ),
    "no rows": (lambda p: raw(p, b"text,label\n"), "columns but no rows; add"),
    "nothing": (lambda p: raw(p, b""), "the file is empty"),
    "broken UTF-8": (lambda p: raw(p, b"text,label\nfine,a\nb\xffad,b\n"), "line 3 is not UTF-8"),
    "a missing field": (lambda p: raw(p, b"text,label\nfine,a\nfine\n"), "row 2 .line 3. has 1 field where"),
    "an open quote": (lambda p: raw(p, b'text,label\n"fine,a\nb,c\n'), "not well-formed CSV"),
    "another column": (
        lambda p: table(p, texts=["a b"], label=["x"]),
        "no column 'text'.*did you mean 'texts'",
    ),
    "no such file": (lambda p: p / "nowhere.csv", "nowhere.csv: no such file"),
    "a folder": (lambda p: p, "this is a folder"),
    "another kind": (lambda p: Path(shutil.copy(data_file(), p / "d.xlsx")), "unknown kind of file"),
}


def raw(folder, content):
    (folder / "d.csv").write_bytes(content)
    return folder / "d.csv"


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_is_refused(what, tmp_path, out):
    make, said = BAD_DATA[what]
    assert_matches(said, refused(*train(make(tmp_path), out)))
    assert not out.exists()


def assert_matches(pattern, text):
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nan", "empty or NaN in row 9"),
        ("", "empty or NaN in row 9"),
        ("many", "'many' where a finite number"),
        ("inf", "'inf' where a finite number"),
        ("1e999", "finite number"),
        ("3,5", "'3,5' where a finite"),
    ],
)
def test_what_is_no_number_is_refused(value, said, tmp_path, out):
    data = with_row(tmp_path, 9, number=value)
    assert_matches(said, refused(*train(data, out, "--target", "number", task="regress")))


def test_one_number_only_is_refused(tmp_path, out):
    data = table(tmp_path, text=["a b", "c d", "e f", "g h", "i j"], n=["3"] * 5)
    assert_matches("has the number 3", refused(*train(data, out, "--target", "n", task="regress")))


BAD_OPTIONS = {
    "an unknown task": (("train", "clasify"), "clasify"),
    "no task": (("train", "--out", "x"), "task|command|classify|No such option"),
    "no --out": (("train", "classify", "--data", "d.csv"), "--out"),
    "no target": (("train", "regress", "--data", "DATA", "--out", "OUT"), "--target COLUMN"),
    "no data": (("train", "regress", "--target", "n", "--out", "OUT"), "give --data FILE"),
    "an unknown option": ((*train("DATA", "OUT"), "--sed", "3"), "No such option: --sed.*--seed"),
    "an option of another task": ((*train("DATA", "OUT"), "--target", "n"), "--target"),
    "a seed that is no number": ((*train("DATA", "OUT"), "--seed", "x"), "--seed"),
    "a seed below 0": ((*train("DATA", "OUT"), "--seed", "-1"), "--seed is -1; expected a whole number from 0"),
    "a seed too large": ((*train("DATA", "OUT"), "--seed", "99999999999"), "seed"),
    "no time": ((*train("DATA", "OUT"), "--max-minutes", "0"), "--max-minutes is 0"),
    "an unknown recipe": ((*train("DATA", "OUT"), "--recipe", "defualt"), "did you mean 'default'"),
    "an unknown engine": ((*train("DATA", "OUT"), "--engine", "eagre"), "eager"),
    "an engine that cannot": ((*train("DATA", "OUT"), "--engine", "framework", "--cell", "mgu"), "framework"),
    "an unknown cell": ((*train("DATA", "OUT"), "--cell", "grv"), "did you mean 'gru'"),
    "a cell's file alone": ((*train("DATA", "OUT"), "--cell", "my.py"), "name the cell in it, as my.py:"),
    "no cell's file": ((*train("DATA", "OUT"), "--cell", "my.py:f"), "my.py: no such file"),
    "the same column twice": ((*train("DATA", "OUT"), "--text", "label"), "name the same column"),
    "an argument too many": ((*train("DATA", "OUT"), "more"), "more"),
    "an unwritable place": ((*train("DATA", "/proc/1/gruvy"),), "--out /proc/1/gruvy cannot be written"),
    "a file as --out": ((*train("DATA", "DATA"),), "is a file; give a directory"),
    "a folder within a file": ((*train("DATA", "DATA/out"),), "cannot be written|is a file"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_options_are_refused(what, out, tmp_path):
    arguments, said = BAD_OPTIONS[what]
    data = shutil.copy(data_file(), tmp_path / "d.csv")
    places = {"DATA": data, "OUT": out, "DATA/out": Path(data) / "out"}
    assert_matches(said, refused(*(places.get(a, a) for a in arguments)))
    assert [p.name for p in tmp_path.iterdir()] == ["d.csv"]


HEAD = "from gruvy.cells import cell, sigmoid, tanh\nimport numpy as np\n\n@cell\n"
BAD_CELLS = {
    "a syntax error": ("def my(x, h, W, U)\n    return x\n", r"line 1: .*correct"),
    "no decorator": ("def my(x, h, W, U):\n    return tanh(W.n(x) + U.n(h))\n", "write @cell above it"),
    "another name": (HEAD + "def your(x, h, W, U):\n    return tanh(W.n(x) + U.n(h))\n", "cells are: your"),
    "an error": ("1 / 0\n", "ZeroDivisionError.*correct it"),
    "an exit": ("import sys\nsys.exit(3)\n", "correct it"),
    "a missing import": ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
    "NumPy in a cell": (HEAD + "def my(x, h, W, U):\n    return np.tanh(W.n(x) + U.n(h))\n", "line 6.*tanh"),
    "an if": (HEAD + "def my(x, h):\n    if h > 0:\n        return x\n    return -h\n", "line 6.*where"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_CELLS)
def test_bad_cells_are_refused_with_line_and_remedy(what, out, tmp_path):
    content, said = BAD_CELLS[what]
    (tmp_path / "my_cells.py").write_text(content)
    assert_matches(said, refused(*train(data_file(), out, "--cell", f"{tmp_path / 'my_cells.py'}:my")))
    assert not out.exists()


def test_a_model_is_not_overwritten_unasked():
    folder, _ = trained("classify")
    assert_matches("already holds a model.*--overwrite", refused(*train(data_file(), folder)))


def test_a_loss_that_is_no_number_is_a_failed_run(out):
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0):
        said = refused(*train(data_file(), out), code=1)
    assert_matches("the loss became .* at step [0-9]+ .epoch 1.", said)
    assert not out.exists()


@pytest.mark.parametrize("epoch", [1, 2])
def test_ctrl_c_ends_with_one_sentence(out, monkeypatch, epoch):
    from gruvy.training import loop

    step = loop.Steps.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == epoch - 1 and batch_idx == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(loop.Steps, "training_step", training_step)
    kept = {1: "no epoch was over, so nothing is kept", 2: "the same command goes on from the last whole epoch"}
    assert refused(*train(data_file(), out), code=1) == f"interrupted; {kept[epoch]}"
