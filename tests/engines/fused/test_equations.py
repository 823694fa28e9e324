"""Any equations a user may write: what the kernel's generator has to get right beyond the cells there are."""

import numpy as np
import pytest
import torch
from tests.engines.harness import assert_agrees, problem
from tests.engines.test_numbers import NUMBERS, kinks

import gruvy
from gruvy.cells import cell, gru, maximum, mean, minimum, relu, sigmoid, tanh, where
from gruvy.engines import ENGINES, Options
from gruvy.language.cell import Cell

LENGTHS = [0, 5, 2, 4]
WIDTHS = {"wide": {"I": 3, "H": 18}, "narrow": {"I": 2, "H": 1}}


def assert_right(made, sizes=WIDTHS["wide"], dtype=torch.float64, lengths=LENGTHS):
    """The fused engine against the reference; one that refuses the cell is no right one."""
    given = problem(made, lengths=lengths, sizes=sizes).rounded(dtype)
    assert_agrees(given.answer("fused", dtype), given.expected(), dtype)


@pytest.mark.parametrize("sizes", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("made", [*NUMBERS, kinks], ids=lambda c: c.name)
def test_plain_numbers_inside_the_equations(made, dtype, sizes):
    assert_right(made, sizes, dtype)


def test_derivatives_where_there_is_none():
    """At ties and at 0, as everywhere: relu and abs have 0, maximum and minimum give each side half."""
    given = problem(kinks, steps=3)
    for array in (*given.inputs, *given.states):
        array[:] = 0
    assert_agrees(given.answer("fused", torch.float64), given.expected(), torch.float64)


# Comparisons: kept for the backward pass, read by a later stage, of one unit, as a number


@cell
def leaky(x, h, W, U):
    a = W.h(x) + U.h(h)
    return tanh(where(a > 0, a, 0.1 * a))


@cell
def choice_of_a_state(x, h, W, U):
    z = W.z(x) + U.z(h)
    n = tanh(W.n(x) + U.n(h))
    return where(z > 0, n, h)


@cell
def choice_that_waits_for_a_product(x, h, W, U):
    a = W.a(x) + U.a(h)
    n = tanh(W.n(x) + U.n(sigmoid(a) * h))
    return where(a > 0, n, h)


@cell(sizes={"k": 1})
def choice_by_one_unit(x, h, k, W, U):
    n = tanh(W.n(x) + U.n(h))
    return where(k > 0.2, n, h), tanh(mean(n) + k)


@cell(sizes={"k": 1})
def choice_between_single_units(x, h, k, W, U):
    n = tanh(W.n(x) + U.n(h))
    m = mean(n)
    return n * where(m > k, m, 0.5 * k), where(m < 0.1, m, k)


@cell
def choice_by_a_mean(x, h, W, U):
    n = tanh(W.n(x) + U.n(h))
    return where(n > mean(n, h), n, 0.5 * h)


@cell
def largest_and_smallest(x, h, W, U):
    a, b = W.a(x) + U.a(h), W.b(x) + U.b(h)
    return tanh(maximum(a, b) - minimum(a, relu(b)))


# States: that the equations never read, only read, hand on, exchange, or that are no output


@cell
def unread_state(x, h, last, W, U):
    n = tanh(W.n(x) + U.n(h))
    return n, 0.5 * n


@cell
def state_read_in_a_comparison_only(x, h, k, W, U):
    n = tanh(W.n(x) + U.n(h))
    return where(k > 0, n, 0.5 * n), tanh(W.k(x))


@cell
def state_that_stays(x, h, k, W, U):
    return tanh(W.n(x) + U.n(h) + k), k


@cell
def states_exchanged(x, h, k, W, U):
    return k, tanh(W.n(x) + U.n(h))


@cell(sizes={"x": "H"})
def state_that_is_the_input(x, h):
    return x


@cell
def output_beside_the_state(x, h, W, U, V):
    h = tanh(W.n(x) + U.n(h))
    return sigmoid(V.y(h)), h


@cell
def output_that_is_the_old_state(x, h, W, U):
    return h, tanh(W.n(x) + U.n(h))


@cell
def one_value_twice(x, h, c, W, U):
    n = tanh(W.n(x) + U.n(h) + c)
    return n, n


# Products: one behind the other, of parameters, of one unit


@cell
def three_stages(x, h, W, U):
    a = sigmoid(W.a(x) + U.a(h))
    b = sigmoid(W.b(x) + U.b(a * h))
    return tanh(W.c(x) + U.c(a * b * h) + U.d(b))


@cell
def product_of_a_parameter(x, h, W, U, p):
    return tanh(W.n(x) + U.n(h) + U.p(p.start))


@cell(sizes={"y": 1, "k": 1})
def products_of_one_unit(x, y, /, h, k, W, U, D):
    n = tanh(W.n(x) + U.n(h) + D.y(y) + D.k(k))
    return n, mean(n) + 0.5 * k


@cell
def product_of_an_input_made_before(x, h, W, U):
    return tanh(W.n(relu(x) * x) + U.n(h)) * W.g(x)


@cell
def input_without_gradient(x, y, /, h, W, U):
    return tanh(W.n(x) * where(W.y(y) > 0, 1.0, 0.5) + U.n(h))


MADE = [v for v in dict(globals()).values() if isinstance(v, Cell) and v is not gru and v is not kinks]


@pytest.mark.parametrize("sizes", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("made", MADE, ids=lambda c: c.name)
def test_a_cell(made, sizes):
    assert_right(made, sizes)
    assert_right(made, sizes, torch.float32, lengths=None)


# Cells of the same equations share a kernel, whatever their authors call the values in between


def state_of(z, h, n):
    return z * h + (1 - z) * n


@cell
def gru_of_other_names(x, h, W, U, bi, bh):
    reset_in = W.r(x) + bi.r + U.r(h) + bh.r
    reset = sigmoid(reset_in)
    update = sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)
    candidate = tanh(W.n(x) + bi.n + reset * (U.n(h) + bh.n))
    return state_of(update, h, candidate)


@cell
def gru_without_names(x, h, W, U, bi, bh):
    gates = [sigmoid(W.r(x) + bi.r + U.r(h) + bh.r), sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)]
    return state_of(gates[1], h, tanh(W.n(x) + bi.n + gates[0] * (U.n(h) + bh.n)))


@cell
def gru_named_in_another_order(x, h, W, U, bi, bh):
    gates = [sigmoid(W.r(x) + bi.r + U.r(h) + bh.r), sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)]
    z = gates[1]
    r = gates[0]
    n = tanh(W.n(x) + bi.n + r * (U.n(h) + bh.n))
    return z * h + (1 - z) * n


SAME_AS_GRU = [gru_of_other_names, gru_without_names, gru_named_in_another_order]


@pytest.fixture
def no_kernels(monkeypatch):
    """No cell has been run before: the kernel of the first one serves the others."""
    from gruvy.engines.fused import kernel

    monkeypatch.setattr(kernel, "_kernels", {})


@pytest.mark.parametrize("first", [gru, *SAME_AS_GRU], ids=lambda c: c.name)
@pytest.mark.parametrize("made", SAME_AS_GRU, ids=lambda c: c.name)
def test_cells_of_the_same_equations(no_kernels, made, first):
    """Outputs, gradients and recorded gates are each cell's own, whichever cell's kernel was built."""
    assert made.key == gru.key
    assert_right(first)
    assert_right(made)
    given = problem(made, lengths=LENGTHS)
    got, wanted = (
        ENGINES[engine].run(given.call(options=Options(record_gates=True))).gates for engine in ("fused", "eager")
    )  # fmt: skip
    assert list(got) == list(wanted) == list(made.graph.gates)
    for name, gate in wanted.items():
        torch.testing.assert_close(got[name], gate, rtol=1e-12, atol=1e-12)


def test_a_cell_read_from_an_artefact_has_the_same_kernel(no_kernels):
    again = Cell.from_json(gru_named_in_another_order.to_json())
    torch.manual_seed(0)
    net, other = (gruvy.Recurrent(made, 3, 4, engine="fused") for made in (gru_named_in_another_order, again))
    other.load_state_dict(net.state_dict())
    x = torch.randn(5, 2, 3)
    assert torch.equal(net(x)[0], other(x)[0])


def test_what_memory_held_before_changes_nothing():
    """Kernels take memory that is not cleared: of an earlier call, with NaN all over."""
    from gruvy.engines.fused.kernel import runtime

    given = problem(gru, steps=20, batch=9, sizes={"I": 17, "H": 33}, lengths=[20, 0, 3, 20, 7, 1, 19, 20, 2])
    wanted = given.answer("fused", torch.float64)
    held = [torch.from_dlpack(runtime().module.take(1 << n)) for n in range(12, 24) for _ in range(3)]
    for block in held:
        block.fill_(255)  # NaN in both types
    del held, block
    for name, got in given.answer("fused", torch.float64).items():
        assert np.array_equal(got, wanted[name]), name
