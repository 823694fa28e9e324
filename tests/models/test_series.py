"""Series models ignore padding, learn what they can from few series, and weigh their branches."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from gruvy.cells import CATALOGUE, cell, sigmoid, tanh
from gruvy.data.labelled.inputs import SeriesValues
from gruvy.errors import BadInput
from gruvy.models.front import ConvFront, RealStepNorm
from gruvy.models.series import Distortion, series_model
from gruvy.models.weighing import Weighing, held_out_loss

LENGTHS = [40, 3, 1, 17, 64]


def collection(lengths=LENGTHS, features=3, seed=0):
    rng = np.random.default_rng(seed)
    return SeriesValues.join([rng.normal(size=(n, features)).astype(np.float32) for n in lengths], features)


def batch(lengths=LENGTHS, rows=None, extra=0, filler=0.0):
    series = collection(lengths)
    made = series.batch(range(len(lengths)) if rows is None else rows)
    return {"values": F.pad(made["values"], (0, 0, 0, extra), value=filler), "lengths": made["lengths"]}


def model(convolutions=0, steps=64, **changes):
    options = {
        "front": "conv", "hidden_size": 4, "num_layers": 1, "bidirectional": True, "pooling": ("max", "mean", "last"),
        "noise": 0.1, "scaling": 0.1, "warping": 0.1, "locked_dropout": 0.2, "dropout": 0.5, "members": 1,
        "engine": "auto", "cell": CATALOGUE["gru"], **changes,
    }  # fmt: skip
    torch.manual_seed(0)
    return series_model(3, steps, 2, convolutions=convolutions, **options).eval()


def trained_norms(network):
    """Running means and variances as after training, not 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, RealStepNorm):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network


# Padding


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"front": "none"},
        {"num_layers": 2},
        {"bidirectional": False},
        {"cell": CATALOGUE["lstm"]},
        {"members": 3},
        {"steps": 20},
    ],
    ids=lambda options: ", ".join(options),
)
def test_a_batch_gives_what_its_series_give_alone(options):
    network = trained_norms(model(**options).network)
    together = network(batch())
    for i, row in enumerate(together):
        torch.testing.assert_close(row, network(batch(rows=[i]))[0])


def test_more_padding_and_other_padding_change_nothing():
    network = trained_norms(model().network)
    torch.testing.assert_close(network(batch(extra=7, filler=9.0)), network(batch()))


def front(strides=(2, 3, 1)):
    torch.manual_seed(0)
    return ConvFront(3, (4, 8, 5), (7, 5, 3), strides)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_the_front_counts_its_steps_and_leaves_0_past_them(lengths):
    made = trained_norms(front().eval())
    given_batch = batch(lengths, extra=4, filler=5.0)
    out, left = made(given_batch["values"], given_batch["lengths"])
    assert left.tolist() == [math.ceil(math.ceil(n / 2) / 3) for n in lengths]
    for i, (row, n) in enumerate(zip(out, left, strict=True)):
        one = batch(lengths, rows=[i])
        torch.testing.assert_close(row[:n], made(one["values"], one["lengths"])[0][0])
        assert not row[n:].any()


def test_the_front_learns_from_real_steps_only():
    """The same gradients and running statistics, however much padding there is and whatever it holds."""
    seen = []
    for extra, filler in ((0, 0.0), (9, 100.0)):
        made = front()
        given_batch = batch(extra=extra, filler=filler)
        out, _ = made(given_batch["values"], given_batch["lengths"])
        out.square().sum().backward()
        seen.append([p.grad for p in made.parameters()] + list(made.buffers()))
    torch.testing.assert_close(*seen)


def test_a_batch_of_one_step_trains():
    made = front().train()
    before = [b.clone() for b in made.buffers()]
    out, lengths = made(torch.ones(1, 1, 3), torch.tensor([1]))
    assert (out.shape, lengths.tolist()) == ((1, 1, 5), [1])
    assert all(torch.equal(a, b) for a, b in zip(before, made.buffers(), strict=True))


@pytest.mark.parametrize(("steps", "expected"), [(1000, 250), (96, 24), (95, 48), (48, 24), (47, 47), (1, 1)])
def test_short_series_are_not_pooled_away(steps, expected):
    made = model(steps=steps).network.members[0].front
    assert made(torch.zeros(1, steps, 3), torch.tensor([steps]))[1].tolist() == [expected]


# Training


def test_distortion_works_in_training_only_and_keeps_both_ends_in_place():
    series = torch.arange(1.0, 31)[None, :, None].repeat(2, 1, 1)
    lengths = torch.tensor([30, 12])
    distortion = Distortion(0.0, 0.0, 0.5)
    torch.manual_seed(0)
    warped = distortion(series, lengths)
    torch.testing.assert_close(warped[:, 0], series[:, 0])
    for row, n in zip(warped, lengths, strict=True):
        torch.testing.assert_close(row[n - 1], torch.tensor([float(n)]))
        assert (row[1:n] > row[: n - 1]).all()  # time runs on
        assert not torch.allclose(row[:n], series[0, :n])
    assert torch.equal(distortion.eval()(series, lengths), series)


def test_distortion_of_nothing_changes_nothing():
    given_batch = batch()
    out = Distortion(0.0, 0.0, 0.0)(given_batch["values"], given_batch["lengths"])
    for row, values, n in zip(out, given_batch["values"], LENGTHS, strict=True):
        torch.testing.assert_close(row[:n], values[:n])


def test_noise_and_scaling_are_as_large_as_asked_for():
    torch.manual_seed(0)
    ones, lengths = torch.ones(300, 40, 2), torch.full((300,), 40)
    scaled = Distortion(0.0, 0.2, 0.0)(ones, lengths)
    assert scaled.std(1).max() < 1e-4  # one factor for a whole feature
    assert scaled.std().item() == pytest.approx(0.2, rel=0.1)
    assert Distortion(0.3, 0.0, 0.0)(ones, lengths).std().item() == pytest.approx(0.3, rel=0.1)


def test_dropout_works_in_training_only():
    network = model(noise=0.0, scaling=0.0, warping=0.0, front="none").network
    assert torch.equal(network(batch()), network(batch()))
    network.train()
    assert not torch.equal(network(batch()), network(batch()))


def test_a_few_steps_learn_to_tell_waves_apart():
    rng = np.random.default_rng(0)
    targets = torch.arange(40) % 2
    parts = [
        np.sin(np.arange(rng.integers(30, 60))[:, None] * (0.4 + 0.3 * int(t)) + rng.uniform(0, 6, 3)) for t in targets
    ]
    series = SeriesValues.join([p.astype(np.float32) for p in parts], 3)
    network = model(hidden_size=8).network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    for step in range(60):
        rows = torch.arange(step % 2 * 20, step % 2 * 20 + 20) if step % 4 < 2 else torch.arange(0, 40, 2) + step % 2
        optimiser.zero_grad()
        F.cross_entropy(network(series.batch(rows.numpy())), targets[rows]).backward()
        optimiser.step()
    said = network.eval()(series.batch(range(40)))
    assert (said.argmax(1) == targets).double().mean() >= 0.95


# Members


def test_members_differ_and_answer_with_their_mean():
    network = model(members=3).network
    said = [member(batch()) for member in network.members]
    assert not torch.allclose(said[0], said[1])
    torch.testing.assert_close(network(batch()), (said[0] + said[1] + said[2]) / 3)


# The builder


def test_the_state_goes_into_a_fresh_model():
    made = trained_norms(model(convolutions=200))
    made.prepare(collection([30] * 8), torch.arange(8) % 2, torch.arange(8) % 4, F.cross_entropy, 0)
    fresh = model(convolutions=200)
    fresh.load_state_dict(made.state_dict())
    for name, said in made.branches(batch()).items():
        assert torch.equal(said, fresh.eval().branches(batch())[name])


@cell(cite="invented for the tests", sizes={"x": "H"})
def leaky(x, h, U, b):
    """Adds its input to its state."""
    g = sigmoid(U.g(h) + b.g)
    return g * h + (1 - g) * x


@cell(cite="invented for the tests")
def driven(x, a, /, h, W, U, b):
    """Reads two inputs."""
    return tanh(W.x(x) + W.a(a) + U.h(h) + b.h)


def test_a_cell_that_adds_its_input_to_its_state_reads_the_front():
    assert model(cell=leaky).network(batch()).shape == (5, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"front": "convolution"}, "front is 'convolution'; expected 'conv' or 'none'"),
        ({"front": "none", "cell": leaky}, "leaky adds its input to its state and needs a front"),
        ({"cell": driven}, "driven reads x, a: use another cell"),
    ],
)
def test_what_cannot_be_built_is_refused(options, said):
    with pytest.raises(BadInput, match=said):
        model(**options)


# Weighing


def outputs(seed, strength=2.0, count=200):
    """Targets, outputs that know them, and outputs that do not."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 2, (count,), generator=generator)
    good = torch.randn(count, 2, generator=generator)
    good[torch.arange(count), targets] += strength
    return targets, good, torch.randn(count, 2, generator=generator)


def test_weighing_lowers_the_loss_below_either_branch():
    targets, good, _ = outputs(0)
    other = outputs(1)[1]
    other[torch.arange(200), targets] += 1.5
    together = F.cross_entropy(Weighing(2).fit([good, other], targets, F.cross_entropy)(good, other), targets)
    assert together < min(held_out_loss([branch], targets, F.cross_entropy) for branch in (good, other))


def test_weights_stay_finite_when_the_rows_are_separated_and_near_even_when_there_are_few():
    targets, good, noise = outputs(0, strength=50.0)
    assert torch.isfinite(Weighing(2).fit([good, good], targets, F.cross_entropy).weights).all()
    first, second = Weighing(2).fit([good[:4], noise[:4]], targets[:4], F.cross_entropy).weights.tolist()
    assert 0 < first < 3
    assert -0.5 < second < 1.5


def finished(recurrent, convolutions, targets):
    made = model(convolutions=100)
    made.finish({"recurrent branch": recurrent, "convolution branch": convolutions}, targets, F.cross_entropy)
    return made


@dataclass(frozen=True)
class Recipe:
    convolutions: int = 100


def test_a_helpful_branch_is_kept():
    targets, good, noise = outputs(1)
    made = finished(noise, good, targets)
    assert made.prune(Recipe()) == Recipe()
    assert made.answer == "both"
    assert ((made.weighing(noise, good)).argmax(1) == targets).double().mean() > 0.9


def test_branches_of_noise_are_seldom_chosen():
    answers = [finished(good, noise, targets).answer for targets, good, noise in map(outputs, range(8))]
    assert answers.count("both") <= 2


def test_too_few_rows_leave_the_recurrent_branch_to_answer():
    targets, good, noise = outputs(1, count=3)
    assert finished(noise, good, targets).answer == "recurrent branch"


def test_pruning_removes_the_branch_from_the_file():
    made = model(convolutions=100)
    made.answer = "recurrent branch"
    assert made.prune(Recipe()).convolutions == 0
    assert not [name for name in made.state_dict() if "convolutions.features" in name or "weighing" in name]
    assert set(made.branches(batch())) == {"recurrent branch"}


def test_a_model_without_convolutions_has_nothing_to_prepare_or_weigh():
    made = model()
    assert made.prepare(collection(), torch.zeros(5).long(), torch.arange(5), F.cross_entropy, 0) == {}
    made.finish({"recurrent branch": torch.zeros(5, 2)}, torch.zeros(5).long(), F.cross_entropy)
    assert made.answer == "recurrent branch"
