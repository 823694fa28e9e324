"""Frames of spectra are those of an independent computation, heed no padding, and can be had chunk by chunk."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct
from scipy.signal import ShortTimeFFT
from tests.fixtures.sound import RATE, glide

from gruvy.models.spectra import (
    Augmentation,
    LogMel,
    MaskBands,
    Spectra,
    at_pace,
    coloured,
    cropped,
    disturbed,
    drifting,
    mel_filters,
)

CLIPS = [glide("rise", 500), glide("fall", 900, 0.4), glide("flat", 300, 0.031), np.full(1, 0.5, np.float32)]
ALL = Augmentation(crop=0.3, gain=6, colour=3, noise=1, shift=0.05, warp=0.2, pace=0.3, drift=0.3, masked_bands=0.2,
                   masked_frames=0.2)  # fmt: skip


def batch(clips, extra=0, filler=0.0):
    lengths = torch.tensor([len(clip) for clip in clips])
    samples = torch.full((len(clips), int(lengths.max()) + extra), filler)
    for row, clip in zip(samples, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip)
    return samples, lengths


# What a frame is


def by_hand(clip, rate, mels, window, hop):
    """Log-mel frames by loops over bands, from scipy's short-time Fourier transform."""
    size = 2 ** math.ceil(math.log2(window))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, max(1, len(clip) - window + 1), hop)
    frames = [clip[s : s + window] - clip[s : s + window].mean() for s in starts]
    transform = ShortTimeFFT(hann, hop=window, fs=rate, mfft=size, phase_shift=None)
    power = np.stack([np.abs(transform.stft(f, p0=0, p1=1, k_offset=window // 2)[:, 0]) ** 2 for f in frames])
    power /= (hann**2).sum()
    mel = lambda hertz: 2595 * math.log10(1 + hertz / 700)  # noqa: E731
    step = mel(rate / 2) / (mels + 1)
    bands = np.zeros((len(frames), mels))
    for band in range(mels):
        for bin in range(size // 2 + 1):
            weight = 1 - abs(mel(bin * rate / size) - step * (band + 1)) / step
            bands[:, band] += power[:, bin] * max(0.0, weight)
    return np.log(bands + 1e-7)


@pytest.mark.parametrize(("rate", "mels"), [(8000, 40), (16_000, 40), (11_025, 23)])
def test_frames_are_those_of_scipy(rate, mels):
    spectra, clip = LogMel(rate, mels), glide("rise", 700, 0.3, rate)
    frames, lengths = spectra(*batch([clip]))
    wanted = by_hand(clip.astype(np.float64), rate, mels, spectra.window, spectra.hop)
    assert lengths.tolist() == [len(wanted)]
    np.testing.assert_allclose(frames[0], wanted, atol=2e-3)


def test_cepstra_are_the_cosine_transform_of_the_bands():
    bands, _ = LogMel(RATE)(*batch(CLIPS[:1]))
    cepstra, _ = LogMel(RATE, cepstra=13)(*batch(CLIPS[:1]))
    np.testing.assert_allclose(cepstra[0], dct(bands[0].numpy(), norm="ortho")[:, :13], atol=1e-4)


@pytest.mark.parametrize("rate", [1000, 4000, 8000, 16_000, 44_100, 48_000])
def test_every_band_hears_something(rate):
    spectra = LogMel(rate, 80)
    assert (spectra.filters.sum(0) > 0).all()


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    spectra = LogMel(RATE)
    frames, _ = spectra(*batch([glide("flat", 1000, 0.5)]))
    peak = frames[0].mean(0).argmax().item() + 1
    step = 2595 * math.log10(1 + 4000 / 700) / 41
    assert abs(peak * step - 2595 * math.log10(1 + 1000 / 700)) < step


# Padding, odd clips, chunks


def test_padding_changes_nothing():
    spectra = LogMel(RATE)
    frames, lengths = spectra(*batch(CLIPS, extra=500, filler=3.0))
    for row, clip in enumerate(CLIPS):
        alone, (count,) = spectra(*batch([clip]))
        assert lengths[row] == count >= 1
        torch.testing.assert_close(frames[row, :count], alone[0])
        assert not frames[row, count:].any()


@pytest.mark.parametrize("clip", [np.zeros(400), np.ones(400), np.zeros(1)], ids=["silent", "clipped", "one"])
def test_odd_clips_give_finite_frames(clip):
    frames, lengths = LogMel(RATE)(*batch([clip.astype(np.float32)]))
    assert torch.isfinite(frames).all()
    assert lengths.tolist() == [max(1, (len(clip) - 200) // 80 + 1)]


@given(st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_chunks_give_the_frames_of_the_whole(sizes):
    clip = np.random.default_rng(0).normal(size=max(200, sum(sizes))).astype(np.float32)
    spectra = LogMel(RATE)
    whole, _ = spectra(*batch([clip]))
    ends, found, rest = np.cumsum(sizes), [], clip[:0]
    for chunk in np.split(clip, ends[ends < len(clip)]):
        rest = np.concatenate([rest, chunk])
        if len(rest) >= spectra.window:
            frames, (count,) = spectra(*batch([rest]))
            found.append(frames[0])
            rest = rest[int(count) * spectra.hop :]
    torch.testing.assert_close(torch.cat(found), whole[0], atol=1e-4, rtol=1e-4)


def test_many_long_clips_are_taken_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("gruvy.models.spectra._AT_ONCE", 3000)
    frames, _ = LogMel(RATE)(*batch(CLIPS), warp=torch.linspace(0.9, 1.1, 4))
    monkeypatch.undo()
    torch.testing.assert_close(LogMel(RATE)(*batch(CLIPS), warp=torch.linspace(0.9, 1.1, 4))[0], frames)


# What is done in training


def test_a_warp_moves_frequencies_and_keeps_the_highest():
    plain = mel_filters(RATE, 256, 40)
    warped = mel_filters(RATE, 256, 40, torch.tensor([1.0, 1.2, 0.8]))
    torch.testing.assert_close(warped[0], plain)
    peaks = warped.argmax(1)
    assert (peaks[1, 10:25] < peaks[0, 10:25]).all()
    assert (peaks[2, 10:25] > peaks[0, 10:25]).all()
    assert torch.isfinite(warped).all()
    assert warped[:, -1].max() < 1e-5


def test_a_warp_is_what_a_higher_voice_sounds_like():
    spectra = LogMel(RATE)
    lower, higher = (spectra(*batch([glide("flat", hertz, 0.4)]))[0][0] for hertz in (500, 600))
    warped = spectra(*batch([glide("flat", 500, 0.4)]), warp=torch.tensor([1.2]))[0][0]
    assert (warped - higher).abs().mean() < 0.3 * (lower - higher).abs().mean()


def test_a_bend_moves_some_frequencies_up_and_others_down():
    plain = mel_filters(RATE, 256, 40).argmax(0)
    bent = mel_filters(RATE, 256, 40, bend=torch.tensor([[0.1, 0.0, 0.0, -0.1], [0.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(bent[1], mel_filters(RATE, 256, 40))
    peaks = bent[0].argmax(0)
    assert (peaks[8:18] <= plain[8:18]).all()
    assert (peaks[12:18] < plain[12:18]).any()
    assert (peaks[-6:-1] > plain[-6:-1]).all()
    frames, _ = LogMel(RATE)(*batch(CLIPS), bend=torch.zeros(len(CLIPS), 4))
    torch.testing.assert_close(frames, LogMel(RATE)(*batch(CLIPS))[0])


def test_masks_hide_whole_bands_and_frames_in_training_only():
    torch.manual_seed(0)
    x, lengths = torch.ones(20, 30, 16), torch.full((20,), 30)
    mask = MaskBands(0.3, 0.3)
    masked = mask(x, lengths)
    hidden = masked == 0
    assert (hidden == (hidden.all(1, keepdim=True) | hidden.all(2, keepdim=True))).all()
    assert 0.05 < hidden.float().mean() < 0.6
    assert (mask.eval()(x, lengths) == x).all()


def test_pace_stretches_and_keeps_the_ends():
    frames = torch.arange(10.0)[None, :, None].expand(2, 10, 3).contiguous()
    slow, lengths = at_pace(frames, torch.tensor([10, 4]), torch.tensor([[0.5], [2.0]]).expand(2, 10))
    assert lengths.tolist() == [20, 2]
    np.testing.assert_allclose(slow[0, :, 0], np.minimum(np.arange(20) / 2, 9))
    np.testing.assert_allclose(slow[1, :2, 0], [0, 2])


def test_a_pace_that_changes_draws_out_some_frames_and_shortens_others():
    frames = torch.arange(8.0)[None, :, None]
    pace = torch.tensor([[0.5, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0, 2.0]])
    changed, lengths = at_pace(frames, torch.tensor([8]), pace)
    assert lengths.tolist() == [10]
    np.testing.assert_allclose(changed[0, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 6])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), most=st.sampled_from([0.0, 0.1, 0.6]), steps=st.sampled_from([1, 2, 30, 300]))
def test_a_clip_whose_pace_drifts_goes_on_to_its_end(seed, most, steps):
    torch.manual_seed(seed)
    frames = torch.arange(float(steps))[None, :, None]
    pace = drifting(frames, most)
    assert pace.shape == (1, steps)
    assert ((pace - 1).abs() <= most + 1e-6).all()
    changed, lengths = at_pace(frames, torch.tensor([steps]), pace)
    assert abs(int(lengths) - float((1 / pace).sum())) <= 0.5 + 1e-3 or int(lengths) == 1
    moved = changed[0, :, 0].diff()
    assert ((moved >= 0) & (moved <= 1 + most + 1e-3)).all()
    assert changed[0, 0, 0] == 0
    assert changed[0, -1, 0] >= steps - 1 - (1 + most)


def test_crops_are_stretches_of_their_clips():
    samples = torch.arange(100.0).expand(6, -1) + 1
    lengths = torch.tensor([100, 50, 20, 19, 1, 100])
    samples = samples * (torch.arange(100) < lengths[:, None])
    found, kept = cropped(samples, lengths, 20)
    assert found.shape == (6, 20)
    assert kept.tolist() == [20, 20, 20, 19, 1, 20]
    for row, count in zip(found, kept, strict=True):
        assert (row[1:count] - row[: count - 1] == 1).all()
    assert cropped(samples, lengths, 0)[0] is samples


def test_disturbances_leave_padding_to_the_frames_and_clips_in_place():
    torch.manual_seed(0)
    samples, lengths = batch(CLIPS)
    quiet = disturbed(samples, lengths, Augmentation(), RATE)
    assert quiet is samples
    moved = disturbed(samples, lengths, Augmentation(shift=0.01), RATE)
    assert (moved.abs().sum(1) <= samples.abs().sum(1) + 1e-4).all()
    louder = disturbed(samples, lengths, Augmentation(gain=6), RATE)
    ratio = louder.norm(dim=1) / samples.norm(dim=1)
    torch.testing.assert_close(louder, samples * ratio[:, None])
    noisy = disturbed(samples, lengths, Augmentation(noise=1), RATE) - samples
    share = noisy[0, : lengths[0]].square().mean() / samples[0, : lengths[0]].square().mean()
    assert 1e-5 < share < 0.1


def test_colours_are_smooth_and_of_so_many_decibels():
    torch.manual_seed(0)
    decibels = 10 * coloured(500, 40, 3.0, torch.zeros(1)).log10()
    assert 2 < decibels.std() < 3.5
    assert decibels.diff().abs().mean() < 1


def test_spectra_are_normalised_and_disturbed_in_training_only():
    torch.manual_seed(0)
    mel = LogMel(RATE)
    frames, lengths = mel(*batch(CLIPS[:1]))
    spectra = Spectra(mel, frames[0].mean(0), frames[0].std(0), ALL)
    plain, _ = spectra.eval()(*batch(CLIPS, extra=90))
    torch.testing.assert_close(plain[0, : lengths[0]].mean(0), torch.zeros(40), atol=1e-4, rtol=0)
    torch.testing.assert_close(spectra(*batch(CLIPS))[0], plain[:, : spectra(*batch(CLIPS))[0].shape[1]])
    spectra.train()
    one, counts = spectra(*batch(CLIPS))
    other, _ = spectra(*batch(CLIPS))
    assert torch.isfinite(one).all()
    assert (counts >= 1).all()
    assert one.shape != other.shape or (one != other).any()
    assert not one[torch.arange(one.shape[1]) >= counts[:, None]].any()
