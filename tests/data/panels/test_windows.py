"""Windows of series: what they hold, what they must never know, and the parts of time they belong to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.series import daily_cycle, inputs_for, panel_of

from gruvy.data.panels.windows import PARTS, Windows, periods
from gruvy.errors import BadInput

NAN = float("nan")
VALUE = st.one_of(st.just(NAN), st.floats(-100, 100).map(lambda v: round(v, 2)))


def all_windows(inputs, panel, least=1, stride=1):
    encoded = inputs(panel)
    spans = np.array([[0, series.end] for series in panel.series])
    return Windows.within(encoded, inputs.input_size, inputs.horizon, spans, least, stride)


def everything(windows):
    return windows.collate(np.arange(len(windows)))


@st.composite
def panels(draw):
    """One to three series of one or two targets, each beginning and ending with a value, with covariates."""
    targets = draw(st.integers(1, 2))
    values, known, past = {}, {}, {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        steps = draw(st.integers(2, 14))
        rows = draw(st.lists(st.tuples(*[VALUE] * targets), min_size=steps, max_size=steps))
        values[name] = np.array(rows, float)
        values[name][[0, -1], 0] = 1.0, 2.0
        known[name] = np.array(draw(st.lists(st.sampled_from(["x", "y", ""]), min_size=steps, max_size=steps)), object)
        past[name] = np.array(draw(st.lists(VALUE, min_size=steps, max_size=steps)), float)
    return panel_of(values, known={"k": known}, past={"p": past})


def carried(values, start):
    """Plainly: the last number seen, `start` before there is one."""
    found, last = [], start
    for value in values:
        last = last if np.isnan(value) else value
        found.append(last)
    return found


# What a window holds


@settings(max_examples=80)
@given(panels(), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_windows_hold_what_a_plain_loop_finds(panel, window, horizon, least, stride, joint):
    inputs = inputs_for(panel, window, horizon, joint=joint)
    every = list(range(len(panel.roles.targets)))
    expected = []
    for series in panel.series:
        for group in [every] if joint else [[t] for t in every]:
            for origin in range(least, series.end - horizon + 1, stride):
                expected.append((series, group, origin))
    if not expected:
        return
    windows = all_windows(inputs, panel, least, stride)
    batch, targets = everything(windows), windows.in_units(windows[slice(None)])
    shown = windows.in_units(batch["values"])
    assert len(windows) == len(expected)
    for place, (series, group, origin) in enumerate(expected):
        for column, target in enumerate(group):
            raw = series.targets[:, target]
            np.testing.assert_allclose(targets[place, :, column], raw[origin : origin + horizon], rtol=1e-4, atol=1e-4)
            mean = np.nanmean(raw) if np.isfinite(raw).any() else 0.0
            held, inside = carried(raw, mean), np.arange(origin - window, origin)
            values = [held[max(0, step)] for step in inside]
            np.testing.assert_allclose(shown[place, :, column], values, rtol=1e-4, atol=1e-3)
            seen = [bool(step >= 0 and np.isfinite(raw[step])) for step in inside]
            assert batch["observed"][place, :, column].tolist() == seen
        steps = np.clip(np.arange(origin - window, origin + horizon), 0, len(series.stamps) - 1)
        categories = inputs.columns["k"].categories
        flags = [[float(series.known["k"][step] == c) for c in categories] for step in steps]
        assert batch["known"][place].tolist() == flags
        assert batch["past"].shape == (len(windows), window, 1)


def test_times_are_steps_of_one_clock_for_all_series():
    late = panel_of({"a": daily_cycle(30)}), panel_of({"b": daily_cycle(20, 1)})
    late[1].series[0].stamps[:] += np.timedelta64(7, "h")
    panel = panel_of({"a": daily_cycle(30), "b": daily_cycle(20, 1)})
    panel = type(panel)([late[0].series[0], late[1].series[0]], panel.frequency, panel.roles, [])
    windows = all_windows(inputs_for(panel, 5, 2), panel, 5)
    offset = np.array([0, 7])[windows.track]
    assert (windows.times - windows.times[0] == windows.origin + offset - windows.origin[0]).all()


def test_padding_before_a_series_is_marked_as_unobserved():
    panel = panel_of({"a": np.arange(10.0)})
    batch = everything(all_windows(inputs_for(panel, 6, 2), panel))
    assert batch["observed"][:, :, 0].sum(1).tolist() == [1, 2, 3, 4, 5, 6, 6, 6]
    assert (batch["values"][0] == batch["values"][0, -1]).all()


def test_the_window_at_the_end_is_followed_by_the_future():
    panel = panel_of({"a": np.arange(9.0), "b": np.arange(4.0)}, ends={"a": 7})
    inputs = inputs_for(panel, 3, 2)
    windows = Windows.at_the_end(inputs(panel), 3, 2)
    np.testing.assert_allclose(
        windows.in_units(everything(windows)["values"])[..., 0], [[4, 5, 6], [1, 2, 3]], atol=1e-5
    )


# What a window must not know


def two_targets_with_gaps():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(40, 2)) for name in "ab"}
    for v in values.values():
        v[:9, 1], v[rng.random(40) < 0.2, 1] = NAN, NAN
    past = {name: np.where(np.arange(40) < 12, NAN, rng.normal(size=40)) for name in "ab"}
    texts = {name: np.array([""] * 5 + list(rng.choice(["u", "v"], 35)), object) for name in "ab"}
    return values, past, texts


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("now", [1, 5, 11, 25])
def test_what_comes_later_changes_no_window(joint, now):
    values, past, texts = two_targets_with_gaps()
    roles = {"past": {"p": past, "q": texts}}
    panel = panel_of(values, **roles)
    inputs = inputs_for(panel, 8, 3, joint=joint, ends=[20, 20])
    later = {name: v.copy() for name, v in values.items()}, {n: v.copy() for n, v in past.items()}, {
        n: v.copy() for n, v in texts.items()
    }  # fmt: skip
    for name in "ab":
        later[0][name][now:], later[1][name][now:], later[2][name][now:] = 77.0, -5.0, "v"
    changed = panel_of(later[0], past={"p": later[1], "q": later[2]})
    before, after = (all_windows(inputs, p) for p in (panel, changed))
    same = before.origin <= now
    assert same.any()
    for name in ("values", "observed", "past"):
        assert torch.equal(before.collate(same)[name], after.collate(same)[name]), name


# Parts


@st.composite
def splits(draw):
    lengths = draw(st.lists(st.integers(5, 60), min_size=1, max_size=4))
    horizon = draw(st.integers(1, 5))
    shares = draw(st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.3, 0.3, 0.3), (20, 10, 10), (10, 12, 5)]))
    return lengths, horizon, shares


@settings(max_examples=150)
@given(splits(), st.booleans())
def test_parts_follow_one_another_and_no_window_sees_a_later_one(split, aligned):
    lengths, horizon, shares = split
    panel = panel_of({f"s{i}": np.arange(float(n)) for i, n in enumerate(lengths)})
    if aligned:  # to a common end
        for series in panel.series:
            series.stamps[:] += np.timedelta64(max(lengths) - len(series.stamps), "h")
    try:
        found = periods(panel, horizon, shares)
    except BadInput:
        return
    assert (np.diff(found.bounds, axis=1) >= 0).all()
    assert (found.bounds[:, 0] == 0).all()
    assert (found.bounds[:, 4] <= lengths).all()
    encoded = inputs_for(panel, 4, horizon)(panel)
    ends = {}
    for part in PARTS:
        windows = Windows.within(encoded, 4, horizon, found.of(part), 1)
        spans = found.of(part)[windows.track]
        assert (windows.origin >= spans[:, 0]).all()
        assert (windows.origin + horizon <= spans[:, 1]).all()
        ends[part] = windows
    assert len(ends["train"])
    assert len(ends["test"])
    if found.together and len(lengths) > 1:  # also of other series
        stamps = [s.stamps.astype("datetime64[h]").astype(int) for s in panel.series]
        for place, (first, stop) in enumerate(zip(found.bounds.T[:-1], found.bounds.T[1:], strict=True)):
            own = [t for s, a, b in zip(stamps, first, stop, strict=True) for t in s[a:b]]
            later = [t for s, a in zip(stamps, found.bounds.T[place + 1], strict=True) for t in s[a:]]
            assert not own or not later or max(own) < min(later)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.7, 0.1, 0.2), [0, 70, 75, 80, 100]), ((60, 20, 20), [0, 60, 70, 80, 100]), ((50, 10, 20), [0, 50, 55, 60, 80]),
     ((0.5, 0.2, 0.2), [0, 60, 70, 80, 100])],
)  # fmt: skip
def test_shares_and_steps(shares, expected):
    assert periods(panel_of({"a": np.arange(100.0)}), 4, shares).bounds.tolist() == [expected]


def test_a_short_series_keeps_a_horizon_for_each_part():
    bounds = periods(panel_of({"a": np.arange(16.0)}), 3, (0.7, 0.1, 0.2)).bounds[0]
    assert (np.diff(bounds)[1:] >= 3).all()
    assert bounds[1] > 3


@pytest.mark.parametrize("steps", [1, 4, 12])
def test_a_series_that_is_too_short_is_refused_with_a_horizon_that_works(steps):
    with pytest.raises(BadInput, match=r"too few for a horizon of 4.*--horizon of at most") as refused:
        periods(panel_of({"a": np.arange(float(steps))}), 4, (0.7, 0.1, 0.2))
    if steps > 8:
        horizon = int(str(refused.value).split("at most ")[1].split(",")[0])
        assert periods(panel_of({"a": np.arange(float(steps))}), horizon, (0.7, 0.1, 0.2)).bounds[0, -1] == steps


def test_more_steps_than_there_are_are_refused():
    with pytest.raises(BadInput, match="--split asks for 130 steps, and the series has 100"):
        periods(panel_of({"a": np.arange(100.0)}), 4, (70, 30, 30))


@pytest.mark.parametrize("shares", [(70, 2, 20), (70, 3, 3), (3, 30, 30)])
def test_parts_without_a_window_are_refused(shares):
    with pytest.raises(BadInput, match="horizon"):
        periods(panel_of({"a": np.arange(100.0)}), 4, shares)
