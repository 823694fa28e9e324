"""Panels: long and wide tables of every frequency, what is put right and said, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruvy.data.panels.panel import Panel, Roles, Series, panel_from_columns, read_panel
from gruvy.data.panels.stamps import Frequency
from gruvy.errors import BadInput

ONE = Roles(("y",), time="t")
LONG = Roles(("y",), time="t", id="id")
SALES = {
    "shop": ["north", "north", "south", "south"],
    "day": ["2024-01-01", "2024-01-02", "2024-01-01", "2024-01-02"],
    "sales": [1.5, 2, 3, 4.25],
    "price": [9, 8, 7, 6],
    "weather": ["sun", "rain", "", "NA"],
    "size": [100, 100, 200, 200],
}
SALES_ROLES = Roles(("sales",), time="day", id="shop", known=("price",), past=("weather",), static=("size",))
UNITS = [
    "100ms", "s", "min", "7min", "15min", "h", "36h", "D", "2D", "B", "W-SUN", "W-THU", "28D", "MS", "ME", "2MS", "QS",
    "QE", "QS-FEB", "2QS", "YS", "YE", "YS-APR",
]  # fmt: skip


def stamps(start: str, periods: int, unit: str) -> list[str]:
    return [str(stamp) for stamp in pd.date_range(start, periods=periods, freq=unit)]


def panel(t, y=None, roles: Roles = ONE, frequency: Frequency | None = None, **columns) -> Panel:
    y = range(len(t)) if y is None else y
    return panel_from_columns({"t": t, "y": y, **columns}, roles, frequency=frequency)


def only(t, y=None, **options) -> Series:
    (series,) = panel(t, y, **options).series
    return series


def refusal(*arguments, **options) -> str:
    with pytest.raises(BadInput) as caught:
        panel(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert not message.endswith(".")
    return message


def values(series: Series) -> list[float | None]:
    return [None if np.isnan(value) else value for value in series.targets[:, 0].tolist()]


def days(series: Series) -> list[str]:
    return [str(stamp)[:10] for stamp in series.stamps]


# Files


def save(path: Path, columns: dict[str, list]) -> Path:
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows))
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        path.write_text("".join(mark.join(map(str, row)) + "\n" for row in [tuple(columns), *rows]))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", None])
def test_formats_agree(tmp_path, suffix):
    if suffix is None:
        read = panel_from_columns(SALES, SALES_ROLES)
    else:
        read = read_panel(save(tmp_path / f"sales{suffix}", SALES), SALES_ROLES)
    north, south = read.series
    assert read.frequency == Frequency("D")
    assert read.notes == []
    assert (north.name, south.name) == ("north", "south")
    assert values(north) == [1.5, 2]
    assert values(south) == [3, 4.25]
    assert north.targets.shape == (2, 1)
    assert south.known["price"].tolist() == [7, 6]
    assert north.past["weather"].tolist() == ["sun", "rain"]
    assert south.past["weather"].tolist() == ["", "NA"]
    assert (north.static, south.static) == ({"size": 100}, {"size": 200})
    assert north.stamps.tolist() == np.array(["2024-01-01", "2024-01-02"], "datetime64[ns]").tolist()
    assert north.end == south.end == 2


def test_parquet_times(tmp_path):
    times = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    pq.write_table(pa.table({"t": times, "y": [1, None, 3]}), tmp_path / "x.parquet")
    read = read_panel(tmp_path / "x.parquet", ONE)
    assert read.frequency == Frequency("h")
    assert values(read.series[0]) == [1, None, 3]


@pytest.mark.parametrize(
    ("content", "roles", "said"),
    [
        ("t,y\n", ONE, "no rows"),
        ("", ONE, "the file is empty"),
        ("t,Y\n1,2\n", ONE, "did you mean 'Y'"),
        ("t,y\n2024-01-01,1\n", ONE, "at least two are needed"),
        ("t,y\n1,2\n2,x\n", ONE, "row 2 has 'x' in the target column 'y'"),
        ("t,y\n1,2\n2,3\n", Roles(("y", "y"), "t"), "one role"),
        ("t,y\n1,2\n2,3\n", Roles(()), "no target column"),
    ],
)
def test_refused_files_are_named(tmp_path, content, roles, said):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(BadInput) as caught:
        read_panel(path, roles)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1
    assert said in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_panel(tmp_path / "x.csv", ONE)


# Frequencies


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("periods", [2, 3, 40])
def test_frequency_is_found(unit, periods):
    given = pd.date_range("2012-01-05", periods=periods, freq=unit)
    read = panel([str(stamp) for stamp in given])
    if periods == 40:
        assert read.frequency == Frequency(unit)
    assert read.notes == []
    assert read.series[0].stamps.tolist() == given.to_numpy().astype("datetime64[ns]").tolist()
    assert read.series[0].stamps.dtype == "datetime64[ns]"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(UNITS),
    st.sets(st.integers(0, 59), min_size=40),
    st.randoms(use_true_random=False),
)
def test_gaps_and_order_change_nothing(unit, kept, random):
    grid = pd.date_range("2012-01-05", periods=60, freq=unit).to_numpy().astype("datetime64[ns]")
    kept = sorted(kept | {0, 59, 58})
    rows = random.sample(kept, len(kept))
    series = only([str(grid[row]) for row in rows], rows)
    assert series.stamps.tolist() == grid.tolist()
    assert values(series) == [row if row in kept else None for row in range(60)]


def test_gaps_are_said():
    read = panel(["2024-01-01", "2024-01-02", "2024-01-05"], [1, 2, 3])
    assert values(read.series[0]) == [1, 2, None, None, 3]
    assert read.notes == ["2 missing stamps were inserted, with missing values"]


def test_unsorted_rows_are_sorted_and_said():
    read = panel(["2024-01-02", "2024-01-01", "2024-01-03"], [2, 1, 3])
    assert values(read.series[0]) == [1, 2, 3]
    assert read.notes == ["the rows were sorted by time"]


def test_interleaved_series_need_no_sorting():
    read = panel(["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02"], [1, 10, 2, 20], LONG, id=list("baba"))
    assert [(series.name, values(series)) for series in read.series] == [("b", [1, 2]), ("a", [10, 20])]
    assert read.notes == []


def test_integer_time():
    read = panel([1700, 1701, 1703], [1, 2, 3])
    assert read.frequency == Frequency(1)
    assert read.series[0].stamps.tolist() == [1700, 1701, 1702, 1703]
    assert read.series[0].stamps.dtype == np.int64
    assert panel(["10", "5", "15"]).frequency == Frequency(5)


def test_without_time_rows_are_steps():
    read = panel_from_columns({"y": [5, 6, 7], "id": list("aba")}, Roles(("y",), id="id"))
    assert [(series.name, series.stamps.tolist(), values(series)) for series in read.series] == [
        ("a", [0, 1], [5, 7]),
        ("b", [0], [6]),
    ]
    assert read.frequency == Frequency(1)


def test_daylight_saving_by_the_clock_on_the_wall():
    local = pd.date_range("2024-01-01", "2024-12-31", freq="h", tz="Europe/Paris").tz_localize(None)
    read = panel([str(stamp) for stamp in local])
    assert read.frequency == Frequency("h")
    assert np.flatnonzero(np.isnan(read.series[0].targets[:, 0])).tolist() == [
        (np.datetime64("2024-03-31T02") - np.datetime64("2024-01-01T00")).astype(int)
    ]
    assert read.notes == [
        "1 row was averaged with another of the same time stamp, like 2024-10-27T02:00",
        "1 missing stamp was inserted, with missing values",
    ]


def test_daylight_saving_with_offsets():
    hours = pd.date_range("2024-01-01", "2024-12-31", freq="h", tz="Europe/Paris")
    read = panel([str(stamp) for stamp in hours])
    assert len(read.series[0].stamps) == len(hours)
    assert read.notes == ["the stamps in 't' were converted to UTC"]
    dates = pd.date_range("2024-01-01", "2024-12-31", freq="D", tz="Europe/Paris")
    assert days(only([str(stamp) for stamp in dates])) == [str(stamp)[:10] for stamp in dates]


def test_jitter_is_snapped():
    rng = np.random.default_rng(0)
    grid = pd.date_range("2024-01-01 00:30", periods=100, freq="h")
    read = panel([str(stamp + pd.Timedelta(seconds=int(rng.integers(-5, 6)))) for stamp in grid])
    assert read.frequency == Frequency("h")
    assert read.series[0].stamps.tolist() == grid.to_numpy().astype("datetime64[ns]").tolist()
    assert values(read.series[0]) == list(range(100))
    assert "moved onto the grid: hourly" in read.notes[0]


def test_irregular_times_are_averaged_on_a_round_grid():
    seconds = np.cumsum(np.random.default_rng(0).integers(100, 500, 300))
    start = np.datetime64("2024-01-01T00:00", "ns")
    read = panel(start + seconds.astype("timedelta64[s]"), np.full(300, 7.0))
    assert read.frequency == Frequency("5min")
    assert read.series[0].stamps[0].astype("datetime64[m]").astype(int) % 5 == 0
    assert set(values(read.series[0])) <= {7, None}
    assert read.notes[0] == "1 series was sampled at irregular times and put on a grid: every 5 minutes"
    assert "averaged with another that is nearest to the same step" in read.notes[1]


def test_bursts_do_not_make_a_fine_grid():
    gaps = np.where(np.arange(200) % 4 == 0, 1, np.random.default_rng(0).integers(3000, 4000, 200))
    read = panel(np.datetime64("2024-01-01", "ns") + np.cumsum(gaps).astype("timedelta64[s]"))
    assert read.frequency == Frequency("h")


@pytest.mark.parametrize(
    ("given", "unit", "expected"),
    [
        ([f"2024-{month:02d}-15" for month in range(1, 7)], "MS", "2024-03-01"),
        (["2024-01-30", "2024-02-29", "2024-03-30", "2024-04-30"], "MS", "2024-03-01"),
        (["2024-01-31", "2024-02-29", "2024-03-29", "2024-04-30", "2024-05-31"], "ME", "2024-03-31"),
        (["2020-02-15", "2020-05-15", "2020-08-15"], "QS-FEB", "2020-08-01"),
        (["2010-07-14", "2011-07-14", "2012-07-14"], "YS-JUL", "2012-07-01"),
    ],
)
def test_other_days_of_a_month_move_to_its_start_or_end(given, unit, expected):
    read = panel(given)
    assert read.frequency == Frequency(unit)
    assert days(read.series[0])[2] == expected
    assert "moved onto the grid" in read.notes[0]


def test_three_days_a_week_are_business_days():
    given = [str(day) for day in pd.date_range("2024-01-01", periods=60) if day.day_of_week in (0, 2, 4)]
    assert panel(given).frequency == Frequency("B")


def test_series_too_short_to_meet_a_weekend_are_business_days_as_the_others():
    t = [*stamps("2024-01-01", 5, "D"), *stamps("2024-01-01", 5, "D"), *stamps("2024-01-04", 4, "B")]
    assert panel(t, roles=LONG, id=[*"aaaaabbbbbcccc"]).frequency == Frequency("B")


@pytest.mark.parametrize(("first", "second"), [("h", "D"), ("D", "h"), ("D", "MS"), ("MS", "QS"), ("W-SUN", "D")])
def test_mixed_frequencies_are_refused(first, second):
    t = [*stamps("2024-01-01", 40, first), *stamps("2024-01-01", 20, second)]
    said = refusal(t, roles=LONG, id=["a"] * 40 + ["b"] * 20)
    assert f"'a' is {Frequency(first).words()}, but 'b' is {Frequency(second).words()}" in said


def test_series_with_few_or_sparse_rows_fit_the_others():
    daily = stamps("2024-01-01", 60, "D")
    sparse = [daily[day] for day in (1, 4, 15, 22, 24, 40, 47)]
    t = [*daily, *sparse, daily[3], daily[5], daily[9]]
    read = panel(t, roles=LONG, id=["a"] * 60 + ["b"] * 7 + ["c"] * 1 + ["d"] * 2)
    assert read.frequency == Frequency("D")
    assert [len(series.stamps) for series in read.series] == [60, 47, 1, 5]


def test_two_business_days_around_a_weekend():
    t = [*stamps("2024-01-01", 20, "B"), "2024-01-05", "2024-01-08"]
    assert days(panel(t, roles=LONG, id=["a"] * 20 + ["b"] * 2).series[1]) == ["2024-01-05", "2024-01-08"]
    assert days(only(["2024-01-05", "2024-01-08"], frequency=Frequency("B"))) == ["2024-01-05", "2024-01-08"]


def test_weeks_from_different_days_are_one_frequency():
    t = [*stamps("2024-01-01", 10, "W-MON"), *stamps("2024-01-01", 10, "W-THU")]
    monday, thursday = panel(t, roles=LONG, id=["a"] * 10 + ["b"] * 10).series
    assert days(monday)[1] == "2024-01-08"
    assert days(thursday)[1] == "2024-01-11"


@pytest.mark.parametrize(
    ("trained", "given"),
    [("h", "D"), ("D", "h"), ("B", "D"), ("MS", "D"), ("MS", "QS"), ("30min", "h"), ("W-SUN", "D"), ("D", "W-SUN")],
)
def test_another_frequency_than_in_training_is_refused(trained, given):
    said = refusal(stamps("2024-01-01", 40, given), frequency=Frequency(trained))
    assert f"the file is {Frequency(given).words()}, the model was trained" in said


def test_another_kind_of_time_than_in_training_is_refused():
    assert "whole numbers, the model was trained on dates" in refusal([1, 2, 3], frequency=Frequency("h"))
    assert "dates, the model was trained on whole" in refusal(stamps("2024", 3, "h"), frequency=Frequency(1))


@pytest.mark.parametrize(
    ("trained", "given", "expected"),
    [
        ("h", ["2024-01-01 05:00"], "2024-01-01"),
        ("B", stamps("2024-01-01", 5, "D"), "2024-01-05"),
        ("MS", stamps("2024-01-01", 5, "ME"), "2024-05-01"),
        ("W-SUN", stamps("2024-01-01", 5, "W-WED"), "2024-01-31"),
        ("D", ["2024-01-01", "2024-01-04"], "2024-01-04"),
    ],
)
def test_data_that_fit_the_training_keep_its_frequency(trained, given, expected):
    read = panel(given, frequency=Frequency(trained))
    assert read.frequency == Frequency(trained)
    assert days(read.series[0])[-1] == expected


def test_numbers_that_look_like_dates_stay_numbers_after_a_training_on_numbers():
    read = panel([201201, 201202], frequency=Frequency(1))
    assert read.series[0].stamps.tolist() == [201201, 201202]
    assert panel([201201, 201202]).frequency == Frequency("MS")


@pytest.mark.parametrize("outlying", ["2102-01-01", "1902-01-01"])
@pytest.mark.parametrize("unit", ["h", "D"])
def test_a_typo_in_a_year_is_refused(outlying, unit):
    said = refusal([*stamps("2012-01-01", 300, unit), outlying])
    assert f"{outlying} is far from the other stamps" in said


def test_stamps_centuries_apart_are_refused():
    said = refusal(["1720-01-01", "1720-01-02", "2120-01-01"])
    assert "1720-01-02 and 2120-01-01 are over 292 years apart" in said


def test_a_long_gap_is_none():
    series = only([*stamps("2000-01-01", 300, "D"), *stamps("2020-01-01", 300, "D")])
    assert len(series.stamps) == 7605


# Repeated stamps


def test_identical_rows_are_merged():
    read = panel(stamps("2024-01-01", 4, "D") * 2, [1, "", 3, 4] * 2)
    assert values(read.series[0]) == [1, None, 3, 4]
    assert "4 rows were left out, as another says the same" in read.notes


def test_repeated_stamps_are_averaged():
    t = [*stamps("2024-01-01", 60, "D"), "2024-01-02", "2024-01-03"]
    roles = Roles(("y",), "t", past=("x", "word"))
    word = ["", "", "b", *"c" * 57, "z", "z"]
    read = panel(t, [*range(60), 4, ""], roles, x=["", "", *range(60)], word=word)
    (series,) = read.series
    assert values(series)[:4] == [0, 2.5, 2, 3]
    assert series.past["x"][:3].tolist()[1:] == [58, 29.5]
    assert series.past["word"][:3].tolist() == ["", "z", "b"]
    assert "2 rows were averaged with another of the same time stamp, like 2024-01-02" in read.notes


def test_the_mean_of_large_numbers_is_finite():
    series = only([*range(60), 3], [*range(57), 1.5e308, 1.5e308, 1.5e308, 1.6e308])
    assert values(series)[57] == 1.5e308
    assert values(series)[3] == 0.8e308


def test_many_repeated_stamps_are_refused():
    t = stamps("2024-01-01", 20, "D") * 2
    assert "20 of 40 rows repeat a time stamp" in refusal(t)
    assert "(--id)" in refusal(t)
    assert "correct the stamps" in refusal(t, roles=LONG, id=["a"] * 40)


# Cells


def test_missing_numbers():
    series = only(stamps("2024-01-01", 8, "D"), ["1", "", "NaN", "nan", "NA", "null", " ", "2.5e1"])
    assert values(series) == [1, None, None, None, None, None, None, 25]
    assert values(only([1, 2, 3], [1, None, float("nan")])) == [1, None, None]
    assert values(only([1, 2, 3], pd.Series([1, None, 3], dtype="Int64"))) == [1, None, 3]


@pytest.mark.parametrize(
    ("cell", "cure"),
    [
        ("n/a", "leave the cell empty"),
        ("-", "leave the cell empty"),
        ("12 kW", "write numbers like 3.5"),
        ("1_000", "write numbers like 3.5"),
        ("1,234", "without a mark between the thousands"),
        ("1,234,567.5", "without a mark between the thousands"),
        ("3,5", "decimal mark as a point"),
        ("inf", "write finite numbers"),
        ("-Infinity", "write finite numbers"),
        ("1e999", "write finite numbers"),
        ("True", "write numbers like 3.5"),
    ],
)
def test_refused_target_cells(cell, cure):
    said = refusal([1, 2, 3], ["1", "2", cell])
    assert f"row 3 has '{cell}' in the target column 'y'" in said
    assert cure in said


def test_infinite_numbers_are_refused():
    assert "row 2 has 'inf'" in refusal([1, 2], np.array([1, np.inf]))
    assert "row 2 has 'inf' in the column 'x'" in refusal(
        [1, 2], [1, 2], Roles(("y",), "t", known=("x",)), x=["1", "inf"]
    )


def test_covariates_are_numbers_or_texts():
    roles = Roles(("y",), "t", known=("number", "flag"), past=("text", "typo"))
    columns = {
        "number": ["1", "NA", ""],
        "flag": np.array([True, False, True]),
        "text": ["NA", " b ", ""],
        "typo": ["1", "2", "x"],
    }
    read = panel(["2024-01-01", "2024-01-02", "2024-01-04"], [1, 2, 3], roles, **columns)
    (series,) = read.series
    assert [None if np.isnan(number) else number for number in series.known["number"]] == [1, None, None, None]
    assert series.known["flag"].tolist()[:2] == [1, 0]
    assert series.past["text"].tolist() == ["NA", "b", "", ""]
    assert series.past["typo"].tolist() == ["1", "2", "", "x"]
    assert read.notes[0] == "the column 'typo' was read as texts, as row 3 has 'x'"


def test_static_columns():
    roles = Roles(("y",), id="id", static=("area", "kind"))
    columns = {"y": [1, 2, 3, 4], "id": list("abab"), "area": ["", 2, 1, "2.0"], "kind": ["p", "q", "", "q"]}
    a, b = panel_from_columns(columns, roles).series
    assert a.static == {"area": 1, "kind": "p"}
    assert b.static == {"area": 2, "kind": "q"}
    with pytest.raises(BadInput, match=r"'kind' changes within the series 'b', from q to r in row 4; name it as"):
        panel_from_columns({**columns, "kind": list("pqpr")}, roles)


def test_other_refused_columns():
    known = Roles(("y",), "t", known=("x",))
    assert "'x' is empty" in refusal([1, 2], [1, 2], known, x=["", "NA"])
    assert "no number at all" in refusal([1, 2], ["", "nan"])
    assert "row 2 names no series in the column 'id'" in refusal([1, 2], [1, 2], LONG, id=["a", " "])
    assert "did you mean 'id2'" in refusal([1, 2], [1, 2], LONG, id2=["a", "b"])
    assert "columns of one length" in refusal([1, 2], [1, 2, 3])
    assert "columns of one length" in refusal([1, 2], np.zeros((2, 2)))
    assert "at least one row" in refusal([], [])
    assert "one role" in refusal([1, 2], [1, 2], Roles(("y",), "t", past=("t",)))


# Where a series begins and ends


def test_leading_steps_are_cut_and_the_future_is_kept():
    roles = Roles(("y", "z"), "t", known=("x",))
    y, z = ["", "1", "", "", "", ""], ["", "", "", "2", "", ""]
    read = panel(stamps("2024-01-01", 6, "D"), y, roles, z=z, x=range(6))
    (series,) = read.series
    assert series.end == 3
    assert days(series)[0] == "2024-01-02"
    assert series.targets.shape == (5, 2)
    assert series.known["x"].tolist() == [1, 2, 3, 4, 5]
    assert read.notes == ["1 leading step was cut for want of a target value"]


def test_series_without_a_target_are_left_out():
    read = panel([1, 2, 1, 2], ["", "", 1, 2], LONG, id=list("aabb"))
    assert [series.name for series in read.series] == ["b"]
    assert read.notes == ["1 series was left out for want of any target value"]


def test_one_row_is_too_few():
    assert "at least two are needed" in refusal(["2024-01-01"])
    assert "at least two are needed" in refusal(["2024-01-01"] * 2, roles=LONG, id=["a", "b"])


CELL = st.sampled_from(["", "1", "2.5", "-3e2", "nan", "x", "1,5", "inf", "2024-01-01", "2024-02-30", "9", "A"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=6))
@example([("2024-01-01", "1", "A", "1"), ("2024-01-01", "2.5", "A", "1")])
@example([("9", "1", "A", "1"), ("-9", "2.5", "A", "1")])
def test_any_cells_are_read_or_refused(rows):
    columns = dict(zip(("t", "y", "id", "x"), map(list, zip(*rows, strict=True)), strict=True))
    for roles in (ONE, LONG, Roles(("y",), "t", past=("x",)), Roles(("y",), id="id", static=("x",))):
        try:
            read = panel_from_columns(columns, roles)
        except BadInput:
            continue
        for series in read.series:
            steps = len(series.stamps)
            assert series.targets.shape == (steps, 1)
            assert 1 <= series.end <= steps
            assert np.isfinite(series.targets[[0, series.end - 1]]).all()
            assert (np.diff(series.stamps.astype(np.int64)) > 0).all()
