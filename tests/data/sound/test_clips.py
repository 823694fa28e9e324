"""Files of sound come out as samples of one rate and channel, whatever is in them, or are refused by name."""

import numpy as np
import pytest
import soundfile
from tests.fixtures.sound import RATE, glide, write

from gruvy.data.sound.clips import check_rate, common_rate, read_clip, read_clips, to_clip
from gruvy.errors import BadInput


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_what_was_written_is_read(tmp_path, name):
    samples = glide("rise", 500)
    read = read_clip(write(tmp_path / name, samples), RATE)
    assert read.dtype == np.float32
    assert read.shape == samples.shape
    assert np.abs(read - samples).max() < (0.05 if name == "a.ogg" else 1e-4)


def test_channels_are_averaged(tmp_path):
    left, right = glide("rise", 500), glide("fall", 900)
    read = read_clip(write(tmp_path / "stereo.wav", np.stack([left, right], 1)), RATE)
    np.testing.assert_allclose(read, (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize(("own", "apart"), [(16_000, 1e-3), (44_100, 1e-3), (11_025, 1e-3), (8001, 0.06)])
def test_another_rate_is_resampled(tmp_path, own, apart):
    def tone(rate):
        time = np.arange(rate // 2) / rate
        return 0.3 * np.sin(2 * np.pi * 440 * time) * np.sin(2 * np.pi * time)

    read, wanted = read_clip(write(tmp_path / "a.wav", tone(own), own), RATE), tone(RATE)
    assert abs(len(read) - len(wanted)) <= 1
    size = min(len(read), len(wanted))
    assert np.abs(read[:size] - wanted[:size]).max() < apart


@pytest.mark.parametrize("samples", [np.zeros(800), np.ones(800), np.full(1, 0.5)], ids=["silent", "clipped", "one"])
def test_odd_clips_are_read_as_they_are(tmp_path, samples):
    read = read_clip(write(tmp_path / "a.wav", samples), RATE)
    np.testing.assert_allclose(read, samples, atol=1e-4)


def test_several_files_keep_their_order(tmp_path):
    paths = [write(tmp_path / f"{n}.wav", np.full(n, 0.1)) for n in (5, 1, 3)]
    assert [len(clip) for clip in read_clips(paths, RATE)] == [5, 1, 3]


def test_bad_files_are_named(tmp_path):
    write(tmp_path / "empty.wav", np.zeros(0))
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "cut.wav").write_bytes((write(tmp_path / "a.wav", glide("rise", 500))).read_bytes()[:20])
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), RATE, subtype="FLOAT")
    expected = {
        "empty.wav": "no samples", "text.wav": "no sound that can be read", "cut.wav": "no sound that can be read",
        "nan.wav": "full scale is 1", "gone.wav": "no such file",
    }  # fmt: skip
    for name, said in expected.items():
        with pytest.raises(BadInput, match=said) as refused:
            read_clip(tmp_path / name, RATE)
        assert name in str(refused.value)
    for path in (tmp_path, tmp_path / "text.wav", tmp_path / "cut.raw"):
        (tmp_path / "cut.raw").write_bytes(b"1234")
        with pytest.raises(BadInput):
            read_clip(path, RATE)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8])
def test_whole_numbers_are_of_so_many_bits(kind):
    scale = (np.iinfo(kind).max + 1) // 2 if kind == np.uint8 else np.iinfo(kind).max
    whole = (glide("rise", 500) * 0.9 * scale + (128 if kind == np.uint8 else 0)).round().astype(kind)
    np.testing.assert_allclose(to_clip(whole, RATE, RATE, "it"), glide("rise", 500) * 0.9, atol=0.01)


@pytest.mark.parametrize("samples", [np.array(["a"]), np.zeros((2, 2, 2)), np.zeros(4, complex)])
def test_other_arrays_are_refused(samples):
    with pytest.raises(BadInput, match="expected numbers"):
        to_clip(samples, RATE, RATE, "it")


@pytest.mark.parametrize("rate", [0, -8000, float("nan"), float("inf"), 1e9, "8000", None, True])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(BadInput, match=r"the rate is .*; expected samples a second"):
        check_rate(rate)


def test_the_most_frequent_rate_is_chosen_up_to_a_bound(tmp_path):
    def written(*rates):
        return [write(tmp_path / f"{place}.wav", np.zeros(9), rate) for place, rate in enumerate(rates)]

    assert common_rate(written(8000, 8000, 44_100)) == 8000
    assert common_rate(written(44_100)) == 16_000
