"""What a model that translates or answers says to `gruvy predict`, `gruvy evaluate` and `gruvy chat`."""

import re

import numpy as np
import pytest
import sacrebleu
from tests.cli.run import gruvy, refused
from tests.fixtures.pairs import (
    COLUMNS,
    QUICK,
    command,
    pairs,
    small_recipe,
    table,
    talks,
    trained,
    unseen,
    write,
)
from tests.fixtures.small import strict_json, write_csv

import gruvy as library
from gruvy.training import report, translating

SOURCES = [source for source, _ in unseen()[:12]]


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    """Without pictures, which take most of the time of the shortest trainings."""
    for kind in ("words", "pieces", "talks"):
        trained(kind)
    monkeypatch.setattr(report, "training_curve", lambda history: b"")
    monkeypatch.setattr(translating, "attention_picture", lambda attended: b"")
    with small_recipe(**QUICK):
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def model():
    return trained("words")[0]


@pytest.fixture(scope="module")
def talk():
    return trained("talks")[0]


# predict


def test_predict_from_arguments(model):
    done = gruvy("predict", model, *SOURCES[:2])
    assert (done.code, done.err) == (0, "")
    expected = [one["translation"] for one in library.load(model).predict(SOURCES[:2])]
    assert done.out.splitlines() == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_predict_keeps_the_order_and_the_empty_lines_of_standard_input(model, end):
    given = [SOURCES[2], "", SOURCES[0], "  ", SOURCES[0], SOURCES[1]]
    done = gruvy("predict", model, stdin=(end.join(given) + end).encode())
    one = dict(zip(SOURCES, gruvy("predict", model, *SOURCES).out.splitlines(), strict=True))
    assert done.out == "".join(f"{one.get(text, '')}\n" for text in given)
    assert gruvy("predict", model, stdin=end.join(given).encode()).out == done.out
    dropped = gruvy("predict", model, "--drop-empty", stdin=end.join(given).encode())
    assert dropped.out.splitlines() == [one[text] for text in given if text.strip()]


def test_every_line_of_standard_input_has_one_line_of_output(model):
    given = "a\rb\nc\x0bd\u2028e\x85f\ng\x00h\n\n"
    assert gruvy("predict", model, stdin=given.encode()).out.count("\n") == 4


def test_predict_from_a_file_of_text_and_from_a_table(model, tmp_path):
    expected = gruvy("predict", model, *SOURCES).out
    english, _ = write(tmp_path, unseen()[:12], "test")
    assert gruvy("predict", model, "--data", english).out == expected
    data = table(tmp_path, unseen()[:12])
    assert gruvy("predict", model, "--data", data, "--source", "english").out == expected
    english.write_text("\n\n".join(SOURCES))
    assert gruvy("predict", model, "--data", english).out == expected.replace("\n", "\n\n")[:-1]
    assert gruvy("predict", model, "--data", english, "--drop-empty").out == expected


def test_json_holds_attention_that_fits_its_tokens(model):
    done = gruvy("predict", model, "--json", *SOURCES, "")
    *said, blank = map(strict_json, done.out.splitlines())
    assert blank == {"translation": ""}
    for text, one in zip(SOURCES, said, strict=True):
        weights = np.array(one["attention"]["weights"])
        assert one["attention"]["source"] == [*text.split(), "<end>"]
        assert " ".join(one["attention"]["target"]) == f"{one['translation']} <end>"
        assert weights.shape == (len(one["attention"]["target"]), len(one["attention"]["source"]))
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-3)


def test_a_source_longer_than_is_read_is_said_once(model):
    text = " ".join(SOURCES[:11])
    done = gruvy("predict", model, text)
    assert done.code == 0
    assert done.err == "gruvy: 1 text(s) of more than 40 tokens: the first 40 are read; split them into sentences\n"
    assert done.out == gruvy("predict", model, " ".join(SOURCES[:10])).out


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ((), b"", "standard input is empty; give one text a line"),
        ((), None, "nothing to predict from"),
        ((), b"a\n\xff\n", r"standard input is not UTF-8 \(byte 2\)"),
        (("\udcff",), None, "text 1 of 1 is not valid Unicode"),
        (("--data", "nowhere.txt"), None, "nowhere.txt: no such file"),
        (("--data", "nowhere.txt", "a"), None, "'a' has no place beside --data"),
        (("--source", "english", "a"), None, "--source names a column, and there is no file"),
    ],
)
def test_what_cannot_be_predicted_is_said(model, arguments, stdin, said):
    assert re.search(said, refused("predict", model, *arguments, stdin=stdin))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), r"is a table; which column holds the texts\? give --source COLUMN"),
        (("--source", "x"), "there is no column 'x'"),
        (("--label", "english"), "--label has no place here; this translate model reads --source, --target"),
    ],
)
def test_a_table_s_column_must_be_named_rightly(model, more, said, tmp_path):
    assert re.search(said, refused("predict", model, "--data", table(tmp_path, pairs(3)), *more))


# evaluate


@pytest.mark.parametrize("kind", ["words", "pieces", "talks"])
def test_evaluate_without_data_gives_what_training_measured(kind):
    folder, outcome = trained(kind)
    done = gruvy("evaluate", folder, "--json")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    for key in ("task", "metrics", "baseline", "n"):
        assert done.json[key] == outcome.measured[key], key


@pytest.mark.parametrize("more", [("--valid",), ("--test",), ("--split", 0.7, 0.3), ("--context", 1)])
def test_so_it_does_whatever_it_was_judged_on(more, out, tmp_path):
    if more[0].startswith(("--valid", "--test")):
        more = (*more, *write(tmp_path, unseen()[:10], "held"))
    measured = gruvy(*command(out, *more, "--json")).json
    judged = gruvy("evaluate", out, "--json").json
    assert (judged["metrics"], judged["n"]) == (measured["metrics"], measured["n"])


def test_evaluate_on_files_and_on_a_table_is_sacrebleu(model, tmp_path):
    held = unseen()[:40]
    sources, references = map(list, zip(*held, strict=True))
    said = [one["translation"] for one in library.load(model).predict(sources)]
    for data in (write(tmp_path, held), (table(tmp_path, held), *COLUMNS)):
        judged = gruvy("evaluate", model, "--json", "--data", *data).json
        assert (judged["task"], judged["n"]) == ("translate", 40)
        assert judged["metrics"]["bleu"] == sacrebleu.corpus_bleu(said, [references]).score
        assert judged["metrics"]["chrf"] == sacrebleu.corpus_chrf(said, [references]).score
        assert judged["baseline"]["chrf"] == sacrebleu.corpus_chrf(sources, [references]).score


def test_every_pair_of_a_file_is_judged(model, tmp_path):
    data = write(tmp_path, pairs(480) * 5)
    assert gruvy("evaluate", model, "--json", "--data", *data).json["n"] == 2400


def test_evaluate_for_people_has_signatures_and_notes(model, tmp_path):
    data = write(tmp_path, [*unseen()[:5], ("", "x")])
    done = gruvy("evaluate", model, "--data", *data, "--drop-empty")
    assert done.out.startswith("5 pairs\n")
    for said in ("1 pair(s) with an empty side were left out", "BLEU: nrefs:1", "chrF: nrefs:1", "copy of the source"):
        assert said in done.out


def test_a_conversation_is_judged_in_context(talk, tmp_path):
    data = write_csv(tmp_path / "t.csv", talks(5, seed=3))
    judged = gruvy("evaluate", talk, "--json", "--data", data).json
    assert judged["n"] == 30
    assert judged["metrics"]["chrf"] > 90
    shuffled = write_csv(tmp_path / "s.csv", sorted(talks(5, seed=3), key=lambda row: row["said"]))
    assert gruvy("evaluate", talk, "--json", "--data", shuffled).json["metrics"]["chrf"] < 80


def test_data_of_the_training_that_is_gone_or_changed_is_said(out, tmp_path):
    data = write(tmp_path, pairs(60))
    assert gruvy(*command(out, data=data)).code == 0
    data[0].write_text("changed\n" * 60)
    assert "has changed since the training" in refused("evaluate", out)
    data[0].unlink()
    assert "no longer at" in refused("evaluate", out)


# chat


def answers(folder, *said):
    done = gruvy("chat", folder, stdin="\n".join(said).encode())
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def test_an_answer_depends_on_the_turn_before_and_an_empty_line_begins_anew(talk):
    (fresh,) = answers(talk, "which colour")
    others = [colour for colour in ("red", "blue", "white") if colour != fresh][:2]
    said = [line for colour in others for line in (f"my boat is {colour}", "which colour")]
    assert answers(talk, *said) == ["I see", others[0], "I see", others[1]]
    for empty in ("", "   ", "\t"):
        assert answers(talk, *said, empty, "which colour")[-1] == fresh
    assert answers(talk, "", "", *said, "") == ["I see", others[0], "I see", others[1]]


def test_a_model_without_turns_answers_each_line_alone(model):
    assert (
        answers(model, *SOURCES[:3], "", SOURCES[0])
        == gruvy("predict", model, *SOURCES[:3], SOURCES[0]).out.splitlines()
    )


def test_a_terminal_is_told_how_to_go_on(talk):
    done = gruvy("chat", talk)
    assert (done.code, done.out) == (0, "")
    assert "an empty line begins anew" in done.err


def test_odd_lines_are_answered(talk):
    assert len(answers(talk, "дом 家", "\x07", "which\tcolour", "my boat is red " * 3)) in (3, 4)
    assert answers(talk) == []


def test_a_huge_line_does_not_hide_the_question_after_it(talk):
    done = gruvy("chat", talk, stdin=("my boat is red " * 5000 + "\nwhich colour\n").encode())
    assert done.out.splitlines()[1] == "red"
    assert all("the last 40 are read" in line for line in done.err.splitlines())
    assert "the last 40 are read" in done.err


def test_lines_that_are_not_utf_8_are_refused(talk):
    done = gruvy("chat", talk, stdin=b"my boat is red\n\xff\n")
    assert done.code == 2
    assert re.search(r"standard input is not UTF-8 \(byte 15\)", done.err)
