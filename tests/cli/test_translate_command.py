"""`gruvy train translate`, what its models answer to the other commands, `gruvy chat`, and what users get wrong."""

import gzip
import itertools
import re

import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures import my_cells
from tests.fixtures.pairs import (
    COLUMNS,
    FILES,
    QUICK,
    command,
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
from tests.fixtures.small import snapshot, write_csv
from tests.fixtures.small import trained as trained_otherwise

import gruvy as library

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


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*command(out))
    assert done.code == 0
    for said in (
        "test part: 3 pairs",
        "copy of the source",
        "word-by-word dictionary",
        "BLEU: nrefs:1",
        "chrF: nrefs:1",
    ):
        assert said in done.out
    for said in ("54 pairs to train on, 3 pairs to validate, 3 pairs to test", "cell gru", "epoch  1",
                 f'gruvy predict {out} "..."'):  # fmt: skip
        assert said in done.err
    assert {p.name for p in out.iterdir()} == FILES
    assert str(out) in (out / "README.md").read_text()


def test_json_alone_is_on_standard_output_and_options_reach_the_model(out, tmp_path):
    valid, test = write(tmp_path, unseen()[:6], "valid"), write(tmp_path, unseen()[6:14], "test")
    done = gruvy(
        *command(out, "--json", "--quiet", "--valid", *valid, "--test", *test, "--seed", 3),
        *("--beam", 2, "--length-penalty", 0.5, "--encoder", "attention+gru", "--attention", "dot"),
        *("--vocabularies", "separate", "--cell", f"{my_cells.__file__}:my_gru", "--engine", "eager"),
    )
    assert (done.code, done.err) == (0, "")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    assert (done.json["task"], done.json["n"], done.json["part"]) == ("translate", 8, "test")
    made = library.load(out)
    assert (made.task.beam, made.task.length_penalty) == (2, 0.5)
    assert (made.recipe.encoder, made.recipe.attention, made.inputs.shared) == ("attention+gru", "dot", False)
    assert (made.cell.name, made.engine, made.about["seed"]) == ("my_gru", "eager", 3)


def test_a_table_conversations_and_gzip_are_read(out, tmp_path):
    data = write_csv(tmp_path / "talks.csv", talks(12))
    done = gruvy(*command(out, *TALKING, "--context", 2, "--split", 0.6, 0.2, 0.2, "--quiet", data=[data]))
    assert (done.code, done.err) == (0, "")
    assert library.load(out).task.context == 2
    packed = [path.with_suffix(path.suffix + ".gz") for path in write(tmp_path, pairs(60))]
    for path in packed:
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    done = gruvy(*command(tmp_path / "packed", "--split", 0.8, 0.2, data=packed))
    assert "48 pairs to train on, 12 pairs to validate\n" in done.err
    assert "validation part: 12 pairs" in done.out


def test_empty_lines_are_left_out_when_asked_and_it_is_said(out, tmp_path):
    data = write(tmp_path, [*pairs(30), ("", "x"), ("x", " "), ("", ""), *pairs(60)[30:], ("\x01", "x")])
    done = gruvy(*command(out, "--drop-empty", data=data))
    assert done.code == 0
    assert "4 pair(s) with an empty side were left out" in done.err
    assert "54 pairs to train on" in done.err


def test_control_characters_become_spaces_and_it_is_said(out, tmp_path):
    data = write(tmp_path, [(a.replace(" ", "\x07"), b.replace(" ", "\x1b")) for a, b in pairs(60)])
    done = gruvy(*command(out, data=data))
    assert "360 control character(s) became spaces" in done.err
    vocabulary = library.load(out).inputs.source.tokenizer.get_vocab()
    assert {"kettle", "keteli"} <= set(vocabulary)


def test_scripts_that_are_not_latin_are_learned_from(out, tmp_path):
    made = [(a.replace("lamp", "лампа"), b.replace("lampi", "電灯").replace("roos", "$$")) for a, b in pairs(60)]
    assert gruvy(*command(out, data=write(tmp_path, made))).code == 0
    assert {"лампа", "電灯", "$$"} <= set(library.load(out).inputs.source.tokenizer.get_vocab())
    assert gruvy("predict", out, "baker lifts red лампа").code == 0


# What users get wrong


def lines(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def files_at_fault(tmp_path_factory):
    """Files and columns by what is wrong with them, and what is said of that."""
    folder = tmp_path_factory.mktemp("fault")
    english, other = files(60)
    data, one = table(folder, pairs(30)), write(folder, pairs(1), "one")
    same = write(folder, [("hello", target) for _, target in pairs(30)], "same")
    empty, short = lines(folder / "empty.en", ""), lines(folder / "short.xx", "a\nb\n")
    holes = lines(folder / "holes.xx", "x\n" * 10 + "\n" + "x\n" * 49)
    utf16 = lines(folder / "utf16.en", ("a b\n" * 60).encode("utf-16"))
    binary = lines(folder / "binary.en", bytes(range(256)) * 4)
    torn = lines(folder / "torn.en.gz", gzip.compress(b"a b\n" * 600)[:-9])
    nowhere = folder / "nowhere.en"
    no_columns = r"pairs\.csv is one file; .* --source COLUMN --target COLUMN"
    return {
        "unequal": ((english, short), r"pairs-60\.en has 60 lines and .*short\.xx has 2; expected as many"),
        "an empty line": ((english, holes), r"holes\.xx: empty line 11; write the missing text, or pass --drop-empty"),
        "one": ((english,), r"pairs-60\.en is one file; give two, source and target"),
        "three": ((english, other, english), "give two files of text, source and target"),
        "a table without columns": ((data,), no_columns),
        "a table with one column": ((data, *COLUMNS[:2]), no_columns),
        "two tables": ((data, data), "give two files of text, .* or one table and two of its columns"),
        "a column that is not there": ((data, *COLUMNS[:2], "--target", "x"), "no column 'x', only 'number'"),
        "one column twice": ((data, *COLUMNS[:2], "--target", "english"), "english, english came; give one table"),
        "columns of two files": ((english, other, *COLUMNS), "names a column of a table, and two files came"),
        "text that is no table": ((english, *COLUMNS), "unknown kind of file"),
        "an empty file": ((empty, other), r"empty\.en: the file is empty; expected a text a line"),
        "a missing file": ((nowhere, other), r"nowhere\.en: no such file"),
        "a folder": ((folder, other), "this is a folder; name a data file"),
        "another encoding": ((utf16, other), r"utf16\.en: line 1 is not UTF-8 .* save the file as UTF-8"),
        "a binary file": ((binary, other), r"binary\.en: line \d+ is not UTF-8"),
        "half a gzip file": ((torn, other), r"torn\.en\.gz: not a complete gzip file"),
        "a conversation that is a side": ((data, *COLUMNS, "--conversation", "other"), "give one table"),
        "one pair": (one, "at least 3 different inputs but the rows hold 1"),
        "equal sources": (same, "at least 3 different inputs but the rows hold 1"),
        "one to validate": ((english, other, "--valid", english), r"pairs-60\.en is one file; give two"),
        "a table to validate": ((english, other, "--valid", data), r"pairs\.csv is one file; give two"),
        "one to test": ((english, other, "--test", other), r"pairs-60\.xx is one file; give two"),
        "a missing one to test": ((english, other, "--test", nowhere, other), r"nowhere\.en: no such file"),
    }  # fmt: skip


def test_what_is_wrong_with_files_is_told_in_one_sentence_and_nothing_is_written(files_at_fault, tmp_path):
    for name, (data, said) in files_at_fault.items():
        message = refused(*command(tmp_path / "out", data=data))
        assert re.search(said, message), (name, message)
        assert list(tmp_path.iterdir()) == [], name


def test_evaluate_says_it_too(model, files_at_fault, tmp_path):
    for name, (data, said) in itertools.islice(files_at_fault.items(), 17):
        message = refused("evaluate", model, "--data", *data)
        assert re.search(said, message), (name, message)
    data = table(tmp_path, pairs(3))
    assert "--label has no place here" in refused("evaluate", model, "--data", data, *COLUMNS, "--label", "x")
    assert "--source names a column" in refused("evaluate", model, "--source", "x")


OPTIONS = {
    ("--split", "2"): "--split 2: expected two or three shares",
    ("--split", "x"): "--split",
    ("--beam", "0"): "--beam 0: expected a number of hypotheses from 1 to 100",
    ("--beam", "1.5"): "--beam",
    ("--length-penalty", "-1"): "--length-penalty -1: expected",
    ("--context", "-1"): "--context -1: expected",
    ("--vocabulary", "3"): "a vocabulary of 3 words is too small",
    ("--vocabulary", "3", "--unit", "bpe"): "a vocabulary of 3 pieces is too small; expected at least 261",
    ("--vocabulary", "1"): "--vocabulary 1: expected at least 2 tokens",
    ("--vocabularies", "one"): "--vocabularies is 'one'; expected one of shared, separate",
    ("--encoder", "nonsense"): "--encoder is 'nonsense'; expected one of gru, transformer",
    ("--attention", "nonsense"): "--attention is 'nonsense'; expected one of additive, dot",
    ("--unit", "words"): "--unit is 'words'; expected one of word, bpe, char",
    ("--recipe", "smal"): "there is no recipe 'smal'; did you mean 'small'",
    ("--engine", "nonsense"): "there is no engine 'nonsense'",
    ("--cell", "nonsense"): "there is no cell 'nonsense'",
    ("--text", "english"): "--text",
    ("--pretrain", "somewhere"): "--pretrain",
    ("--seed", "-1"): "--seed is -1",
    ("--max-minutes", "0"): "--max-minutes is 0",
}


@pytest.mark.parametrize("more", OPTIONS, ids=" ".join)
def test_what_is_wrong_with_options_is_told_in_one_sentence_and_nothing_is_written(more, tmp_path):
    assert OPTIONS[more] in refused(*command(tmp_path / "out", *more))
    assert list(tmp_path.iterdir()) == []


def test_data_is_asked_for(out):
    assert "give --data SOURCES TARGETS" in refused("train", "translate", "--out", out)


@pytest.mark.parametrize("task", ["classify", "language"])
def test_other_tasks_read_one_file(task, out):
    assert "--data names 2 files" in refused("train", task, "--data", *files(60), "--out", out)
    assert not out.exists()


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
        (("evaluate", classifier, "--data", *files(60)), "--data names 2 files"),
        (("evaluate", writer, "--data", *files(60)), "--data names 2 files; a language model is judged on one"),
        (("train", "classify", "--pretrain", model, "--data", files(60)[0], "--out", tmp_path / "o"),
         "holds a translate model; give one that gruvy train language wrote"),
    ):  # fmt: skip
        assert said in refused(*arguments, stdin=b"a\n"), arguments
    assert snapshot(model) == before
    assert list(tmp_path.iterdir()) == []
