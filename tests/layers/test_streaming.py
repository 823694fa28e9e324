"""One step after another gives what the whole sequence gives."""

import pytest
import torch
from tests.cells.user_cells import USER_CELLS
from tests.layers.compare import as_tuple, inputs_for, near

import gruvy
from gruvy.cells import CATALOGUE, gru
from gruvy.errors import BadInput

CELLS = CATALOGUE | USER_CELLS


def layer(name, **how):
    torch.manual_seed(0)
    made = CELLS[name]
    size = 4 if next(iter(made.inputs.values())) == "H" else 3
    return gruvy.Recurrent(made, size, 4, dtype=torch.float64, **how).eval()


@pytest.mark.parametrize("name", CELLS)
def test_step_after_step_equals_forward(name):
    net = layer(name)
    inputs = inputs_for(net, 6, 2, dtype=torch.float64)
    whole, finals = net(inputs)
    states, outputs = None, []
    for t in range(6):
        now = [x[t] for x in inputs]
        output, states = net.step(now if len(now) > 1 else now[0], states)
        outputs.append(output)
    near(torch.stack(outputs), whole, 1e-12)
    for a, b in zip(as_tuple(states), as_tuple(finals), strict=True):
        near(a, b, 1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_chunks_equal_the_whole(name):
    net = layer(name)
    inputs = inputs_for(net, 7, 2, dtype=torch.float64)
    whole, finals = net(inputs)
    states, outputs, start = None, [], 0
    for size in (3, 0, 1, 3):
        output, states = net([x[start : start + size] for x in inputs], states)
        outputs.append(output)
        start += size
    near(torch.cat(outputs), whole, 1e-12)
    for a, b in zip(as_tuple(states), as_tuple(finals), strict=True):
        near(a, b, 1e-12)


@pytest.mark.parametrize(
    "how",
    [{"num_layers": 3}, {"output_size": 2}, {"batch_first": True}, {"learn_initial_state": True}],
    ids=str,
)
def test_step_with(how):
    net = layer("gru", **how)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    whole, final = net(x if net.batch_first else x.transpose(0, 1))
    states, outputs = None, []
    for t in range(5):
        output, states = net.step(x[:, t], states)
        outputs.append(output)
    near(torch.stack(outputs, 1 if net.batch_first else 0), whole, 1e-12)
    near(states, final, 1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_step_of_one_sequence_without_a_batch(name, batch_first):
    net = layer(name, batch_first=batch_first)
    x = torch.randn(5, 3, dtype=torch.float64)
    whole, finals = net(x)
    states, outputs = None, []
    for t in range(5):
        output, states = net.step(x[t], states)
        assert output.shape == (4,)
        outputs.append(output)
    near(torch.stack(outputs), whole, 1e-12)
    for a, b in zip(as_tuple(states), as_tuple(finals), strict=True):
        near(a, b, 1e-12)


def test_step_refuses_two_directions():
    with pytest.raises(
        BadInput, match="bidirectional layer cannot run step by step: its second direction begins at the end"
    ):
        gruvy.Recurrent(gru, 3, 4, bidirectional=True).step(torch.zeros(2, 3))
