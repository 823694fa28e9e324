"""`gruvy train music`, `evaluate`, `predict` and `generate` as a user types them."""

import shutil

import mido
import numpy as np
import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures import prose, tagged
from tests.fixtures.music import (
    FILES,
    METRICS,
    NAME,
    data_file,
    mat_file,
    midi_file,
    npz_file,
    rolls,
    small_recipe,
    trained,
)

import gruvy as library
from gruvy.data.music import midi

QUICK = {"music": 1}  # one epoch
NOTES = [(60, 0, 480, 0), (64, 0, 480, 0), (67, 480, 960, 0)]


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def folder():
    return trained()[0]


@pytest.fixture
def song(tmp_path):
    return midi_file(tmp_path / "song.mid", NOTES, tempos=[(0, 72)])


def train(data, out, *more):
    return ("train", "music", "--data", *data, "--out", out, "--recipe", NAME, *more)


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*train([data_file()], out))
    assert (done.code, done.out.rstrip("\n")) == (0, trained()[1].printed)
    for part in ("14 pieces", "to train on", "cell gru", "epoch  1", f"gruvy generate {out} --out song.mid"):
        assert part in done.err
    assert {p.name for p in out.iterdir()} == FILES


def test_a_folder_of_midi_files(out, tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for number, roll in enumerate(rolls(8)):
        midi.write(folder / f"{number}.mid", roll, 2, 100.0)
    (folder / "broken.mid").write_bytes(b"no")
    with small_recipe(**QUICK):
        done = gruvy(*train([folder], out, "--steps-per-beat", 2, "--json"))
    assert done.code == 0, done.err
    assert "MIDI files left out: 1; the first:" in done.err
    assert set(done.json["metrics"]) == METRICS
    judged = gruvy("evaluate", out, "--data", folder, "--json")
    assert judged.json["n"] == sum(len(roll) - 1 for roll in rolls(8))
    assert "MIDI files left out: 1; the first:" in judged.err
    model = library.load(out)
    assert (model.inputs.steps_per_beat, model.inputs.tempo) == (2, 100)
    assert gruvy("evaluate", out, "--json").json["metrics"] == done.json["metrics"]


def test_several_midi_files_and_another_cell(out, tmp_path):
    files = [tmp_path / f"{number}.mid" for number in range(4)]
    for file, roll in zip(files, rolls(4), strict=True):
        midi.write(file, roll, 4, 100.0)
    with small_recipe(**QUICK):
        done = gruvy(*train(files, out, "--cell", "mgu", "--engine", "eager", "--quiet"))
    assert (done.code, done.err) == (0, "")
    assert (library.load(out).cell.name, library.load(out).engine) == ("mgu", "eager")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: [p / "none.mat"], "no such file"),
        (lambda p: [mat_file(p, pieces=rolls(3))], "has no traindata"),
        (lambda p: [npz_file(p, {"a": np.zeros((4, 61))})], "a is 4 x 61"),
        (lambda p: [npz_file(p, {"a": np.full((4, 88), 2000.0)})], "a has 2000 at step 1"),
        (lambda p: [npz_file(p, {"a": rolls(1)[0][:1]})], "at least 2 steps"),
        (lambda p: [midi_file(p / "one.mid", NOTES)], "expected at least 3"),
        (lambda p: [p / "d.txt"], "d.txt is no readable MIDI file"),
    ],
)
def test_music_that_cannot_be_used(out, tmp_path, make, said):
    (tmp_path / "d.txt").write_text("no music")
    assert said in refused(*train(make(tmp_path), out))
    assert not out.exists()


# Evaluation


def test_evaluation_says_again_what_training_measured(folder):
    measured = trained()[1].measured
    done = gruvy("evaluate", folder, "--json").json
    assert done["metrics"] == pytest.approx(measured["metrics"])
    assert done["baseline"] == pytest.approx(measured["baseline"])
    assert (done["n"], done["task"]) == (measured["n"], "music")


def test_evaluation_of_other_music(folder, tmp_path, song):
    file = mat_file(tmp_path, testdata=rolls(5, seed=3))
    done = gruvy("evaluate", folder, "--data", file, "--json").json
    assert done["n"] == sum(len(roll) - 1 for roll in rolls(5, seed=3))
    assert done["metrics"]["nll"] < done["baseline"]["nll"]
    said = gruvy("evaluate", folder, "--data", song)
    assert said.code == 0
    assert "1 pieces, 3 steps, the first of each left out" in said.out
    assert "note frequencies" in said.out


def test_evaluation_of_music_that_has_changed(tmp_path, out):
    file = npz_file(tmp_path)
    with small_recipe(**QUICK):
        assert gruvy(*train([file], out)).code == 0
    npz_file(tmp_path, dict(zip("abcd", rolls(4), strict=True)))
    assert "has changed since the training" in refused("evaluate", out)
    file.unlink()
    assert "no longer at" in refused("evaluate", out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--text", "a"], "--text names a column"), (["--data", "none.mid"], "no such file")],
)
def test_mistakes_of_evaluation(folder, arguments, said):
    assert said in refused("evaluate", folder, *arguments)


# Prediction


def test_prediction_of_a_song(folder, song):
    (line,) = gruvy("predict", folder, song).out.splitlines()
    assert line.startswith(f"{song}\t4 steps\tnll ")
    (done,) = [gruvy("predict", folder, "--data", song, "--json").json]
    assert done["steps"] == 4
    assert len(done["next"]) == 8
    assert all(0 < value < 1 for value in done["next"].values())
    assert "give a MIDI file" in refused("predict", folder)
    assert "an empty path came" in refused("predict", folder, "")
    for command in ("predict", "evaluate"):
        assert "--text names a column, and music has none" in refused(command, folder, "--data", song, "--text", "x")


# Writing


def test_music_is_written_as_midi(folder, tmp_path):
    files = [tmp_path / f"{name}.mid" for name in "ab"]
    for file in files:
        done = gruvy("generate", folder, "--out", file, "--length", 12, "--seed", 1, "--tempo", 90)
        assert (done.code, done.out) == (0, f"{file}: 12 steps, 2 a beat\n")
    assert files[0].read_bytes() == files[1].read_bytes()
    assert mido.MidiFile(files[0]).length == pytest.approx(12 / 2 * 60 / 90, abs=0.01)
    assert midi.read(files[0], 2).tempo == pytest.approx(90, abs=0.01)


def test_the_beginning_is_at_the_beginning(folder, tmp_path, song):
    file = tmp_path / "more.mid"
    done = gruvy("generate", folder, "--prompt", song, "--out", file, "--length", 9, "--seed", 2)
    assert done.out == f"{file}: 9 steps after 4 of {song}, 2 a beat\n"
    written = midi.read(file, 2)
    assert (written.roll[:4] == midi.read(song, 2).roll).all()
    assert written.tempo == pytest.approx(72, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--out is missing: expected a name that ends in .mid"), (["--out", "a.wav"], "--out a.wav: expected"),
        (["--out", "a.mid", "--length", 0], "--length 0"), (["--out", "a.mid", "--seed", -1], "--seed -1"),
        (["--out", "a.mid", "--temperature", -1], "--temperature -1"), (["--out", "a.mid", "--tempo", 0], "--tempo 0"),
        (["--out", "a.mid", "--prompt", "none.mid"], "none.mid is no readable MIDI file (No such file"),
        (["--out", "no/such/folder/a.mid"], "cannot be written"),
    ],
)  # fmt: skip
def test_mistakes_of_writing(folder, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused("generate", folder, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_language_model_writes_no_midi():
    with prose.small_recipe(tokens=1):
        folder, _ = prose.trained("word")
    assert "--out is for music" in refused("generate", folder, "--out", "a.mid")


def test_a_model_that_tags_writes_nothing():
    with tagged.small_recipe(**tagged.QUICK):
        folder, _ = tagged.trained("words")
    assert "holds a model that does not write" in refused("generate", folder, "--out", "a.mid")


def test_a_damaged_model(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "inputs.json").write_text("{}")
    assert "is not as it was saved" in refused("evaluate", copy)
