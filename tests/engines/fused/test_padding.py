"""Padding may hold anything; numbers that are none at real steps reach what they reach with plain torch calls."""

import pytest
import torch
from tests.engines.fused.threads import threads
from tests.engines.harness import CELLS

import gruvy

NAN, INF = float("nan"), float("inf")
LENGTHS = [6, 0, 2, 5, 6, 1, 3, 0, 4]


def layer(name, engine="fused", dtype=torch.float32, hidden=33, **how):
    torch.manual_seed(0)
    return gruvy.Recurrent(CELLS[name], 17, hidden, engine=engine, dtype=dtype, **how)


def outcome(net, x, **how):
    """Output, final states and the gradients of the input and of every parameter."""
    x = x.clone().requires_grad_()
    output, states = net(x, **how)
    states = states if isinstance(states, tuple) else (states,)
    # each output weighs differently, so that a misplaced gradient shows
    loss = (output * torch.arange(output.numel(), dtype=output.dtype).sin().view_as(output)).sum()
    loss = loss + sum((s * s.detach().cos()).sum() for s in states)
    return [output, *states, *torch.autograd.grad(loss, [x, *net.parameters()])]


@pytest.mark.parametrize("fill", [NAN, INF, -INF, 1e38], ids=str)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("how", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one layer", "four"])
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm", "gru_reset_before", "mingru"])
def test_what_padding_holds_changes_nothing(name, how, count, fill):
    """To the last bit: in outputs, states, gradients of inputs and of parameters."""
    net = layer(name, hidden=100, **how)
    clean = torch.randn(6, 9, 17)
    dirty = clean.clone()
    for b, n in enumerate(LENGTHS):
        dirty[n:, b] = fill
    with threads(count):
        for a, b in zip(*(outcome(net, x, lengths=LENGTHS) for x in (clean, dirty)), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("fill", [NAN, INF], ids=str)
def test_what_the_gradient_of_padding_holds_changes_nothing(fill):
    net = layer("gru", bidirectional=True)
    x = torch.randn(6, 9, 17, requires_grad=True)
    clean = torch.randn(6, 9, 66)
    dirty = clean.clone()
    for b, n in enumerate(LENGTHS):
        dirty[n:, b] = fill
    leaves = [x, *net.parameters()]
    found = [torch.autograd.grad(net(x, lengths=LENGTHS)[0], leaves, grad) for grad in (clean, dirty)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm"])
def test_outputs_and_gradients_of_padding_are_zero(name):
    net = layer(name, bidirectional=True)
    output, *rest = outcome(net, torch.randn(6, 9, 17), lengths=LENGTHS)
    dx = rest[len(CELLS[name].states)]
    for b, n in enumerate(LENGTHS):
        assert not output[n:, b].any()
        assert not dx[n:, b].any()


def assert_same_numbers(found, wanted):
    """NaN where NaN is wanted, the same infinities, and the rest near."""
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("fill", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_reset_before", "gru_layernorm", "mingru", "elman"])
def test_what_is_no_number_spreads_as_with_plain_torch(name, lengths, fill):
    """A NaN or an infinity at a real step of one sequence: in no other sequence, and from that step on in its own."""
    x = torch.randn(6, 9, 17, dtype=torch.float64)
    x[1, 3, 4] = fill
    got, wanted = (outcome(layer(name, engine, torch.float64), x, lengths=lengths) for engine in ("fused", "eager"))
    assert_same_numbers(got, wanted)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a_state_that_is_no_number_spreads_as_with_plain_torch(name):
    x = torch.randn(6, 9, 17, dtype=torch.float64)
    state = torch.randn(1, 9, 33, dtype=torch.float64)
    state[0, 3, 4], state[0, 5, 0] = NAN, INF
    states = (state, state.roll(1, 1)) if name == "lstm" else state
    got, wanted = (outcome(layer(name, engine, torch.float64), x, states=states) for engine in ("fused", "eager"))
    assert_same_numbers(got, wanted)
