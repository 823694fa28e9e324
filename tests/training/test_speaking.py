"""A training on recordings: its parts, its baselines, and that it can be repeated."""

import numpy as np
import pytest
import soundfile
from tests.fixtures.small import train, write_csv
from tests.fixtures.speech import QUICK, RATE, request, rows, shared, small_recipe, spoken

from gruvy.data.sound.inputs import SoundValues
from gruvy.training.speaking import SpeechStudy
from gruvy.training.utterances import NearestRecording, most_frequent, strange_characters


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe(**QUICK):
        yield


def parts(tmp_path, data, **changes):
    """Manifest rows of each part."""
    study = SpeechStudy(request(tmp_path / "out", data, **changes))
    return {name: part.rows.tolist() for name, part in study.parts.items()}, study


def test_every_recording_is_in_one_part_and_equal_ones_are_together(tmp_path):
    records = rows(tmp_path / "clips", 30)
    for number in range(30, 40):  # the same recordings under other names
        again = tmp_path / f"clips/{number}.wav"
        again.write_bytes((tmp_path / f"clips/{number - 30}.wav").read_bytes())
        records.append({**records[number - 30], "path": f"clips/{number}.wav"})
    data = write_csv(tmp_path / "clips.csv", records)
    found, _ = parts(tmp_path, data)
    assert sorted(row for part in found.values() for row in part) == list(range(1, 41))
    assert all(any({row, row + 30} <= set(part) for part in found.values()) for row in range(1, 11))
    assert found == parts(tmp_path, data)[0]
    assert found != parts(tmp_path, data, seed=1)[0]


def test_given_parts_take_nothing_from_the_data(tmp_path):
    data, other = shared(40), shared(160)
    whole = list(range(1, 41))
    both, study = parts(tmp_path, data, settings={"valid": str(other), "test": str(other)})
    assert both == {"train": whole, "validation": list(range(1, 161)), "test": list(range(1, 161))}
    assert "160 recordings to test" in study.introduction
    tested, _ = parts(tmp_path, data, settings={"test": str(other)})
    assert sorted(tested["train"] + tested["validation"]) == whole
    assert len(tested["test"]) == 160
    validated, _ = parts(tmp_path, data, settings={"valid": str(other)})
    assert sorted(validated["train"] + validated["test"]) == whole


def test_the_same_training_gives_the_same_model(tmp_path):
    first, second = (train(request(tmp_path / name, shared(40))) for name in "ab")
    assert first.measured["metrics"] == second.measured["metrics"]
    assert first.measured["history"] == second.measured["history"]
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


@pytest.mark.parametrize(("pace", "frames"), [(1.0, 4), (3.0, 2), (20.0, 1)])
def test_fast_speech_gets_shorter_steps(tmp_path, pace, frames):
    rng, records = np.random.default_rng(0), []
    for number in range(20):
        text = " ".join(rng.choice(["mi", "la"], 3))
        soundfile.write(tmp_path / f"{number}.wav", spoken(text, rng, pace=pace), RATE)
        records.append({"path": f"{number}.wav", "text": text})
    study = SpeechStudy(request(tmp_path / "out", write_csv(tmp_path / "clips.csv", records)))
    study.learn()
    assert study.recipe.frames_per_step == frames
    assert all(len(fit.train) for fit in study.fits(study.build()))


def test_baselines_say_what_training_recordings_said():
    rng = np.random.default_rng(0)
    texts = ["do", "mi", "la", "mi"]
    clips = SoundValues([spoken(text, rng) for text in texts])
    nearest = NearestRecording(RATE, clips, texts)
    assert nearest.transcripts(SoundValues([spoken(text, rng) for text in ("la", "do")])) == ["la", "do"]
    assert nearest.transcripts(SoundValues([np.zeros(1, np.float32)]))[0] in texts
    assert most_frequent(texts) == "mi"


def test_characters_that_training_never_had_are_told():
    assert strange_characters(["do mi"], " dimo", "test part") == []
    (said,) = strange_characters(["d\u00f4!", "!!"], " dimo", "test part")
    assert said.startswith("2 character(s) of the test part, 4 times in all, were never")
    assert said.endswith("'!' '\u00f4'")
