"""What training teaches of series and covariates, and that it survives saving."""

import numpy as np
import pytest
import torch
from tests.fixtures.series import daily_cycle, inputs_for, panel_of

from gruvy.data.panels.inputs import PanelInputs, check_known_future
from gruvy.data.panels.panel import panel_from_columns
from gruvy.data.panels.windows import Windows
from gruvy.errors import BadInput

NAN = float("nan")


def all_windows(inputs, panel, least=1, stride=1):
    encoded = inputs(panel)
    spans = np.array([[0, series.end] for series in panel.series])
    return Windows.within(encoded, inputs.input_size, inputs.horizon, spans, least, stride)


def everything(windows):
    return windows.collate(np.arange(len(windows)))


def two_targets_with_gaps():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(40, 2)) for name in "ab"}
    for v in values.values():
        v[:9, 1], v[rng.random(40) < 0.2, 1] = NAN, NAN
    past = {name: np.where(np.arange(40) < 12, NAN, rng.normal(size=40)) for name in "ab"}
    texts = {name: np.array([""] * 5 + list(rng.choice(["u", "v"], 35)), object) for name in "ab"}
    return values, past, texts


# Scales and covariates


def test_training_alone_teaches():
    values, past, _ = two_targets_with_gaps()
    first = inputs_for(panel_of(values, past={"p": past}), 8, 3, ends=[20, 25])
    for name, end in (("a", 20), ("b", 25)):
        values[name][end:], past[name][end:] = 1e6, 1e6
    second = inputs_for(panel_of(values, past={"p": past}), 8, 3, ends=[20, 25])
    assert (first.scales, first.columns, first.numbers) == (second.scales, second.columns, second.numbers)


def test_a_series_without_a_training_part_has_the_scale_of_its_own_values():
    panel = panel_of({"a": daily_cycle(40), "late": daily_cycle(20, 1, 1e4)})
    windows = all_windows(inputs_for(panel, 5, 2, ends=[30, 0]), panel)
    late = everything(windows.take(np.flatnonzero(windows.track == 1)))["values"]
    assert late.abs().max() < 10


def test_a_constant_or_empty_series_is_no_division_by_zero():
    panel = panel_of({"a": np.full(20, 0.1), "b": np.arange(20.0)})
    windows = all_windows(inputs_for(panel, 4, 2), panel)
    assert everything(windows)["values"].isfinite().all()
    assert windows.scales("scale")[0] == 1
    assert np.isnan(windows.scales("naive")[0])


def covariate(values, **new):
    """Features of a known covariate after training on `values`, then for `new` ones."""
    steps = np.arange(float(len(values)))
    inputs = inputs_for(panel_of({"a": steps}, known={"k": {"a": np.array(values, new.get("kind", object))}}), 3, 1)
    other = np.array(new["then"], new.get("kind_then", new.get("kind", object)))
    return inputs, inputs(panel_of({"a": np.arange(float(len(other)))}, known={"k": {"a": other}})).known[3:-1]


def test_numbers_are_standardised_and_carried():
    _, features = covariate([1.0, 3.0] * 5, then=[1.0, NAN, 3.0], kind=float)
    assert features.tolist() == [[-1], [-1], [1]]


def test_a_constant_covariate_that_moves_later_stays_small():
    _, features = covariate([0.1] * 7, then=[0.1, 0.2], kind=float)
    assert features.abs().max() < 10


def test_categories_are_flags_and_an_unknown_one_is_none_of_them():
    inputs, features = covariate(["red", "red", "blue", ""], then=["blue", "green", "", "red"])
    assert inputs.columns["k"].categories == ("red", "blue")
    assert features.tolist() == [[0, 1], [0, 0], [0, 0], [1, 0]]


def test_numbers_where_training_had_categories_are_read_as_such():
    _, features = covariate(["1", "2", "x"], then=[1.0, 2.0], kind_then=float)
    assert features.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_texts_where_training_had_numbers_are_refused():
    with pytest.raises(BadInput, match="column 'k' holds 'much', where training had numbers"):
        covariate([1.0, 2.0], then=["", "much"], kind=float, kind_then=object)


def test_texts_in_one_of_several_series_are_refused_by_name():
    numbers = {name: np.arange(4.0) for name in "ab"}
    inputs = inputs_for(panel_of(numbers, known={"k": numbers}), 3, 1)
    texts = {"a": np.array([""] * 4, object), "b": np.array(["1", "2", "much", ""], object)}
    with pytest.raises(BadInput, match="column 'k' holds 'much', where training had numbers"):
        inputs(panel_of(numbers, known={"k": texts}))


def test_a_known_covariate_must_be_given_for_the_future():
    known = {"a": np.array([1.0] * 10 + [NAN])}
    panel = panel_of({"a": np.arange(11.0)}, ends={"a": 8}, known={"k": known})
    check_known_future(panel, 2)
    with pytest.raises(BadInput, match=r"known covariate 'k' of a has no value for 2024-01-01 10:00(:00)?; give"):
        check_known_future(panel, 3)


# Save and load


def rich():
    values, past, texts = two_targets_with_gaps()
    known = {name: np.arange(40.0) for name in "ab"}
    return panel_of(values, past={"p": past, "q": texts}, known={"k": known}, static={"s": {"a": "big", "b": ""}})


@pytest.mark.parametrize("joint", [False, True])
def test_what_is_saved_encodes_alike(tmp_path, joint):
    panel = rich()
    inputs = inputs_for(panel, 8, 3, joint=joint, ends=[20, 25])
    inputs.remember(panel)
    inputs.least, inputs.reach = 3, 9
    inputs.save(tmp_path)
    loaded = PanelInputs.load(tmp_path)
    assert {**vars(loaded), "scales": 0} == {**vars(inputs), "scales": 0}
    before, after = (everything(all_windows(i, panel)) for i in (inputs, loaded))
    for name, values in before.items():
        assert torch.equal(values, after[name]), name


@pytest.mark.parametrize("joint", [False, True])
def test_what_is_remembered_is_the_last_window(joint):
    panel = rich()
    panel.series[1].targets[30:, 1] = NAN  # a gap longer than a window
    panel.series[0].targets[32:34, 0] = NAN  # a window that begins with a gap
    inputs = inputs_for(panel, 8, 3, joint=joint, ends=[20, 25])
    inputs.remember(panel)
    again = panel_from_columns(inputs.history, inputs.roles, frequency=inputs.frequency)
    for name, values in everything(Windows.at_the_end(inputs(panel), 8, 3)).items():
        if name != "observed":
            assert torch.allclose(values, everything(Windows.at_the_end(inputs(again), 8, 3))[name]), name


def test_strangers_are_named_and_scaled_by_their_own_values():
    inputs = inputs_for(panel_of({"a": daily_cycle(30)}), 5, 2)
    new = panel_of({"a": daily_cycle(30), **{f"new{i}": daily_cycle(30, i, 1e3) for i in range(7)}})
    [said] = inputs.strangers(new)
    assert said.endswith("new0, new1, new2, new3, new4 and 2 more")
    encoded = inputs(new)
    assert encoded.numbers.tolist() == [1, *[0] * 7]
    assert encoded.values.abs().max() < 10
    assert inputs.strangers(panel_of({"a": daily_cycle(9)})) == []
