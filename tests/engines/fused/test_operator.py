"""The kernels among torch's own machinery: autograd, its transforms, autocast, compilation, functional calls."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tests.engines.harness import CELLS, problem
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

import gruvy
from gruvy.cells import CATALOGUE
from gruvy.engines import ENGINES, Options

LENGTHS = [None, [3, 0, 2]]
IDS = ["full", "ragged"]
SMALL = {"I": 2, "H": 3}
SECOND = "a derivative of a gradient runs on the eager engine"


def layer(name="gru", engine="fused", dtype=torch.float64, sizes=(3, 4), **how):
    torch.manual_seed(0)
    return gruvy.Recurrent(CELLS[name], *sizes, engine=engine, dtype=dtype, **how)


def near(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


class Calls(TorchDispatchMode):
    """Notes the calls of gruvy's operators: what torch sees of them."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "gruvy":
            self.made.append((function, args))
        return function(*args, **(kwargs or {}))


def detached(argument):
    if isinstance(argument, list):
        return [detached(a) for a in argument]
    return argument.detach() if isinstance(argument, torch.Tensor) else argument


@pytest.mark.parametrize("how", [{}, {"lengths": [8, 8]}, {"record_gates": True}], ids=str)
def test_operators_keep_their_promises_to_torch(how):
    """Schemas, shapes without data, and what compilation makes of them, by torch's own check.

    It compares results to the last number, memory that is kept for the backward pass included; these sizes leave
    none of that unwritten.
    """
    net = layer(dtype=torch.float32, sizes=(16, 16))
    x = torch.randn(8, 2, 16, requires_grad=True)
    with Calls() as calls:
        net(x, **how)[0].sum().backward()
    (forward, arguments), (backward, others) = calls.made
    torch.library.opcheck(forward, arguments)
    torch.library.opcheck(backward, tuple(map(detached, others)))


# Derivatives


def as_function(name, lengths, **options):
    """The engine as a plain function of every tensor of a call."""
    call = problem(CELLS[name], 3, 3, lengths, SMALL, seed=2).call(options=Options(**options))
    assert ENGINES["fused"].supports(call.cell, torch.device("cpu"), torch.float64, call.options)[0]
    inputs, states = len(call.inputs), len(call.states)

    def function(*tensors):
        parameters = dict(zip(call.parameters, tensors[inputs + states :], strict=True))
        given = replace(
            call, inputs=tensors[:inputs], states=tensors[inputs : inputs + states], parameters=parameters
        )  # fmt: skip
        result = ENGINES["fused"].run(given)
        return (result.output, *result.states, *result.gates.values())

    return function, (*call.inputs, *call.states, *call.parameters.values())


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_gradcheck_of_what_is_recomputed(name, lengths):
    for record_gates in (False, True):
        function, tensors = as_function(name, lengths, record_gates=record_gates, recompute=True)
        assert torch.autograd.gradcheck(function, tensors, fast_mode=True)


CHECKED = ["gru", "lstm", "gru_layernorm", "gru_reset_before", "mingru", "gru_d", "every_function"]


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
@pytest.mark.parametrize("name", CHECKED)
def test_gradcheck(name, lengths):
    function, tensors = as_function(name, lengths)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
@pytest.mark.parametrize("name", ["gru", "gru_layernorm"])
def test_gradcheck_of_recorded_gates(name, lengths):
    function, tensors = as_function(name, lengths, record_gates=True)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
@pytest.mark.parametrize("name", CHECKED)
def test_second_derivatives_come_from_the_eager_engine(name, lengths):
    function, tensors = as_function(name, lengths)
    with pytest.warns(UserWarning, match=SECOND):
        assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
@pytest.mark.parametrize("how", [{}, {"bidirectional": True, "num_layers": 2}], ids=str)
@pytest.mark.parametrize("name", CATALOGUE)
def test_recorded_gates_and_their_gradients_are_the_eager_engines(name, how, lengths):
    results = []
    for engine in ("fused", "eager"):
        net = layer(name, engine, **how)
        x = torch.linspace(-1, 1, 27, dtype=torch.float64).view(3, 3, 3).requires_grad_()
        output, _, gates = net(x, lengths=lengths, record_gates=True)
        gates = [gate for place in gates for gate in place.values()]
        loss = output.sum() + sum((i + 2) * gate.square().sum() for i, gate in enumerate(gates))
        results.append([output, *gates, *torch.autograd.grad(loss, [x, *net.parameters()])])
    for got, wanted in zip(*results, strict=True):
        near(got, wanted)


@pytest.mark.parametrize("gates", [False, True], ids=["plain", "gates"])
def test_one_tensor_in_several_places_has_the_sum_of_their_gradients(gates):
    """One tensor for three inputs, and one for two states."""
    found = []
    for engine in ("fused", "eager"):
        x = torch.linspace(0.1, 0.9, 18, dtype=torch.float64).view(3, 2, 3).requires_grad_()
        output, _, *recorded = layer("gru_d", engine)([x, x, x], record_gates=gates)
        loss = output.square().sum() + sum(gate.sum() for place in recorded for gate in place[0].values())
        found += torch.autograd.grad(loss, x)
    near(*found)


def test_one_state_in_two_places_has_the_sum_of_their_gradients():
    found = []
    for engine in ("fused", "eager"):
        call = problem(CELLS["lstm"], 3, 2).call()
        call = replace(call, states=[call.states[0]] * 2, options=Options(record_gates=True))
        result = ENGINES[engine].run(call)
        loss = result.output.sum() + sum(gate.square().sum() for gate in result.gates.values())
        found += torch.autograd.grad(loss, call.states[0])
    near(*found)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_gradients_of_a_part(name):
    """Of some tensors only, of the output only, of a final state only, of one unit of it."""
    net, x = layer(name), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    plain = layer(name, "eager")
    for what in (lambda o, h: o.sum(), lambda o, h: h.square().sum(), lambda o, h: o[2, 1, 0], lambda o, h: h[0, 1, 2]):
        for leaves in (["weight_hh_l0"], ["bias_ih_l0", "weight_ih_l0"], []):
            got, wanted = (
                torch.autograd.grad(
                    what(o, s if name == "gru" else s[1]), [x, *map(n.get_parameter, leaves)]
                )
                for n, (o, s) in ((n, n(x)) for n in (net, plain))
            )  # fmt: skip
            for a, b in zip(got, wanted, strict=True):
                near(a, b)


@pytest.mark.parametrize("frozen", ["weight_hh_l0", "weight_ih_l0", "bias_hh_l0"])
def test_a_frozen_parameter_has_no_gradient_and_the_others_theirs(frozen):
    net, wanted = layer(), layer()
    net.get_parameter(frozen).requires_grad_(False)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    for made in (net, wanted):
        made(x)[0].square().sum().backward()
    for name, parameter in net.named_parameters():
        if name == frozen:
            assert parameter.grad is None
        else:
            near(parameter.grad, wanted.get_parameter(name).grad)


# What autograd promises


def test_backward_twice_gives_equal_gradients():
    net = layer()
    loss = net(torch.randn(5, 2, 3, dtype=torch.float64))[0].square().sum()
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, list(net.parameters()))


@pytest.mark.parametrize("what", ["output", "input", "parameter", "state"])
def test_what_backward_needs_may_not_be_changed_before_it(what):
    net = layer()
    x, h = (torch.randn(shape, dtype=torch.float64) for shape in ((5, 2, 3), (1, 2, 4)))
    x.requires_grad_()
    output, _ = net(x, h)
    with torch.no_grad():
        {"output": output, "input": x, "parameter": net.weight_hh_l0, "state": h}[what].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_hooks_see_the_gradients():
    net, x, seen = layer(), torch.randn(5, 2, 3, dtype=torch.float64), []
    output, _ = net(x)
    output.register_hook(lambda grad: seen.append(grad) or 2 * grad)
    output.sum().backward()
    doubled = net.weight_hh_l0.grad.clone()
    net.zero_grad()
    net(x)[0].sum().backward()
    assert len(seen) == 1
    near(doubled, 2 * net.weight_hh_l0.grad)


def test_checkpointing_gives_the_same_gradients():
    net, x = layer(), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    leaves = [x, *net.parameters()]
    wanted = torch.autograd.grad(net(x)[0].square().sum(), leaves)
    output = torch.utils.checkpoint.checkpoint(lambda x: net(x)[0], x, use_reentrant=False)
    for a, b in zip(torch.autograd.grad(output.square().sum(), leaves), wanted, strict=True):
        near(a, b)


# Transforms: right, or refused in words. Wrong numbers are the one thing that may not come out.


def forward_mode(f, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


TRANSFORMS = {
    "grad": lambda f, x: torch.func.grad(lambda x: f(x).square().sum())(x),
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    "vjp": lambda f, x: torch.func.vjp(f, x)[1](torch.ones(3, 2, 4, dtype=x.dtype))[0],
    "vmap": lambda f, x: torch.func.vmap(f)(torch.stack([x, 2 * x])),
    "vmap of grad": lambda f, x: torch.func.vmap(torch.func.grad(lambda x: f(x).sum()))(torch.stack([x, 2 * x])),
    "hessian": lambda f, x: torch.func.hessian(lambda x: f(x).sum())(x),
    "dual numbers": forward_mode,
}


# torch in forward mode
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("engine", ["auto", "fused"])
def test_a_transform_is_right_or_refused_with_the_remedy(engine, transform):
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    net, plain = layer(engine=engine), layer(engine="eager")
    wanted = transform(lambda x: plain(x)[0], x)
    try:
        got = transform(lambda x: net(x)[0], x)
    except gruvy.errors.EngineError as refusal:
        assert engine == "fused"
        assert "engine='eager'" in str(refusal)  # noqa: PT017
    else:
        assert got is not None
        near(got, wanted)


def test_functional_call_takes_plain_tensors_with_gradients():
    net, x = layer(), torch.randn(5, 2, 3, dtype=torch.float64)
    given = {k: (2 * p.detach()).requires_grad_() for k, p in net.named_parameters()}
    got = torch.autograd.grad(torch.func.functional_call(net, given, (x,))[0].sum(), list(given.values()))
    net.load_state_dict(given)
    for a, b in zip(got, torch.autograd.grad(net(x)[0].sum(), list(net.parameters())), strict=True):
        near(a, b)


# What does not fit: kernels read memory by its address, so that a tensor of the wrong shape or type must not reach one.

MISFITS = {
    "a matrix with too few rows": ("weight_hh_l0", lambda p: p[:4]),
    "a matrix with too few columns": ("weight_ih_l0", lambda p: p[:, :1]),
    "a vector for a matrix": ("weight_hh_l0", lambda p: p[:, 0]),
    "a bias too short": ("bias_hh_l0", lambda p: p[:1]),
    "another type": ("weight_hh_l0", lambda p: p.float()),
    "half the type": ("bias_ih_l0", lambda p: p.bfloat16()),
}


@pytest.mark.parametrize("grad", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("name", "change"), MISFITS.values(), ids=MISFITS)
def test_a_parameter_that_does_not_fit_is_refused(name, change, grad):
    net = layer()
    given = {k: change(p.detach()) if k == name else p for k, p in net.named_parameters()}
    with pytest.raises((RuntimeError, ValueError, gruvy.errors.GruvyError)), nullcontext() if grad else torch.no_grad():
        torch.func.functional_call(net, given, (torch.randn(5, 2, 3, dtype=torch.float64),))


# Autocast


@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm", "ligru"])
def test_autocast_leaves_a_float32_layer_as_it_is(name):
    net, x = layer(name, dtype=torch.float32).eval(), torch.randn(5, 3, 3)
    wanted, _ = net(x, lengths=[5, 0, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = net(x, lengths=[5, 0, 2])
    assert output.dtype == torch.float32
    allowed = 0.05 if name == "ligru" else 0.0  # torch computes what goes into a normaliser, and may use bfloat16
    torch.testing.assert_close(output, wanted, rtol=allowed, atol=allowed)
    got, expected = (torch.autograd.grad(o.square().sum(), list(net.parameters())) for o in (output, wanted))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=allowed, atol=allowed)


def test_gradients_of_gates_under_autocast_are_float32():
    net, x = layer(dtype=torch.float32), torch.randn(5, 2, 3)
    (plain,) = net(x, record_gates=True)[2]
    wanted = torch.autograd.grad(plain["n"].sum(), net.weight_hh_l0)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (gates,) = net(x, record_gates=True)[2]
        got = torch.autograd.grad(gates["n"].sum(), net.weight_hh_l0)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


# Compilation


@pytest.mark.parametrize("lengths", LENGTHS, ids=IDS)
def test_compilation_breaks_no_graph(lengths):
    """Forward and backward as one graph each, with the numbers of the plain call."""
    net, x = layer(dtype=torch.float32, bidirectional=True), torch.randn(3, 3, 3, requires_grad=True)
    lengths = None if lengths is None else torch.tensor(lengths)
    leaves = [x, *net.parameters()]
    wanted, _ = net(x, lengths=lengths)
    wanted_grads = torch.autograd.grad(wanted.square().sum(), leaves)
    torch.compiler.reset()
    output, _ = torch.compile(net, fullgraph=True, backend="aot_eager")(x, lengths=lengths)
    torch.testing.assert_close(output, wanted)
    for a, b in zip(torch.autograd.grad(output.square().sum(), leaves), wanted_grads, strict=True):
        torch.testing.assert_close(a, b)
