"""Stamps: every way of writing them, regular grids of every frequency, and what the calendar says of them."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruvy.data.panels.stamp_texts import read_stamps
from gruvy.data.panels.stamps import Frequency, calendar_features, season_length
from gruvy.errors import BadInput

UNITS = [
    "100ms", "s", "10s", "min", "15min", "30min", "h", "6h", "36h", "D", "2D", "B", "W-SUN", "W-THU", "MS", "ME", "2MS",
    "QS", "QE", "QS-FEB", "QE-JAN", "2QS", "YS", "YE", "YS-APR", "YE-JUN",
]  # fmt: skip


def times(*texts: str) -> list[np.datetime64]:
    return [np.datetime64(text, "ns") for text in texts]


def refusal(cells) -> str:
    with pytest.raises(BadInput) as caught:
        read_stamps(cells, "when")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Stamps as people write them


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2012-01-31", "2012-02-01"], ["2012-01-31", "2012-02-01"]),
        (["2012-01-31 13:05:10", "2012-02-01T01:00"], ["2012-01-31T13:05:10", "2012-02-01T01:00"]),
        (["2012-01-31 00:00:00.000000001"], ["2012-01-31T00:00:00.000000001"]),
        (["31/01/2012 10:00:00,5"], ["2012-01-31T10:00:00.5"]),
        (["1990/1/1 0:00", "1990/12/31 9:30"], ["1990-01-01", "1990-12-31T09:30"]),
        (["Jan 1 2000", "Sept. 2 2000", "October 3 2000"], ["2000-01-01", "2000-09-02", "2000-10-03"]),
        (["December 31, 2011, 3:00 PM"], ["2011-12-31T15:00"]),
        (["1-Feb-2012 12:30 a.m."], ["2012-02-01T00:30"]),
        (["19580329", "19580405"], ["1958-03-29", "1958-04-05"]),
        (["201201", "201302"], ["2012-01-01", "2013-02-01"]),
        (["201201312359"], ["2012-01-31T23:59"]),
        (["20120131T2359"], ["2012-01-31T23:59"]),
        (["1991 Jul", "1991 Aug"], ["1991-07-01", "1991-08-01"]),
        (["1949-01", "1949-02"], ["1949-01-01", "1949-02-01"]),
        (["2012Q1", "2012-Q4"], ["2012-01-01", "2012-10-01"]),
        (["Q2 2012"], ["2012-04-01"]),
        (["2012-W05", "2012W06"], ["2012-01-30", "2012-02-06"]),
        (["1577836800", "1577840400"], ["2020-01-01", "2020-01-01T01:00"]),
        (["1577836800000"], ["2020-01-01"]),
        (["1577836800000001"], ["2020-01-01T00:00:00.000001"]),
        (["31/12/2012", "1/2/2012"], ["2012-12-31", "2012-02-01"]),
        (["12-31-2012", "2-1-2012"], ["2012-12-31", "2012-02-01"]),
        (["31.12.12", "01.02.12"], ["2012-12-31", "2012-02-01"]),
        (["3/3/2012", "4/4/2012"], ["2012-03-03", "2012-04-04"]),
        ([pd.Timestamp("2012-01-31 13:00"), pd.Timestamp("2012-02-01")], ["2012-01-31T13:00", "2012-02-01"]),
        (np.array(["2012-01-31", "2012-02-01"], "datetime64[D]"), ["2012-01-31", "2012-02-01"]),
    ],
)
def test_ways_of_writing(cells, expected):
    stamps, _ = read_stamps(cells, "when")
    assert stamps.dtype == "datetime64[ns]"
    assert stamps.tolist() == np.array(times(*expected)).tolist()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1700", "2008"], [1700, 2008]),
        (["0", "-3", " 7 "], [0, -3, 7]),
        (["1.0", "2."], [1, 2]),
        (["201213", "201201"], [201213, 201201]),
        (["5000000000", "5000000001"], [5_000_000_000, 5_000_000_001]),
        (np.array([3, 1, 2], np.uint8), [3, 1, 2]),
    ],
)
def test_whole_numbers_stay_numbers(cells, expected):
    stamps, notes = read_stamps(cells, "when")
    assert stamps.dtype == np.int64
    assert stamps.tolist() == expected
    assert not notes


def test_offsets_become_utc_and_it_is_said():
    stamps, notes = read_stamps(["2012-03-25T01:00+01:00", "2012-03-25T03:00+0200", "2012-03-25 02:00Z"], "when")
    assert stamps.tolist() == np.array(times("2012-03-25T00:00", "2012-03-25T01:00", "2012-03-25T02:00")).tolist()
    assert notes == ["the stamps in 'when' were converted to UTC"]


def test_midnights_with_an_offset_keep_their_dates():
    stamps, notes = read_stamps(["2012-03-25 00:00 +01:00", "2012-03-26 00:00 +02:00"], "when")
    assert stamps.tolist() == np.array(times("2012-03-25", "2012-03-26")).tolist()
    assert notes == ["the offsets from UTC in 'when' were dropped, as all stamps stand at midnight"]


def test_one_day_of_the_month_tells_the_order():
    stamps, notes = read_stamps(["01/02/2012", "01/03/2012", "01/03/2013"], "when")
    assert stamps.tolist() == np.array(times("2012-02-01", "2012-03-01", "2013-03-01")).tolist()
    assert "day before month" in notes[0]
    stamps, notes = read_stamps(["02/01/2012", "03/01/2012", "03/01/2013"], "when")
    assert stamps.tolist() == np.array(times("2012-02-01", "2012-03-01", "2013-03-01")).tolist()
    assert "month before day" in notes[0]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["2012-01-01", ""], "row 2 has no stamp"),
        (["2012-01-01", None], "row 2 has no stamp"),
        (np.array(["2012-01-01", "NaT"], "datetime64[ns]"), "row 2 has no stamp"),
        (["2012-01-01", "2012-01-01", "soon"], "row 3 has 'soon' in the time column 'when'; write stamps like"),
        (["2012-02-30"], "'2012-02-30'"),
        (["2012-01-01 24:30"], "'2012-01-01 24:30'"),
        (["1/13/2012 13:00 PM"], "'1/13/2012 13:00 PM'"),
        (["now"], "'now'"),
        (["12:00"], "'12:00'"),
        (["21012-01-01"], "'21012-01-01'"),
        (["31/12/2012", "13/13/2012"], "row 2 has '13/13/2012'"),
        (["2012-01-01", "9999-12-31"], "row 2 has the year 9999"),
        (["1066-10-14"], "the year 1066"),
        (["1959.0417"], "the number '1959.0417'"),
        (["9" * 30], "up to 18 digits"),
        (np.array([-(2**63), 2**63 - 1]), "up to 18 digits"),
        (["2012-01-01 00:00", "2012-01-01 01:00Z"], "row 2 has '2012-01-01 01:00Z' with an offset from UTC where"),
        (["2012-01-01 00:00+01:00", "2012-01-02"], "row 2 has '2012-01-02' with no offset from UTC where"),
        (["01/02/2012", "03/04/2012"], "could have the day first or the month first"),
        (["12.01.31", "12.02.29"], "could have the day first or the month first"),
        (["01/01/2012", "01/02/2012"], "could have the day first or the month first"),
    ],
)
def test_refused_stamps(cells, said):
    assert said in refusal(cells)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("0129/-.: TZQWJanPM+,x\x00é٣²"), max_size=16), min_size=1, max_size=3))
@example(["00000000"])
@example(["0000-01-01"])
@example(["2012-01-01 00:00+99:99"])
@example(["1677-01-01", "2262-01-01"])
def test_any_text_is_read_or_refused(cells):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stamps, _ = read_stamps(cells, "when")
    except BadInput:
        return
    assert stamps.shape == (len(cells),)
    assert stamps.dtype in ("datetime64[ns]", np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")), min_size=1, max_size=5),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f", "%d %b %Y %H:%M:%S.%f", "%B %d, %Y %H:%M:%S.%f"]),
)
def test_what_was_written_is_read(moments, form):
    stamps, _ = read_stamps([moment.strftime(form) for moment in moments], "when")
    assert stamps.tolist() == np.array(moments, "datetime64[ns]").tolist()


# Frequencies


@pytest.mark.parametrize("unit", UNITS)
def test_future_goes_on_as_pandas_does(unit):
    expected = pd.date_range("2012-01-01", periods=30, freq=unit).to_numpy().astype("datetime64[ns]")
    frequency = Frequency(unit)
    for start in (0, 7, 25):
        assert frequency.future(expected[start], 30 - start - 1).tolist() == expected[start + 1 :].tolist()
    assert len(frequency.future(expected[0], 0)) == 0


def test_future_of_integers():
    future = Frequency(5).future(np.int64(1990), 3)
    assert future.dtype == np.int64
    assert future.tolist() == [1995, 2000, 2005]


def test_business_days_keep_their_time_of_day():
    friday = np.datetime64("2024-03-01T16:30", "ns")
    assert Frequency("B").future(friday, 2).tolist() == np.array(times("2024-03-04T16:30", "2024-03-05T16:30")).tolist()


@pytest.mark.parametrize(
    ("unit", "season", "words"),
    [
        ("h", 24, "hourly"), ("30min", 48, "every 30 minutes"), ("15min", 96, "every 15 minutes"),
        ("10min", 144, "every 10 minutes"), ("min", 1440, "every minute"), ("s", 60, "every second"),
        ("10s", 360, "every 10 seconds"), ("7min", None, "every 7 minutes"), ("6h", 4, "every 6 hours"),
        ("D", 7, "daily"), ("2D", None, "every 2 days"), ("B", 5, "business days"), ("W-SUN", 52, "weekly (Sunday)"),
        ("14D", 26, "every 14 days"), ("MS", 12, "monthly (start)"), ("ME", 12, "monthly (end)"),
        ("QS", 4, "quarterly (start)"), ("2QS", 2, "every 2 quarters (start)"), ("YE", 1, "yearly (end)"),
        ("2YS", None, "every 2 years (start)"), (1, None, "every step"), (10, None, "every 10 steps"),
    ],
)  # fmt: skip
def test_season_and_words(unit, season, words):
    frequency = Frequency(unit)
    assert frequency.season == season
    assert frequency.words() == words
    assert Frequency.from_json(json.loads(json.dumps(frequency.to_json()))) == frequency


@pytest.mark.parametrize("unit", ["", "x", "0h", "W", "W-XXX", "QS-XXX", "2B", "H", 0, -1, 1.5, None])
def test_unknown_units_are_refused(unit):
    with pytest.raises(BadInput, match="unknown frequency"):
        Frequency(unit)


# The calendar


@pytest.mark.parametrize(
    ("unit", "cycles"),
    [
        ("30min", ["time of day", "day of week", "time of year"]), ("D", ["day of week", "time of year"]),
        ("B", ["day of week", "time of year"]), ("2D", ["time of year"]), ("W-SUN", ["time of year"]),
        ("MS", ["time of year"]), ("QE", ["time of year"]), ("YS", []), (1, []),
    ],
)  # fmt: skip
def test_calendar_features(unit, cycles):
    frequency = Frequency(unit)
    first = 1990 if unit == 1 else pd.date_range("2012-01-01", periods=1, freq=unit)[0].to_datetime64()
    stamps = frequency.stamps(first, 40)
    names, features = calendar_features(stamps, frequency)
    assert names == [f"{wave} of {cycle}" for cycle in cycles for wave in ("sine", "cosine")]
    assert features.shape == (40, len(names))
    assert features.dtype == np.float32
    squares = features.reshape(40, len(cycles), 2) ** 2
    assert np.allclose(squares.sum(axis=2), 1, atol=1e-6)


def test_calendar_repeats_itself():
    stamps = np.array(times("2024-03-04T06:00", "2024-03-11T06:00", "2024-03-11T18:00"))
    _, features = calendar_features(stamps, Frequency("h"))
    assert np.allclose(features[0, :4], features[1, :4])
    assert np.allclose(features[:, 0], [1, 1, -1])
    _, yearly = calendar_features(np.array(times("2023-01-01", "2024-01-01", "2023-07-02T12:00")), Frequency("D"))
    assert np.allclose(yearly[:, 2:], [[0, 1], [0, 1], [0, -1]], atol=1e-6)


def test_start_and_end_of_a_month_are_the_same_time_of_the_year():
    starts, ends = np.array(times("2024-01-01", "2024-02-01")), np.array(times("2024-01-31", "2024-02-29"))
    assert np.allclose(calendar_features(starts, Frequency("MS"))[1], calendar_features(ends, Frequency("ME"))[1])


# Seasons


def wave(steps: int, season: float, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(steps)
    return np.sin(2 * np.pi * np.arange(steps) / season) + noise * rng.normal(size=steps)


def test_the_usual_season_where_the_series_hold_two():
    assert season_length([wave(48, 12)], Frequency("h")) == 24
    assert season_length([wave(47, 12)], Frequency("h")) == 12
    assert season_length([np.zeros(2)], Frequency("YS")) == 1


@pytest.mark.parametrize("season", [3, 7, 12, 48])
@pytest.mark.parametrize("trend", [0.0, 0.1])
def test_the_season_is_found(season, trend):
    series = wave(500, season) + trend * np.arange(500)
    assert season_length([series], Frequency(1)) == season
    series[np.random.default_rng(0).random(500) < 0.1] = np.nan
    assert season_length([series * 1e200, wave(20, 5)], Frequency(1)) == season


def test_a_season_need_not_be_whole():
    assert season_length([wave(300, 10.7)], Frequency(1)) == 11


@pytest.mark.parametrize(
    "series",
    [
        np.zeros(100),
        np.arange(100.0),
        np.random.default_rng(0).normal(size=400),
        np.random.default_rng(0).normal(size=400).cumsum(),
        np.full(50, np.nan),
        np.ones(1),
        np.array([]),
        np.full(100, 1e308),
    ],
)
def test_no_season_is_one(series):
    assert season_length([series], Frequency(1)) == 1
    assert season_length([], Frequency(1)) == 1
