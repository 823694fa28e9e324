"""How kernels run: repeatable, on as many threads as torch says, in children, in other threads, in bounded memory."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from tests.engines.fused.threads import threads
from tests.engines.harness import CELLS

import gruvy

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system has no /proc to look into")


def layer(name="gru", hidden=64, **how):
    torch.manual_seed(0)
    return gruvy.Recurrent(CELLS[name], 31, hidden, engine="fused", **how)


def gradients(net, x, lengths=None):
    """The output, final states and gradients of inputs and parameters."""
    x = x.clone().requires_grad_()
    output, states = net(x, lengths=lengths)
    states = states if isinstance(states, tuple) else (states,)
    loss = output.square().sum() + sum(s.sum() for s in states)
    return [output.detach(), *torch.autograd.grad(loss, [x, *net.parameters()])]


def alone(code, *arguments, seconds=60, **environment):
    """What a fresh process prints; one that hangs is stopped, and fails."""
    code = f"import torch, gruvy\n{textwrap.dedent(code)}"
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment, timeout=seconds, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("lengths", [None, [9, 0, 4, 9, 1, 7, 8, 2, 3] * 3], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_layernorm"])
def test_runs_are_equal_to_the_last_bit(name, lengths, count):
    """The same numbers on as many threads: whichever thread comes first, and whatever memory held."""
    net, x = layer(name, bidirectional=True), torch.randn(9, 27, 31)
    with threads(count):
        first = gradients(net, x, lengths)
        for _ in range(5):
            gradients(net, torch.randn(7, 20, 31))  # leaves its numbers in the memory
            for a, b in zip(first, gradients(net, x, lengths), strict=True):
                assert torch.equal(a, b)


NEW_THREADS = """
import os
torch.set_num_threads(1)

def new_threads(count, call):
    torch.set_num_threads(count)
    before = len(os.listdir("/proc/self/task"))
    call()
    return len(os.listdir("/proc/self/task")) - before
"""


@LINUX
def test_threads_are_as_many_as_torch_says():
    """Seen from outside: how many more threads stand in the process after a call on 1, 2, 3 and 5."""
    code = """
    net, x = gruvy.GRU(64, 64, engine="fused").requires_grad_(False), torch.randn(4, 64, 64)
    print(*(new_threads(count, lambda: net(x)) for count in (1, 2, 3, 5)))
    """
    assert alone(NEW_THREADS + textwrap.dedent(code)) == ["0", "1", "1", "2"]


@LINUX
def test_little_work_stays_on_one_thread():
    code = """
    net, x = gruvy.GRU(4, 8, engine="fused").requires_grad_(False), torch.randn(5, 2, 4)
    print(new_threads(4, lambda: net(x)))
    """
    assert alone(NEW_THREADS + textwrap.dedent(code)) == ["0"]


@pytest.mark.parametrize("limit", ["1", "2"])
def test_fewer_threads_than_torch_says_compute_too(limit):
    """Where the system, or OpenMP's own limit, gives out no more."""
    code = """
    net, x = gruvy.GRU(64, 64, engine="fused").requires_grad_(False), torch.randn(4, 64, 64)
    wanted, _ = net(x)
    torch.set_num_threads(4)
    print(torch.allclose(net(x)[0], wanted, atol=1e-6))
    """
    assert alone(code, OMP_THREAD_LIMIT=limit) == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_computes():
    """Threads do not follow into a child; a kernel that waited for its parent's would wait forever."""
    printed = alone(
        """
        import os, sys
        net, x = gruvy.GRU(64, 64, engine="fused"), torch.randn(5, 64, 64)
        torch.set_num_threads(3)
        net(x)[0].sum().backward()
        wanted, grad = net(x)[0].detach(), net.weight_hh_l0.grad.clone()
        for _ in range(3):
            child = os.fork()
            if not child:
                net.zero_grad()
                output, _ = net(x)
                output.sum().backward()
                right = torch.allclose(output, wanted, atol=1e-6)
                right &= torch.allclose(net.weight_hh_l0.grad, grad, rtol=1e-4, atol=1e-4)
                os._exit(0 if right else 1)
            print(os.waitpid(child, 0)[1])
            assert torch.allclose(net(x)[0], wanted, atol=1e-6)  # nor does the parent suffer
        """
    )
    assert printed == ["0", "0", "0"]


def test_workers_of_a_data_loader_compute():
    printed = alone(
        """
        net, x = gruvy.GRU(64, 64, engine="fused").requires_grad_(False), torch.randn(6, 5, 64, 64)
        torch.set_num_threads(2)

        class Encoded(torch.utils.data.Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, i):
                return net(x[i])[0]

        wanted = torch.stack([net(v)[0] for v in x])
        for got in (torch.cat(list(torch.utils.data.DataLoader(Encoded(), num_workers=2))) for _ in range(2)):
            print(torch.allclose(got, wanted, atol=1e-6))
        """
    )
    assert printed == ["True", "True"]


@pytest.mark.parametrize("count", [1, 3])
def test_calls_from_several_python_threads(count):
    """A layer each, and one for all."""
    shared = layer(dtype=torch.float64)
    cases = [(layer(name, dtype=torch.float64), 3 + i) for i, name in enumerate(["gru", "lstm", "mingru"])]
    cases += [(shared, 5), (shared, 9), (shared, 5)]
    inputs = [torch.randn(steps, 33, 31, dtype=torch.float64) for _, steps in cases]
    lengths = [torch.randint(0, steps + 1, (33,)) for _, steps in cases]
    wanted = [gradients(net, x, n) for (net, _), x, n in zip(cases, inputs, lengths, strict=True)]

    def again(i):
        with threads(count):
            return [gradients(cases[i][0], inputs[i], lengths[i]) for _ in range(10)]

    with ThreadPoolExecutor(len(cases)) as pool:
        for expected, found in zip(wanted, pool.map(again, range(len(cases))), strict=True):
            for got in found:
                for a, b in zip(got, expected, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


RESIDENT = """
def resident(what):
    for line in open("/proc/self/status"):
        if line.startswith(what):
            return int(line.split()[1]) * 1024
"""


@LINUX
def test_memory_does_not_grow_over_training_steps():
    """200 of them, of changing lengths, after as many to begin with."""
    (grown,) = alone(
        RESIDENT
        + textwrap.dedent(
            """
            net = gruvy.GRU(32, 64, num_layers=2, bidirectional=True, engine="fused")
            optimizer = torch.optim.SGD(net.parameters(), 0.01)
            sizes = torch.randint(1, 40, (200, 2), generator=torch.Generator().manual_seed(0)).tolist()

            def train():
                for steps, batch in sizes:
                    lengths = torch.randint(0, steps + 1, (batch,))
                    net(torch.randn(steps, batch, 32), lengths=lengths)[0].square().sum().backward()
                    optimizer.step()
                    optimizer.zero_grad()

            train()
            before = resident("VmRSS")
            train()
            print(resident("VmRSS") - before)
            """
        )
    )
    assert int(grown) < 8e6


# Floats that a training step may hold for each unit of each step, beyond its inputs, outputs and gradients.
HELD = {"elman": 1, "gru": 5, "lstm": 7, "mingru": 4, "gru, recomputed": 1}


@LINUX
@pytest.mark.parametrize("name", HELD)
def test_a_training_step_holds_few_numbers(name):
    """Measured as the system sees it, at a size where all else is small."""
    (held,) = alone(
        RESIDENT
        + textwrap.dedent(
            """
            import sys
            steps, batch, units = 400, 64, 256
            cell, *recompute = sys.argv[1].split(", ")
            net = gruvy.Recurrent(getattr(gruvy.cells, cell), 64, units, engine="fused", recompute=bool(recompute))
            net(torch.randn(2, batch, 64))[0].backward(torch.ones(2, batch, units))
            x, grad = torch.randn(steps, batch, 64), torch.randn(steps, batch, units)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # what was most so far is forgotten
            before = resident("VmRSS")
            output, _ = net(x)
            output.backward(grad)
            most = resident("VmHWM") - before - output.nbytes
            print(most / (4 * steps * batch * units))
            """
        ),
        name,
    )
    assert 0 < float(held) <= HELD[name]


@LINUX
def test_a_call_without_gradients_keeps_nothing():
    (held,) = alone(
        RESIDENT
        + textwrap.dedent(
            """
            steps, batch, units = 400, 64, 256
            net = gruvy.GRU(64, units, engine="fused").requires_grad_(False)
            net(torch.randn(2, batch, 64))
            x = torch.randn(steps, batch, 64)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            before = resident("VmRSS")
            output, _ = net(x)
            print((resident("VmHWM") - before - output.nbytes) / (4 * steps * batch * units))
            """
        )
    )
    assert float(held) < 0.3
