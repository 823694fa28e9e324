"""`gruvy forecast` and `gruvy evaluate` of a model that forecasts, as typed."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tests.cli.forecasting import COVARIATES, TIME, assert_intervals, assert_matches, forecast, points, save, train
from tests.cli.run import gruvy, refused
from tests.fixtures.series import (
    HORIZON,
    LENGTHS,
    WINDOW,
    after,
    daily_cycle,
    file,
    hours,
    long,
    one,
    small_recipe,
    trained,
)
from tests.fixtures.small import snapshot, strict_json

import gruvy as gruvy_package
from gruvy.errors import BadInput


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


# Forecasting


def test_what_is_saved_is_what_is_printed(out):
    shutil.copytree(trained("long"), out)
    done = gruvy("forecast", out, "--json")
    with (out / "forecast.csv").open(newline="") as opened:
        saved = list(csv.DictReader(opened))
    printed = [strict_json(line) for line in done.out.splitlines()]
    assert saved == [{name: str(value) for name, value in row.items()} for row in printed]
    plain = gruvy("forecast", out)
    assert plain.out.splitlines()[0].split() == list(saved[0])
    shown = [line.split() for line in plain.out.splitlines()[1:]]
    for cells, row in zip(shown, printed, strict=True):  # as many digits as the width of the intervals asks for
        tolerance = 0.01 * (row["upper_95"] - row["lower_95"])
        assert [float(cell) for cell in cells[-5:]] == pytest.approx(list(row.values())[-5:], abs=tolerance)
    assert done.err == plain.err == f"\nthe forecast is in {out / 'forecast.csv'}\n"
    assert gruvy("forecast", out, "--quiet").err == ""
    assert_intervals(printed)


@pytest.mark.parametrize("name", ["one", "point", "wide", "long"])
def test_the_file_of_the_training_gives_the_same_forecast(name, tmp_path):
    data = file({"point": "one"}.get(name, name))
    kept, read = forecast(trained(name), tmp_path), forecast(trained(name), tmp_path, "--data", data)
    for row, other in zip(kept, read, strict=True):
        assert row == {**row, **{column: cell for column, cell in other.items() if isinstance(cell, (str, int))}}
        ends = ("forecast", "lower_80", "upper_80", "lower_95", "upper_95")
        assert [row[end] for end in ends] == pytest.approx([other[end] for end in ends], rel=1e-5)
    assert_intervals(kept)
    assert_intervals(read)


def test_a_window_that_begins_with_a_gap_is_remembered(out, tmp_path):
    rows = one()
    for step in range(146, 151):  # the window is 148 to 159
        rows[step]["y"] = ""
    data = save(tmp_path, rows)
    assert gruvy(*train(data, out, *TIME)).code == 0
    assert points(forecast(out, tmp_path)) == pytest.approx(points(forecast(out, tmp_path, "--data", data)))


def test_newer_rows_move_the_forecast_on(tmp_path):
    rows = one(170)
    found = forecast(trained("one"), tmp_path, "--data", save(tmp_path, rows))
    assert [row["time"] for row in found] == hours(174)[170:]


def test_a_series_in_other_units_is_forecast_in_them(tmp_path):
    """An id that training never had is scaled by its own values, and that is said."""
    rows = [{**row, "who": "eve", "y": row["y"] and f"{1000 * float(row['y']):.4f}"} for row in long()[:160]]
    data = save(tmp_path, [*rows, *long()[:160]])
    done = gruvy("forecast", trained("long"), "--data", data, "--out", tmp_path / "f.csv")
    assert done.code == 0
    assert_matches("training never had .* average series: eve$", done.err.splitlines()[0])
    found = forecast(trained("long"), tmp_path, "--data", data)
    assert np.array(points(found, "eve")) / 1000 == pytest.approx(np.array(points(found, "ann")), rel=0.2)


def test_one_row_is_enough_to_forecast_from(tmp_path):
    rows = forecast(trained("one"), tmp_path, "--data", save(tmp_path, one(1)))
    assert points(rows) == pytest.approx([10] * HORIZON, rel=0.3)


def test_python_gives_what_the_command_gives(tmp_path):
    model, rows = gruvy_package.load(trained("one")), one(170)
    assert model.predict() == forecast(trained("one"), tmp_path)
    data = save(tmp_path, rows)
    expected = forecast(trained("one"), tmp_path, "--data", data)
    columns = {"time": [row["time"] for row in rows], "y": [float(row["y"]) for row in rows]}
    for raw in (data, str(data), columns, pd.DataFrame(columns), pd.read_csv(data, parse_dates=["time"])):
        assert model.predict(raw) == expected
    for wrong in (3, [1, 2], {"time": ["2024-01-01"]}, {}, {"time": [], "y": []}):
        with pytest.raises(BadInput):
            model.predict(wrong)


def test_known_covariates_come_with_their_future(tmp_path):
    folder = trained("covariates")
    with_future = save(tmp_path, after(long(), promo="yes"))
    rows = forecast(folder, tmp_path, "--data", with_future)
    assert [row["who"] for row in rows] == [who for who in LENGTHS for _ in range(HORIZON)]
    assert {row["time"] for row in rows} == set(hours(160 + HORIZON)[160:])
    other = forecast(folder, tmp_path, "--data", save(tmp_path, after(long(), promo="no")))
    assert rows != other
    unknown = forecast(folder, tmp_path, "--data", save(tmp_path, after(long(), promo="never seen")))
    assert len(unknown) == len(rows)


@pytest.mark.parametrize("given", [0, HORIZON - 1])
def test_known_covariates_without_their_future_are_refused(given, tmp_path):
    data = save(tmp_path, after(long(), given))
    before = snapshot(tmp_path)
    said = refused("forecast", trained("covariates"), "--data", data, "--out", tmp_path / "f.csv")
    stamp = hours(161 + given)[-1]
    assert_matches(f"known covariate 'promo' of ann has no value for {stamp}; give a file with --data", said)
    assert snapshot(tmp_path) == before


def test_known_covariates_of_the_training_file_serve_its_forecast(out, tmp_path):
    data = save(tmp_path, after(long()))
    assert gruvy(*train(data, out, *TIME, "--id", "who", *COVARIATES)).code == 0
    assert points(forecast(out, tmp_path)) == pytest.approx(points(forecast(out, tmp_path, "--data", data)))


# Evaluation


@pytest.mark.parametrize("name", ["one", "point", "wide", "long", "covariates", "steps"])
def test_evaluating_gives_the_figures_of_the_training(name):
    measured = json.loads((trained(name) / "metrics.json").read_text())
    found = gruvy("evaluate", trained(name), "--json").json
    assert found["n"] == measured["n"]
    assert found["metrics"] == pytest.approx(measured["metrics"], rel=1e-5, nan_ok=True)
    assert found["baselines"].keys() == measured["baselines"].keys()


def test_evaluating_prints_the_table_of_the_training():
    shown = gruvy("evaluate", trained("one")).out
    printed = (trained("one") / "printed").read_text()
    assert shown.split("\n", 1)[1] == printed.split("\n", 1)[1]


@pytest.mark.parametrize("name", ["one", "point"])
def test_evaluating_a_file_is_forecasting_from_every_cut_of_it(name, tmp_path):
    """Few enough windows that the intervals are those of the training throughout."""
    rows = [{**row, "y": f"{y:.4f}"} for row, y in zip(one(34), daily_cycle(34, 7), strict=True)]
    truth = [float(row["y"]) for row in rows]
    errors, inside = [], {80: [], 95: []}
    for now in range(WINDOW, len(rows) - HORIZON + 1):
        said = forecast(trained(name), tmp_path, "--data", save(tmp_path, rows[:now], "cut.csv"))
        for step, row in enumerate(said):
            errors.append(truth[now + step] - row["forecast"])
            for level, seen in inside.items():
                seen.append(row[f"lower_{level}"] <= truth[now + step] <= row[f"upper_{level}"])
    found = gruvy("evaluate", trained(name), "--data", save(tmp_path, rows), "--json").json
    assert found["n"] == len(errors) / HORIZON == len(rows) - WINDOW - HORIZON + 1
    assert found["metrics"]["mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-4)
    assert found["metrics"]["mse"] == pytest.approx(np.mean(np.square(errors)), rel=1e-4)
    for level, seen in inside.items():
        assert found["metrics"][f"coverage_{level}"] == pytest.approx(np.mean(seen))


def test_evaluating_a_file_rolls_from_the_first_full_window_of_each_series():
    found = gruvy("evaluate", trained("long"), "--data", file("long"), "--json").json
    assert found["n"] == sum(count - WINDOW - HORIZON + 1 for count in LENGTHS.values())


def test_evaluating_a_file_of_strangers_says_so(tmp_path):
    data = save(tmp_path, [{**row, "who": "eve"} for row in long()[:60]])
    done = gruvy("evaluate", trained("long"), "--data", data)
    assert done.code == 0
    assert "training never had" in done.out


def test_a_file_that_has_changed_since_is_refused(out, tmp_path):
    data = save(tmp_path, one())
    assert gruvy(*train(data, out, *TIME)).code == 0
    save(tmp_path, one(170))
    assert "has changed since the training" in refused("evaluate", out)
    data.unlink()
    assert "is no longer at" in refused("evaluate", out)
    assert gruvy("forecast", out).code == 0
