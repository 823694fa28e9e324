"""`gruvy train tag`, and what its models answer to evaluate and predict."""

import json
import shutil

import numpy as np
import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.small import python, write_csv
from tests.fixtures.tagged import NAME, QUICK, TABLE, conll, names, sentences, small_recipe, switched, table, trained


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe(**QUICK):
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def train(*arguments):
    return ("train", "tag", *arguments, "--recipe", NAME)


def test_a_table_from_training_to_answers(out):
    done = gruvy(*train("--data", table(), *TABLE, "--mask", "counts", "--group", "who", "--fold", "2/4", "--out", out))
    assert done.code == 0, done.err
    for said in ("that count", "windowed logistic regression", "most frequent tag", "95 % interval", "precision"):
        assert said in done.out
    assert "sequences of symbols" in done.err
    assert done.err.rstrip().endswith(f'gruvy predict {out} "..."')
    again = gruvy("evaluate", out, "--json").json
    assert again["metrics"]["accuracy"] == pytest.approx(float(done.out.split("model")[1].split()[0]), abs=1e-4)
    answers = gruvy("predict", out, "abcd", "d")
    assert [len(line) for line in answers.out.split()] == [4, 1]


def test_a_conll_file_with_a_random_field(out):
    done = gruvy(*train("--data", names(), "--crf", "--out", out, "--json"))
    assert done.code == 0, done.err
    assert done.json["metrics"].keys() == {"accuracy", "macro_f1", "entity_f1", "entity_precision", "entity_recall"}


def test_the_verdict_is_beside_the_better_baseline(out, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "made": "".join(rng.choice(list("abcdefghij"), 30)),
            "state": "".join(rng.choice(list("UD"), 30, p=[0.8, 0.2])),
        }
        for _ in range(20)
    ]  # there is nothing to learn
    done = gruvy(*train("--data", write_csv(tmp_path / "a.csv", rows), *TABLE, "--out", out, "--json"))
    found = done.json
    assert found["best_baseline"] == "most frequent tag"
    assert found["baseline"] == found["baselines"]["most frequent tag"]
    assert found["baseline"]["accuracy"] > found["baselines"]["windowed logistic regression"]["accuracy"]


def test_one_test_sequence_is_no_verdict(out, tmp_path):
    done = gruvy(*train("--data", write_csv(tmp_path / "a.csv", switched(3, longest=9)), *TABLE, "--out", out))
    assert done.code == 0, done.err
    assert "test part: 1 sequences (too few to tell models apart)" in done.out
    assert "interval" not in done.out


def test_evaluate_on_its_own_part_and_on_files(tmp_path):
    model, outcome = trained("symbols")
    own = gruvy("evaluate", model, "--json").json
    assert own["metrics"] == outcome.measured["metrics"]
    assert own["baseline"] == outcome.measured["baseline"]
    assert own["n"] == 24
    made = switched(10, 9)
    same = gruvy("evaluate", model, "--data", write_csv(tmp_path / "a.csv", made), "--json").json
    assert (same["n"], same["steps"]) == (10, sum(one["counts"].count("1") for one in made))
    other = write_csv(tmp_path / "b.csv", [{"s": one["made"], "t": one["state"]} for one in made])
    assert "there is no column 'made'" in refused("evaluate", model, "--data", other)
    named = gruvy("evaluate", model, "--data", other, "--sequence", "s", "--tags", "t", "--json").json
    assert named["steps"] == sum(len(one["made"]) for one in made)


def test_a_file_without_the_mask_of_the_training_is_judged_whole(tmp_path):
    made = switched(10, 9)
    data = write_csv(tmp_path / "a.csv", [{"made": one["made"], "state": one["state"]} for one in made])
    done = gruvy("evaluate", trained("symbols")[0], "--data", data, "--json")
    assert done.json["steps"] == sum(len(one["made"]) for one in made)
    assert "has no column 'counts', the mask of the training; every step counts" in done.err
    assert "there is no column 'x'" in refused("evaluate", trained("symbols")[0], "--data", data, "--mask", "x")
    assert "no such file" in refused("evaluate", trained("symbols")[0], "--data", tmp_path / "gone.csv")


def test_lists_of_words_from_training_to_answers(out, tmp_path):
    made = sentences(40)
    rows = [{"tokens": [word for word, _ in one], "tags": [tag for _, tag in one]} for one in made]
    data = tmp_path / "a.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    named = ("--sequence", "tokens", "--tags", "tags")
    done = gruvy(*train("--data", data, *named, "--out", out))
    assert done.code == 0, done.err
    assert "sequences of words" in done.err
    words = trained("words")[0]
    file = tmp_path / "a.conll"
    file.write_text(conll(made))
    figures = [
        gruvy("evaluate", model, "--data", *given, "--json").json["metrics"]
        for model in (out, words)
        for given in ((data, *named), (file,))
    ]
    assert figures[0] == figures[1]
    assert figures[2] == figures[3]
    answers = gruvy("predict", words, "--data", data, *named[:2]).out.split("\n\n")
    assert [line.split("\t")[0] for line in answers[0].splitlines()] == rows[0]["tokens"]


def test_evaluate_says_what_training_never_had(tmp_path):
    model = trained("words")[0]
    made = [[(word, "B-ORG" if tag == "B-LOC" else tag) for word, tag in one] for one in sentences(10, 3)]
    path = tmp_path / "a.conll"
    path.write_text(conll(made))
    done = gruvy("evaluate", model, "--data", path)
    assert "10 steps have tags that training never had ('B-ORG') and count as wrong" in done.out
    assert "baseline: most frequent tag" in done.out


def test_predict_from_files_and_standard_input(tmp_path):
    symbols, words = trained("symbols")[0], trained("words")[0]
    assert gruvy("predict", symbols, "--data", table()).out.split("\n")[0] == switched()[0]["state"]
    assert gruvy("predict", symbols, stdin=b"acd\nbcd\n").out == "UUU\nDDD\n"
    path = tmp_path / "a.conll"
    path.write_text("Egbert\nvisits\nAltburg\n\nBeate\nvisits\nBrackburg\n")
    assert gruvy("predict", words, "--data", path).out.split("\n\n")[0] == "Egbert\tB-PER\nvisits\tO\nAltburg\tB-LOC"
    found = gruvy("predict", words, "Egbert visits Altburg", "--json").json
    assert found["tags"] == ["B-PER", "O", "B-LOC"]


def test_what_predict_prints_is_a_conll_file(tmp_path):
    words = trained("words")[0]
    path = tmp_path / "said.conll"
    path.write_text(gruvy("predict", words, "--data", names()).out)
    assert gruvy("evaluate", words, "--data", path, "--json").json["metrics"]["accuracy"] == 1


def test_unknown_symbols_are_one_warning():
    done = gruvy("predict", trained("symbols")[0], "acqd", "bzq")
    assert done.out == "UUUU\nDDD\n"
    assert done.err.count("read as unknown") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "symbols", "ab", ""), "sequence 2 of 2 is empty"),
        (("predict", "symbols", "--data", "names"), "is no table, and the model reads sequences of symbols"),
        (("evaluate", "symbols", "--data", "names"), "holds words, and the model reads sequences of symbols"),
        (("evaluate", "symbols", "--tags", "x"), "--tags names a column, and there is no file"),
        (("evaluate", "words", "--data", "table"), "which column of"),
        (("predict", "symbols", "--data", "table", "--label", "x"), "--label has no place here; a tag model reads"),
        (("evaluate", "symbols", "--data", "table", "table"), "a tag model is judged on one"),
    ],
)
def test_mistakes_are_one_sentence(arguments, said):
    command, kind, *rest = arguments
    files = {"names": names(), "table": table()}
    assert said in refused(command, trained(kind)[0], *(files.get(one, one) for one in rest))


def test_the_data_of_the_training_may_be_gone_or_have_changed(tmp_path, out):
    data = shutil.copy(table(), tmp_path / "a.csv")
    assert gruvy(*train("--data", data, *TABLE, "--out", out)).code == 0
    write_csv(tmp_path / "a.csv", switched(50, 8))
    assert "has changed since the training" in refused("evaluate", out)
    (tmp_path / "a.csv").unlink()
    assert "is no longer at" in refused("evaluate", out)


def test_a_training_on_what_does_not_fit_names_the_row(tmp_path, out):
    records = switched(20)
    records[6]["state"] = records[6]["state"][:-1]
    path = write_csv(tmp_path / "a.csv", records)
    length = len(records[6]["made"])
    said = refused(*train("--data", path, *TABLE, "--out", out))
    assert f"row 7 has a sequence of {length} steps and {length - 1} in the tags" in said
    assert not out.exists()


def test_predict_loads_no_training():
    code = (
        "import sys; from gruvy.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print({'lightning', 'matplotlib', 'torchmetrics', 'sklearn'} & set(sys.modules))"
    )
    done = python(code, "predict", str(trained("words")[0]), "Egbert sings")
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
