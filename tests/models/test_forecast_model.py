"""Forecasting models: every head, cell and size; what a forecast may depend on; the linear fit beside lstsq."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.series import daily_cycle, inputs_for, panel_of

from gruvy.cells import CATALOGUE, cell, tanh
from gruvy.data.panels.windows import Windows
from gruvy.errors import BadInput
from gruvy.models.forecast import forecast_model
from gruvy.models.linear import Moments, fit_linear
from gruvy.models.parts import WindowScale

HEADS = ("direct", "autoregressive")
ONE_INPUT = [name for name, found in CATALOGUE.items() if len(found.inputs) == 1]
NONE = {"past": 0, "known": 0, "static": 0}
ALL = {"past": 2, "known": 3, "static": 1}


def model(window=6, horizon=4, targets=1, quantiles=3, cell=CATALOGUE["gru"], **options):
    options = {
        "head": "direct", "scaling": "instance", "hidden_size": 5, "num_layers": 1, "dropout": 0.0, "segment": 3,
        "members": 2, "sizes": NONE, "tracks": 2, "masked": False, "engine": "eager", **options,
    }  # fmt: skip
    torch.manual_seed(0)
    made = forecast_model(window, horizon, targets, quantiles, quantiles // 2, cell, **options)
    for name, parameter in made.named_parameters():
        if ".linear." in name:  # zero until it is fitted
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def batch(count=5, window=6, horizon=4, targets=1, sizes=NONE, seed=0):
    seeded = torch.manual_seed(seed)
    return {
        "values": torch.randn(count, window, targets, generator=seeded),
        "observed": torch.rand(count, window, targets, generator=seeded) < 0.8,
        "past": torch.randn(count, window, sizes["past"], generator=seeded),
        "known": torch.randn(count, window + horizon, sizes["known"], generator=seeded),
        "static": torch.randn(count, sizes["static"], generator=seeded),
        "track": torch.arange(count) % 3,
    }


def answer(made, given_batch):
    with torch.no_grad():
        return made.branches(given_batch)[made.answer]


# Shapes


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ONE_INPUT)
def test_every_cell_forecasts_and_learns(name, head):
    made = model(cell=CATALOGUE[name], head=head, sizes=ALL, masked=True, num_layers=2).train()
    outputs = made.branches(batch(sizes=ALL))[made.answer]
    assert outputs.shape == (5, 4, 1, 3)
    outputs.square().sum().backward()
    without = [place for place, p in made.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without


@cell
def two_inputs(x, a, /, h, W, U):
    """For the refusal."""
    return tanh(W.h(x) + W.a(a) + U.h(h))


def test_a_cell_of_several_inputs_is_refused():
    with pytest.raises(BadInput, match="a forecast feeds one input; two_inputs reads x, a: use another cell"):
        model(cell=two_inputs)


@settings(max_examples=60)
@given(
    st.sampled_from(HEADS), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 5),
    st.integers(1, 2), st.booleans(), st.sampled_from([NONE, ALL, {**NONE, "known": 1}, {**NONE, "static": 2}]),
    st.sampled_from(["instance", "series"]),
)  # fmt: skip
def test_any_size_works(head, window, horizon, targets, segment, layers, masked, sizes, scaling):
    made = model(
        window, horizon, targets, head=head, segment=min(segment, window), num_layers=layers, masked=masked,
        sizes=sizes, scaling=scaling, dropout=0.3,
    )  # fmt: skip
    outputs = answer(made, batch(3, window, horizon, targets, sizes))
    assert outputs.shape == (3, horizon, targets, 3)
    assert outputs.isfinite().all()
    assert (outputs.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_gradients_reach_every_parameter(head):
    made = model(window=7, horizon=5, targets=2, head=head, sizes=ALL, masked=True).train()
    seen = {name: torch.zeros_like(p) for name, p in made.named_parameters()}
    for seed in range(20):
        made.zero_grad()
        made.branches(batch(9, 7, 5, 2, ALL, seed))[made.answer].square().sum().backward()
        for name, parameter in made.named_parameters():
            seen[name] += parameter.grad.abs()
    unused = {name for name, total in seen.items() if not total.any()}
    assert not unused
    tracks = [total for name, total in seen.items() if name.endswith("track.weight")]
    assert all((total.sum(1) > 0).all() for total in tracks)  # every series, and the unknown one


# What a forecast depends on


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["gru", "lstm", "gru_carry"])
def test_a_forecast_does_not_depend_on_the_rest_of_the_batch(name, head):
    made = model(cell=CATALOGUE[name], head=head, sizes=ALL, masked=True, num_layers=2)
    whole = batch(7, sizes=ALL)
    together = answer(made, whole)
    order = torch.randperm(7, generator=torch.manual_seed(1))
    torch.testing.assert_close(answer(made, {k: v[order] for k, v in whole.items()}), together[order])
    for row in range(7):
        alone = answer(made, {k: v[row : row + 1] for k, v in whole.items()})
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["values", "past", "known", "static", "track", "observed"])
def test_a_forecast_reads_everything_it_is_given(head, name):
    made, one = model(head=head, sizes=ALL, masked=True), batch(2, sizes=ALL)
    other = {**one, name: ~one[name] if name == "observed" else one[name] + 1}
    assert not torch.allclose(answer(made, one), answer(made, other))


@pytest.mark.parametrize("head", HEADS)
def test_the_future_of_a_known_covariate_counts(head):
    made, one = model(head=head, sizes=ALL), batch(2, sizes=ALL)
    known = one["known"].clone()
    known[:, -1] += 5
    first, second = answer(made, one), answer(made, {**one, "known": known})
    assert not torch.allclose(first[:, -1], second[:, -1])
    if head == "autoregressive":
        torch.testing.assert_close(first[:, :-1], second[:, :-1])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1e3), (250.0, 0.0), (0.01, -7.0)])
def test_a_series_in_other_units_has_the_same_forecast_in_them(head, factor, shift):
    made, found = model(head=head), []
    for values in (daily_cycle(60), factor * daily_cycle(60) + shift):
        panel = panel_of({"a": values})
        encoded = inputs_for(panel, 6, 4, ends=[40])(panel)
        windows = Windows.within(encoded, 6, 4, np.array([[0, 60]]), 6)
        found.append(windows.in_units(answer(made, windows.collate(np.arange(len(windows))))[..., 1]))
    np.testing.assert_allclose(found[1], factor * found[0] + shift, rtol=1e-3)


@pytest.mark.parametrize("head", HEADS)
def test_a_window_that_is_shifted_has_a_shifted_forecast(head):
    made, one = model(head=head, masked=True), batch(4)
    shifted = {**one, "values": one["values"] + 3}
    torch.testing.assert_close(answer(made, shifted), answer(made, one) + 3, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_independent_targets_do_not_meet_and_joint_ones_do(head):
    made, one = model(targets=2, head=head), batch(3, targets=2)
    values = one["values"].clone()
    values[:, -2, 1] += 2
    assert not torch.allclose(answer(made, one)[:, :, 0], answer(made, {**one, "values": values})[:, :, 0])


def test_the_weights_lead_from_the_last_value_to_the_network():
    made, one = model(members=1), batch()
    made.weights.copy_(torch.tensor([1.0, 0, 0]))
    middle = answer(made, one)[..., 1]
    torch.testing.assert_close(middle, one["values"][:, -1:].expand(-1, 4, -1))
    made.weights.copy_(torch.tensor([0.75, 0, 0.25]))
    quarter = answer(made, one)[..., 1]
    made.weights.copy_(torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(quarter, 0.25 * answer(made, one)[..., 1] + 0.75 * middle)


# The scale of a window


@pytest.mark.parametrize("at_last", [True, False])
def test_the_level_of_a_window(at_last):
    scale, one = WindowScale("instance"), batch()
    scale.at_last.fill_(at_last)
    level, spread = scale({**one, "observed": torch.ones_like(one["observed"])})
    expected = one["values"][:, -1:] if at_last else one["values"].mean(1, keepdim=True)
    torch.testing.assert_close(level, expected)
    assert (spread > 0).all()


@pytest.mark.parametrize("observed", [0, 1])
def test_a_window_of_hardly_any_observed_values_is_no_cliff(observed):
    """What is carried through a gap is no evidence, and must not be blown up by the spread of the rest."""
    values = torch.full((1, 12, 1), 4.0)
    values[0, -1] = -1.0
    seen = torch.zeros(1, 12, 1, dtype=torch.bool)
    seen[0, 12 - observed :] = True
    level, spread = WindowScale("instance")({"values": values, "observed": seen})
    assert ((values - level) / spread).abs().max() <= 2 * 12**0.5


# The linear forecast


def cut(values, window=5, horizon=3, end=80):
    panel = panel_of({"a": values})
    encoded = inputs_for(panel, window, horizon, ends=[end])(panel)
    spans = np.array([[0, end]]), np.array([[end, len(values)]])
    return (Windows.within(encoded, window, horizon, span, window) for span in spans)


def plain(windows, at_last):
    """Inputs with a constant 1, both times the scale of their window, and targets."""
    given = windows.collate(np.arange(len(windows)))
    shown, future = (v[..., 0].double().numpy() for v in (given["values"], windows[slice(None)]))
    spread = WindowScale("instance")(given)[1][..., 0].double().numpy()
    level = shown[:, -1:] if at_last else shown.mean(1, keepdims=True)
    return np.concatenate([shown - level, spread], 1), future - level


@pytest.mark.parametrize("at_last", [True, False])
def test_the_moments_give_the_error_of_any_weights(at_last):
    train, _ = cut(daily_cycle(100))
    x, y = plain(train, at_last)
    scale = WindowScale("instance")
    scale.at_last.fill_(at_last)
    weights = np.random.default_rng(0).normal(size=(6, 3))
    found = Moments.of(train, scale).only(range(5)).error(torch.from_numpy(weights))
    assert found == pytest.approx(((x @ weights - y) ** 2).mean(), rel=1e-3)


def test_the_linear_forecast_is_a_ridge_of_numpy_and_its_error_is_on_the_validation_windows():
    train, validation = cut(daily_cycle(100))
    fit = fit_linear(train, validation, "instance")
    x, y = plain(train, fit.at_last)
    strength = (np.append((x[:, :-1] ** 2).sum(0), (x[:, -1] ** 2).sum())).mean()
    ridged = []
    for power in range(-12, 3):
        rows = np.diag(np.sqrt(10.0**power * strength * np.array([1] * 5 + [1e-6])))
        ridged.append(np.linalg.lstsq(np.vstack([x, rows]), np.vstack([y, np.zeros((6, 3))]), rcond=None)[0])
    assert min(np.abs(x @ (fit.weights.numpy() - weights)).max() for weights in ridged) < 1e-2
    x, y = plain(validation, fit.at_last)
    assert fit.error == pytest.approx(((x @ fit.weights.numpy() - y) ** 2).mean(), rel=1e-3)


def test_a_line_and_a_cycle_are_forecast_exactly():
    steps = np.arange(100)
    train, validation = cut(np.sin(2 * np.pi * steps / 7) + 0.05 * steps, window=9)
    assert fit_linear(train, validation, "instance").error < 1e-2


@pytest.mark.parametrize("scaling", ["instance", "series"])
@pytest.mark.parametrize("values", [np.full(100, 3.0), np.where(np.arange(100) % 7 > 1, daily_cycle(100), np.nan)])
def test_a_constant_series_and_one_with_gaps_have_a_finite_fit(values, scaling):
    values = np.where(np.arange(100) % 99 == 0, 3.0, values)
    train, validation = cut(values)
    fit = fit_linear(train, validation, scaling)
    assert fit.weights.isfinite().all()
    assert np.isfinite(fit.error)


def test_a_prepared_model_forecasts_what_was_fitted():
    train, validation = cut(daily_cycle(100))
    made = model(window=5, horizon=3, segment=2, members=1)
    made.prepare(train, validation)
    for name, parameter in made.named_parameters():
        if ".head." in name:
            torch.nn.init.zeros_(parameter)
    rows = train.collate(np.arange(len(train)))
    torch.testing.assert_close(answer(made, rows)[..., 1, None], made.linear(rows), rtol=1e-4, atol=1e-4)
