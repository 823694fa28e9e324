"""The choice between engines: auto may fall back, a named engine refuses with its reason."""

import pytest
import torch
from tests.engines.harness import CELLS, CPU, assert_agrees, problem

import gruvy
from gruvy.cells import cell, gru, mgu, sigmoid, tanh
from gruvy.engines import ENGINES, Options, choose, explain
from gruvy.errors import EngineError

PLAIN, GATES, TRAINING = Options(), Options(record_gates=True), Options(training=True)


@cell
def my_gru(x, h, W, U, bi, bh):
    """A user's own: the equations of gru with other words around them."""
    r = sigmoid(W.r(x) + bi.r + U.r(h) + bh.r)
    z = sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)
    candidate = tanh(W.n(x) + bi.n + r * (U.n(h) + bh.n))
    return z * h + (1 - z) * candidate


@cell
def not_gru(x, h, W, U, bi, bh):
    """The equations of gru but for the side on which z opens."""
    r = sigmoid(W.r(x) + bi.r + U.r(h) + bh.r)
    z = sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)
    n = tanh(W.n(x) + bi.n + r * (U.n(h) + bh.n))
    return (1 - z) * h + z * n


@pytest.fixture
def kernel_calls(monkeypatch):
    """The names of torch's kernels, as they are really called."""
    from gruvy.engines import framework

    calls = []

    def spy(key, kernel):
        def called(*args):
            calls.append(key)
            return kernel(*args)

        return called

    names = {CELLS[n].key: n for n in ("gru", "elman", "lstm")}
    monkeypatch.setattr(framework, "_KERNELS", {k: spy(names[k], f) for k, f in framework._KERNELS.items()})
    return calls


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("options", [PLAIN, GATES, TRAINING], ids=["plain", "gates", "training"])
@pytest.mark.parametrize("name", ["gru", "mgu", "ligru"])
def test_supports_gives_a_bool_and_a_reason(engine, options, name):
    supported, reason = engine.supports(CELLS[name], CPU, torch.float32, options)
    assert isinstance(supported, bool)
    assert isinstance(reason, str)
    assert reason


@pytest.mark.parametrize(
    ("name", "options", "engine"),
    [
        ("gru", PLAIN, "framework"), ("elman", PLAIN, "framework"), ("lstm", PLAIN, "framework"),
        ("gru", TRAINING, "framework"), ("gru", GATES, "eager"),
        ("mgu", PLAIN, "eager"), ("gru_reset_before", PLAIN, "eager"), ("ligru", TRAINING, "eager"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compiled", [True, False])
def test_auto_takes_the_fastest_that_supports_the_call(monkeypatch, compiled, name, options, engine):
    if not compiled:
        monkeypatch.setattr(ENGINES["fused"], "supports", lambda *_: (False, "no compiler"))
    assert choose("auto", CELLS[name], CPU, torch.float32, options).name == ("fused" if compiled else engine)


def test_auto_takes_no_compiled_kernel_for_other_types_and_devices():
    assert choose("auto", gru, CPU, torch.bfloat16, PLAIN).name == "framework"
    assert choose("auto", mgu, torch.device("meta"), torch.float32, PLAIN).name == "eager"


@pytest.mark.parametrize(
    ("engine", "name", "device", "options", "reason"),
    [
        ("framework", "mgu", "cpu", PLAIN, "gru, elman and lstm only"),
        ("framework", "gru_reset_before", "cpu", PLAIN, "gru, elman and lstm only"),
        ("framework", "gru", "cpu", GATES, "do not give their gates out"),
        ("reference", "gru", "cpu", GATES, "does not record gates"),
        ("reference", "gru", "meta", PLAIN, "on the CPU"),
        ("reference", "ligru", "cpu", TRAINING, "running statistics"),
    ],
)
def test_a_named_engine_refuses_with_its_reason(engine, name, device, options, reason):
    with pytest.raises(EngineError, match=reason) as error:
        choose(engine, CELLS[name], torch.device(device), torch.float32, options)
    assert f"engine {engine!r} cannot run {name}" in str(error.value)
    assert "engine='auto'" in str(error.value)


def test_a_named_engine_never_falls_back():
    layer = gruvy.Recurrent(mgu, 3, 4, engine="framework")
    with pytest.raises(EngineError, match="gru, elman and lstm only"):
        layer(torch.zeros(2, 1, 3))
    layer = gruvy.GRU(3, 4, engine="framework")
    layer(torch.zeros(2, 1, 3))
    with pytest.raises(EngineError, match="gates"):
        layer(torch.zeros(2, 1, 3), record_gates=True)


@pytest.mark.parametrize(
    "build", [lambda e: gruvy.GRU(3, 4, engine=e), lambda e: choose(e, gru, CPU, torch.float32, PLAIN)]
)
def test_an_unknown_engine_is_refused_with_the_names_there_are(build):
    with pytest.raises(EngineError, match=r"no engine 'cudnn'; expected auto, fused, framework, eager, reference"):
        build("cudnn")


@pytest.mark.parametrize("lengths", [None, [3, 0]], ids=["full", "ragged"])
@pytest.mark.parametrize("name", ["gru", "elman", "lstm"])
def test_torchs_kernel_really_runs(kernel_calls, name, lengths):
    gruvy.Recurrent(CELLS[name], 3, 4, num_layers=2, engine="framework")(torch.zeros(3, 2, 3), lengths=lengths)
    assert kernel_calls == [name, name]


@pytest.mark.parametrize("engine", ["auto", "fused", "eager", "reference"])
def test_torchs_kernel_does_not_run_for_another_engine(kernel_calls, engine):
    gruvy.GRU(3, 4, engine=engine)(torch.zeros(3, 2, 3))
    assert kernel_calls == []


def test_a_users_cell_with_the_equations_of_gru_runs_on_torchs_kernel(kernel_calls):
    assert my_gru.key == gru.key
    given = problem(my_gru, lengths=[0, 5, 2, 4])
    assert_agrees(given.answer("framework", torch.float64), given.expected(), torch.float64)
    gruvy.Recurrent(my_gru, 3, 4, engine="framework")(torch.zeros(2, 1, 3))
    assert kernel_calls == ["gru", "gru"]


def test_almost_gru_does_not_run_on_torchs_kernel():
    assert not_gru.key != gru.key
    assert not ENGINES["framework"].supports(not_gru, CPU, torch.float32, PLAIN)[0]


def test_explain_says_what_runs_and_why_the_others_do_not():
    assert gruvy.GRU(3, 4).explain().splitlines() == [
        "gru on cpu, float32: engine fused (the cell's equations, compiled)",
        "  not framework: slower",
        "  not eager: slower",
        "  not reference: for checking, not for speed",
    ]
    assert gruvy.Recurrent(mgu, 3, 4, dtype=torch.bfloat16).explain().splitlines() == [
        "mgu on cpu, bfloat16: engine eager (every cell on every device, as plain torch calls)",
        "  not fused: it computes in float32 and float64, and the parameters are bfloat16",
        "  not framework: torch has kernels for the equations of gru, elman and lstm only",
        "  not reference: for checking, not for speed",
    ]


def test_explain_for_a_named_engine():
    lines = explain("eager", gru, CPU, torch.float32, PLAIN).splitlines()
    assert lines[1:] == ["  not fused: not named", "  not framework: not named", "  not reference: not named"]
