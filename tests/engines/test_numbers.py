"""Plain numbers inside the equations: every engine computes with them as the reference does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engines.harness import assert_agrees, problem

import gruvy
from gruvy.cells import abs, cell, exp, maximum, minimum, relu, sigmoid, sqrt, tanh, where


@cell
def function_of_a_constant(x, h, W, U, *, c=8.0):
    return tanh(W.h(x) + U.h(h)) * sqrt(c) * maximum(c, 2.0) * exp(-c)


@cell
def choice_between_numbers(x, h, W, U):
    a = W.h(x) + U.h(h)
    return tanh(a) * where(a > 0, 0.1, 0.3)


@cell
def product_of_a_choice(x, h, W, U):
    return tanh(W.h(x) + U.h(where(h > 0, 0.1, 0.3)))


@cell
def comparison_as_a_number(x, h, W, U):
    a = W.h(x) + U.h(h)
    return tanh(a) * (a > 0)


@cell(sizes={"first": 1}, init={"first": 1.0})
def constant_state(x, h, first, W, U):
    return (1 - first) * tanh(W.h(x) + U.h(h)), 0.0


@cell(sizes={"k": 1})
def counter(x, h, k, W, U):
    return tanh(W.h(x) + U.h(h) + k), k + 1


@cell(sizes={"count": 1})
def output_of_one_unit(x, h, count, W, U):
    h = sigmoid(W.h(x) + U.h(h))
    return count, h, count + 1


NUMBERS = [
    function_of_a_constant,
    choice_between_numbers, product_of_a_choice, comparison_as_a_number, constant_state,
    counter, output_of_one_unit,
]  # fmt: skip


@pytest.mark.parametrize("lengths", [None, [0, 5, 2, 4]], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("engine", ["eager", "reference"])
@pytest.mark.parametrize("made", NUMBERS, ids=lambda c: c.name)
def test_numbers(made, engine, dtype, lengths):
    given = problem(made, lengths=lengths).rounded(dtype)
    assert_agrees(given.answer(engine, dtype), given.expected(), dtype)


def test_a_named_value_made_of_constants_alone_is_recorded():
    @cell
    def scaled(x, h, W, U, *, c=2.0):
        k = c * 2
        return tanh(W.h(x) + U.h(h)) * k

    *_, gates = gruvy.Recurrent(scaled, 3, 4)(torch.zeros(2, 1, 3), record_gates=True)
    assert all(v.shape[:2] == (2, 1) for v in gates[0].values())


@cell
def kinks(x, h, W, U):
    a = W.a(x)
    return relu(a) + abs(a) + maximum(a, h) + minimum(a, 2 * h) + where(h > 0, a, 0.0) + maximum(U.h(h), 0.0)


@pytest.mark.parametrize("engine", ["eager", "reference"])
def test_derivatives_where_there_is_none_are_the_same_everywhere(engine):
    """At ties and at 0: relu and abs have 0, maximum and minimum give each side half."""
    given = problem(kinks, steps=3)
    still = replace(given, inputs=[0 * x for x in given.inputs], states=[0 * s for s in given.states])
    assert_agrees(still.answer(engine, torch.float64), still.expected(), torch.float64)
    ones = replace(
        still,
        grad_output=1 + 0 * given.grad_output[:1],
        inputs=[x[:1] for x in still.inputs],
        grad_states=[0 * s for s in given.states],
        parameters={k: np.eye(4, p.shape[1]) for k, p in given.parameters.items()},
    )
    assert ones.expected()["grad h at 0"].tolist() == [[0.5 + 1.0 + 0.5] * 4] * 4
    assert ones.expected()["grad x"].tolist() == [[[0.5 + 0.5] * 3] * 4]
