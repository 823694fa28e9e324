"""What users of forecasting get wrong: each is refused with one sentence that says what to do, and leaves nothing."""

import json
import shutil
from hashlib import sha256

import pytest
from tests.cli.forecasting import TIME, assert_matches, save, train
from tests.cli.run import refused
from tests.fixtures import small
from tests.fixtures.series import HORIZON, WINDOW, after, file, hours, long, one, small_recipe, trained, wide


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def raw(content):
    def make(folder):
        (folder / "d.csv").write_bytes(content)
        return folder / "d.csv"

    return make


def changed(rows, place, **cells):
    return lambda folder: save(folder, [*rows[:place], {**rows[place], **cells}, *rows[place + 1 :]])


BAD_DATA = {
    "a text in the target": (changed(one(), 5, y="many"), (), "row 6 has 'many' in the target column 'y'; write"),
    "an empty target": (lambda p: save(p, [{**r, "y": ""} for r in one()]), (), "'y' holds no number at all"),
    "an empty second target": (
        lambda p: save(p, [{**r, "z": ""} for r in wide()]), ("--target", "z"), "'z' holds no number at all",
    ),
    "one row": (lambda p: save(p, one(1)), (), "no series has two rows"),
    "too few rows": (lambda p: save(p, one(15)), (), "15 steps, too few for a horizon of 4.*--horizon of at most [12]"),
    "no rows": (raw(b"time,y\n"), (), "no rows"),
    "nothing": (raw(b""), (), "empty"),
    "a stamp that is none": (changed(one(), 5, time="soon"), (), "soon"),
    "a file that is not there": (lambda p: p / "nowhere.csv", (), "no such file"),
    "a column that is not there": (lambda p: save(p, one()), ("--known", "prize"), "no column 'prize'"),
    "a column of two roles": (lambda p: save(p, one()), ("--past", "y"), "'y' is named for two things"),
    "a static that moves": (lambda p: save(p, long()), ("--id", "who", "--static", "price"), "price"),
    "series without their id": (lambda p: save(p, long()), (), "--id"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_is_refused(what, tmp_path, out):
    make, options, said = BAD_DATA[what]
    assert_matches(said, refused(*train(make(tmp_path), out, *TIME, *options)))
    assert not out.exists()


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ({"time": "forecast"}, ("--time", "forecast", "--target", "y")),
        ({"time": "target"}, ("--time", "target", "--target", "y", "z")),
        ({"time": "lower_80"}, ("--time", "lower_80", "--target", "y")),
        ({"who": "step"}, ("--id", "step", "--target", "y")),
        ({"who": "target"}, ("--time", "time", "--id", "target", "--target", "y", "z")),
    ],
)
def test_names_of_the_answer_are_refused(names, options, tmp_path, out):
    """They would be lost beside the columns that a forecast adds."""
    rows = [{names.get(name, name): cell for name, cell in {**row, "who": "ann"}.items()} for row in wide(60)]
    said = refused(*train(save(tmp_path, rows), out, *options))
    assert_matches(f"{next(iter(names.values()))}.*give it another name", said)
    assert not out.exists()


BAD_OPTIONS = {
    "no --target": ((), "give --target COLUMN"),
    "a horizon of 0": ((*TIME, "--horizon", "0"), "--horizon 0: expected a whole number of at least 1"),
    "a horizon below 0": ((*TIME, "--horizon", "-3"), "--horizon -3: expected a whole number of at least 1"),
    "a horizon longer than the series": ((*TIME, "--horizon", "200"), "too few for a horizon of 200"),
    "a window of 0": ((*TIME, "--input", "0"), "--input 0: expected a whole number of at least 1"),
    "a season of 0": ((*TIME, "--season", "0"), "--season 0: expected a whole number of at least 1"),
    "a level of 0": ((*TIME, "--level", "0"), "--level 0: expected percentages between 1 and 99"),
    "a level of 100": ((*TIME, "--level", "80", "100"), "--level 100: expected percentages between 1 and 99"),
    "a level that is no number": ((*TIME, "--level", "abc"), "--level"),
    "a split that is no number": ((*TIME, "--split", "most"), "--split"),
    "a split of two": ((*TIME, "--split", "0.8", "0.2"), "--split 0.8 0.2: expected three shares"),
    "a split above 1": ((*TIME, "--split", "0.9", "0.1", "0.1"), "--split 0.9 0.1 0.1: expected three shares"),
    "a split below 0": ((*TIME, "--split", "0.9", "-0.1", "0.1"), "--split"),
    "a split of nan": ((*TIME, "--split", "nan", "0.1", "0.2"), "--split nan 0.1 0.2: expected three shares"),
    "shares beside steps": ((*TIME, "--split", "0.7", "0.1", "20"), "--split 0.7 0.1 20: expected three shares"),
    "more steps than there are": ((*TIME, "--split", "900", "20", "20"), "--split asks for 940 steps.* has 160"),
    "a part without a window": ((*TIME, "--split", "100", "2", "20"), "horizon"),
    "an unknown loss": ((*TIME, "--loss", "mape"), "--loss is 'mape'; expected one of quantile, mae, mse, huber"),
    "an unknown head": ((*TIME, "--head", "both"), "--head is 'both'; expected one of direct, autoregressive"),
    "an unknown mode": ((*TIME, "--mode", "both"), "--mode is 'both'; expected one of independent, joint"),
    "an unknown scale": ((*TIME, "--scale", "both"), "--scale is 'both'; expected one of instance, series"),
    "an unknown recipe": ((*TIME, "--recipe", "defualt"), "did you mean 'default'"),
    "an unknown cell": ((*TIME, "--cell", "grv"), "did you mean 'gru'"),
    "an option of another task": ((*TIME, "--text", "y"), "--text"),
    "no time": ((*TIME, "--max-minutes", "0"), "--max-minutes is 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_options_are_refused(what, out):
    options, said = BAD_OPTIONS[what]
    assert_matches(said, refused(*train(file("one"), out, *options)))
    assert not out.exists()


def test_what_must_be_given(out):
    assert_matches("--horizon", refused("train", "forecast", "--data", file("one"), "--out", out, *TIME))
    assert_matches("give --data FILE", refused("train", "forecast", "--out", out, *TIME, "--horizon", "3"))
    assert not out.exists()


def test_models_of_another_kind_are_sent_to_their_command():
    texts, forecasts = small.trained("classify")[0], trained("one")
    for command in ("forecast", "stream"):
        assert_matches(f"holds a classify model.*gruvy predict {texts}", refused(command, texts))
    assert_matches(f"holds a model that forecasts.*gruvy forecast {forecasts}", refused("predict", forecasts, "x"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    assert_matches("no config.json", refused("forecast", tmp_path))
    assert_matches("no such directory", refused("forecast", tmp_path / "nowhere"))


@pytest.mark.parametrize("content", [b"{}", b"", b"[1", b'{"roles": {}}'])
def test_damaged_inputs_are_refused(content, out):
    shutil.copytree(trained("one"), out)
    (out / "inputs.json").write_bytes(content)
    assert_matches("inputs.json is not as it was saved", refused("forecast", out))
    hashes = json.loads((out / "hashes.json").read_text())
    (out / "hashes.json").write_text(json.dumps({**hashes, "inputs.json": sha256(content).hexdigest()}))
    for command in ("forecast", "evaluate", "stream"):
        assert_matches("is damaged .*train the model again", refused(command, out))


BAD_FORECASTS = {
    "another frequency": (one()[::2], "every 2 hours, the model was trained on .* hourly"),
    "whole numbers for dates": ([{"time": i, "y": 1} for i in range(9)], "whole numbers"),
    "no target": ([{"time": t} for t in hours(20)], "no column 'y'"),
    "an empty target": ([{"time": t, "y": ""} for t in hours(20)], "'y' holds no number|no series has a target"),
    "a text": ([*one(20), {"time": hours(21)[20], "y": "?"}], "row 21 has '[?]'"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FORECASTS)
def test_files_that_cannot_be_forecast_are_refused(what, tmp_path):
    rows, said = BAD_FORECASTS[what]
    data = save(tmp_path, rows)
    assert_matches(said, refused("forecast", trained("one"), "--data", data, "--out", tmp_path / "f.csv"))
    assert_matches(said, refused("evaluate", trained("one"), "--data", data))
    assert [p.name for p in tmp_path.iterdir()] == ["d.csv"]


def test_a_text_where_training_had_numbers_is_refused(tmp_path):
    data = save(tmp_path, after(long(), price="dear"))
    said = refused("forecast", trained("covariates"), "--data", data, "--out", tmp_path / "f.csv")
    assert_matches("column 'price' holds 'dear', where training had numbers", said)


def test_a_file_too_short_to_evaluate_is_refused(tmp_path):
    said = refused("evaluate", trained("one"), "--data", save(tmp_path, one(WINDOW + HORIZON - 1)))
    assert_matches("at most 15 steps; evaluating needs 12 to read and 4 to forecast", said)


@pytest.mark.parametrize("place", ["nowhere/f.csv", "."])
def test_an_unwritable_place_is_refused(place, tmp_path):
    assert_matches("--out .* cannot be written", refused("forecast", trained("one"), "--out", tmp_path / place))
    assert not list(tmp_path.iterdir())


def test_columns_are_those_of_the_training():
    assert "--text" in refused("evaluate", trained("one"), "--text", "y")
    assert "--text" in refused("evaluate", trained("one"), "--data", file("one"), "--text", "y")
