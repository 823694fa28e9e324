"""One step at a time without gradients: the thin path to the kernel gives what whole sequences give."""

import copy
import io
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.fused.threads import threads
from tests.engines.harness import CELLS, TOLERANCES
from torch.nn.utils import prune

import gruvy
from gruvy.engines import ENGINES
from gruvy.engines.eager import EagerEngine

ONE_INPUT = [name for name, made in CELLS.items() if len(made.inputs) == 1 and not made.normalisers]


def layer(name="gru", inputs=3, hidden=4, dtype=torch.float64, **how):
    torch.manual_seed(0)
    inputs = hidden if next(iter(CELLS[name].inputs.values())) == "H" else inputs
    return gruvy.Recurrent(CELLS[name], inputs, hidden, dtype=dtype, **how).eval()


def sequence(net, *shape):
    return torch.rand(*shape, net.input_size, dtype=net._like(torch.empty(0)).dtype)


def steps(net, x, states=None):
    """All outputs and the last states, one step after another."""
    outputs = []
    with torch.no_grad():
        for now in x:
            output, states = net.step(now, states)
            outputs.append(output)
    return torch.stack(outputs), states


def near(got, wanted):
    got, wanted = (v if isinstance(v, tuple) else (v,) for v in (got, wanted))
    for a, b in zip(got, wanted, strict=True):
        allowed = TOLERANCES[b.dtype]["value"]
        torch.testing.assert_close(a, b, rtol=allowed, atol=allowed)


def assert_steps_equal_the_whole(net, x):
    whole, final = net(x)
    stepped, state = steps(net, x)
    near(stepped, whole.detach())
    near(state, tuple(f.detach() for f in final) if isinstance(final, tuple) else final.detach())


@pytest.mark.parametrize("batch", [None, 1, 2, 8, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ONE_INPUT)
def test_steps_equal_the_whole(name, dtype, batch):
    net = layer(name, 17, 18, dtype)
    assert_steps_equal_the_whole(net, sequence(net, *((5,) if batch is None else (5, batch))))


UNITS = st.sampled_from([1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 130, 256])


@settings(max_examples=80)
@given(
    st.sampled_from(["gru", "lstm", "gru_reset_before", "gru_layernorm", "mingru", "elman"]), UNITS, UNITS,
    st.integers(1, 9), st.sampled_from([torch.float32, torch.float64]), st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_steps_of_any_width_equal_the_whole(name, inputs, hidden, batch, dtype, count):
    if name == "gru_layernorm" and hidden <= 2:
        dtype = torch.float64  # the norm of one or two units divides rounding errors by the root of its epsilon
    net = layer(name, inputs, hidden, dtype)
    with threads(count):
        assert_steps_equal_the_whole(net, sequence(net, 3, batch))


@pytest.mark.parametrize("view", ["every second unit", "transposed", "expanded", "odd address"])
def test_layouts_in_memory(view):
    net = layer()
    x = {
        "every second unit": lambda: sequence(net, 5, 2).repeat_interleave(2, -1)[..., ::2],
        "transposed": lambda: sequence(net, 2, 5).transpose(0, 1),
        "expanded": lambda: sequence(net, 5, 1).expand(5, 2, 3),
        "odd address": lambda: torch.rand(31, dtype=torch.float64)[1:].view(5, 2, 3),
    }[view]()
    assert_steps_equal_the_whole(net, x)


def test_states_in_other_layouts():
    net, x = layer("lstm"), sequence(layer("lstm"), 4, 3)
    states = tuple(torch.rand(1, 4, 3, dtype=torch.float64).transpose(1, 2) for _ in range(2))
    near(steps(net, x, states)[0], net(x, states)[0].detach())


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_what_a_step_returns_is_the_callers(name):
    """An output that is changed in place leaves the state alone, as in a call of a whole sequence."""
    net = layer(name)
    x = sequence(net, 2, 1)
    with torch.no_grad():
        _, states = net.step(x[0])
        output, states = net.step(x[1], states)
        wanted = copy.deepcopy(states)
        output.mul_(2).add_(1)
    near(states, wanted)


def test_a_step_leaves_what_it_is_given():
    net = layer("lstm", 16, 16)
    x, states = sequence(net, 3, 2), tuple(torch.rand(1, 2, 16, dtype=torch.float64) for _ in range(2))
    before = copy.deepcopy((x, states))
    steps(net, x, states)
    near((x, *states), (before[0], *before[1]))


def changed(net):
    assert_steps_equal_the_whole(net, sequence(net, 4, 2))


class TestAfterAChange:
    """Steps have been made already, and what they were prepared for no longer holds."""

    @pytest.fixture
    def net(self):
        net = layer()
        steps(net, sequence(net, 4, 2))
        return net

    def test_of_numbers(self, net):
        with torch.no_grad():
            net.weight_hh_l0.mul_(-1)
        changed(net)

    def test_of_a_parameter(self, net):
        net.weight_hh_l0 = torch.nn.Parameter(torch.rand(12, 4, dtype=torch.float64))
        changed(net)

    def test_of_the_memory_of_a_parameter(self, net):
        net.weight_hh_l0.data = torch.rand(12, 4, dtype=torch.float64)
        changed(net)

    def test_of_the_type(self, net):
        changed(net.float())
        changed(net.double())

    def test_of_the_type_to_one_without_kernels(self, net):
        net.bfloat16()
        x = torch.rand(3, 2, 3, dtype=torch.bfloat16)
        assert torch.equal(steps(net, x)[0], net(x)[0])

    def test_of_the_engine(self, net, monkeypatch):
        """The one that is named computes the steps too."""
        calls = []
        monkeypatch.setattr(ENGINES["eager"], "run", lambda call: calls.append(call) or EagerEngine().run(call))
        net.engine = "eager"
        changed(net)
        assert len(calls) == 5  # the whole sequence, and four steps

    def test_by_a_parametrization(self, net):
        torch.nn.utils.parametrizations.spectral_norm(net, "weight_hh_l0")
        changed(net)

    def test_by_pruning(self, net):
        prune.l1_unstructured(net, "weight_hh_l0", 0.5)
        changed(net)

    def test_by_a_functional_call(self, net):
        x = sequence(net, 3, 2)
        given = {k: 2 * p.detach() for k, p in net.named_parameters()}
        wanted = torch.func.functional_call(net, given, (x,))[0]

        class Steps(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, x):
                return steps(self.net, x)[0]

        near(torch.func.functional_call(Steps(), {f"net.{k}": v for k, v in given.items()}, (x,)), wanted)
        changed(net)

    def test_by_a_copy(self, net):
        for other in (copy.copy(net), copy.deepcopy(net)):
            changed(other)
        changed(net)

    def test_by_saving(self, net):
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        changed(torch.load(file, weights_only=False))

    def test_by_a_hook(self, net):
        """Hooks are called for steps as they were before the first one."""
        seen = []
        net.register_forward_hook(lambda *_: seen.append(1))
        steps(net, sequence(net, 4, 2))
        assert len(seen) == 4


MISTAKES = {
    "another type": (lambda: torch.zeros(2, 3), None),
    "too wide": (lambda: torch.zeros(2, 4, dtype=torch.float64), None),
    "three dimensions": (lambda: torch.zeros(1, 2, 3, dtype=torch.float64), None),
    "a state of another batch": (None, lambda: torch.zeros(1, 3, 4, dtype=torch.float64)),
    "a state of another width": (None, lambda: torch.zeros(1, 2, 5, dtype=torch.float64)),
    "a state of another type": (None, lambda: torch.zeros(1, 2, 4)),
    "two states": (None, lambda: (torch.zeros(1, 2, 4, dtype=torch.float64),) * 2),
}


@pytest.mark.parametrize(("x", "state"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_as_in_a_whole_sequence(x, state):
    net = layer()
    good, begun = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(1, 2, 4, dtype=torch.float64)
    x, state = x() if x else good, state() if state else begun
    with torch.no_grad():
        net.step(good, begun)
        with pytest.raises((gruvy.errors.GruvyError, RuntimeError)) as wanted:
            net(x[None], state)
        with pytest.raises(type(wanted.value)):
            net.step(x, state)


def alone(code, *arguments):
    """What a fresh process prints: a mistake with addresses would end this one."""
    code = f"import sys, torch, gruvy\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
    return done.stdout.split()


@pytest.mark.parametrize("place", ["x", "h"])
def test_a_tensor_on_another_device_is_refused(place):
    code = """
    net = gruvy.GRU(3, 4)
    given = {"x": torch.zeros(2, 3), "h": torch.zeros(1, 2, 4)}
    with torch.no_grad():
        net.step(*given.values())
        given[sys.argv[1]] = given[sys.argv[1]].to("meta")
        try:
            net.step(*given.values())
        except (gruvy.errors.GruvyError, RuntimeError):
            print("refused")
    """
    assert alone(code, place) == ["refused"]


def test_the_default_device_is_not_where_a_step_is_computed():
    """A layer on the CPU in a program whose other tensors are elsewhere."""
    code = """
    net, x, h = gruvy.GRU(3, 4), torch.ones(2, 3), torch.zeros(1, 2, 4)
    wanted, _ = net(x[None], h)
    torch.set_default_device("meta")
    with torch.no_grad():
        output, h = net.step(x, h)
    print(output.device, h.device, torch.allclose(output, wanted[0]))
    """
    assert alone(code) == ["cpu", "cpu", "True"]
