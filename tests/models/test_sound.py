"""Sound models ignore padding, read clips of any length, and learn with any cell."""

import numpy as np
import pytest
import torch
from tests.fixtures.sound import RATE, glide
from torch.nn import functional as F

from gruvy.cells import CATALOGUE, cell, sigmoid, tanh
from gruvy.errors import BadInput
from gruvy.models.sound import ANSWER, BandFront, FrameNorm, sound_model
from gruvy.models.spectra import Augmentation, LogMel

CLIPS = [glide("rise", 500), glide("fall", 900, 0.4), glide("flat", 300, 0.03), np.full(1, 0.5, np.float32)]


def batch(clips=CLIPS, extra=0):
    lengths = torch.tensor([len(clip) for clip in clips])
    samples = torch.stack([F.pad(torch.from_numpy(c), (0, int(lengths.max()) + extra - len(c))) for c in clips])
    return {"samples": samples, "lengths": lengths}


def model(cell=CATALOGUE["gru"], **changes):
    options = {
        "augmentation": Augmentation(noise=0.5, warp=0.2, pace=0.2, masked_bands=0.2),
        "filters": (4, 6, 8), "hidden_size": 5, "bidirectional": True, "pooling": ("max", "mean", "last"),
        "locked_dropout": 0.2, "dropout": 0.3, "engine": "auto", **changes,
    }  # fmt: skip
    torch.manual_seed(0)
    usual = options.pop("usual", 0.4)
    made = sound_model(LogMel(RATE), torch.full((40,), -8.0), torch.full((40,), 3.0), usual, 3, cell,
                       **options)  # fmt: skip
    for norm in made.modules():
        if isinstance(norm, FrameNorm):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return made.eval()


@pytest.mark.parametrize("options", [{}, {"usual": 3.0}, {"filters": (4,)}])
def test_padding_changes_nothing(options):
    sound = model(**options)
    together = sound.branches(batch(extra=3000))[ANSWER]
    assert together.shape == (4, 3)
    for row, clip in enumerate(CLIPS):
        torch.testing.assert_close(sound.branches(batch([clip]))[ANSWER][0], together[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 29])
def test_the_front_halves_bands_and_frames(frames):
    front = BandFront(41, (4, 6), (2, 2)).eval()
    out, lengths = front(torch.randn(1, frames, 41), torch.tensor([frames]))
    assert lengths.tolist() == [-(-frames // 4)]
    assert out.shape == (1, -(-frames // 4), front.output_size)
    assert front.output_size == 6 * 11


def test_the_norm_sees_real_frames_only():
    torch.manual_seed(0)
    x, lengths = torch.randn(3, 4, 7, 5), torch.tensor([7, 2, 4])
    norm = FrameNorm(4)
    out = norm(x.contiguous(memory_format=torch.channels_last), lengths)
    real = torch.arange(7) < lengths[:, None]
    steps = out.permute(0, 2, 3, 1)[real]
    torch.testing.assert_close(steps.mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps.var((0, 1), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert not out.permute(0, 2, 3, 1)[~real].any()


@cell(cite="invented for the tests", sizes={"x": "H"})
def leaky(x, h, U, b):
    """Adds its input to its state."""
    g = sigmoid(U.g(h) + b.g)
    return g * h + (1 - g) * x


@cell(cite="invented for the tests")
def driven(x, a, /, h, W, U, b):
    """Reads two inputs."""
    return tanh(W.x(x) + W.a(a) + U.h(h) + b.h)


@pytest.mark.parametrize("cell", [CATALOGUE["lstm"], CATALOGUE["mingru"], leaky], ids=lambda cell: cell.name)
def test_any_cell_learns(cell):
    made = model(cell).train()
    made.network(batch()).square().sum().backward()
    for name, parameter in made.network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_cell_of_several_inputs_is_refused():
    with pytest.raises(BadInput, match="a model of sound feeds one input; driven reads x, a"):
        model(driven)
