"""Chords have probabilities that sum to one, draws follow them, and pieces are scored alike in any batch."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.fixtures.my_cells import my_gru

from gruvy.cells import CATALOGUE, cell, tanh
from gruvy.errors import BadInput
from gruvy.models.music import CLOCK, ChordHead, Transposition, key_losses, music_model
from gruvy.models.sampling import Sampling

KEYS = 12
CELLS = [name for name, one in CATALOGUE.items() if len(one.inputs) == 1]


def model(one=CATALOGUE["gru"], **changes):
    options = {
        "embedding_size": 7, "hidden_size": 6, "num_layers": 2, "chord_size": 5, "transposition": 0,
        "recall_size": 4, "input_dropout": 0.0, "layer_dropout": 0.0, "output_dropout": 0.0, "engine": "auto", **changes
    }  # fmt: skip
    torch.manual_seed(0)
    return music_model(KEYS, one, **options).eval()


def batch(*lengths, extra=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rolls = [(torch.rand(length, KEYS, generator=generator) < 0.3).float() for length in lengths]
    padded = torch.zeros(len(lengths), max(lengths) + extra, KEYS)
    for place, roll in zip(padded, rolls, strict=True):
        place[: len(roll)] = roll
    return {"rolls": padded, "lengths": torch.tensor(lengths)}


def head(keys=5, seed=0):
    torch.manual_seed(seed)
    made = ChordHead(3, keys, 8)
    torch.nn.init.normal_(made.scores.weight, std=2.0)
    return made


def every_chord(keys):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=keys)))


# Chords


@torch.no_grad()
def test_the_probabilities_of_all_chords_sum_to_one():
    made, chords = head(), every_chord(5)
    for known in torch.randn(4, 3):
        assert (-made(known.expand(len(chords), 3), chords)).exp().sum().item() == pytest.approx(1, abs=1e-5)


@torch.no_grad()
def test_a_chord_is_worth_its_keys_one_after_the_other():
    made, known = head(), torch.randn(1, 3)
    scores = lambda h: made.scores(torch.relu(h))[0]  # noqa: E731
    keys, end = made.key_embedding.weight, 5
    hidden = made.known(known)
    first = scores(hidden).log_softmax(-1)[1]
    second = scores(hidden + keys[1])[2:].log_softmax(-1)[3 - 2]
    last = scores(hidden + keys[1] + keys[3])[4:].log_softmax(-1)[end - 4]
    found = made(known, torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]]))
    assert -found.item() == pytest.approx((first + second + last).item(), abs=1e-5)


@torch.no_grad()
def test_draws_come_as_often_as_they_are_likely():
    made, chords, known, rng = head(3), every_chord(3), torch.randn(3), np.random.default_rng(0)
    expected = (-made(known.expand(len(chords), 3), chords)).exp().numpy()
    drawn = [made.draw(known, Sampling(), rng) for _ in range(3000)]
    counted = [sum(bool((one == chord).all()) for one in drawn) / len(drawn) for chord in chords]
    assert counted == pytest.approx(expected, abs=0.03)


@torch.no_grad()
def test_the_coldest_draw_is_the_likeliest_key_each_time():
    made, known = head(), torch.randn(3)
    drawn = {tuple(made.draw(known, Sampling(0.0), np.random.default_rng(seed)).tolist()) for seed in range(5)}
    assert len(drawn) == 1


def test_no_chords_and_silent_chords():
    made = head()
    assert made(torch.zeros(0, 3), torch.zeros(0, 5)).shape == (0,)
    assert made(torch.zeros(2, 3), torch.zeros(2, 5)).isfinite().all()


def test_gradients_of_the_chord_head_are_finite_for_every_chord():
    made, chords = head(), every_chord(5)
    made(torch.randn(len(chords), 3), chords).sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in made.parameters())


def test_losses_of_keys_are_those_of_the_published_formula():
    scores, chords = torch.randn(9, KEYS, dtype=torch.float64), (torch.rand(9, KEYS) < 0.4).double()
    p = scores.sigmoid()
    published = -torch.trace(chords @ p.log().T + (1 - chords) @ (1 - p).log().T)
    assert key_losses(scores, chords).sum().item() == pytest.approx(published.item(), abs=1e-9)


# Transposition


@given(arrays(np.float32, (3, 4, KEYS), elements=st.sampled_from([0, 0, 0, 1])), st.integers(0, 20), st.integers(0, 99))
def test_pieces_move_whole_and_lose_nothing(rolls, most, seed):
    torch.manual_seed(seed)
    moved = Transposition(most).train()(torch.from_numpy(rolls)).numpy()
    for before, after in zip(rolls, moved, strict=True):
        shifts = [k for k in range(-most, most + 1) if (np.roll(before, k, 1) == after).all()]
        assert shifts
        assert before.sum() == after.sum()
        if before.any():
            lowest, highest = (np.flatnonzero(before.any(0))[i] for i in (0, -1))
            assert any(lowest + k >= 0 and highest + k < KEYS for k in shifts)


def test_every_key_it_may_move_to_is_drawn():
    torch.manual_seed(0)
    rolls = torch.zeros(400, 2, KEYS)
    rolls[:, 0, 2] = 1
    found = Transposition(3).train()(rolls)[:, 0].argmax(1).unique().tolist()
    assert found == [0, 1, 2, 3, 4, 5]
    assert (Transposition(3).train()(rolls)[:, 0, 2] == 1).float().mean() > 0.45  # half stay as they are
    assert Transposition(3).eval()(rolls) is rolls


# Networks


@torch.no_grad()
@pytest.mark.parametrize("recall_size", [4, 0])
@pytest.mark.parametrize("one", [*(CATALOGUE[name] for name in CELLS), my_gru], ids=lambda one: one.name)
def test_step_by_step_is_as_at_once(one, recall_size):
    network = model(one, recall_size=recall_size).network
    given = batch(7, 7)
    at_once = network.read(given["rolls"], given["lengths"])
    played, found = None, []
    for place, step in enumerate(torch.cat([torch.zeros(2, 1, KEYS), given["rolls"]], 1).unbind(1)):
        known, played = network.step(step, place, played)
        found.append(known)
    assert torch.stack(found, 1) == pytest.approx(at_once, abs=1e-5)


@torch.no_grad()
def test_padding_and_neighbours_change_nothing():
    made = model()
    together = made.judged(batch(2, 9, 5, extra=4))
    for place, length in enumerate((2, 9, 5)):
        rolls = batch(2, 9, 5)["rolls"][place : place + 1, :length]
        alone = made.judged({"rolls": rolls, "lengths": torch.tensor([length])})
        for name, values in alone.items():
            assert together[name][place, : length - 1] == pytest.approx(values[0], abs=1e-5), name
            assert together[name][place, length - 1 :].isnan().all()


@torch.no_grad()
def test_what_is_trained_on_is_what_is_judged():
    made, given = model(), batch(3, 8)
    judged = made.judged(given)
    losses = made.network(given)
    assert losses.shape == (2 + 7,)
    assert losses.sum().item() == pytest.approx((judged["keys"] + judged["chord"]).nansum().item(), abs=1e-3)
    assert made.train().network(given).shape == (3 + 8,)  # the first step of each too


@torch.no_grad()
def test_the_keys_that_come_next_are_those_that_are_judged():
    made, given = model(), batch(6)
    scores = made.next_scores(given)[:, :-1]
    judged = made.judged(given)
    assert judged["keys"] == pytest.approx(key_losses(scores, given["rolls"][:, 1:]), abs=1e-5)
    said, held = scores > 0, given["rolls"][:, 1:] > 0
    assert (judged["hits"] == (said & held).sum(-1)).all()
    assert (judged["misses"] == (said ^ held).sum(-1)).all()


@torch.no_grad()
def test_a_step_says_nothing_of_those_before_it():
    made, given = model(), batch(8)
    changed = {**given, "rolls": given["rolls"].clone()}
    changed["rolls"][0, 5] = 1 - changed["rolls"][0, 5]
    before, after = (made.next_scores(one)[0] for one in (given, changed))
    assert before[:5] == pytest.approx(after[:5], abs=1e-6)
    assert (before[5] - after[5]).abs().max() > 1e-3


def test_dropout_is_of_training_only():
    made = model(input_dropout=0.5, layer_dropout=0.5, output_dropout=0.5, transposition=2)
    given = batch(6, 4)
    assert (made.network(given) == made.network(given)).all()
    made.train()
    assert (made.network(given) != made.network(given)).any()


def test_a_cell_that_adds_its_input_to_its_state_gets_embeddings_of_its_size():
    @cell(cite="invented for the tests", sizes={"x": "H"})
    def adding(x, h, U):
        """A state that its input is added to."""
        return tanh(U.h(h)) + x

    made = model(adding, hidden_size=30)
    assert made.network.front.out_features == 30 - CLOCK
    assert made.network(batch(4)).isfinite().all()


def test_a_cell_of_two_inputs_is_refused():
    @cell(cite="invented for the tests", sizes={"m": "I"})
    def two(x, m, /, h, W, U):
        """Reads two inputs."""
        return tanh(W.x(x) + W.m(m) + U.h(h))

    with pytest.raises(BadInput, match="feeds one input; two reads x, m"):
        model(two)
