"""`gruvy stream`: one row in, one line out, as if the file had been longer."""

import json

import pytest
from tests.cli.forecasting import TIME, assert_intervals, assert_matches, forecast, points, save, train
from tests.cli.run import gruvy, refused
from tests.fixtures.series import HORIZON, after, daily_cycle, hours, long, one, small_recipe, trained
from tests.fixtures.small import strict_json


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state.json"


def new_rows(count=3, first=160):
    values = daily_cycle(first + count, 5)[first:]
    return [{"time": t, "y": f"{y:.4f}"} for t, y in zip(hours(first + count)[first:], values, strict=True)]


def as_csv(rows):
    return "\n".join(",".join(cells) for cells in (rows[0], *(row.values() for row in rows))).encode()


def as_json(rows):
    return "\n".join(json.dumps(row) for row in rows).encode()


def streamed(folder, state, rows, write=as_csv):
    done = gruvy("stream", folder, "--state", state, stdin=write(rows))
    assert (done.code, done.err) == (0, ""), done
    return [strict_json(line) for line in done.out.splitlines()]


def one_answer(answer):
    """A line of the stream as the rows of a forecast."""
    lists = {name: cells for name, cells in answer.items() if isinstance(cells, list)}
    return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]


# Good rows


@pytest.mark.parametrize("write", [as_csv, as_json])
@pytest.mark.parametrize("name", ["one", "point"])
def test_each_row_is_answered_as_by_the_longer_file(name, write, state, tmp_path):
    rows = new_rows()
    answers = streamed(trained(name), state, rows, write)
    assert [answer["time"] for answer in answers] == [row["time"] for row in rows]
    for count, answer in enumerate(answers, 1):
        data = save(tmp_path, [*one(), *rows[:count]])
        assert answer["forecast"] == pytest.approx(points(forecast(trained(name), tmp_path, "--data", data)), rel=1e-5)
        assert_intervals(one_answer(answer))


def test_the_intervals_are_those_of_the_longer_file(state, tmp_path):
    [answer] = streamed(trained("point"), state, new_rows(1))
    found = forecast(trained("point"), tmp_path, "--data", save(tmp_path, [*one(), *new_rows(1)]))
    for end in ("lower_80", "upper_80", "lower_95", "upper_95"):
        assert answer[end] == pytest.approx([row[end] for row in found], rel=1e-4)


def test_what_was_read_is_kept_for_the_next_time(state, tmp_path):
    rows = new_rows(20)  # more than a window
    at_once = streamed(trained("one"), tmp_path / "other.json", rows)
    first, second = streamed(trained("one"), state, rows[:7]), streamed(trained("one"), state, rows[7:])
    assert first + second == at_once
    assert {p.name for p in tmp_path.iterdir()} == {"state.json", "other.json"}


def test_the_state_stays_small(state):
    sizes = []
    for start in range(160, 240, 40):
        streamed(trained("one"), state, new_rows(40, start))
        sizes.append(state.stat().st_size)
    assert sizes[1] < 1.1 * sizes[0]


def test_series_do_not_meet(state, tmp_path):
    rows = [
        {"time": hours(161)[160], "who": "ann", "y": "7.5"},
        {"time": hours(161)[160], "who": "cid", "y": "800"},
        {"time": hours(162)[161], "who": "ann", "y": "8"},
        {"time": hours(162)[161], "who": "eve", "y": "55"},  # one that training never had
    ]  # fmt: skip
    answers = streamed(trained("long"), state, rows)
    whole = [{name: row[name] for name in ("time", "who", "y")} for row in long()]
    assert [answer["who"] for answer in answers] == ["ann", "cid", "ann", "eve"]
    for count, answer in enumerate(answers, 1):
        found = forecast(trained("long"), tmp_path, "--data", save(tmp_path, [*whole, *rows[:count]]))
        assert answer["forecast"] == pytest.approx(points(found, answer["who"]), rel=1e-4)


def test_several_targets_are_answered_each(state, tmp_path):
    rows = [{"time": hours(161)[160], "y": "7.5", "z": "300"}]
    [answer] = streamed(trained("wide"), state, rows)
    for target, level in (("y", 10), ("z", 400)):
        assert len(answer[target]["forecast"]) == HORIZON
        assert all(level / 2 < p < 2 * level for p in answer[target]["forecast"])


def test_a_missing_value_is_no_reason_to_stop(state):
    rows = [*new_rows(1), {**new_rows(2)[1], "y": ""}, *new_rows(3)[2:]]
    assert len(streamed(trained("one"), state, rows)) >= 2


def test_rows_without_times_are_steps(state):
    answers = streamed(trained("steps"), state, [{"y": "8.5"}, {"y": "9"}])
    assert [len(answer["forecast"]) for answer in answers] == [HORIZON, HORIZON]


def test_known_covariates_of_the_future_can_be_given(state, tmp_path):
    """Rows with an empty target bring the future; the row itself takes the place of what was known of it."""
    cells = {"who": "ann", "promo": "no", "price": "1.5", "seen": "0.1", "kind": "small"}
    ahead = [{"time": t, **cells, "seen": "", "y": ""} for t in hours(160 + HORIZON + 1)[160:]]
    now = {"time": hours(161)[160], **cells, "y": "7.5"}
    answers = streamed(trained("covariates"), state, [*ahead, now])
    whole = [*after(long(), 1)[: len(long())], now, *ahead[1:]]
    others = [row for row in after(long(), HORIZON) if row["who"] != "ann" and row not in long()]
    found = forecast(trained("covariates"), tmp_path, "--data", save(tmp_path, [*whole, *others]))
    assert answers[-1]["forecast"] == pytest.approx(points(found, "ann"), rel=1e-4)


def test_nothing_in_gives_nothing_out(state):
    assert streamed(trained("one"), state, new_rows(1), lambda rows: b"") == []


def test_a_stream_goes_on_from_stamps_written_as_in_the_training(state, tmp_path):
    def written(row):
        day, time = row["time"].split()
        year, month, number = day.split("-")
        return {**row, "time": f"{number}/{month}/{year} {time}"}

    data = save(tmp_path, [written(row) for row in one(400)])
    assert gruvy(*train(data, tmp_path / "out", *TIME)).code == 0
    [answer] = streamed(tmp_path / "out", state, [written(row) for row in new_rows(1, 400)])
    assert len(answer["forecast"]) == HORIZON


# Bad rows: one sentence; what came before is answered and kept


BAD_ROWS = {
    "a column less": (b"time,x\n2024-01-08,3\n", "row 1 .*no 'y'"),
    "a field less": (b"time,y\n2024-01-08\n", "1 fields? where the header has 2"),
    "a text": (b"time,y\n2024-01-08,many\n", "row 1 of standard input: .*'many' in the target column 'y'"),
    "a list": (b'{"time": "2024-01-08", "y": [1]}\n', "row 1"),
    "no JSON": (b'{"time": \n', "no JSON object"),
    "no stamp": (b"time,y\nsoon,3\n", "row 1 .*soon"),
    "a stamp long ago": (b"time,y\n1980-01-08,3\n", "row 1 .*1980-01-08"),
    "a stamp within what was read": (b"time,y\n2024-01-07 10:30:00,3\n", "row 1"),
    "no UTF-8": (b"time,y\n\xff\xfe,3\n", "UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows_are_refused(what, state):
    content, said = BAD_ROWS[what]
    sentence = refused("stream", trained("one"), "--state", state, stdin=content)
    assert_matches(said, sentence)
    assert "row 13" not in sentence  # of the window that is kept, which the user never wrote
    assert "--id" not in sentence


def test_good_rows_before_a_bad_one_are_kept(state, tmp_path):
    rows = new_rows()
    bad = [*rows[:2], {**rows[2], "y": "many"}]
    done = gruvy("stream", trained("one"), "--state", state, stdin=as_csv(bad))
    assert done.code == 2
    assert len(done.out.splitlines()) == 2
    assert_matches("row 3 of standard input", done.err)
    assert streamed(trained("one"), state, rows[2:]) == streamed(trained("one"), tmp_path / "o.json", rows)[2:]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"a": []}', '{"time": ["x"], "y": []}', '{"history": {}, "before": {}}']
)
def test_a_damaged_state_is_refused(content, state):
    state.write_text(content)
    said = refused("stream", trained("one"), "--state", state, stdin=as_csv(new_rows()))
    assert said == f"{state} does not hold the state of a stream; remove it to begin anew"
    assert state.read_text() == content


def test_a_state_of_another_model_is_refused(state):
    streamed(trained("steps"), state, [{"y": "9"}])
    assert str(state) in refused("stream", trained("long"), "--state", state, stdin=b"time,who,y\n2024-01-08,ann,3\n")


def test_an_unwritable_state_is_refused_before_any_answer(tmp_path):
    place = tmp_path / "nowhere" / "state.json"
    assert str(place) in refused("stream", trained("one"), "--state", place, stdin=as_csv(new_rows()))
