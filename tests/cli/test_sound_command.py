"""`gruvy train classify|regress --audio`, and what the models say, as a user types it."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from tests.cli.run import gruvy, refused
from tests.fixtures.small import write_csv
from tests.fixtures.sound import GLIDES, NAME, RATE, glide, names_folder, write

import gruvy as library
from gruvy.errors import BadInput


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    names_folder(folder / "clips")
    for label in GLIDES:
        for take in range(6):
            write(folder / "folders" / label / f"{take}.wav", glide(label, 500 + 60 * take, 0.25, seed=take))
    rows = [
        {"path": f"folders/{label}/{take}.wav", "hertz": str(500 + 60 * take), "take": str(take)}
        for label in GLIDES
        for take in range(6)
    ]
    write_csv(folder / "manifest.csv", rows)
    return folder


@pytest.fixture(scope="module")
def model(place):
    done = gruvy("train", "classify", "--audio", place / "clips", "--recipe", NAME, "--out", place / "model")
    assert done.code == 0, done
    return place / "model", done


def train(place, task, *more, out):
    return gruvy("train", task, "--recipe", NAME, "--out", place / out, "--json", *more)


def test_training_says_what_it_read_and_beats_a_guess(model):
    folder, done = model
    assert "54 rows" in done.err
    assert "labels: the names up to the first _ or -" in done.err
    assert "mean MFCC + logistic regression" in done.out
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured["metrics"]["accuracy"] > 0.6
    assert (folder / "inputs.json").is_file()


def test_a_speaker_is_on_one_side_of_the_test_part(place):
    done = train(place, "classify", "--audio", place / "clips", "--group", "speaker", "--fold", "1/3", out="grouped")
    assert done.code == 0, done
    assert done.json["n"] == 18
    rows = json.loads((place / "grouped" / "split.json").read_text())["rows"]
    names = sorted(p.name for p in (place / "clips").iterdir())
    speakers = {part: {names[row - 1].split("_")[1] for row in rows[part]} for part in rows}
    assert not speakers["test"] & (speakers["train"] | speakers["validation"])
    assert len(speakers["test"]) == 1


def test_evaluate_and_predict_agree_with_training(model, place):
    folder, _ = model
    before = json.loads((folder / "metrics.json").read_text())
    assert gruvy("evaluate", folder, "--json").json["metrics"] == pytest.approx(before["metrics"])
    clips = sorted((place / "clips").glob("rise_ann_*.wav"))[:2]
    one, two = gruvy("predict", folder, *clips).out.splitlines()
    assert one.split("\t")[0] in GLIDES
    loaded = library.load(folder)
    found = loaded.predict([str(clip) for clip in clips])
    assert [line.split("\t")[0] for line in (one, two)] == [answer["label"] for answer in found]
    assert loaded.predict(clips[0]) == loaded.predict(str(clips[0]))
    samples = glide("rise", 700)
    assert loaded.predict(samples)["label"] == loaded.predict((samples, RATE))["label"]
    everything = gruvy("predict", folder, "--audio", place / "clips").out.splitlines()
    assert len(everything) == 54
    judged = gruvy("evaluate", folder, "--audio", place / "clips", "--json").json
    assert judged["n"] == 54


def test_odd_recordings_are_predicted(model, tmp_path):
    folder, _ = model
    stereo = np.stack([glide("rise", 500, rate=44_100)] * 2, 1)
    odd = {"silent": np.zeros(900), "clipped": np.ones(900), "one": np.full(1, 0.1), "stereo": stereo}
    paths = [write(tmp_path / f"{name}.wav", samples, 44_100) for name, samples in odd.items()]
    answers = [json.loads(line) for line in gruvy("predict", folder, *paths, "--json").out.splitlines()]
    assert len(answers) == 4
    assert all(np.isfinite(answer["probability"]) for answer in answers)


def test_folders_mfcc_and_another_rate_and_cell(place):
    done = train(place, "classify", "--audio", place / "folders", "--features", "mfcc", "--rate", 4000, "--cell",
                 "mingru", out="folders_model")  # fmt: skip
    assert done.code == 0, done
    config = json.loads((place / "folders_model" / "config.json").read_text())
    assert (config["recipe"]["features"], config["recipe"]["rate"]) == ("mfcc", 4000)
    assert gruvy("evaluate", place / "folders_model", "--json").code == 0


def test_evaluate_knows_the_recordings_of_the_training(place, tmp_path):
    shutil.copytree(place / "folders", tmp_path / "folders")
    shutil.copy(place / "manifest.csv", tmp_path)
    listed = ("--data", tmp_path / "manifest.csv", "--audio", "path", "--target", "hertz")
    assert train(tmp_path, "regress", *listed, out="listed").code == 0
    assert train(tmp_path, "classify", "--audio", tmp_path / "folders", out="held").code == 0
    (tmp_path / "folders" / ".DS_Store").write_text("what a Mac leaves behind")
    (tmp_path / "folders" / "rise" / "._0.wav").write_text("that, too")
    assert [gruvy("evaluate", tmp_path / out).code for out in ("listed", "held")] == [0, 0]
    clip = tmp_path / "folders" / "rise" / "0.wav"
    write(clip, np.zeros_like(soundfile.read(clip)[0]))  # as long as before
    said = refused("evaluate", tmp_path / "listed")
    assert "manifest.csv, or a file read with it, has changed since the training" in said
    assert said.endswith("give --data FILE")
    assert refused("evaluate", tmp_path / "held").endswith("so its test rows are unknown; give --audio DIR")
    clip.unlink()
    assert "has changed since the training" in refused("evaluate", tmp_path / "listed")


def test_what_is_left_out_is_said(model, place, tmp_path):
    shutil.copytree(place / "clips", tmp_path / "clips")
    (tmp_path / "clips" / "rise_ann_x.wav").write_text("no sound")
    done = train(tmp_path, "classify", "--audio", tmp_path / "clips", "--drop-empty", out="out")
    assert done.code == 0, done
    said = "recordings left out that cannot be read: 1, such as"
    assert said in done.err
    for command in ("predict", "evaluate"):
        done = gruvy(command, model[0], "--audio", tmp_path / "clips", "--drop-empty")
        assert done.err.startswith(said)
    assert len(gruvy("predict", model[0], "--audio", tmp_path / "clips", "--drop-empty").out.splitlines()) == 54


def test_numbers_from_a_manifest(place):
    done = train(place, "regress", "--data", place / "manifest.csv", "--audio", "path", "--target", "hertz",
                 "--group", "take", out="numbers")  # fmt: skip
    assert done.code == 0, done
    assert "mean MFCC + ridge regression" in done.json["baselines"]
    assert gruvy("evaluate", place / "numbers", "--json").json["metrics"] == pytest.approx(done.json["metrics"])
    said = gruvy("predict", place / "numbers", "--data", place / "manifest.csv", "--audio", "path").out.splitlines()
    assert len(said) == 18
    assert all(np.isfinite(float(line.split("\t")[1])) for line in said)


def test_a_stream_is_answered_sound_by_sound(model, tmp_path):
    folder, _ = model
    gap = np.zeros(RATE // 2, np.float32)
    samples = np.concatenate([gap, glide("rise", 750, 0.3), gap, glide("fall", 750, 0.3), gap])
    done = gruvy("stream", folder, "--audio", write(tmp_path / "two.wav", samples))
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["time"] for answer in answers] == pytest.approx([0.5, 1.3], abs=0.1)
    assert {answer["label"] for answer in answers} <= GLIDES.keys()
    raw = (samples * 32767).round().astype("<i2").tobytes()
    streamed = gruvy("stream", folder, "--rate", RATE, stdin=raw)
    labels = [json.loads(line)["label"] for line in streamed.out.splitlines()]
    assert labels == [answer["label"] for answer in answers]


def test_mistakes_are_one_sentence(model, place, tmp_path):
    folder, _ = model
    train = ("train", "classify", "--out", tmp_path / "out", "--audio")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "bad" / "a_1.wav", np.ones(9))
    write(tmp_path / "bad" / "b_1.wav", np.ones(9))
    (tmp_path / "bad" / "b_2.wav").write_text("no sound")
    one = write(tmp_path / "alone" / "a_1.wav", np.ones(9)).parent
    assert "there is no such directory" in refused(*train, tmp_path / "gone")
    assert "holds no recordings" in refused(*train, tmp_path / "empty")
    assert "b_2.wav holds no sound that can be read" in refused(*train, tmp_path / "bad")
    assert "'a'" in refused(*train, one)
    assert "the rate is -5" in refused(*train, place / "clips", "--rate", -5)
    assert "give --audio too" in refused("train", "classify", "--data", place / "manifest.csv", "--rate", 8000,
                                         "--out", tmp_path / "out")  # fmt: skip
    assert "no such file" in refused("predict", folder, tmp_path / "gone.wav")
    assert f"the model hears {RATE}" in refused("stream", folder, "--rate", 16_000, stdin=b"")
    assert "which says its own" in refused("stream", folder, "--rate", 16_000, "--audio", place / "clips")
    assert "ffmpeg -f s16le -ar 16000" in refused("stream", folder, "--rate", 16_000, stdin=b"")
    assert "nothing to hear" in refused("stream", folder)
    assert "standard input is empty; give raw" in refused("stream", folder, stdin=b"")
    assert "nothing of a sound is kept" in refused("stream", folder, "--state", "s", "--audio", place / "clips")
    assert "an empty path came" in refused("predict", folder, "")
    write(tmp_path / "new" / "sink_ann_0.wav", np.ones(9))
    assert "sink_ann_0.wav has the label 'sink', which" in refused("evaluate", folder, "--audio", tmp_path / "new")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match="the rate is 0"):
        library.load(folder).predict((np.zeros(9), 0))
