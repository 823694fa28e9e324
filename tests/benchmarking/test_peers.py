"""Peers: each installed one computes what torch computes, and what is measured is what is said."""

import pytest
import torch

from gruvy.benchmarking import measure
from gruvy.benchmarking.measure import Bench
from gruvy.benchmarking.peers import FOREIGN, peers_of
from gruvy.benchmarking.problem import MODES, Problem
from gruvy.cells import CATALOGUE, elman, gru, lstm, mgu
from gruvy.engines import ENGINES

ENGINE_NAMES = [name for name in ENGINES if name != "reference"]
PEERS = {peer.name: peer for peer in peers_of(gru, ENGINE_NAMES)}


@pytest.fixture(autouse=True)
def small_product(monkeypatch):
    monkeypatch.setattr(measure, "_SQUARE", 16)


def figures(peers, cell, mode, shape, threads=1):
    bench = Bench(cell, peers, threads, repeats=1)
    bench.measure(MODES[mode], MODES[mode].fit(shape), lambda _: None)
    return bench.figures


@pytest.mark.filterwarnings("ignore")  # those of other libraries
@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, peer in PEERS.items() for mode in peer.modes])
def test_a_peer_computes_what_torch_computes(name, mode):
    peer = PEERS[name]
    if peer.available() is not None or not peer.runs(gru):
        pytest.skip(f"{name}: {peer.available() or 'does not run here'}")
    for shape in [(7, 3, 5, 6), (4, 1, 16, 8)]:
        (figure,) = figures([peer], gru, mode, shape)
        assert figure.why == ""
        assert figure.error < 3e-6
        assert figure.seconds > 0
        assert figure.ratio == 1  # it is its own base


@pytest.mark.parametrize("cell", CATALOGUE.values(), ids=str)
@pytest.mark.parametrize("mode", ["train", "stream", "ragged-infer"])
def test_every_cell_can_be_measured(cell, mode):
    peers = [peer for peer in peers_of(cell, ["eager"]) if peer.name in ("gruvy eager", "torch")]
    assert len(peers) == 1 + (cell in (gru, lstm, elman))
    assert all(figure.seconds > 0 for figure in figures(peers, cell, mode, (5, 2, 6, 6)))


def test_other_libraries_take_part_in_the_gru_only():
    assert {p.name for p in peers_of(mgu, ["eager"])} == {"gruvy eager"}
    assert {p.name for p in peers_of(lstm, ["eager"])} == {"gruvy eager", "torch"}
    assert {p.name for p in peers_of(gru, [])} == {p.name for p in FOREIGN}


@pytest.mark.parametrize(("mode", "times"), [("infer", 1), ("train", 3), ("stream", 1)])
def test_the_products_of_a_gru_are_counted(mode, times):
    T, B, I, H = MODES[mode].fit((7, 3, 5, 6))
    problem = Problem.make(gru, MODES[mode], (T, B, I, H), 1)
    assert problem.flops == times * 2 * T * B * 3 * H * (I + H)


def test_a_ragged_batch_is_like_one_of_texts():
    problem = Problem.make(gru, MODES["ragged-infer"], (500, 32, 4, 4), 1)
    lengths = problem.lengths
    assert 225 < lengths.float().mean() < 235
    assert (lengths.min() >= 1, lengths.max()) == (True, 500)
    assert problem.flops == 2 * 2 * int(lengths.sum()) * 3 * 4 * 8
    assert torch.equal(lengths, Problem.make(gru, MODES["ragged-infer"], (500, 32, 4, 4), 1).lengths)


def test_measuring_leaves_the_threads_and_the_random_numbers_as_they_were():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    figures([PEERS["torch"]], gru, "infer", (5, 2, 3, 4), threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
