"""Encoders read every sequence as if it were alone."""

import numpy as np
import pytest
import torch
from tests.cells.user_cells import USER_CELLS

from gruvy.cells import CATALOGUE
from gruvy.errors import BadInput
from gruvy.models.encoders import ENCODERS, positions, source_encoder


def made(name, cell=CATALOGUE["gru"], units=8, dropout=0.5):
    torch.manual_seed(0)
    return source_encoder(name, cell, 6, units // 2, 2, dropout, "auto")


def alone(network, x, lengths):
    return [network(x[i : i + 1, :n], lengths[i : i + 1])[0] for i, n in enumerate(lengths)]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_batch_gives_what_its_sequences_give_alone(name):
    network = made(name).eval()
    x, lengths = torch.randn(4, 7, 6), torch.tensor([7, 1, 4, 6])
    together = network(x, lengths)
    assert together.shape == (4, 7, network.output_units)
    for row, length, expected in zip(together, lengths, alone(network, x, lengths), strict=True):
        torch.testing.assert_close(row[:length], expected, atol=1e-5, rtol=1e-5)
        assert not row[length:].any()


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_changes_nothing_and_every_parameter_learns(name):
    network = made(name, dropout=0.0)
    x, lengths = torch.randn(2, 5, 6), torch.tensor([5, 2])
    expected = network(x, lengths)
    other = x.clone()
    other[1, 2:] = 50.0
    torch.testing.assert_close(network(other, lengths), expected)
    expected.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_every_step_knows_its_neighbours_and_their_order(name):
    network = made(name).eval()
    x, lengths = torch.randn(1, 6, 6), torch.tensor([6])
    here = network(x, lengths)[0, 2]
    for changed in (x[:, [0, 1, 2, 3, 5, 4]], x[:, [1, 0, 2, 3, 4, 5]]):
        assert not torch.allclose(network(changed, lengths)[0, 2], here, atol=1e-4)


@pytest.mark.parametrize("cell", [CATALOGUE["lstm"], USER_CELLS["rglru"], USER_CELLS["qrnn"]], ids=lambda c: c.name)
def test_any_cell_of_one_input_can_encode(cell):
    network = made("gru", cell).eval()
    x, lengths = torch.randn(3, 4, 6), torch.tensor([4, 2, 3])
    together = network(x, lengths)
    for row, length, expected in zip(together, lengths, alone(network, x, lengths), strict=True):
        torch.testing.assert_close(row[:length], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("units", [2, 6, 130, 200])
def test_blocks_take_any_even_number_of_units(units):
    assert made("transformer", units=units)(torch.randn(1, 3, 6), torch.tensor([3])).shape == (1, 3, units)


@pytest.mark.parametrize("units", [1, 7, 8])
def test_positions_are_sines_and_cosines_of_falling_rates(units):
    found = positions(500, units, torch.zeros(()))
    steps, pairs = np.arange(500)[:, None], np.arange(units) // 2
    angles = steps / 10_000.0 ** (2 * pairs / units)
    expected = np.where(np.arange(units) % 2 == 0, np.sin(angles), np.cos(angles))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match=r"no encoder 'bert'; expected one of gru, transformer"):
        made("bert")
