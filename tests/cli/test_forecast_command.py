"""`gruvy train forecast` as typed, and that what it trains forecasts."""

import json

import numpy as np
import pytest
from tests.cli.forecasting import TIME, assert_intervals, forecast, points, save, train
from tests.cli.run import gruvy, refused
from tests.fixtures.series import (
    FILES,
    HORIZON,
    daily_cycle,
    file,
    hours,
    long,
    one,
    small_recipe,
    trained,
)


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
    assert {"task", "n", "baseline", "best_baseline", "bootstrap", "weights", "seconds", "history"} <= set(done.json)


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
