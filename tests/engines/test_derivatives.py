"""The reference's backward against central differences; the eager engine under autograd's own checks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engines.harness import CELLS, problem

from gruvy.engines import ENGINES, Call, reference

SMALL = {"I": 2, "H": 3}
CASES = [
    (name, training) for name, cell in CELLS.items() for training in ((False, True) if cell.normalisers else (False,))
]


def scalar(given):
    output, states = reference.forward(given.run)
    weights = (given.grad_output, *given.grad_states)
    return sum((a * w).sum() for a, w in zip((output, *states), weights, strict=True))


def central_differences(given, array, step=1e-6):
    """The derivative of `scalar` by each element of `array`, which is changed in place and put back."""
    found = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        middle = array[index]
        sides = []
        for side in (step, -step):
            array[index] = middle + side
            sides.append(scalar(replace(given)))  # a fresh Run each time
        array[index] = middle
        found[index] = (sides[0] - sides[1]) / (2 * step)
    return found


@pytest.mark.parametrize("lengths", [None, [3, 0, 2]], ids=["full", "ragged"])
@pytest.mark.parametrize(("name", "training"), CASES)
def test_reference_backward_equals_central_differences(name, training, lengths):
    given = problem(CELLS[name], steps=3, batch=3, lengths=lengths, sizes=SMALL, training=training, seed=1)
    grads = reference.backward(given.run, given.grad_output, given.grad_states)
    pairs = [(f"input {i}", x, g) for i, (x, g) in enumerate(zip(given.inputs, grads.inputs, strict=True))]
    pairs += [(f"state {i}", s, g) for i, (s, g) in enumerate(zip(given.states, grads.states, strict=True))]
    pairs += [(k, p, grads.parameters[k]) for k, p in given.parameters.items()]
    for k, n in given.norms.items():
        pairs += [(f"N.{k} {part}", n[part], grads.norms[k][i]) for i, part in enumerate(("weight", "bias"))]
    for what, array, grad in pairs:
        # 1e-8 is what differences of step 1e-6 leave of float64
        np.testing.assert_allclose(grad, central_differences(given, array), rtol=1e-7, atol=1e-8, err_msg=what)


def as_function(given):
    """The eager engine as a plain function of every tensor of the call."""
    call = given.call()
    names = list(call.parameters)
    inputs, states = len(call.inputs), len(call.states)

    def function(*tensors):
        parameters = dict(zip(names, tensors[inputs + states :], strict=True))
        result = ENGINES["eager"].run(
            replace(
                call,
                inputs=tensors[:inputs],
                states=tensors[inputs : inputs + states],
                parameters=parameters,
            )
        )  # fmt: skip
        return (result.output, *result.states)

    return function, (*call.inputs, *call.states, *call.parameters.values())


@pytest.mark.parametrize("lengths", [None, [3, 1]], ids=["full", "ragged"])
@pytest.mark.parametrize("name", CELLS)
def test_eager_passes_gradcheck_and_gradgradcheck(name, lengths):
    function, tensors = as_function(problem(CELLS[name], steps=3, batch=2, lengths=lengths, sizes=SMALL, seed=2))
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
def test_eager_under_vmap_equals_a_loop(name):
    """An ensemble: three sets of inputs, states and parameters at once."""
    members = [as_function(problem(CELLS[name], steps=3, batch=2, sizes=SMALL, seed=seed)) for seed in range(3)]
    function = members[0][0]  # normalisers, which are not among the tensors, are the first member's
    stacked = [torch.stack(t).detach() for t in zip(*(tensors for _, tensors in members), strict=True)]
    together = torch.func.vmap(function)(*stacked)
    for i, (_, tensors) in enumerate(members):
        for got, wanted in zip(together, function(*tensors), strict=True):
            torch.testing.assert_close(got[i], wanted.detach(), rtol=1e-12, atol=1e-12)


def test_gradient_of_each_sequence_by_vmap_of_grad():
    given = problem(CELLS["gru_reset_before"], steps=3, batch=4)
    call = given.call()

    def loss(parameters, x, h):
        run = ENGINES["eager"].run(Call(call.cell, call.sizes, [x[:, None]], [h[None]], parameters))
        return run.output.square().sum()

    parameters = {k: p.detach() for k, p in call.parameters.items()}
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1, 0))(
        parameters, call.inputs[0].detach(), call.states[0].detach()
    )
    for i in range(4):
        alone = torch.func.grad(loss)(parameters, call.inputs[0][:, i].detach(), call.states[0][i].detach())
        for k, g in alone.items():
            torch.testing.assert_close(each[k][i], g, rtol=1e-12, atol=1e-12)
