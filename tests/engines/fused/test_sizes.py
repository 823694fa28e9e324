"""Any number of steps, sequences, units and threads gives the same numbers, in outputs, states and gradients."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.engines.fused.threads import threads
from tests.engines.harness import CELLS, TOLERANCES, Problem, assert_agrees, problem

import gruvy
from gruvy.engines import Options

# The cells whose kernels differ most: stages, reductions, delays, scalars, several inputs and states.
SHAPED = ["gru", "lstm", "gru_reset_before", "gru_layernorm", "mingru", "elman"]
USERS = ["gru_d", "ligru", "qrnn", "rglru", "indrnn", "mut3", "slstm", "augru", "fastgrnn", "gru_dreamer",
         "every_function"]  # fmt: skip
ALL = SHAPED + USERS
NORMALISING = {"gru_layernorm", "gru_dreamer"}
WITH_TORCHS_KERNEL = {"gru", "lstm", "elman"}  # an expectation that shares no line with gruvy


def tame(name, steps, batch, inputs, hidden, lengths=None, seed=0):
    """A random problem whose recurrence is not chaotic, so that rounding stays rounding."""
    sizes = {"I": hidden if next(iter(CELLS[name].inputs.values())) == "H" else inputs, "H": hidden}
    given = problem(CELLS[name], steps, batch, lengths, sizes, seed=seed)
    return replace(given, parameters={k: p / math.sqrt(hidden) for k, p in given.parameters.items()})


def answer(given, dtype, recompute):
    """What the fused engine makes of it."""
    if recompute:
        given = Recomputed(**{field.name: getattr(given, field.name) for field in fields(given)})
    return given.answer("fused", dtype)


class Recomputed(Problem):
    """A problem whose forward pass keeps little, and whose backward pass computes the rest again."""

    def call(self, dtype=torch.float64, options=None):
        return super().call(dtype, options or Options(recompute=True))


def assert_right(given, dtype, count=1, recompute=False):
    """The fused engine against another one, which computes in float64 from the same numbers."""
    if given.cell.name in NORMALISING and given.sizes["H"] <= 2:
        dtype = torch.float64  # the norm of one or two units divides rounding errors by the root of its epsilon
    given = given.rounded(dtype)
    wanted = given.answer("framework" if given.cell.name in WITH_TORCHS_KERNEL else "eager", torch.float64)
    with threads(count):
        assert_agrees(answer(given, dtype, recompute), wanted, dtype)


def some_lengths(steps, batch, seed=0):
    """Unequal ones, a full one and an empty one among them."""
    lengths = np.random.default_rng(seed).integers(0, steps + 1, batch)
    lengths[:1], lengths[1:2] = steps, 0
    return lengths.tolist()


# steps, batch, inputs, hidden
SHAPES = [
    (0, 3, 2, 15), (1, 0, 16, 17), (1, 1, 1, 1), (2, 8, 15, 1), (63, 2, 1, 2), (257, 1, 17, 16), (2, 200, 2, 31),
    (63, 7, 31, 33), (2, 33, 64, 64), (1, 8, 130, 100), (2, 3, 100, 130),
]  # fmt: skip
THREADS = [1, 2, 3, 5]
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SHAPED)
def test_any_shape(name, shape, ragged):
    steps, batch, _, _ = shape
    dtype = DTYPES[(steps + batch + ragged) % 2]
    assert_right(tame(name, *shape, some_lengths(steps, batch) if ragged else None), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_any_cell_of_any_width(name, dtype):
    for hidden, inputs in ((2, 17), (16, 1), (33, 31)):
        assert_right(tame(name, 5, 7, inputs, hidden, some_lengths(5, 7)), dtype)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 32])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_one_unit(name, dtype, rows):
    """A state of one unit, over as many rows as vectors have lanes and one more or less."""
    assert_right(tame(name, 1, rows, 3, 1), dtype)
    assert_right(tame(name, rows, 1, 1, 1), dtype)


# Work enough for several threads: few sequences, so that they share the units, and many, so that they share those.
@pytest.mark.parametrize("batch", [7, 33, 200])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("count", THREADS)
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm", "gru_reset_before", "mingru"])
def test_any_number_of_threads(name, count, ragged, batch):
    given = tame(name, 3, batch, 31, 130 if batch < 8 else 64, some_lengths(3, batch) if ragged else None)
    assert_right(given, DTYPES[(count + ragged) % 2], count)


@pytest.mark.parametrize("name", USERS)
def test_any_cell_with_threads(name):
    for count, batch, lengths in ((2, 7, None), (3, 33, some_lengths(4, 33)), (5, 33, None)):
        assert_right(tame(name, 4, batch, 64, 64, lengths), torch.float64, count)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["gru", "lstm", "mingru", "gru_layernorm"])
def test_many_steps(name, count):
    """More than fit into the caches at once, in one direction and with unequal lengths."""
    assert_right(tame(name, 257, 8, 33, 64, some_lengths(257, 8)), torch.float32, count)


@pytest.mark.parametrize(
    "shape", [(0, 3, 2, 15), (1, 1, 1, 1), (2, 8, 15, 1), (17, 9, 31, 33), (63, 7, 16, 64)], ids=str
)
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ALL)
def test_any_cell_recomputed(name, ragged, shape):
    """Windows of steps: whole ones, a shorter last one, one step, none."""
    steps, batch, _, _ = shape
    given = tame(name, *shape, some_lengths(steps, batch) if ragged else None)
    assert_right(given, DTYPES[steps % 2], 1 + 2 * (steps > 60), recompute=True)


UNITS = st.sampled_from([1, 2, 15, 16, 17, 31, 33, 64, 100, 130])


@settings(max_examples=60)
@given(
    st.sampled_from(ALL), st.sampled_from([0, 1, 2, 63, 257]), st.sampled_from([0, 1, 2, 3, 7, 8, 33, 200]),
    UNITS, UNITS, st.booleans(), st.booleans(), st.sampled_from(DTYPES), st.sampled_from(THREADS), st.integers(0, 9),
)  # fmt: skip
def test_any_problem(name, steps, batch, inputs, hidden, ragged, recompute, dtype, count, seed):
    assume(steps * batch * hidden * (inputs + hidden) < 2e7)  # milliseconds
    lengths = some_lengths(steps, batch, seed) if ragged else None
    assert_right(tame(name, steps, batch, inputs, hidden, lengths, seed), dtype, count, recompute)


LENGTHS = {
    "all empty": [0] * 9, "all equal": [4] * 9, "all full": [6] * 9, "one step in all": [0] * 8 + [1],
    "falling": [6, 6, 5, 4, 3, 2, 1, 0, 0], "rising": [0, 0, 1, 2, 3, 4, 5, 6, 6], "one long": [1] * 8 + [6],
    "one sequence": [4], "one empty sequence": [0], "one full sequence": [6],
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm", "mingru"])
def test_any_lengths(name, lengths, count):
    assert_right(tame(name, 6, len(lengths), 17, 100, lengths), torch.float64, count)


# A layer: directions, depth and layouts, against the same layer on another engine


def layer_on(engine, name, **how):
    torch.manual_seed(0)
    return gruvy.Recurrent(CELLS[name], 17, 33, engine=engine, dtype=torch.float64, **how)


def near(got, wanted, kind):
    error = float((got - wanted).abs().max() / max(1.0, float(wanted.abs().max()))) if wanted.numel() else 0.0
    assert got.shape == wanted.shape
    assert error <= 10 * TOLERANCES[torch.float64][kind]  # ten times: several layers


def outcome(net, x, states, lengths, grad):
    """Output, final states and every gradient, `grad` being the one that comes in at the output."""
    output, finals = net(x, states if len(states) > 1 else states[0], lengths=lengths)
    finals = finals if isinstance(finals, tuple) else (finals,)
    grads = torch.autograd.grad(
        [output, *finals], [x, *states, *net.parameters()], [grad, *((i + 2) * s for i, s in enumerate(finals))]
    )
    return [output.detach(), *(s.detach() for s in finals)], grads


def assert_layers_agree(name, x, states, lengths, grad, recompute=False, **how):
    values, grads = outcome(layer_on("fused", name, recompute=recompute, **how), x, states, lengths, grad)
    wanted_values, wanted_grads = outcome(layer_on("eager", name, **how), x, states, lengths, grad)
    for got, wanted in zip(values, wanted_values, strict=True):
        near(got, wanted, "value")
    for got, wanted in zip(grads, wanted_grads, strict=True):
        near(got, wanted, "grad")


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("lengths", [None, [5, 0, 2, 5, 1, 3, 4]], ids=["full", "ragged"])
@pytest.mark.parametrize(
    "how",
    [
        {"bidirectional": True}, {"batch_first": True, "bidirectional": True}, {"num_layers": 2},
        {"num_layers": 3, "bidirectional": True}, {"num_layers": 2, "batch_first": True}, {"bias": False},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm"])
def test_a_layer(name, how, lengths, count, recompute):
    torch.manual_seed(1)
    places = how.get("num_layers", 1) * (2 if how.get("bidirectional") else 1)
    shape = (7, 5) if how.get("batch_first") else (5, 7)
    x = torch.randn(*shape, 17, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(places, 7, 33, dtype=torch.float64, requires_grad=True) for _ in CELLS[name].states]
    grad = torch.randn(*shape, 66 if how.get("bidirectional") else 33, dtype=torch.float64)
    with threads(count):
        assert_layers_agree(name, x, tuple(states), lengths, grad, recompute, **how)


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


# Numbers of shape (a, b, n), standing in memory in other ways than row after row.
VIEWS = {
    "transposed": lambda a, b, n: randn(b, a, n).transpose(0, 1),
    "a part of the units": lambda a, b, n: randn(a, b, n + 5)[..., 2 : 2 + n],
    "every second step": lambda a, b, n: randn(2 * a, b, n)[::2],
    "some of the batch": lambda a, b, n: randn(a, b + 3, n)[:, 1 : b + 1],
    "units apart": lambda a, b, n: randn(a, b, 2 * n)[..., ::2],
    "units first": lambda a, b, n: randn(n, a, b).permute(1, 2, 0),
    "one sequence for all": lambda a, b, n: randn(a, 1, n).expand(a, b, n),
    "one step for all": lambda a, b, n: randn(1, b, n).expand(a, b, n),
    "one row for all": lambda a, b, n: randn(n).expand(a, b, n),
    "one unit for all": lambda a, b, n: randn(a, b, 1).expand(a, b, n),
    "one number for all": lambda a, b, n: randn(1).expand(a, b, n),
    "overlapping": lambda a, b, n: randn(a + b + n).as_strided((a, b, n), (1, 1, 1)),
    "odd address": lambda a, b, n: randn(a * b * n + 1)[1:].view(a, b, n),
}


@pytest.mark.parametrize("lengths", [None, [5, 0, 2]], ids=["full", "ragged"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("where", ["input", "state", "gradient"])
def test_layouts_in_memory(where, view, lengths):
    """Views are read as they stand: slices, expanded and transposed tensors, in every place one can come in."""
    torch.manual_seed(0)
    shapes = {"input": (5, 3, 17), "state": (2, 3, 33), "gradient": (5, 3, 66)}
    x, h, grad = (view(*shape) if name == where else randn(*shape) for name, shape in shapes.items())
    assert_layers_agree("gru", x.requires_grad_(), (h.requires_grad_(),), lengths, grad, bidirectional=True)
