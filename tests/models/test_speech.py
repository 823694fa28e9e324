"""The recogniser: padding, streams, what its parts see."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gruvy.cells import CATALOGUE, cell, tanh
from gruvy.errors import BadInput
from gruvy.models.spectra import Augmentation
from gruvy.models.speech import speech_model

RATE = 4000
STILL = Augmentation()


def model(bidirectional=False, cell=CATALOGUE["gru"], stride=2, augmentation=STILL, look_ahead=3):
    torch.manual_seed(0)
    made = speech_model(
        5, RATE, torch.randn(12), torch.rand(12) + 0.5, cell, augmentation=augmentation, hidden_size=16,
        num_layers=2, bidirectional=bidirectional, stride=stride, look_ahead=look_ahead, locked_dropout=0.0,
        dropout=0.0, engine="auto",
    )  # fmt: skip
    made.train()
    for seed in range(3):  # so that batch normalisation has seen something
        made(batch([clip(3000, seed)]))
    return made.eval()


def clip(length, seed=0):
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


def batch(clips):
    return {
        "samples": torch.nn.utils.rnn.pad_sequence(clips, batch_first=True),
        "lengths": torch.tensor([len(c) for c in clips]),
    }


def chunked(network, samples, sizes):
    """Log-probabilities of a clip that is heard in chunks of so many samples, over and over."""
    said, heard, place, number = [], None, 0, 0
    while place < len(samples):
        size = sizes[number % len(sizes)]
        found, heard = network.hear(samples[place : place + size], heard)
        said.append(found)
        place, number = place + size, number + 1
    return torch.cat([*said, network.hear(samples[:0], heard, last=True)[0]])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_padded_batch_gives_what_its_clips_give_alone(bidirectional):
    network, clips = (
        model(bidirectional, augmentation=Augmentation(warp=0.1)),
        [clip(n, n) for n in (1, 99, 100, 2345, 4000)],
    )
    with torch.no_grad():
        together = network(batch(clips))
        for row, one in zip(together, clips, strict=True):
            alone = network(batch([one]))[0]
            steps = int(network.steps(torch.tensor(len(one))))
            assert alone.shape == (steps, 6)
            torch.testing.assert_close(row[:steps], alone, atol=1e-5, rtol=0)
            assert row[steps:].isnan().all()
            torch.testing.assert_close(alone.exp().sum(-1), torch.ones(steps))


@torch.no_grad()
def test_what_is_said_is_the_mean_over_three_pitches():
    assert model().pitches.tolist() == [1.0]
    network, samples = model(augmentation=Augmentation(warp=0.2)), clip(2000)
    said = network(batch([samples]))[0]
    alone = []
    for pitch in (0.88, 1.0, 1.14):
        network.pitches.fill_(pitch)
        alone.append(network(batch([samples]))[0].exp())
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    torch.testing.assert_close(said.exp(), torch.stack(alone).mean(0))


@pytest.mark.parametrize(("name", "stride", "look_ahead"), [("gru", 2, 5), ("lstm", 3, 1), ("mgu", 1, 0)])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_chunks_of_any_size_give_the_whole(name, stride, look_ahead, data):
    network = model(cell=CATALOGUE[name], stride=stride, augmentation=Augmentation(warp=0.2), look_ahead=look_ahead)
    samples = clip(data.draw(st.sampled_from([1, 99, 100, 101, 140, 777, 3210])))
    sizes = data.draw(st.lists(st.integers(20, 1500), min_size=1, max_size=4))
    with torch.no_grad():
        whole = network(batch([samples]))[0]
        torch.testing.assert_close(chunked(network, samples, sizes), whole, atol=1e-5, rtol=0)


def test_single_samples_make_a_stream_too():
    network, samples = model(), clip(333)
    with torch.no_grad():
        torch.testing.assert_close(chunked(network, samples, [1]), network(batch([samples]))[0], atol=1e-5, rtol=0)


def test_a_stream_of_nothing_says_nothing():
    assert model().hear(torch.zeros(0), None, last=True)[0].shape == (0, 6)


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_what_is_to_come_changes_nothing_in_one_direction_but_for_the_steps_ahead(look_ahead):
    network, samples = model(look_ahead=look_ahead), clip(2000)
    other = torch.cat([samples[:1000], clip(1000, 5)])
    with torch.no_grad():
        said, changed = (network(batch([s]))[0] for s in (samples, other))
    before = int(network.steps(torch.tensor(1000))) - look_ahead
    torch.testing.assert_close(said[:before], changed[:before], atol=1e-6, rtol=0)
    assert all(
        not torch.allclose(*one, atol=1e-3) for one in zip(said[before + 4 :], changed[before + 4 :], strict=True)
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_silence_gives_numbers(bidirectional):
    with torch.no_grad():
        assert torch.isfinite(model(bidirectional)(batch([torch.zeros(2000)]))).all()


def test_training_disturbs_and_every_parameter_learns():
    how = Augmentation(gain=6, noise=0.5, warp=0.2, bend=0.1, pace=0.2, masked_bands=0.2, masked_frames=0.1)
    network = model(bidirectional=True, augmentation=how).train()
    given = batch([clip(2000), clip(500, 1), clip(1, 2)])
    said = network(given)
    assert said.shape[1] != network(given).shape[1]
    said.nan_to_num().square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@cell
def two_inputs(x, a, /, h, W, U):
    """For the refusal."""
    return tanh(W.h(x) + W.a(a) + U.h(h))


def test_a_cell_of_several_inputs_is_refused():
    with pytest.raises(BadInput, match="a speech model feeds one input; two_inputs reads x, a: use another cell"):
        model(cell=two_inputs)
