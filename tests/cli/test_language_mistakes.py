"""What users of language models get wrong: each is refused with one sentence that says what to do, leaving nothing."""

import re
import shutil

import pytest
from tests.cli.run import refused
from tests.fixtures import small
from tests.fixtures.prose import NAME, UNITS, small_recipe, table_file, text, text_file, trained


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def words():
    with small_recipe():
        return trained("word")[0]


def train(data, out, *more, unit="word"):
    return ("train", "language", "--data", data, "--out", out, "--recipe", NAME, "--unit", unit, *more)


def save(folder, content):
    path = folder / "d.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Training

BAD_TEXTS = {
    "nothing": (b"", "holds no text; give one with some"),
    "blank lines": (b"\n\n  \n\t\r\n", "holds no text"),
    "zero bytes": (bytes(range(256)) * 20, "not a file of text"),
    "UTF-16": (text().encode("utf-16"), "not a file of text"),
    "Latin-1": (text().encode("latin-1"), r"is not UTF-8 \(byte \d+\); convert it to UTF-8"),
    "control characters only": (b"\x07\x1b\x07", "holds no text"),
    "a few words": (b"the cat sat on the mat\n", "give more text"),
    "one word": (b"lamp " * 4000, "fewer than two different words"),
}


@pytest.mark.parametrize("what", BAD_TEXTS)
def test_a_text_that_cannot_be_learned_from(what, out, tmp_path):
    content, said = BAD_TEXTS[what]
    assert re.search(said, refused(*train(save(tmp_path, content), out)))
    assert not out.exists()


@pytest.mark.parametrize("unit", UNITS)
def test_a_text_too_short(unit, out, tmp_path):
    said = refused(*train(save(tmp_path, "the lamp lifts the lamp lifts the lamp"), out, unit=unit))
    assert re.search("give more text", said)
    assert not out.exists()


BAD_OPTIONS = {
    "one share": (("--split", 0.9), "--split 0.9: expected two or three shares"),
    "too much": (("--split", 0.9, 0.2, 0.2), "sum to at most 1"),
    "a negative share": (("--split", 0.9, -0.1, 0.2), "--split"),
    "no number": (("--split", "much", 0.1), "--split"),
    "shares for no part": (("--valid", text_file, "--split", 0.9, 0.1), "--split"),
    "shares too small": (("--split", 0.9999, 0.00005, 0.00005), "empty; give more text, or larger shares"),
    "another unit": (("--unit", "letters"), "--unit is 'letters'; expected one of word, bpe, char"),
    "a vocabulary of one": (("--vocabulary", 1), "--vocabulary 1: expected at least"),
    "a vocabulary of two": (("--vocabulary", 2), "vocabulary.* expected at least"),
    "a vocabulary of none": (("--vocabulary", 0), "--vocabulary 0: expected at least"),
    "fewer pieces than bytes": (("--unit", "bpe", "--vocabulary", 100), "vocabulary.* expected at least 2"),
    "a negative cache": (("--cache", -1), "--cache -1: expected"),
    "a column of a text": (("--text", "line"), "is no table, so it has no column 'line'; leave --text out"),
    "no such validation": (("--valid", "nowhere.txt"), "nowhere.txt: no such file"),
    "another recipe": (("--recipe", "smal"), "did you mean 'small'"),
    "another cell": (("--cell", "gruu"), "did you mean 'gru'"),
    "another engine": (("--engine", "fast"), "there is no engine 'fast'"),
    "a label": (("--label", "x"), "--label"),
    "two texts": (("--data", text_file), "--data"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_options_that_cannot_be(what, out):
    options, said = BAD_OPTIONS[what]
    options = [option() if callable(option) else option for option in options]
    assert re.search(said, refused(*train(text_file(), out, *options)))
    assert not out.exists()


def test_places_with_no_text(out, tmp_path):
    assert "nowhere.txt: no such file" in refused(*train(tmp_path / "nowhere.txt", out))
    assert "folder" in refused(*train(tmp_path, out))
    said = refused("train", "language", "--out", out)
    assert "gruvy train language needs a text; give --data FILE" in said
    assert not out.exists()


def test_a_table_without_its_column(out):
    assert "which column holds the texts? give --text COLUMN" in refused(*train(table_file(), out))
    assert "no column 'lines', only 'number', 'line'" in refused(*train(table_file(), out, "--text", "lines"))
    assert not out.exists()


# Generating

BAD_WISHES = {
    "no length": (("--length", 0), "--length 0: expected a number of tokens of at least 1"),
    "a negative length": (("--length", -5), "--length -5"),
    "half a token": (("--length", 1.5), "--length"),
    "a negative temperature": (("--temperature", -1), "--temperature -1: expected 0 or more"),
    "no temperature": (("--temperature", "nan"), "--temperature nan"),
    "an endless temperature": (("--temperature", "inf"), "--temperature inf"),
    "no probability": (("--top-p", 0), "--top-p 0: expected more than 0 and at most 1"),
    "too much probability": (("--top-p", 1.5), "--top-p 1.5"),
    "negative tokens": (("--top-k", -1), "--top-k -1: expected 0"),
    "a negative seed": (("--seed", -1), "--seed -1: expected a whole number of at least 0"),
    "an unknown option": (("--prompts", "x"), "--prompts"),
}


@pytest.mark.parametrize("what", BAD_WISHES)
def test_wishes_that_cannot_be(what, words):
    options, said = BAD_WISHES[what]
    assert said in refused("generate", words, *options)


def test_models_that_do_not_write(tmp_path):
    with small.small_recipe():
        classifier = small.trained("classify")[0]
    assert "does not write; give one of gruvy train language" in refused("generate", classifier)
    assert "not a trained model" in refused("generate", tmp_path)
    assert "no such directory" in refused("generate", tmp_path / "nowhere")


def test_a_damaged_model_is_refused(words, tmp_path):
    shutil.copytree(words, tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is not as it was saved" in refused("generate", tmp_path / "m")


# Evaluating and predicting


def test_what_cannot_be_judged(words, tmp_path):
    for command in ("evaluate", "predict"):
        for what in ("nothing", "zero bytes", "Latin-1"):
            content, said = BAD_TEXTS[what]
            said = "empty|holds no text" if what == "nothing" else f"{said}|is not UTF-8"
            assert re.search(said, refused(command, words, "--data", save(tmp_path, content)))
        assert "no such file" in refused(command, words, "--data", tmp_path / "nowhere.txt")
        assert "--label" in refused(command, words, "--data", text_file(), "--label", "x")
        assert "--text" in refused(command, words, "--data", text_file(), "--text", "line")
        assert "give --data FILE" in refused(command, words, "--text", "line")
    assert "holds no text" in refused("predict", words, "")


def test_verbs_of_other_models_name_the_right_one(words):
    for verb in ("stream", "forecast"):
        assert "gruvy " in refused(verb, words)
