"""`gruvy train translate`, what its models answer to the other commands, `gruvy chat`, and what users get wrong."""

import gzip
import json
import re

import numpy as np
import pytest
import sacrebleu
from tests.cli.run import gruvy, refused
from tests.fixtures import my_cells
from tests.fixtures.pairs import (
    FILES,
    NAME,
    QUICK,
    files,
    pairs,
    small_recipe,
    table,
    talks,
    trained,
    unseen,
    write,
)
from tests.fixtures.prose import trained as language_model
from tests.fixtures.small import snapshot, strict_json, write_csv
from tests.fixtures.small import trained as trained_otherwise

import gruvy as library

SOURCES, TARGETS = (list(side) for side in zip(*unseen()[:12], strict=True))
COLUMNS = ("--source", "english", "--target", "other")
TALKING = ("--source", "said", "--target", "answered", "--conversation", "who")


@pytest.fixture(autouse=True)
def recipe():
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


def train(out, *more, data=None):
    return ("train", "translate", "--data", *(data or files(60)), "--out", out, "--recipe", NAME, "--unit", "word", *more)


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*train(out))
    assert done.code == 0
    for said in ("test part: 3 pairs", "copy of the source", "word-by-word dictionary", "BLEU: nrefs:1", "chrF: nrefs:1"):
        assert said in done.out
    for said in ("54 pairs to train on, 3 pairs to validate, 3 pairs to test", "cell gru", "epoch  1",
                 f'gruvy predict {out} "..."'):  # fmt: skip
        assert said in done.err
    assert {p.name for p in out.iterdir()} == FILES
    assert str(out) in (out / "README.md").read_text()


def test_json_alone_is_on_standard_output_and_options_reach_the_model(out, tmp_path):
    valid, test = write(tmp_path, unseen()[:6], "valid"), write(tmp_path, unseen()[6:14], "test")
    done = gruvy(*train(out, "--json", "--quiet", "--valid", *valid, "--test", *test, "--beam", 2, "--length-penalty", 0.5,
                        "--encoder", "attention+gru", "--attention", "dot", "--vocabularies", "separate", "--cell",
                        f"{my_cells.__file__}:my_gru", "--engine", "eager", "--seed", 3))  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    assert (done.json["task"], done.json["n"], done.json["part"]) == ("translate", 8, "test")
    made = library.load(out)
    assert (made.task.beam, made.task.length_penalty) == (2, 0.5)
    assert (made.recipe.encoder, made.recipe.attention, made.inputs.shared) == ("attention+gru", "dot", False)
    assert (made.cell.name, made.engine, made.about["seed"]) == ("my_gru", "eager", 3)


def test_a_table_conversations_and_gzip_are_read(out, tmp_path):
    data = write_csv(tmp_path / "talks.csv", talks(12))
    done = gruvy(*train(out, *TALKING, "--context", 2, "--split", 0.6, 0.2, 0.2, "--quiet", data=[data]))
    assert (done.code, done.err) == (0, "")
    assert library.load(out).task.context == 2
    packed = [path.with_suffix(path.suffix + ".gz") for path in write(tmp_path, pairs(60))]
    for path in packed:
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    done = gruvy(*train(tmp_path / "packed", "--split", 0.8, 0.2, data=packed))
    assert "48 pairs to train on, 12 pairs to validate\n" in done.err
    assert "validation part: 12 pairs" in done.out


def test_empty_lines_are_left_out_when_asked_and_it_is_said(out, tmp_path):
    data = write(tmp_path, [*pairs(30), ("", "x"), ("x", " "), ("", ""), *pairs(60)[30:], ("\x01", "x")])
    done = gruvy(*train(out, "--drop-empty", data=data))
    assert done.code == 0
    assert "4 pair(s) with an empty side were left out" in done.err
    assert "54 pairs to train on" in done.err


def test_control_characters_become_spaces_and_it_is_said(out, tmp_path):
    data = write(tmp_path, [(a.replace(" ", "\x07"), b.replace(" ", "\x1b")) for a, b in pairs(60)])
    done = gruvy(*train(out, data=data))
    assert "360 control character(s) became spaces" in done.err
    vocabulary = library.load(out).inputs.source.tokenizer.get_vocab()
    assert {"kettle", "keteli"} <= set(vocabulary)


def test_scripts_that_are_not_latin_are_learned_from(out, tmp_path):
    made = [(a.replace("lamp", "лампа"), b.replace("lampi", "電灯").replace("roos", "$$")) for a, b in pairs(60)]
    assert gruvy(*train(out, data=write(tmp_path, made))).code == 0
    assert {"лампа", "電灯", "$$"} <= set(library.load(out).inputs.source.tokenizer.get_vocab())
    assert gruvy("predict", out, "baker lifts red лампа").code == 0


# What users get wrong


def lines(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def bad(tmp_path):
    """Options by name, and what is said of them."""
    english, other = files(60)
    data = table(tmp_path, pairs(30))
    empty, short = lines(tmp_path / "empty.en", ""), lines(tmp_path / "short.xx", "a\nb\n")
    holes = lines(tmp_path / "holes.xx", "x\n" * 10 + "\n" + "x\n" * 49)
    utf16 = lines(tmp_path / "utf16.en", ("a b\n" * 60).encode("utf-16"))
    binary = lines(tmp_path / "binary.en", bytes(range(256)) * 4)
    torn = lines(tmp_path / "torn.en.gz", gzip.compress(b"a b\n" * 600)[:-9])
    one = write(tmp_path, pairs(1), "one")
    same = write(tmp_path, [("hello", target) for _, target in pairs(30)], "same")
    nowhere = tmp_path / "nowhere.en"
    return {
        "unequal files": ((english, short), (), r"pairs-60\.en has 60 lines and .*short\.xx has 2; expected as many"),
        "an empty line": ((english, holes), (), r"holes\.xx: empty line 11; write the missing text, or pass --drop-empty"),
        "one file": ((english,), (), r"pairs-60\.en is one file; give two, source and target"),
        "three files": ((english, other, english), (), r"give two files of text|3 file\(s\) came; give two"),
        "a table without columns": ((data,), (), r"pairs\.csv is one file; .* --source COLUMN --target COLUMN"),
        "a table with one column": ((data,), COLUMNS[:2], r"pairs\.csv is one file; .* --source COLUMN --target COLUMN"),
        "two tables": ((data, data), (), "one table and two of its columns"),
        "a column that is not there": ((data,), ("--source", "english", "--target", "x"), "no column 'x', only 'number'"),
        "one column twice": ((data,), ("--source", "other", "--target", "other"), "other, other came; give one table"),
        "a conversation that is a side": ((data,), (*COLUMNS, "--conversation", "other"), "give one table|conversation"),
        "columns of two files": ((english, other), COLUMNS, "names a column of a table, and two files came"),
        "text that is no table": ((english,), COLUMNS, "unknown kind of file"),
        "an empty file": ((empty, other), (), r"empty\.en: the file is empty; expected a text a line"),
        "a missing file": ((nowhere, other), (), r"nowhere\.en: no such file"),
        "a folder": ((tmp_path, other), (), "this is a folder; name a data file"),
        "another encoding": ((utf16, other), (), r"utf16\.en: line 1 is not UTF-8 .* save the file as UTF-8"),
        "a binary file": ((binary, other), (), r"binary\.en: line \d+ is not UTF-8"),
        "half a gzip file": ((torn, other), (), r"torn\.en\.gz: not a complete gzip file"),
        "one pair": (one, (), "1"),
        "equal sources": (same, (), "at least 3 different"),
        "one file to validate": ((english, other), ("--valid", english), r"pairs-60\.en is one file; give two"),
        "a table to validate two files": ((english, other), ("--valid", data), r"pairs\.csv is one file; give two"),
        "one file to test": ((english, other), ("--test", other), r"pairs-60\.xx is one file; give two"),
        "a missing file to test": ((english, other), ("--test", nowhere, other), r"nowhere\.en: no such file"),
        "a share of 2": ((english, other), ("--split", "2"), "--split 2: expected two or three shares"),
        "no share": ((english, other), ("--split", "x"), "--split"),
        "no beam": ((english, other), ("--beam", "0"), "--beam 0: expected a number of hypotheses from 1 to 100"),
        "half a beam": ((english, other), ("--beam", "1.5"), "--beam"),
        "a penalty of -1": ((english, other), ("--length-penalty", "-1"), "--length-penalty -1: expected"),
        "a context of -1": ((english, other), ("--context", "-1"), "--context -1: expected"),
        "a vocabulary of 3": ((english, other), ("--vocabulary", "3"), "a vocabulary of 3 words is too small"),
        "a vocabulary of 1": ((english, other), ("--vocabulary", "1"), "--vocabulary 1: expected at least 2 tokens"),
        "an encoder there is not": ((english, other), ("--encoder", "nonsense"), "--encoder is 'nonsense'; expected one of"),
        "an attention there is not": ((english, other), ("--attention", "x"), "--attention is 'x'; expected one of"),
        "a unit there is not": ((english, other), ("--unit", "words"), "--unit is 'words'; expected one of word, bpe, char"),
        "a recipe there is not": ((english, other), ("--recipe", "smal"), "there is no recipe 'smal'; did you mean 'small'"),
        "an engine there is not": ((english, other), ("--engine", "x"), "there is no engine 'x'"),
        "a cell there is not": ((english, other), ("--cell", "x"), "there is no cell 'x'"),
        "a column of another task": ((data,), ("--text", "english"), "--text"),
        "a seed below 0": ((english, other), ("--seed", "-1"), "--seed is -1"),
        "no time": ((english, other), ("--max-minutes", "0"), "--max-minutes is 0"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    return bad(tmp_path_factory.mktemp("mistakes"))


def test_mistakes_are_told_in_one_sentence_and_write_nothing(mistakes, tmp_path):
    for name, (data, more, said) in mistakes.items():
        message = refused(*train(tmp_path / "out", *more, data=data))
        assert re.search(said, message), (name, message)
        assert list(tmp_path.iterdir()) == [], name


def test_data_is_asked_for(out):
    assert "give --data SOURCES TARGETS" in refused("train", "translate", "--out", out)


@pytest.mark.parametrize("task", ["classify", "language"])
def test_other_tasks_read_one_file(task, out):
    assert "--data names 2 files" in refused("train", task, "--data", *files(60), "--out", out)
    assert not out.exists()


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
    assert done.err == "gruvy: a text has 44 tokens; the first 40 are read: split it into sentences\n"
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
    measured = gruvy(*train(out, *more, "--json")).json
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


def test_evaluate_says_what_cannot_be(model, mistakes, tmp_path):
    for name in ("unequal files", "an empty line", "one file", "three files", "a table without columns", "two tables",
                 "a column that is not there", "one column twice", "columns of two files", "an empty file",
                 "a missing file", "another encoding"):  # fmt: skip
        data, more, said = mistakes[name]
        message = refused("evaluate", model, "--data", *data, *more)
        assert re.search(said, message), (name, message)
    data = table(tmp_path, pairs(3))
    assert "--label has no place here" in refused("evaluate", model, "--data", data, *COLUMNS, "--label", "x")
    assert "--source names a column" in refused("evaluate", model, "--source", "x")


def test_data_of_the_training_that_is_gone_or_changed_is_said(out, tmp_path):
    data = write(tmp_path, pairs(60))
    assert gruvy(*train(out, data=data)).code == 0
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
    assert answers(model, *SOURCES[:3], "", SOURCES[0]) == gruvy("predict", model, *SOURCES[:3], SOURCES[0]).out.splitlines()


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
    warned = done.err.splitlines()
    assert len(warned) == 2 and all("the last 40 are read" in line for line in warned)


def test_lines_that_are_not_utf_8_are_refused(talk):
    done = gruvy("chat", talk, stdin=b"my boat is red\n\xff\n")
    assert done.code == 2
    assert re.search(r"standard input is not UTF-8 \(byte 15\)", done.err)


# The wrong kind of model


def test_each_command_says_which_model_it_is_for(model, tmp_path):
    classifier, writer = trained_otherwise("classify")[0], language_model("word")[0]
    before = snapshot(model)
    for arguments, said in (
        (("chat", classifier), "holds a classify model; give one that gruvy train translate wrote"),
        (("chat", writer), "holds a language model; give one that gruvy train translate wrote"),
        (("chat", tmp_path), "has no config.json"),
        (("chat", tmp_path / "nowhere"), "no such directory"),
        (("generate", model, "--prompt", "a"), "does not write; give one of gruvy train language"),
        (("forecast", model), "holds a translate model; ask it with gruvy predict"),
        (("stream", model), "holds a translate model of whole inputs; ask it with gruvy predict"),
        (("evaluate", classifier, "--data", *files(60)), "--data names 2 files; a classify model is judged on one"),
        (("evaluate", writer, "--data", *files(60)), "--data names 2 files; a language model is judged on one"),
        (("train", "classify", "--pretrain", model, "--data", files(60)[0], "--out", tmp_path / "o"),
         "holds a translate model; give one that gruvy train language wrote"),
    ):  # fmt: skip
        assert said in refused(*arguments, stdin=b"a\n"), arguments
    assert snapshot(model) == before
    assert list(tmp_path.iterdir()) == []
