"""`gruvy train language`, `generate`, `evaluate` and `predict` as a user types them."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures import my_cells
from tests.fixtures.prose import (
    FILES,
    NAME,
    UNITS,
    lines,
    small_recipe,
    table_file,
    text,
    text_file,
    trained,
)
from tests.fixtures.small import environment, write_csv

import gruvy as library
from gruvy.estimators import TextGenerator

METRICS = {"perplexity", "word_perplexity", "bits_per_character", "nll"}
QUICK = {"tokens": 1}  # one epoch


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(params=UNITS)
def folder(request):
    return trained(request.param)[0]


@pytest.fixture(scope="module")
def words():
    with small_recipe():
        return trained("word")[0]


def train(data, out, *more, unit="word"):
    return ("train", "language", "--data", data, "--out", out, "--recipe", NAME, "--unit", unit, *more)


def save(folder, content, name="d.txt"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*train(text_file(), out))
    assert done.code == 0
    assert re.sub("trained at .*", "", done.out.rstrip("\n")) == re.sub("trained at .*", "", trained("word")[1].printed)
    for part in ("characters to train on", "words, as they stand", "cell gru", "epoch  1", f"gruvy generate {out} "):
        assert part in done.err
    assert {p.name for p in out.iterdir()} == FILES


def test_json_alone_is_on_standard_output(out):
    done = gruvy(*train(text_file(), out, "--json", "--quiet"))
    assert (done.code, done.err) == (0, "")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    assert set(done.json["metrics"]) == set(done.json["baseline"]) == METRICS
    assert done.json["metrics"] == trained("word")[1].measured["metrics"]


def test_pieces_are_what_is_learned_unasked(out):
    with small_recipe(**QUICK):
        done = gruvy("train", "language", "--data", text_file(), "--out", out, "--recipe", NAME)
    assert done.code == 0
    assert library.load(out).task.unit == "bpe"


def test_options_of_a_training(out, tmp_path):
    valid, test = save(tmp_path, text(40, 1), "v.txt"), save(tmp_path, text(50, 2), "t.txt")
    cell = f"{my_cells.__file__}:my_gru"
    with small_recipe(**QUICK):
        done = gruvy(*train(text_file(), out, "--valid", valid, "--test", test, "--cell", cell, "--engine", "eager",
                            "--cache", 30, "--vocabulary", 20, "--seed", 3))  # fmt: skip
    assert done.code == 0, done.err
    assert "cell my_gru" in done.err
    assert "model with a cache of 30" in done.out
    model = library.load(out)
    assert (model.cell.name, model.engine, model.about["seed"]) == ("my_gru", "eager", 3)
    assert len(model.inputs.vocabulary) == 20
    assert gruvy("evaluate", out, "--json").json["n"] == len(model.inputs([text(50, 2)]))


def test_shares_of_the_text(out):
    with small_recipe(**QUICK):
        assert gruvy(*train(text_file(), out, "--split", 0.8, 0.1, 0.1)).code == 0
    parts = json.loads((out / "split.json").read_text())["parts"]
    assert parts["train"]["characters"] == pytest.approx(0.8 * len(text()), abs=60)
    assert sum(part["characters"] for part in parts.values()) == len(text())


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt.gz"])
def test_other_kinds_of_files(kind, out, tmp_path):
    import gzip

    if kind == "csv":
        data, more = table_file(), ("--text", "line")
    elif kind == "jsonl":
        rows = "\n".join(json.dumps({"line": line}, ensure_ascii=False) for line in lines())
        data, more = save(tmp_path, rows, "d.jsonl"), ("--text", "line")
    else:
        data, more = save(tmp_path, gzip.compress(text().encode()), "d.txt.gz"), ()
    with small_recipe(**QUICK):
        done = gruvy(*train(data, out, *more))
    assert done.code == 0, done.err
    again = gruvy("evaluate", out, "--json").json
    assert again["metrics"] == json.loads((out / "metrics.json").read_text())["metrics"]


def test_control_characters_are_left_out_with_a_note(out, tmp_path):
    with small_recipe(**QUICK):
        done = gruvy(*train(save(tmp_path, text().replace("lamp", "la\x07mp")), out))
    assert done.code == 0
    assert f"{text().count('lamp')} control characters in {tmp_path / 'd.txt'} are left out" in done.err


def test_rows_that_are_empty_are_refused_or_left_out(out, tmp_path):
    made = [{"line": line} for line in lines()]
    made[7]["line"] = " "
    data = write_csv(tmp_path / "d.csv", made)
    said = refused(*train(data, out, "--text", "line"))
    assert "empty in row 8" in said
    assert "--drop-empty" in said
    with small_recipe(**QUICK):
        assert gruvy(*train(data, out, "--text", "line", "--drop-empty")).code == 0


def test_help_lists_the_task_s_options():
    done = gruvy("train", "language", "--help")
    assert done.code == 0
    for option in ("data", "text", "unit", "valid", "test", "split", "vocabulary", "cache", "cell", "recipe"):
        assert f"--{option} " in done.out


# Generating


def write(folder, *more, **options):
    done = gruvy("generate", folder, *more, **options)
    assert (done.code, done.err) == (0, ""), done
    assert done.out.endswith("\n")
    return done.out[:-1]


def test_the_same_seed_writes_the_same_text(folder):
    once = write(folder, "--seed", 4, "--length", 60)
    assert write(folder, "--seed", 4, "--length", 60) == once
    assert write(folder, "--seed", 5, "--length", 60) != once
    assert write(folder, "--length", 60) != write(folder, "--length", 60)


def test_the_prompt_is_kept_and_gone_on_from(folder):
    for prompt in ("the baker", "the baker ", "the baker\nthe", "é \t<unk>"):
        found = write(folder, "--prompt", prompt, "--length", 5, "--seed", 0)
        assert found.startswith(prompt)
        assert len(found) > len(prompt)
    expected = "".join(library.load(folder).generate("the baker", 12, temperature=0.0))
    assert write(folder, "--prompt", "the baker", "--length", 12, "--temperature", 0) == "the baker" + expected


def test_length_counts_tokens(words):
    said = write(words, "--length", 50, "--seed", 1)
    assert len(said.split()) + said.count("\n") == 50
    assert len(write(trained("char")[0], "--length", 50, "--seed", 1)) == 50
    assert len(write(words, "--seed", 1).split()) > 100, "the default"


def test_a_prompt_from_standard_input(words):
    expected = write(words, "--prompt", "the baker", "--length", 5, "--seed", 0)
    assert write(words, "--prompt", "-", "--length", 5, "--seed", 0, stdin=b"the baker\n") == expected
    assert "not UTF-8 (byte 3)" in refused("generate", words, "--prompt", "-", stdin=b"caf\xe9")


@pytest.mark.parametrize(
    "prompt", ["", " ", "\n", "zzz qqq", "שלום", "你好", "🎻👩‍👩‍👧", "\x07", "a\udcff", "\ufffd", "<unk>", "-x"]
)
def test_any_prompt_will_do(folder, prompt):
    done = gruvy("generate", folder, f"--prompt={prompt}", "--length", 5, "--seed", 0)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(prompt.replace("\udcff", "?"))


@pytest.mark.parametrize("words_of_it", ["the baker paints the lamp . ", "x"])
def test_of_a_prompt_of_a_million_characters_the_end_is_read_with_a_note(folder, words_of_it):
    prompt = words_of_it * (1_000_000 // len(words_of_it))
    began = time.process_time()
    done = gruvy("generate", folder, "--prompt", "-", "--length", 3, stdin=prompt.encode())
    assert time.process_time() - began < 10
    assert done.code == 0
    assert done.out.startswith(prompt)
    long = prompt.count(" ") > 20_000 or "word" not in folder.name
    assert re.fullmatch(r"gruvy: the prompt has [\d,]+ tokens; the last 20,000 are read\n" if long else "", done.err)


@pytest.mark.parametrize("temperature", [0, 1e-50, 1e-320, 0.01])
def test_a_low_temperature_is_the_likeliest_text(words, temperature):
    assert write(words, "--temperature", temperature, "--length", 9) == write(words, "--top-k", 1, "--length", 9)


@pytest.mark.parametrize("temperature", [100, 1e39, 1e300])
def test_a_high_temperature_still_writes_words(words, temperature):
    said = write(words, "--temperature", temperature, "--length", 60, "--seed", 0)
    assert "<unk>" not in said
    assert "no token" not in said
    assert len(said.split()) + said.count("\n") == 60


def test_a_high_seed_and_more_tokens_than_there_are(words):
    assert write(words, "--seed", 2**70, "--top-k", 10**9, "--top-p", 1, "--length", 4)


def test_a_text_comes_as_it_is_written_and_ends_when_nobody_reads_on(words):
    """A generation of a thousand million tokens into a pipe whose reader takes one line."""
    code = "from gruvy.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "generate", str(words), "--length", str(10**9)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**environment(), "PYTHONUNBUFFERED": ""},
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stderr is not None
        assert os.read(running.stdout.fileno(), 10)
        running.stdout.close()
        assert running.wait(100) == 1
        assert running.stderr.read() == b""


# Evaluating and predicting


def test_a_model_judges_itself_as_its_training_did(folder):
    measured = json.loads((folder / "metrics.json").read_text())
    done = gruvy("evaluate", folder, "--json")
    assert (done.code, done.err) == (0, "")
    assert {"task", "metrics", "baseline", "n"} <= set(done.json)
    assert done.json["task"] == "language"
    assert done.json["n"] == measured["n"]
    assert done.json["metrics"] == measured["metrics"]
    assert set(done.json["baseline"]) == METRICS
    printed = gruvy("evaluate", folder).out
    assert f"{measured['n']} tokens" in printed
    assert f"{measured['metrics']['nll']:.4f}" in printed


def test_a_file_is_judged_as_the_text_it_is(folder, tmp_path):
    held = text(30, 8)
    found = gruvy("evaluate", folder, "--data", save(tmp_path, held), "--json").json
    said = library.load(folder).predict(held)
    assert found["n"] == said["tokens"]
    for metric in METRICS:
        assert found["metrics"][metric] == pytest.approx(said[metric])
    assert found["metrics"]["nll"] < found["baseline"]["nll"]


def test_a_model_of_a_validation_file_is_judged_on_it(out, tmp_path):
    with small_recipe(**QUICK):
        gruvy(*train(text_file(), out, "--valid", save(tmp_path, text(40, 1))))
    assert gruvy("evaluate", out, "--json").json["n"] == len(library.load(out).inputs([text(40, 1)]))


@pytest.fixture(scope="module")
def of_a_table(tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "out"
    with small_recipe(**QUICK):
        assert gruvy(*train(table_file(), out, "--text", "line")).code == 0
    return out


def test_a_table_is_judged_by_the_column_of_the_training(of_a_table, words, tmp_path):
    data = write_csv(tmp_path / "d.csv", [{"line": line, "other": "zz"} for line in lines(40, 6)])
    found = gruvy("evaluate", of_a_table, "--data", data, "--json").json
    assert found == gruvy("evaluate", of_a_table, "--data", data, "--text", "line", "--json").json
    assert found["metrics"]["nll"] < gruvy("evaluate", of_a_table, "--data", data, "--text", "other", "--json").json[
        "metrics"]["nll"]  # fmt: skip
    assert gruvy("evaluate", of_a_table, "--data", save(tmp_path, text(20))).code == 0
    assert "give --text COLUMN" in refused("evaluate", words, "--data", data)
    assert gruvy("evaluate", words, "--data", data, "--text", "line").code == 0


def test_empty_rows_of_a_table_are_refused_or_left_out(of_a_table, tmp_path):
    made = [{"line": line} for line in lines(10)]
    made[3]["line"] = ""
    data = write_csv(tmp_path / "d.csv", made)
    for command in ("evaluate", "predict"):
        assert "empty in row 4" in refused(command, of_a_table, "--data", data)
        assert gruvy(command, of_a_table, "--data", data, "--drop-empty").code == 0


def test_predictions_are_figures_of_each_text(folder):
    done = gruvy("predict", folder, "the baker", "at noon .", "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert found == library.load(folder).predict(["the baker", "at noon ."])
    assert gruvy("predict", folder, "--json", stdin=b"the baker\nat noon .\n").out == done.out
    assert len(gruvy("predict", folder, "the baker").out.split("\t")) == 5


def test_predictions_of_a_file(words, of_a_table, tmp_path):
    made = lines(5, 6)
    expected = [library.load(of_a_table).predict(line) for line in made]
    table = write_csv(tmp_path / "d.csv", [{"line": line} for line in made])
    found = gruvy("predict", of_a_table, "--data", table, "--json")
    assert [json.loads(line) for line in found.out.splitlines()] == expected
    plain = save(tmp_path, "\n".join(made) + "\n")
    found = gruvy("predict", of_a_table, "--data", plain, "--json")
    assert [json.loads(line) for line in found.out.splitlines()] == expected
    assert "give --text COLUMN" in refused("predict", words, "--data", table)
    assert gruvy("predict", words, "--data", table, "--text", "line").code == 0


def test_blank_lines_of_a_file_are_refused_or_left_out(words, tmp_path):
    data = save(tmp_path, "the lamp\n\nat noon\n")
    assert "text 2 holds no text" in refused("predict", words, "--data", data)
    assert len(gruvy("predict", words, "--data", data, "--drop-empty").out.splitlines()) == 2
    assert "text 2 holds no text" in refused("predict", words, stdin=data.read_bytes())
    assert len(gruvy("predict", words, "--drop-empty", stdin=data.read_bytes()).out.splitlines()) == 2


def test_a_training_text_that_has_gone_or_changed(out, tmp_path):
    data = tmp_path / "d.txt"
    shutil.copy(text_file(), data)
    with small_recipe(**QUICK):
        gruvy(*train(data, out))
    assert gruvy("evaluate", out).code == 0
    data.write_text(text(seed=7), encoding="utf-8")
    assert "has changed since the training" in refused("evaluate", out)
    data.unlink()
    assert f"no longer at {data}; give --data FILE" in refused("evaluate", out)
    assert gruvy("evaluate", out, "--data", text_file()).code == 0
    assert gruvy("generate", out, "--length", 3).code == 0


def test_a_model_that_learned_from_no_file_is_judged_on_one(tmp_path):
    model = TextGenerator(unit="word", recipe=NAME).fit(text())
    model.trained_.save(tmp_path, {})
    assert "give --data FILE" in refused("evaluate", tmp_path)
    assert gruvy("evaluate", tmp_path, "--data", text_file()).code == 0
