"""`gruvy train speech`, what its models answer to the other commands, and what users get wrong."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.cli.run import gruvy, refused
from tests.fixtures.small import snapshot, write_csv
from tests.fixtures.small import trained as trained_otherwise
from tests.fixtures.speech import (
    FILES,
    NAME,
    QUICK,
    RATE,
    command,
    manifest,
    rows,
    shared,
    small_recipe,
    spoken,
    trained,
)

import gruvy as library


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe(**QUICK):
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def model():
    return trained()[0]


@pytest.fixture(scope="module")
def past():
    """A model that hears the past alone."""
    return trained(one_direction=True)[0]


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, spoken("mi do la", np.random.default_rng(9)), RATE)
    return path


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*command(out, "--group", "speaker"))
    assert done.code == 0
    for said in ("test part: ", "constant guess", "nearest training recording", "wer", "cer", "transcript  "):
        assert said in done.out
    for said in ("recordings to train on", "7 characters", "cell gru", "epoch  1", f"gruvy predict {out} clip.wav"):
        assert said in done.err
    assert {p.name for p in out.iterdir()} == FILES
    assert 'gruvy.load("DIR").predict("clip.wav")["text"]' in (out / "README.md").read_text()


def test_json_alone_is_on_standard_output_and_options_reach_the_model(out, tmp_path):
    valid, test = manifest(tmp_path, 6, "valid", 1), manifest(tmp_path, 8, "test", 2)
    done = gruvy(
        *command(out, "--json", "--quiet", "--valid", valid, "--test", test, "--seed", 3),
        *("--one-direction", "--beam", 4, "--cell", "lstm", "--engine", "eager"),
    )
    assert (done.code, done.err) == (0, "")
    assert (done.json["task"], done.json["n"], set(done.json["metrics"])) == ("speech", 8, {"wer", "cer"})
    assert set(done.json["baselines"]) == {"constant guess", "nearest training recording"}
    made = library.load(out)
    assert (made.task.beam, made.recipe.bidirectional, made.cell.name, made.engine) == (4, False, "lstm", "eager")
    own = gruvy("evaluate", out, "--json").json
    assert own["metrics"] == pytest.approx(done.json["metrics"])
    assert own["metrics"] == pytest.approx(gruvy("evaluate", out, "--data", test, "--json").json["metrics"])


def test_the_words_of_training_are_the_only_ones_where_that_is_asked_for(out):
    done = gruvy(*command(out, "--words", "known", "--quiet"))
    assert "it writes the 5 words of the training transcripts alone\n" in done.out
    made = library.load(out)
    assert made.task.words == ("dim", "do", "la", "mi", "oil")
    said = made.predict([(np.random.default_rng(i).normal(size=3000), RATE) for i in range(5)])
    assert {word for one in said for word in one["text"].split()} <= set(made.task.words)
    done = gruvy(*command(out, "--words", "any", "--quiet", "--overwrite"))
    assert "it writes any word\n" in done.out
    assert not library.load(out).task.words


def test_the_validation_part_decides_where_nothing_is_asked_for(out):
    done = gruvy(*command(out, "--quiet"))
    shares = r"it writes (.*) \(word error rate of the validation part: ([\d.]+) % with .* ([\d.]+) %"
    found = re.search(shares, done.out)
    assert found is not None
    known = float(found[2]) < float(found[3])
    assert found[1].startswith("the 5 words") == known == bool(library.load(out).task.words)


def test_groups_are_never_in_two_parts(out, tmp_path):
    records = rows(tmp_path / "clips", 60)
    data = write_csv(tmp_path / "clips.csv", [{**r, "speaker": f"s{i % 12}"} for i, r in enumerate(records)])
    assert gruvy(*command(out, "--group", "speaker", "--quiet", data=data)).code == 0
    split = library.artefact.read_json(out, "split.json")["rows"]
    groups = {part: {(row - 1) % 12 for row in chosen} for part, chosen in split.items()}
    assert sorted(row for chosen in split.values() for row in chosen) == list(range(1, 61))
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]


def test_what_is_odd_about_the_data_is_said(out, tmp_path):
    records = rows(tmp_path / "clips", 40)
    soundfile.write(tmp_path / "clips/one.wav", np.zeros(1), RATE)
    data = write_csv(tmp_path / "clips.csv", [
        *records, {**records[0], "text": " "}, {**records[0], "path": "clips/one.wav", "text": "do mi do mi do mi"},
    ])  # fmt: skip
    strange = write_csv(tmp_path / "strange.csv", [{**records[0], "text": "d\u00f4 mi!"}, records[1]])
    done = gruvy(*command(out, "--drop-empty", "--valid", strange, "--test", strange, data=data))
    assert done.code == 0
    assert "1 row(s) with an empty cell were left out" in done.err
    assert "2 character(s) of the test part, 2 times in all, were never in a training transcript" in done.err
    assert "and count as errors: '!' '\u00f4'" in done.err
    assert "2 recording(s) of the test part are trained on too; its figures flatter" in done.err
    assert "1 recording(s) to train on were shorter than their transcript can be written, and were left out" in done.out


# What models answer


def test_a_trained_model_hears(model, clip):
    assert gruvy("evaluate", model, "--json").json["metrics"]["wer"] < 0.1
    done = gruvy("predict", model, clip)
    assert (done.code, done.out, done.err) == (0, "mi do la\n", "")
    assert gruvy("predict", model, clip, clip, "--json").out == '{"text": "mi do la"}\n' * 2
    assert gruvy("predict", model, "--beam", 5, clip).out == "mi do la\n"
    assert gruvy("predict", model, stdin=f"{clip}\n".encode()).out == f"{clip}\tmi do la\n"


def test_a_model_takes_paths_and_arrays_at_any_rate(model, clip, tmp_path):
    trained, samples = library.load(model), soundfile.read(clip)[0]
    stereo = np.repeat(np.stack([samples, samples], 1), 2, 0)  # twice the rate, crudely
    said = {"text": "mi do la"}
    assert trained.predict(clip) == trained.predict(str(clip)) == trained.predict((samples, RATE)) == said
    assert trained.predict([clip, (stereo, 2 * RATE)]) == [said, said]
    assert trained.predict([]) == []
    soundfile.write(tmp_path / "clip.flac", stereo, 2 * RATE)
    assert trained.predict(tmp_path / "clip.flac") == said


def test_silence_and_single_samples_are_heard(model, past, tmp_path):
    for name, samples in (("silent", np.zeros(RATE)), ("one", np.zeros(1)), ("clipped", np.ones(RATE))):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, RATE)
        assert gruvy("predict", model, path).code == 0
        assert gruvy("stream", past, "--audio", path).out == gruvy("predict", past, path).out


def test_a_manifest_is_predicted_and_judged(model):
    data = shared()
    said = [line.split("\t") for line in gruvy("predict", model, "--data", data).out.splitlines()]
    rows = list(csv.DictReader(data.read_text().splitlines()))
    assert [path for path, _ in said] == [str(data.parent / row["path"]) for row in rows]
    right = np.mean([text == row["text"] for (_, text), row in zip(said, rows, strict=True)])
    assert right > 0.9
    done = gruvy("evaluate", model, "--data", data)
    assert done.code == 0
    assert "160 recordings" in done.out
    assert "baseline: constant guess" in done.out
    beam = gruvy("evaluate", model, "--data", data, "--beam", 8, "--json").json
    assert beam["metrics"]["wer"] < 0.1
    assert beam["n"] == 160


def test_a_stream_is_the_text_of_the_whole(past, clip):
    whole = gruvy("predict", past, clip).out
    assert whole == "mi do la\n"
    assert gruvy("stream", past, "--audio", clip).out == whole
    raw = soundfile.read(clip, dtype="int16")[0].astype("<i2").tobytes()
    assert gruvy("stream", past, "--rate", RATE, stdin=raw).out == whole
    assert gruvy("stream", past, stdin=raw + b"\0").out == whole  # half a sample at the end


def test_text_grows_chunk_by_chunk(past, clip):
    from gruvy.tasks.modalities.utterances import Dictation

    dictation, samples = Dictation(library.load(past)), soundfile.read(clip, dtype="float32")[0]
    pieces = [dictation.hear(samples[i : i + 123]) for i in range(0, len(samples), 123)] + [dictation.hear([], True)]
    assert "".join(pieces) == dictation.text == "mi do la"
    assert "".join(pieces[:-1]).startswith("mi")  # before it ends


# What users get wrong


@pytest.fixture(scope="module")
def at_fault(tmp_path_factory):
    """Manifests and options by what is wrong with them, and what is said of that."""
    folder = tmp_path_factory.mktemp("fault")
    good = rows(folder / "clips", 12)
    (folder / "torn.wav").write_bytes((folder / "clips/0.wav").read_bytes()[:30])
    soundfile.write(folder / "nothing.wav", np.zeros(0), RATE)

    def table(name, records):
        return write_csv(folder / f"{name}.csv", records)

    return {
        "a missing recording": ((table("m", [*good, {**good[0], "path": "x.wav"}]),), r"lists .*x\.wav', where"),
        "an empty transcript": ((table("e", [*good, {**good[0], "text": ""}]),), "column 'text' is empty in row 13"),
        "a broken recording": ((table("b", [*good, {**good[0], "path": "torn.wav"}]),), r"torn\.wav"),
        "a recording of nothing": ((table("n", [*good, {**good[0], "path": "nothing.wav"}]),), r"nothing\.wav"),
        "a text for a recording": ((table("t", [*good, {**good[0], "path": "m.csv"}]),), r"m\.csv holds no sound"),
        "a column that is not there": ((table("c", good), "--audio", "file"), "no column 'file'"),
        "no such transcript": ((table("d", good), "--transcript", "said"), "no column 'said'"),
        "no such group": ((table("g", good), "--group", "who"), "no column 'who'"),
        "one group": ((table("o", [{**r, "speaker": "x"} for r in good]), "--group", "speaker"), "is of 'x'; give"),
        "one recording": ((table("1", good[:1]),), "too few|at least|expected"),
        "no file": ((folder / "nowhere.csv",), "no such file"),
        "a wave": ((folder / "clips/0.wav",), "unknown kind of file"),
        "a missing test part": ((table("p", good), "--test", folder / "nowhere.csv"), "no such file"),
        "long transcripts": ((table("l", [{**r, "text": "do " * 99} for r in good]),), "too short for its"),
    }  # fmt: skip


def test_what_is_wrong_with_data_is_told_in_one_sentence_and_nothing_is_written(at_fault, tmp_path):
    for name, ((data, *more), said) in at_fault.items():
        message = refused(*command(tmp_path / "out", *more, data=data))
        assert re.search(said, message), (name, message)
        assert not (tmp_path / "out/config.json").exists(), name


OPTIONS = {
    ("--beam", "0"): "--beam 0: expected a number of prefixes from 1 to 1000",
    ("--words", "some"): "--words is 'some'; expected one of known, any",
    ("--recipe", "smal"): "there is no recipe 'smal'; did you mean 'small'",
    ("--cell", "nonsense"): "there is no cell 'nonsense'",
    ("--data", "a.csv", "b.csv"): "gruvy train speech reads one",
}


@pytest.mark.parametrize("more", OPTIONS, ids=" ".join)
def test_what_is_wrong_with_options_is_told_in_one_sentence(more, tmp_path):
    assert OPTIONS[more] in refused(*command(tmp_path / "out", *more))
    assert list(tmp_path.iterdir()) == []


def test_data_is_asked_for(out):
    assert "needs a manifest; give --data FILE" in refused("train", "speech", "--out", out, "--recipe", NAME)


def test_the_other_commands_say_what_is_wrong(model, past, clip, tmp_path):
    classifier = trained_otherwise("classify")[0]
    before = snapshot(model)
    data = shared(40)
    for arguments, said in (
        (("predict", model, tmp_path / "x.wav"), "no such file"),
        (("predict", model, data), "holds no sound that can be read"),
        (("predict", model, clip, "--beam", 0), "--beam 0: expected"),
        (("predict", model, "--audio", "x"), "there is no file"),
        (("predict", classifier, "a text", "--beam", 2), "--beam is for a speech model"),
        (("evaluate", classifier, "--beam", 2), "--beam is for a speech model"),
        (("evaluate", model, "--data", data, "--label", "x"), "--label has no place here"),
        (("evaluate", model, "--data", data, data), "--data names 2 files; a speech model is judged on one"),
        (("evaluate", model, "--audio", "x"), "there is no file"),
        (("stream", model, "--audio", clip), "reads a recording from both ends"),
        (("stream", past), "nothing to hear; give --audio FILE"),
        (("stream", past, "--audio", tmp_path / "x.wav"), "no such file"),
        (("stream", past, "--rate", 44100), "--rate 44100: the model hears 4000 samples a second"),
        (("stream", past, "--rate", RATE, "--audio", clip), "--audio names a file, which says its own"),
        (("stream", classifier, "--audio", clip), "--audio is for models of sound"),
    ):
        assert said in refused(*arguments), arguments
    assert snapshot(model) == before


def test_recordings_that_cannot_be_read_are_left_out_on_request(model, out, tmp_path):
    records = rows(tmp_path / "clips", 20)
    (tmp_path / "clips/torn.wav").write_text("no sound")
    torn = {**records[0], "path": "clips/torn.wav"}
    data = write_csv(tmp_path / "clips.csv", [*records[:5], torn, *records[5:], {**torn, "path": "gone.wav"}])
    said = "recordings left out that cannot be read: 2, such as"
    done = gruvy(*command(out, "--drop-empty", data=data))
    assert done.code == 0, done
    assert said in done.err
    assert "torn.wav" in refused("predict", model, "--data", write_csv(tmp_path / "one.csv", [*records, torn]))
    heard = gruvy("predict", model, "--data", data, "--drop-empty")
    assert heard.err.startswith(said)
    lines = heard.out.splitlines()
    assert [Path(line.split("\t")[0]).name for line in lines] == [Path(row["path"]).name for row in records]
    judged = gruvy("evaluate", model, "--data", data, "--drop-empty", "--json")
    assert judged.err.startswith(said)
    assert judged.json["n"] == 20


def test_a_test_part_that_is_gone_is_told(out, tmp_path):
    data = manifest(tmp_path, 30)
    assert gruvy(*command(out, "--quiet", data=data)).code == 0
    clip = tmp_path / "clips/7.wav"
    sound = clip.read_bytes()
    soundfile.write(clip, np.zeros_like(soundfile.read(clip)[0]), RATE)  # as long as before
    assert "or a recording in it, has changed since the training" in refused("evaluate", out)
    clip.write_bytes(sound)
    assert gruvy("evaluate", out).code == 0
    data.write_text(data.read_text() + "\n")
    assert "has changed since the training" in refused("evaluate", out)
    data.unlink()
    assert "is no longer at" in refused("evaluate", out)
