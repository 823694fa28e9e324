"""`gruvy evaluate` and `gruvy predict`."""

import json
import re
import shutil

import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.small import data_file, rows, strict_json, trained, write_csv

TEXTS = ["splendid warm lamp", "dreadful cold soup"]


@pytest.fixture(scope="module", params=["classify", "regress"])
def model(request):
    return trained(request.param)[0]


@pytest.fixture(scope="module")
def classifier():
    return trained("classify")[0]


@pytest.fixture
def fresh(tmp_path):
    """Rows that training never saw."""
    return write_csv(tmp_path / "fresh.csv", rows(40, seed=7))


# evaluate


def test_evaluate_without_data_gives_what_was_measured(model):
    measured = strict_json((model / "metrics.json").read_text())
    assert gruvy("evaluate", model, "--json").json == {k: measured[k] for k in ("task", "metrics", "baseline", "n")}


def test_evaluate_on_a_file_gives_the_contract_s_json(model, fresh):
    done = gruvy("evaluate", model, "--data", fresh, "--json")
    assert (done.code, done.err) == (0, "")
    result = done.json
    assert set(result) == {"task", "metrics", "baseline", "n"}
    assert (result["task"], result["n"]) == (strict_json((model / "config.json").read_text())["task"], 40)
    assert set(result["metrics"]) == set(result["baseline"])
    assert all(isinstance(v, float | None) for v in [*result["metrics"].values(), *result["baseline"].values()])


def test_evaluating_the_test_rows_gives_what_training_measured(model, tmp_path):
    chosen = strict_json((model / "split.json").read_text())["rows"]["test"]
    data = write_csv(tmp_path / "test.csv", [rows()[row - 1] for row in chosen])
    again = gruvy("evaluate", model, "--data", data, "--json").json
    assert again["metrics"] == pytest.approx(trained(again["task"])[1].measured["metrics"], rel=1e-5)


def test_evaluate_for_people(model, fresh):
    done = gruvy("evaluate", model, "--data", fresh)
    assert done.code == 0
    assert done.out.startswith("40 rows\n")
    assert "baseline: constant guess" in done.out
    assert "baseline: TF-IDF" in gruvy("evaluate", model).out


def test_evaluate_takes_other_column_names(classifier, tmp_path):
    made = [{"review": r["text"], "verdict": r["label"]} for r in rows(20)]
    data = write_csv(tmp_path / "d.csv", made)
    for named in (["--text", "review", "--label", "verdict"], ["--text=review", "--label=verdict"]):
        assert gruvy("evaluate", classifier, "--data", data, *named, "--json").json["n"] == 20
    assert "no column 'text'" in refused("evaluate", classifier, "--data", data)


def test_evaluate_drops_empty_rows_when_asked(classifier, tmp_path):
    made = rows(20)
    made[4]["text"] = ""
    data = write_csv(tmp_path / "d.csv", made)
    assert "row 5" in refused("evaluate", classifier, "--data", data)
    assert gruvy("evaluate", classifier, "--data", data, "--drop-empty", "--json").json["n"] == 19


@pytest.mark.parametrize("count", [1, 2])
def test_few_rows_still_give_json(model, tmp_path, count):
    data = write_csv(tmp_path / "d.csv", rows(count, seed=4))
    assert gruvy("evaluate", model, "--data", data, "--json").json["n"] == count


def test_evaluate_refuses_a_label_never_seen(classifier, tmp_path):
    made = rows(12)
    made[8]["label"] = "superb"
    data = write_csv(tmp_path / "d.csv", made)
    said = refused("evaluate", classifier, "--data", data)
    for part in ("row 9", "'superb'", "'bad', 'good'"):
        assert part in said


# predict


def test_predict_from_arguments_a_file_and_standard_input_agree(classifier, tmp_path):
    data = write_csv(tmp_path / "d.csv", [{"text": text} for text in TEXTS])
    expected = gruvy("predict", classifier, *TEXTS)
    assert expected.code == 0
    assert [line.split("\t")[0] for line in expected.out.splitlines()] == ["good", "bad"]
    assert gruvy("predict", classifier, "--data", data) == expected
    assert gruvy("predict", classifier, stdin="\n".join(TEXTS).encode()) == expected
    assert gruvy("predict", classifier, stdin="\r\n".join([*TEXTS, ""]).encode()) == expected


def test_predict_json_is_an_object_a_line(model):
    done = gruvy("predict", model, *TEXTS, "--json")
    predictions = [strict_json(line) for line in done.out.splitlines()]
    assert len(predictions) == 2
    assert set(predictions[0]) in ({"label", "probability", "probabilities"}, {"value"})


def test_predict_a_text_that_begins_with_a_dash(classifier):
    assert gruvy("predict", classifier, "--", "-3 stars", "--data").code == 0


@pytest.mark.parametrize("arguments", [["fine", "--jsno"], ["--drop-emty", "fine"], ["fine", "--text", "review"]])
def test_predict_does_not_take_a_mistyped_option_for_a_text(classifier, arguments):
    assert_matches("No such option|no place|names a column", refused("predict", classifier, *arguments))


@pytest.mark.parametrize("arguments", [["--jsno"], ["--text", "review"], ["more"]])
def test_evaluate_does_not_ignore_what_it_cannot_use(classifier, arguments):
    refused("evaluate", classifier, *arguments)


def test_predict_names_the_option_that_leaves_empty_rows_out(classifier, tmp_path):
    """The reader of tables proposes --drop-empty, so predict has it or the message does not propose it."""
    data = write_csv(tmp_path / "d.csv", [{"text": "fine"}, {"text": " "}])
    said = refused("predict", classifier, "--data", data)
    assert "row 2" in said
    if "--drop-empty" in said:
        assert gruvy("predict", classifier, "--data", data, "--drop-empty").code == 0


def test_predict_a_long_text_with_a_note(classifier):
    done = gruvy("predict", classifier, "splendid lamp " * 10_000)
    assert done.code == 0
    assert done.err == "gruvy: a text has 140,000 characters; the first 100,000 are read\n"


NO_TEXTS = {
    "an empty text": (["fine", ""], None, "text 2 of 2 is empty"),
    "an empty line": ([], b"fine\n\nfine\n", "text 2 of 3 is empty"),
    "nothing": ([], b"", "standard input is empty"),
    "a terminal": ([], None, "nothing to predict from"),
    "no UTF-8": ([], b"fine\nb\xffad\n", "not UTF-8"),
    "half a character": (["fine \udcff"], None, "text 1|UTF-8"),
    "no file": (["--data", "nowhere.csv"], None, "nowhere.csv: no such file"),
    "a text beside --data": (["fine", "--data", "DATA"], None, "'fine' has no place beside --data"),
    "a role it has not": (["--data", "DATA", "--target", "n"], None, "reads --text, --label"),
    "a role alone": (["--data", "DATA", "--text"], None, "'--text' requires an argument"),
}


@pytest.mark.parametrize("what", NO_TEXTS)
def test_what_predict_cannot_read_is_refused(classifier, what):
    arguments, stdin, said = NO_TEXTS[what]
    given = [data_file() if a == "DATA" else a for a in arguments]
    assert_matches(said, refused("predict", classifier, *given, stdin=stdin))


def assert_matches(pattern, text):
    assert re.search(pattern, text), text


# The model's folder


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "fine"]])
@pytest.mark.parametrize("harm", ["shortened weights", "changed config", "no tokenizer", "nothing", "unfinished"])
def test_a_folder_that_is_no_sound_model_is_refused(classifier, tmp_path, command, harm):
    folder = shutil.copytree(classifier, tmp_path / "model")
    if harm == "shortened weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    elif harm == "changed config":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "seed": 3}))
    elif harm == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        shutil.rmtree(folder)
        if harm == "unfinished":
            (folder / ".gruvy-training").mkdir(parents=True)
    said = {"shortened weights": "model.safetensors is not as", "changed config": "config.json is not as",
            "no tokenizer": "tokenizer.json is missing", "nothing": "no such directory",
            "unfinished": "unfinished training"}[harm]  # fmt: skip
    assert said in refused(command[0], folder, *command[1:])
