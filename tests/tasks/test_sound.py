"""A stream of sound is answered sound by sound, however it is cut; identical recordings are told."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.sound import RATE, glide, write

from gruvy.errors import BadInput
from gruvy.tasks.modalities.sound import Listener, groups, with_settings
from gruvy.tasks.recipes import SoundRecipe

GAP = np.zeros(RATE // 2, np.float32)


def heard(samples, usual=0.3, size=777, says=lambda clip: f"{len(clip) / RATE:.1f}"):
    """What a listener with a model that says how long a clip is makes of a stream."""

    def predict(clips):
        return [{"label": says(clip), "probability": 0.9, "probabilities": {}} for clip in clips]

    listener = Listener(SimpleNamespace(inputs=SimpleNamespace(rate=RATE, usual=usual), predict=predict))
    found = [one for start in range(0, len(samples), size) for one in listener.hear(samples[start : start + size])]
    return found + listener.hear(np.zeros(0, np.float32), last=True)


def tones(*seconds):
    return np.concatenate([GAP, *(part for s in seconds for part in (glide("flat", 600, s), GAP))])


def test_sounds_with_gaps_are_told_apart():
    found = heard(tones(0.3, 0.4, 0.3))
    starts = [0.5, 1.3, 2.2]
    for one, start, seconds in zip(found, starts, (0.3, 0.4, 0.3), strict=True):
        assert one["time"] == pytest.approx(start, abs=0.1)
        assert one["end"] == pytest.approx(start + seconds, abs=0.1)
        assert one.keys() == {"time", "end", "label", "probability"}


@given(st.integers(1, 5000))
def test_the_size_of_chunks_changes_nothing(size):
    samples = tones(0.3, 0.5)
    assert heard(samples, size=size) == heard(samples)


def test_noise_between_sounds_is_not_heard():
    noise = np.random.default_rng(0).normal(size=10 * RATE).astype(np.float32)
    samples = tones(0.3, 0.3, 0.3)
    assert len(heard(samples + 0.003 * noise[: len(samples)])) == 3
    assert heard(0.003 * noise) == []
    assert heard(np.zeros(5 * RATE)) == []


def test_clicks_are_passed_over():
    click = np.concatenate([GAP, np.full(40, 0.5, np.float32), GAP])
    assert heard(np.concatenate([click, click]), usual=0.6) == []


def test_what_goes_on_is_answered_in_windows_and_said_once():
    long = np.concatenate([GAP, glide("flat", 600, 3.0), GAP])
    assert len(heard(long, says=lambda clip: "the same")) == 1
    turns = iter(["one", "one", "two", "two", "two", "two"])
    assert [one["label"] for one in heard(long, says=lambda clip: next(turns))] == ["one", "two"]


def test_the_same_sound_again_after_a_window_that_was_full_is_said_again():
    full = np.concatenate([GAP, glide("flat", 600, 0.78), GAP, glide("flat", 600, 0.4), GAP])
    assert len(heard(full, says=lambda clip: "the same")) == 2


def test_a_sound_that_the_stream_ends_in_is_answered():
    assert len(heard(tones(0.3)[: -len(GAP) - 200])) == 1


def test_identical_recordings_share_a_number(tmp_path):
    one, other = ((glide(label, 500) * 30_000).astype(np.int16) for label in ("rise", "fall"))
    paths = [write(tmp_path / f"{n}.wav", samples) for n, samples in enumerate((one, other, one))]
    paths.append(write(tmp_path / "3.flac", other))
    assert groups(paths).tolist() == [0, 1, 0, 1]


def test_a_recording_that_is_none_is_told_by_its_place_among_all():
    sounds = [(GAP, RATE)] * 300 + [(None, RATE)]
    with pytest.raises(BadInput, match="recording 301 is"):
        groups(sounds)


def test_settings_change_the_recipe():
    assert with_settings(SoundRecipe(), {}) == SoundRecipe()
    changed = with_settings(SoundRecipe(), {"features": "mfcc", "rate": 16_000})
    assert (changed.features, changed.rate) == ("mfcc", 16_000)
    with pytest.raises(BadInput, match="the rate is 0"):
        with_settings(SoundRecipe(), {"rate": 0})
