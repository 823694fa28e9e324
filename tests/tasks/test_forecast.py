"""Forecasting: losses, metrics and intervals, each recounted by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.series import daily_cycle, inputs_for, panel_of

from gruvy.data.panels.windows import Windows
from gruvy.errors import BadInput
from gruvy.tasks.forecast import LOSSES, Forecast, weighed
from gruvy.tasks.modalities.panel import last_value, seasonal_naive

NAN = float("nan")


def windows_of(values, window=6, horizon=3, **options):
    """All full windows of a panel of `values` by name."""
    panel = panel_of(values)
    encoded = inputs_for(panel, window, horizon, **options)(panel)
    return Windows.within(encoded, window, horizon, np.array([[0, s.end] for s in panel.series]), window)


def outputs_for(windows, task, seed=0):
    """Rising invented outputs about the truth, `(windows, horizon, targets, quantiles)`."""
    noise = torch.randn(len(windows), windows.horizon, 1, task.output_size, generator=torch.manual_seed(seed))
    return (windows[slice(None)].nan_to_num(0)[..., None] + 0.5 * noise).sort(-1).values


def series(*missing, count=60):
    values = daily_cycle(count)
    values[list(missing)] = NAN
    return {"a": values}


# Losses


def by_hand(kind, quantiles, output, target):
    error = target - output
    if kind == "quantile":
        pinball = [2 * max(q * e, (q - 1) * e) for q, e in zip(quantiles, error, strict=True)]
        return (np.mean(pinball) + abs(error[len(error) // 2])) / 2  # the median counts as much as all together
    [error] = error
    return {
        "mse": error**2,
        "mae": abs(error),
        "huber": 0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5,
    }[kind]


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("missing", [False, True])
def test_the_loss_is_the_mean_over_what_is_there(kind, missing):
    task = Forecast(3, (80, 95), kind)
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(4, 3, 2, task.output_size)), rng.normal(size=(4, 3, 2)) * 2
    if missing:
        targets[1], targets[0, 2, 1] = NAN, NAN
    there = [place for place in np.ndindex(targets.shape) if not math.isnan(targets[place])]
    expected = np.mean([by_hand(kind, task.quantiles, outputs[place], targets[place]) for place in there])
    assert float(task.loss(torch.tensor(outputs), torch.tensor(targets))) == pytest.approx(expected)


@pytest.mark.parametrize("kind", LOSSES)
def test_missing_targets_give_no_gradient_and_no_nan(kind):
    task = Forecast(2, (80,), kind)
    outputs = torch.randn(3, 2, 1, task.output_size, requires_grad=True)
    task.loss(outputs, torch.full((3, 2, 1), NAN)).backward()
    assert outputs.grad is not None
    assert not outputs.grad.any()


def test_the_quantile_loss_is_least_at_the_quantiles():
    task = Forecast(1, (80,))
    truth = torch.randn(4000, 1, 1, generator=torch.manual_seed(0))
    right = torch.quantile(truth.flatten(), torch.tensor(task.quantiles))
    best = task.loss(right.expand(4000, 1, 1, -1), truth)
    for place in range(task.output_size):
        for shift in (-0.3, 0.3):
            wrong = right.clone()
            wrong[place] += shift
            assert task.loss(wrong.expand(4000, 1, 1, -1), truth) > best


# Settings


@given(st.sets(st.integers(1, 99), min_size=1, max_size=6))
def test_every_level_finds_its_quantiles_about_one_half(levels):
    task = Forecast.fit({"horizon": 2, "level": tuple(levels), "loss": "quantile"})
    assert list(task.quantiles) == sorted(set(task.quantiles))
    assert task.quantiles[task.output_size // 2] == 0.5
    outputs = torch.tensor(task.quantiles).expand(1, 2, 1, -1)
    for level, (lower, upper) in task.intervals(outputs).items():
        assert float((upper - lower)[0, 0, 0]) == pytest.approx(level / 100, abs=1e-4)


@pytest.mark.parametrize("level", [0, 100, -5, 101])
def test_levels_that_are_no_percentages_are_refused(level):
    with pytest.raises(BadInput, match=f"--level {level}: expected percentages between 1 and 99"):
        Forecast.fit({"horizon": 2, "level": (80, level), "loss": "mae"})


def test_a_task_survives_json():
    task = Forecast(2, (50, 90), "huber", {50: (0.5, 1.5), 90: (1.0, 2.0)})
    assert Forecast.from_json(task.to_json()) == task


# Metrics


@pytest.mark.parametrize("kind", ["quantile", "mae"])
def test_metrics_are_those_counted_by_hand(kind):
    windows = windows_of({**series(20, 21, 44), "b": daily_cycle(40, 1, 500.0)})
    task = Forecast(3, (80, 95), kind, {80: (1.0, 1.5, 0.5), 95: (2.0, 1.0, 1.0)})
    outputs = outputs_for(windows, task)
    raw = {s.name: s.targets[:, 0] for s in windows.panel.panel.series}
    facts = {name: (np.nanmean(v), np.nanstd(v), np.nanmean(np.abs(np.diff(v)))) for name, v in raw.items()}
    names = ("mae", "mse", "scaled_mae", "scaled_mse", "mase", "crps", "coverage_80", "coverage_95")
    counted = {name: [] for name in names}
    for window in range(len(windows)):
        name = windows.panel.panel.series[windows.panel.tracks[windows.track[window]].series].name
        mean, scale, naive = facts[name]
        for step in range(3):
            truth = raw[name][windows.origin[window] + step]
            if math.isnan(truth):
                continue
            quantiles = outputs[window, step, 0].double().numpy() * scale + mean
            point = quantiles[task.middle]
            error = truth - point
            counted["mae"].append(abs(error))
            counted["mse"].append(error**2)
            counted["scaled_mae"].append(abs(error) / scale)
            counted["scaled_mse"].append(error**2 / scale**2)
            counted["mase"].append(abs(error) / naive)
            deciles = [(q, v) for q, v in zip(task.quantiles, quantiles, strict=True) if abs(q * 10 % 1) < 1e-9]
            pinball = [2 * max(q * (truth - v), (q - 1) * (truth - v)) for q, v in deciles]
            counted["crps"].append(np.mean(pinball))
            inner = point, point
            for level, (low, high) in {80: (0.1, 0.9), 95: (0.025, 0.975)}.items():
                if kind == "quantile":
                    lower, upper = (quantiles[task.quantiles.index(q)] for q in (low, high))
                else:
                    lower, upper = point - scale, point + scale
                wider = task.widening[level][step]
                inner = (
                    min(inner[0], point - wider * (point - lower)), max(inner[1], point + wider * (upper - point))
                )  # fmt: skip
                counted[f"coverage_{level}"].append(inner[0] <= truth <= inner[1])
    expected = {name: np.mean(each) for name, each in counted.items()}
    assert task.metrics(outputs, windows) == pytest.approx(expected, rel=1e-4)


def test_scores_are_minus_the_error_of_each_window():
    windows = windows_of(series(20, 21, 44))
    task = Forecast(3, (80,))
    outputs = outputs_for(windows, task)
    truth = windows[slice(None)].numpy()
    expected = -np.nanmean(np.abs(outputs[..., task.middle].numpy() - truth), (1, 2))
    np.testing.assert_allclose(task.scores(outputs, windows), expected, rtol=1e-5)


def test_naive_forecasts_are_the_last_value_and_the_last_season():
    values = series(30)
    windows = windows_of(values, window=6, horizon=7)
    last = windows.in_units(last_value(windows)[..., 0])[..., 0]
    seasonal = windows.in_units(seasonal_naive(windows, 5)[..., 0])[..., 0]
    held = values["a"].copy()
    held[30] = held[29]  # what is missing was last seen a step before
    for place, origin in enumerate(windows.origin):
        np.testing.assert_allclose(last[place], held[origin - 1], rtol=1e-5)
        np.testing.assert_allclose(seasonal[place], [held[origin - 5 + step % 5] for step in range(7)], rtol=1e-5)


# Intervals


@pytest.mark.parametrize("kind", ["quantile", "mse"])
@pytest.mark.parametrize("windows", [40, 150, 1000])
def test_calibrated_intervals_hold_their_share(kind, windows):
    """On exchangeable windows: the level at least, and not much more."""
    task = Forecast(4, (60, 90), kind)
    spread = torch.linspace(0.5, 2, 4)[:, None]
    held = {level: [] for level in task.levels}
    for seed in range(max(20, 4000 // windows)):
        seeded = torch.manual_seed(seed)
        outputs = 0.3 * torch.randn(2 * windows, 4, 1, task.output_size, generator=seeded).sort(-1).values
        truth = spread * torch.randn(2 * windows, 4, 1, generator=seeded)
        done = task.calibrated(outputs[:windows], truth[:windows])
        for level, (lower, upper) in done.intervals(outputs[windows:]).items():
            new = truth[windows:]
            held[level].append(float(((new >= lower) & (new <= upper)).double().mean()))
    for level, shares in held.items():
        error = 3 * np.std(shares) / math.sqrt(len(shares))
        assert np.mean(shares) >= level / 100 - error
        assert np.mean(shares) <= level / 100 + 0.03 + error


@pytest.mark.parametrize("kind", ["quantile", "huber"])
@pytest.mark.parametrize("windows", [9, 30, 250])
def test_the_widening_is_the_conformal_quantile_counted_by_hand(kind, windows):
    """Distances in halves of the model's own interval, which is skewed; of each step where windows are many."""
    task, seeded = Forecast(2, (80,), kind), torch.manual_seed(windows)
    outputs = torch.randn(windows, 2, 1, task.output_size, generator=seeded).exp().sort(-1).values
    truth = 3 * torch.randn(windows, 2, 1, generator=seeded)
    scores = [[], []]
    for window, step in np.ndindex(windows, 2):
        said, error = outputs[window, step, 0], float(truth[window, step, 0] - outputs[window, step, 0, task.middle])
        half = 1.0
        if kind == "quantile":
            end = said[task.quantiles.index(0.9 if error > 0 else 0.1)]
            half = abs(float(end - said[task.middle]))
        scores[step].append(abs(error) / half)
    counted = scores if windows >= 200 else [scores[0] + scores[1]] * 2
    expected = []
    for each in counted:
        rank = min(len(each), math.ceil((len(each) + 1) * 0.8))
        expected.append(sorted(each)[rank - 1])
    assert task.calibrated(outputs, truth).widening[80] == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 60), st.integers(0, 2**20), st.sampled_from(LOSSES))
def test_intervals_are_nested_about_the_point_forecast(windows, seed, kind):
    task = Forecast(3, (20, 50, 80, 95), kind)
    seeded = torch.manual_seed(seed)
    outputs = torch.randn(windows, 3, 1, task.output_size, generator=seeded).sort(-1).values
    truth = 2 * torch.randn(windows, 3, 1, generator=seeded)
    task = task.calibrated(outputs, truth)
    inner = (outputs[..., task.middle],) * 2
    for lower, upper in task.intervals(outputs).values():
        assert (lower <= inner[0] + 1e-5).all()
        assert (upper >= inner[1] - 1e-5).all()
        inner = lower, upper


def test_calibration_looks_past_missing_targets_and_has_none_without_any():
    task = Forecast(2, (80,), "mae")
    outputs, truth = torch.zeros(50, 2, 1, 1), torch.rand(50, 2, 1, generator=torch.manual_seed(0))
    with_gaps, gaps = torch.cat([truth, torch.full((7, 2, 1), NAN)]), torch.zeros(57, 2, 1, 1)
    assert task.calibrated(gaps, with_gaps) == task.calibrated(outputs, truth)
    assert task.calibrated(outputs, truth * NAN).widening == {80: (1.0, 1.0)}


def rolled_by_hand(task, outputs, windows, reach, level):
    """Widths of each window, from those whose horizon was over at the last multiple of the horizon."""
    truth, times, horizon = windows[slice(None)], windows.times.tolist(), task.horizon
    first, found = min(times), []
    for time in times:
        start = first + (time - first) // horizon * horizon
        seen = [i for i, t in enumerate(times) if t + horizon <= start and t >= start - horizon - reach]
        widths = task.widening.get(level, (1.0,) * horizon)
        if len(seen) >= 20:
            widths = task.calibrated(outputs[seen], truth[seen]).widening[level]
        found.append(widths)
    return np.array(found)


@pytest.mark.parametrize("reach", [10, 25, 1000])
@pytest.mark.parametrize("kind", ["quantile", "mae"])
def test_rolled_intervals_know_only_what_is_over(reach, kind):
    windows = windows_of({**series(20, 21, 44), "b": daily_cycle(45, 1, 500.0)})
    windows = windows.take(np.random.default_rng(0).permutation(len(windows)))  # in any order
    task = Forecast(3, (80, 95), kind, {80: (1.0, 2.0, 3.0), 95: (4.0, 5.0, 6.0)})
    outputs = outputs_for(windows, task)
    rolled = task.rolled(outputs, windows, reach)
    for level in task.levels:
        expected = rolled_by_hand(task, outputs, windows, reach, level)
        np.testing.assert_allclose(rolled[level].numpy(), expected, rtol=1e-6)


def test_what_comes_later_never_changes_a_rolled_interval():
    values = series()
    changed = {"a": np.where(np.arange(60) < 40, values["a"], 1000.0)}
    task = Forecast(3, (80,), "mae")
    found = []
    for given_values in (values, changed):
        panel = panel_of(given_values)
        encoded = inputs_for(panel, 6, 3, ends=[30])(panel)
        windows = Windows.within(encoded, 6, 3, np.array([[0, 60]]), 6)
        outputs = torch.zeros(len(windows), 3, 1, 1)
        found.append(task.rolled(outputs, windows, 100)[80][windows.origin <= 40])
    assert torch.equal(*found)


# How much each forecast counts


def walk(count=300):
    steps = torch.randn(count, 1, 1, generator=torch.manual_seed(0), dtype=torch.float64)
    last = steps.cumsum(0)
    return last, np.arange(count) // 10


def weights(truth, blocks, *points):
    return weighed(torch.stack(points), truth, blocks).tolist()


def test_a_right_model_counts_and_a_wrong_one_does_not():
    last, blocks = walk()
    noise = torch.randn(last.shape, generator=torch.manual_seed(1), dtype=torch.float64)
    truth = last + 2 * noise
    assert weights(truth, blocks, last, truth + 0.01 * noise)[1] > 0.9
    assert weights(truth, blocks, last, last + 5 * torch.sin(100 * last)) == [1, 0]


def test_half_way_counts_half():
    last, blocks = walk()
    assert weights(last + 1.0, blocks, last, last + 2.0) == pytest.approx([0.5, 0.5])


def test_windows_without_targets_do_not_count():
    last, blocks = walk()
    truth = last + 1.0
    truth[:40] = NAN
    truth[70] = NAN
    assert weights(truth, blocks, last, last + 2.0) == pytest.approx([0.5, 0.5])


def test_the_weights_are_the_best_of_a_fine_grid():
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.normal(size=(200, 2, 1)))
    points = [truth + torch.from_numpy(rng.normal(0.1 * k, 1 + k, size=truth.shape)) for k in range(3)]
    found = weights(truth, np.arange(200) // 10, *points)
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 51) for b in np.linspace(0, 1 - a, 51)]
    error = [float(((sum(w * p for w, p in zip(ws, points, strict=True)) - truth) ** 2).mean()) for ws in grid]
    assert found == pytest.approx(grid[int(np.argmin(error))], abs=0.05)


def test_with_too_little_to_judge_by_a_worse_model_does_not_count():
    last = torch.zeros(4, 2, 1)
    assert weights(last + 0.1, np.zeros(4, int), last, last + 50) == pytest.approx([0.998, 0.002])


def test_without_any_target_the_last_value_counts():
    last = torch.zeros(4, 2, 1)
    assert weights(last * NAN, np.zeros(4, int), last, last + 1) == [1, 0]
