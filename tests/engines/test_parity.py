"""Every cell on every engine equals the reference in outputs, final states and all gradients."""

import pytest
import torch
from tests.engines.harness import CELLS, CPU, assert_agrees, problem

from gruvy.engines import ENGINES, Options

DTYPES = [torch.float64, torch.float32]
LENGTHS = {"full": None, "ragged": [0, 5, 2, 4]}


def supported(cell, engine, options=Options()):  # noqa: B008
    return ENGINES[engine].supports(cell, CPU, torch.float64, options)[0]


PAIRS = [(name, engine) for name, cell in CELLS.items() for engine in ENGINES if supported(cell, engine)]


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_engine_equals_the_reference(name, engine, dtype, lengths):
    given = problem(CELLS[name], lengths=lengths).rounded(dtype)
    assert_agrees(given.answer(engine, dtype), given.expected(), dtype)


def test_which_engine_runs_which_cell():
    assert [n for n, e in PAIRS if e == "framework"] == ["elman", "gru", "lstm"]
    assert [n for n, e in PAIRS if e == "eager"] == list(CELLS)
    assert [n for n, e in PAIRS if e == "reference"] == list(CELLS)


AWKWARD = {
    "no steps": {"steps": 0, "batch": 3},
    "no steps, lengths": {"steps": 0, "batch": 3, "lengths": [0, 0, 0]},
    "one step": {"steps": 1, "batch": 2},
    "63 steps": {"steps": 63, "batch": 2, "lengths": [63, 31]},
    "one unit": {"sizes": {"I": 1, "H": 1}},
    "17 units": {"steps": 3, "sizes": {"I": 5, "H": 17}},
    "no sequence": {"batch": 0},
    "no sequence, lengths": {"batch": 0, "lengths": []},
    "one sequence": {"batch": 1},
    "one sequence, no real step": {"batch": 1, "lengths": [0]},
    "all padding": {"batch": 3, "lengths": [0, 0, 0]},
    "short everywhere": {"batch": 3, "lengths": [2, 1, 3]},
}


@pytest.mark.parametrize("shape", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_awkward_sizes(name, engine, shape):
    given = problem(CELLS[name], **shape)
    assert_agrees(given.answer(engine, torch.float64), given.expected(), torch.float64)


@pytest.mark.parametrize("lengths", [None, [0, 5, 2, 4], [0, 0, 1, 1]], ids=["full", "ragged", "two real steps"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_normalisers_in_training_see_real_steps_only(dtype, lengths):
    given = problem(CELLS["ligru"], lengths=lengths, training=True).rounded(dtype)
    assert_agrees(given.answer("eager", dtype), given.expected(), dtype)


@pytest.mark.parametrize("name", CELLS)
def test_engines_do_not_write_into_what_they_are_given(name):
    given = problem(CELLS[name], lengths=[0, 5, 2, 4])
    call = given.call()
    tensors = [*call.inputs, *call.states, *call.parameters.values()]
    before = [t.detach().clone() for t in tensors]
    for engine in (e for n, e in PAIRS if n == name):
        ENGINES[engine].run(call)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


@pytest.mark.parametrize(("name", "engine"), [("gru", e) for e in ENGINES] + [("mgu", "eager"), ("mgu", "reference")])
def test_a_parameter_changed_before_backward_never_gives_a_wrong_gradient(name, engine):
    """As anywhere in torch: refused, or computed from the values of the forward pass."""
    given = problem(CELLS[name])
    call = given.call()
    output = ENGINES[engine].run(call).output
    (wanted,) = torch.autograd.grad(output.square().sum(), call.parameters["weight_hh"], retain_graph=True)
    with torch.no_grad():
        for p in call.parameters.values():
            p.add_(1.0)
    try:
        (got,) = torch.autograd.grad(output.square().sum(), call.parameters["weight_hh"])
    except RuntimeError as refusal:
        assert "modified by an inplace operation" in str(refusal)  # noqa: PT017
    else:
        torch.testing.assert_close(got, wanted)
