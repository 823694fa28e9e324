"""`gruvy train forecast`, `gruvy forecast` and `gruvy evaluate` as typed."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tests.cli.forecasting import COVARIATES, TIME, assert_intervals, assert_matches, forecast, points, save, train
from tests.cli.run import gruvy, refused
from tests.fixtures.series import (
    FILES,
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


# Training


def test_results_go_to_standard_output_and_progress_to_standard_error(out):
    done = gruvy(*train(file("one"), out, *TIME))
    assert done.code == 0
    assert done.out == (trained("one") / "printed").read_text()
    for part in (
        "one.csv: 160 steps, hourly", "train 2024-01-01", "reads 12 steps, forecasts 4; a season of 24", "cell gru",
        f"the model is in {out}: gruvy forecast {out}",
    ):  # fmt: skip
        assert part in done.err
    assert {p.name for p in out.iterdir()} == FILES
    assert str(out) in (out / "README.md").read_text()


def test_json_alone_is_on_standard_output(out):
    done = gruvy(*train(file("one"), out, *TIME, "--json", "--quiet"))
    assert (done.code, done.err) == (0, "")
    assert done.json["metrics"] == json.loads((trained("one") / "metrics.json").read_text())["metrics"]
    assert {"task", "n", "baseline", "best_baseline", "bootstrap", "share", "seconds", "history"} <= set(done.json)


@pytest.mark.parametrize(
    "options",
    [
        ("--head", "autoregressive"),
        ("--loss", "mse", "--scale", "series"),
        ("--loss", "huber", "--level", "50"),
        ("--level", "1", "50", "99"),
        ("--split", "100", "20", "30"),
        ("--split", "0.5", "0.2", "0.3"),
        ("--season", "5"),
        ("--cell", "mgu", "--seed", "3"),
        ("--max-minutes", "0.05"),
        ("--engine", "reference"),
    ],
    ids=lambda options: " ".join(options),
)
def test_options_train_a_model_that_forecasts(options, out, tmp_path):
    done = gruvy(*train(file("one"), out, *TIME, *options))
    assert done.code == 0, done.err
    rows = forecast(out, tmp_path)
    assert [row["time"] for row in rows] == hours(160 + HORIZON)[160:]
    levels = [int(o) for o in options[1:] if o.isdigit()] if options[0] == "--level" else (80, 95)
    assert_intervals(rows, (50,) if "huber" in options else levels)
    # no forecast of a tame series is far from what it has ever been
    assert all(0 < p < 20 for p in points(rows))


def test_steps_of_a_split_are_the_steps_asked_for(out):
    assert gruvy(*train(file("one"), out, *TIME, "--split", "100", "20", "30")).code == 0
    [series] = json.loads((out / "split.json").read_text())["series"]
    starts = hours(160)
    assert [series[part] for part in ("train", "validation", "calibration", "test")] == [
        [starts[0], starts[99]], [starts[100], starts[109]], [starts[110], starts[119]], [starts[120], starts[149]]
    ]  # fmt: skip


@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (1, 5), (7, 1), (11, 3), (None, 2)])
def test_awkward_sizes(window, horizon, out, tmp_path):
    done = gruvy(*train(file("one"), out, *TIME, horizon=horizon, window=window))
    assert done.code == 0, done.err
    assert ("(chosen on the validation part)" in done.err) == (window is None)
    assert len(forecast(out, tmp_path)) == horizon


@pytest.mark.parametrize("mode", [("--mode", "joint"), ("--mode", "joint", "--head", "autoregressive"), ()])
def test_several_targets_are_forecast_each_in_its_units(mode, out, tmp_path):
    done = gruvy(*train(file("wide"), out, "--time", "time", "--target", "y", "z", *mode))
    assert done.code == 0, done.err
    rows = forecast(out, tmp_path)
    assert [row["target"] for row in rows] == ["y"] * HORIZON + ["z"] * HORIZON
    assert all(0 < row["forecast"] < 20 for row in rows[:HORIZON])
    assert all(200 < row["forecast"] < 600 for row in rows[HORIZON:])
    assert_intervals(rows)


def test_the_same_training_gives_the_same_model(out):
    assert gruvy(*train(file("one"), out, *TIME)).code == 0
    for name in ("model.safetensors", "inputs.json", "split.json"):
        assert (out / name).read_bytes() == (trained("one") / name).read_bytes()


def test_a_training_that_was_stopped_goes_on_to_the_same_model(out, monkeypatch):
    from gruvy.training import loop

    step, calls = loop.Steps.training_step, []

    def training_step(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == 11:  # within the second epoch
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(loop.Steps, "training_step", training_step)
    assert "goes on from the last whole epoch" in refused(*train(file("one"), out, *TIME), code=1)
    done = gruvy(*train(file("one"), out, *TIME))
    assert done.out == (trained("one") / "printed").read_text()


def test_several_networks_are_trained_one_after_the_other(out, tmp_path):
    with small_recipe(members=2):
        done = gruvy(*train(file("one"), out, *TIME))
    assert done.code == 0, done.err
    assert "network 1 of 2" in done.err
    assert "network 2 of 2" in done.err
    assert len(json.loads((out / "metrics.json").read_text())["history"]) == 2
    assert all(0 < p < 20 for p in points(forecast(out, tmp_path)))


def test_without_a_time_column_rows_are_steps(tmp_path):
    first = len(one())
    rows = forecast(trained("steps"), tmp_path)
    assert [row["step"] for row in rows] == list(range(first, first + HORIZON))
    assert forecast(trained("steps"), tmp_path, "--data", file("one")) == rows


def test_without_a_time_column_steps_count_from_the_first_row_of_the_file(out, tmp_path):
    rows = [{"y": ""}] * 3 + [{"y": row["y"]} for row in one()]
    data = save(tmp_path, rows)
    assert gruvy(*train(data, out, "--target", "y")).code == 0
    assert forecast(out, tmp_path) == forecast(out, tmp_path, "--data", data)
    assert forecast(out, tmp_path)[0]["step"] == 163


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ("2024-01-01T00:00:00.000", "2024-01-01 00:00:16.000"),
        ("2024-01-01", "2024-06-09"),
        ("2024-01-01T00", "2024-01-07 16:00:00"),
    ],
)
def test_stamps_are_written_alike_and_none_twice(stamps, expected, out, tmp_path):
    first = np.datetime64(stamps)
    step = np.timedelta64(100, "ms") if "." in stamps else 1
    data = save(tmp_path, [{"time": first + i * step, "y": f"{y:.3f}"} for i, y in enumerate(daily_cycle(160))])
    assert gruvy(*train(data, out, *TIME, horizon=12)).code == 0
    found = [row["time"] for row in forecast(out, tmp_path)]
    assert len(set(found)) == 12
    assert len({len(stamp) for stamp in found}) == 1
    assert np.datetime64(found[0]) == np.datetime64(expected)


def test_unsorted_and_repeated_rows_are_put_right_with_a_note(out, tmp_path):
    rows = one()
    rows = [*rows[90:], *rows[:90], rows[3], {**rows[7], "y": "1"}]
    done = gruvy(*train(save(tmp_path, rows), out, *TIME))
    assert done.code == 0
    for note in ("rows were sorted by time", "1 row was left out", "1 row was averaged with another"):
        assert note in done.err


@pytest.mark.parametrize("loss", ["quantile", "mae"])
def test_a_constant_series_goes_on_as_it_was(loss, out, tmp_path):
    data = save(tmp_path, [{**row, "y": "5"} for row in one()])
    assert gruvy(*train(data, out, *TIME, "--loss", loss)).code == 0
    rows = forecast(out, tmp_path)
    assert points(rows) == pytest.approx([5] * HORIZON, abs=0.05)
    assert_intervals(rows)
    assert gruvy("evaluate", out).code == 0


def test_too_few_rows_to_judge_by_do_not_lead_astray(out, tmp_path):
    done = gruvy(*train(save(tmp_path, one(21)), out, *TIME, "--json", window=None))
    assert done.code == 0
    assert done.json["metrics"]["scaled_mae"] < 1


def test_one_short_series_among_others_is_forecast_too(out, tmp_path):
    rows = [*long(), *({**row, "who": "dot"} for row in long()[157:160])]
    done = gruvy(*train(save(tmp_path, rows), out, *TIME, "--id", "who", "--json"))
    assert done.code == 0
    assert done.json["metrics"]["scaled_mae"] < 1
    found = forecast(out, tmp_path)
    assert len(found) == 4 * HORIZON
    assert all(0 < p < 20 for p in points(found, "dot"))


def test_a_gap_longer_than_the_window(out, tmp_path):
    rows = [row for i, row in enumerate(one(200)) if not 150 <= i < 190]
    done = gruvy(*train(save(tmp_path, rows), out, *TIME))
    assert done.code == 0
    assert "40 missing stamps inserted" in done.err or "40 missing stamps were inserted" in done.err
    assert all(0 < p < 20 for p in points(forecast(out, tmp_path)))


def test_one_row_after_a_long_gap_is_no_reason_to_run_wild(tmp_path):
    data = save(tmp_path, [*one(), {"time": hours(400)[-1], "y": "3"}])
    assert all(0 < p < 20 for p in points(forecast(trained("point"), tmp_path, "--data", data)))


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
    assert [float(line[-5]) for line in shown] == pytest.approx(points(printed), rel=1e-5)
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
