"""Recordings of any rate become clips of one, and what was learned of them comes back from a file."""

import numpy as np
import pytest
import torch
from tests.fixtures.sound import RATE, glide, write

from gruvy.data.sound.inputs import SoundInputs, SoundValues
from gruvy.errors import BadInput
from gruvy.models.spectra import LogMel


@pytest.fixture
def paths(tmp_path):
    return [write(tmp_path / f"{n}.wav", glide("rise", 400 + 50 * n, 0.1 * (n + 1), seed=n)) for n in range(4)]


def test_frames_of_the_training_clips_are_normalised(paths):
    inputs = SoundInputs.fit(paths, LogMel)
    assert inputs.rate == RATE
    assert inputs.usual == pytest.approx(0.25)
    mel, clips = LogMel(RATE), inputs(paths)
    frames = [mel(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))[0][0] for clip in clips.clips]
    scaled = (torch.cat(frames).numpy() - inputs.mean) / inputs.scale
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-3)


def test_silence_has_a_scale(tmp_path):
    inputs = SoundInputs.fit([write(tmp_path / "a.wav", np.zeros(400))], LogMel)
    assert np.isfinite(inputs.mean).all()
    assert (inputs.scale > 0).all()


def test_paths_arrays_and_pairs_are_one(paths):
    inputs = SoundInputs.fit(paths, LogMel)
    whole = inputs(paths)[1]
    given = inputs([paths[1], whole, (whole, RATE), (np.repeat(whole, 2), 2 * RATE), (whole.astype(np.float64), RATE)])
    assert given.lengths.tolist() == [len(whole)] * 5
    for row in (1, 2, 4):
        np.testing.assert_array_equal(given[row], given[0])


def test_the_middle_of_a_long_recording_is_read(paths):
    inputs = SoundInputs.fit(paths, LogMel, most=0.2)
    assert inputs(paths).lengths.tolist() == [800, 1600, 1600, 1600]
    whole = SoundInputs.fit(paths, LogMel)(paths)[3]
    np.testing.assert_array_equal(inputs(paths)[3], whole[800:2400])


def test_recordings_are_made_equally_loud(paths):
    inputs = SoundInputs.fit(paths, LogMel, levelled=True)
    plain = SoundInputs.fit(paths, LogMel)(paths)
    silent, faint = np.zeros(500, np.float32), np.full(1, 0.5, np.float32)
    levelled = inputs([(clip * factor, RATE) for clip, factor in zip(plain.clips, (1, 0.1, 2, 5), strict=True)])
    for one, other in zip(levelled.clips, inputs(paths).clips, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
        assert 0.1 <= np.abs(one).max() < 0.5
    np.testing.assert_array_equal(inputs([silent])[0], silent)
    assert inputs([faint])[0] == pytest.approx([0.1])


def test_batches_are_padded(paths):
    values = SoundValues([np.full(3, 0.5, np.float32), np.full(1, 0.25, np.float32)])
    made = values.take([1, 0]).batch([0, 1])
    assert made["lengths"].tolist() == [1, 3]
    assert made["samples"].tolist() == [[0.25, 0, 0], [0.5, 0.5, 0.5]]


def test_what_was_learned_is_read_again(paths, tmp_path):
    inputs = SoundInputs.fit(paths, LogMel, rate=4000, most=7.5, levelled=True)
    inputs.save(tmp_path)
    again = SoundInputs.load(tmp_path)
    assert vars(again).keys() == vars(inputs).keys()
    for name, value in vars(inputs).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    (tmp_path / "inputs.json").write_text('{"rate": 8000}')
    with pytest.raises(BadInput, match="does not describe the inputs"):
        SoundInputs.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "recording 1 is 7; expected a path"),
        ((np.zeros(4), 0), "the rate is 0"),
        ((np.zeros(4), "fast"), "the rate is 'fast'"),
        (np.zeros(0), "recording 1 has no samples"),
        (np.array([np.inf]), "full scale is 1"),
        ("gone.wav", "gone.wav: no such file"),
    ],
)
def test_what_is_no_recording_is_refused(given, said):
    with pytest.raises(BadInput, match=said):
        SoundInputs(RATE, np.zeros(40), np.ones(40))([given])


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(BadInput, match="no recording to learn from"):
        SoundInputs.fit([], LogMel)
