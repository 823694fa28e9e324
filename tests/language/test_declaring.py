"""What a declared cell knows of itself: inputs, states, gates, packs, constants, delays; and its copies."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from tests.cells.user_cells import USER_CELLS
from tests.engines.harness import assert_agrees, problem

from gruvy.cells import CATALOGUE, Cell, cell, gru, layer_norm, sigmoid, tanh
from gruvy.engines import reference
from gruvy.language import analysis
from gruvy.language.graph import topological
from gruvy.language.operands import group

CELLS = CATALOGUE | USER_CELLS


def forward(made, like=None):
    given = problem(like or made)
    run = reference.Run(made, given.sizes, given.inputs, given.states, given.parameters, norms=given.run.norms)
    output, states = reference.forward(run)
    return [output, *states]


@pytest.mark.parametrize(
    ("name", "inputs", "states"),
    [
        ("gru", {"x": "I"}, {"h": "H"}),
        ("lstm", {"x": "I"}, {"h": "H", "c": "H"}),
        ("gru_d", {"x": "I", "m": "I", "d": "I"}, {"h": "H", "seen": "I"}),
        ("augru", {"x": "I", "a": 1}, {"h": "H"}),
        ("rglru", {"x": "H"}, {"h": "H"}),
        ("every_function", {"x": "I"}, {"h": "H", "k": 1}),
    ],
)
def test_inputs_and_states(name, inputs, states):
    assert CELLS[name].inputs == inputs
    assert CELLS[name].states == states


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("gru", ["r", "z", "n"]),
        ("lstm", ["i", "f", "g", "o", "c", "h"]),
        ("gru_carry", ["r", "z", "c", "h"]),
        ("gru_output_gate", ["r", "z", "n", "h_new", "o", "y"]),
        ("mgu", ["f", "n"]),
        ("gru_d", ["gx", "gh", "seen", "x", "h", "r", "z", "n"]),
        ("rglru", ["r", "i", "log_a"]),
        ("indrnn", []),
    ],
)
def test_gates_are_the_named_locals(name, gates):
    assert sorted(CELLS[name].graph.gates) == sorted(gates)


def test_gates_stand_in_the_order_they_are_computed():
    assert list(gru.graph.gates) == ["r", "z", "n"]
    for made in CELLS.values():
        place = {node: i for i, node in enumerate(topological([*made.graph.gates.values()]))}
        places = [place[node] for node in made.graph.gates.values()]
        assert places == sorted(places), made.name


def test_gates_may_have_any_public_name():
    @cell
    def awkward(x, h, W, U, p):
        values = sigmoid(W.values(x) + U.T(h))
        shape = tanh(W.get(x) + U.items(h)) * p.letter
        return values * h + (1 - values) * shape

    assert list(awkward.graph.gates) == ["values", "shape"]
    assert [label for label, _ in awkward.packs[0].members] == ["W.values", "W.get"]
    given = problem(awkward)
    assert_agrees(given.answer("eager", torch.float64), given.expected(), torch.float64)


def test_rebinding_an_argument_gives_a_gate_of_that_name_and_leaves_the_state():
    @cell
    def decayed(x, h, W, U):
        h = 0.5 * h
        return tanh(W.h(x) + U.h(h))

    assert list(decayed.graph.gates) == ["h"]
    output = forward(decayed)[0]
    given = problem(decayed)
    w, u, h = given.parameters["weight_ih"], given.parameters["weight_hh"], given.states[0]
    np.testing.assert_allclose(output[0], np.tanh(given.inputs[0][0] @ w.T + 0.5 * h @ u.T), rtol=1e-13)


def test_a_helper_may_be_called_and_its_locals_are_no_gates():
    @cell
    def normed(x, h, W, U):
        a, c = layer_norm(W.a(x) + U.a(h), W.c(x) + U.c(h))
        return tanh(a) * sigmoid(c)

    assert list(normed.graph.gates) == ["a", "c"]
    assert np.isfinite(forward(normed)[0]).all()


def test_layer_norm_standardises_over_all_units_of_all_parts():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 4)), rng.normal(size=(5, 7))
    together = np.concatenate(layer_norm(a, b, eps=0.0), -1)
    np.testing.assert_allclose(together.mean(-1), 0, atol=1e-15)
    np.testing.assert_allclose(together.var(-1), 1, rtol=1e-13)


def test_a_constant_stands_in_the_graph_and_may_be_changed_in_a_call():
    rglru = CELLS["rglru"]
    assert any(n.op == "const" and n.value in (8.0, -8.0) for n in topological(rglru.graph.roots))

    @cell(sizes={"x": "H"})
    def decay(x, h, *, c=0.25):
        return c * h + x

    assert decay(np.ones(2), np.ones(2)).tolist() == [1.25, 1.25]
    assert decay(np.ones(2), np.ones(2), c=3.0).tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("name", "delays"), [("qrnn", ["before"]), ("gru", []), ("gru_d", []), ("slstm", [])]
)  # fmt: skip
def test_delays_are_states_whose_update_is_free_of_state(name, delays):
    assert list(analysis.delays(CELLS[name].graph)) == delays


def test_a_delay_of_a_delay_is_a_delay():
    @cell(sizes={"one": "I", "two": "I"})
    def window(x, h, two, one, W, V):
        h = 0.5 * h + tanh(W.h(x) + V.a(one) + V.b(two))
        return h, one, x

    assert list(analysis.delays(window.graph)) == ["one", "two"]
    given = problem(window, lengths=[0, 5, 2, 1])
    assert_agrees(given.answer("eager", torch.float64), given.expected(), torch.float64)


@pytest.mark.parametrize("name", CELLS)
def test_json_round_trip(name):
    made = CELLS[name]
    again = Cell.from_json(json.loads(json.dumps(made.to_json())))
    assert again.key == made.key
    assert (again.name, again.cite, again.doc, again.init) == (made.name, made.cite, made.doc, made.init)
    assert (again.inputs, again.states, list(again.graph.gates)) == (
        made.inputs,
        made.states,
        list(made.graph.gates),
    )
    assert again.packs == made.packs
    assert again.function is None
    for a, b in zip(forward(again, made), forward(made), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", CELLS)
def test_json_is_json(name):
    """An artefact's config.json is read by others' parsers, which know no Infinity."""
    json.dumps(CELLS[name].to_json(), allow_nan=False)


@pytest.mark.parametrize("name", ["gru", "slstm", "gru_d"])
def test_pickle_and_deepcopy(name):
    made = CELLS[name]
    assert copy.deepcopy(made) is made
    again = pickle.loads(pickle.dumps(made))
    assert (again.key, again.name, again.init) == (made.key, made.name, made.init)


def test_the_key_is_that_of_the_equations():
    @cell(cite="another source")
    def renamed(x, h, W, U, bi, bh):
        """Another text."""
        r = sigmoid(W.r(x) + bi.r + U.r(h) + bh.r)
        z = sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)
        return z * h + (1 - z) * tanh(W.n(x) + bi.n + r * (U.n(h) + bh.n))

    assert renamed.key == gru.key
    assert len({c.key for c in CELLS.values()}) == len(CELLS)


def test_the_key_does_not_depend_on_a_named_value_that_nothing_uses():
    @cell
    def plain(x, h, W, U):
        return tanh(W.h(x) + U.h(h))

    @cell
    def watched(x, h, W, U):
        new = tanh(W.h(x) + U.h(h))
        change = new - h  # noqa: F841
        return new

    assert plain.key == watched.key


def test_a_cell_is_called_like_its_function():
    given = problem(gru)
    output = forward(gru)[0]
    operands = gru.unpack(given.parameters, given.sizes)
    groups = [
        group(letter, {k.split(".")[1]: v for k, v in operands.items() if k.startswith(f"{letter}.")})
        for letter in ("W", "U", "bi", "bh")
    ]
    np.testing.assert_allclose(gru(given.inputs[0][0], given.states[0], *groups), output[0], rtol=1e-14)


def test_matrices_are_packed_before_vectors_wherever_they_stand():
    @cell
    def vectors_first(x, h, b, p, W, U):
        return tanh(b.h + p.k * W.h(x) + U.h(h))

    assert [pack.name for pack in vectors_first.packs] == ["weight_ih", "weight_hh", "bias_ih", "p_k"]
