"""`gruvy train classify|regress --series`, and what the models say, as a user types it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.labelled import NAME, SMALL, gestures, sensors, waves
from tests.fixtures.small import write_csv

import gruvy as library
from gruvy.errors import BadInput
from gruvy.tasks.recipes import RECIPES


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with files of series in every form."""
    folder = tmp_path_factory.mktemp("series")
    (folder / "train.ts").write_text(gestures())
    (folder / "test.ts").write_text(gestures(20, seed=1))
    write_csv(folder / "sensors.csv", sensors())
    write_csv(folder / "one.csv", sensors(1, 600))
    series, labels = waves(30, steps=16)
    short = np.stack([one[:11] for one in series])
    np.savez(folder / "equal.npz", X=short, y=np.array(labels))
    numbers = [str(1 + (label == "fast")) for label in labels]
    rows = ["\t".join([n, *(f"{v:.4f}" for v in one[:, 0])]) for n, one in zip(numbers, short, strict=True)]
    (folder / "ucr.tsv").write_text("\n".join(rows) + "\n")
    cells = [
        {"wave": " ".join(f"{v:.3f}" for v in one[:, 0]), "speed": f"{1.5 if label == 'fast' else 0.5}{place}"}
        for place, (one, label) in enumerate(zip(series, labels, strict=True))
    ]
    write_csv(folder / "cells.csv", cells)
    return folder


@pytest.fixture(scope="module")
def model(place):
    done = gruvy("train", "classify", "--series", place / "train.ts", "--test", place / "test.ts", "--recipe", NAME,
                 "--out", place / "model")  # fmt: skip
    assert done.code == 0, done
    return place / "model", done


def train(place, task, *more, out):
    return gruvy("train", task, "--recipe", NAME, "--out", out, "--json", *more)


def test_every_branch_and_both_neighbours_are_judged(model):
    folder, done = model
    for name in ("recurrent branch", "1-NN Euclid", "1-NN DTW", "test rows: 20", "confusion matrix"):
        assert name in done.out
    assert "36 series of" in done.err
    measured = json.loads((folder / "metrics.json").read_text())
    assert set(measured["baselines"]) == {"1-NN Euclid", "1-NN DTW"}
    assert measured["n"] == 20


def test_evaluate_gives_the_figures_of_the_training(model, place):
    folder, _ = model
    measured = json.loads((folder / "metrics.json").read_text())
    for given in ((), ("--series", place / "test.ts")):
        found = gruvy("evaluate", folder, "--json", *given).json
        assert found["metrics"] == pytest.approx(measured["metrics"], abs=1e-6)


def test_predict_says_what_evaluate_counts(model, place):
    folder, _ = model
    done = gruvy("predict", folder, "--series", place / "test.ts", "--json")
    said = [json.loads(line)["label"] for line in done.out.splitlines()]
    right = np.mean([s == t for s, t in zip(said, waves(20, seed=1)[1], strict=True)])
    assert right == pytest.approx(gruvy("evaluate", folder, "--json").json["metrics"]["accuracy"])


def test_one_series_or_several_in_python(model):
    loaded = library.load(model[0])
    series, _ = waves(5, seed=2)
    several = loaded.predict(series)
    one = loaded.predict(series[2])
    assert one["label"] == several[2]["label"]
    assert one["probability"] == pytest.approx(several[2]["probability"], abs=1e-5)
    assert loaded.predict([]) == []
    for wrong in (series[0][:, :1], [series[0], np.zeros((0, 2))], "text", 3):
        with pytest.raises(BadInput):
            loaded.predict(wrong)


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("classify", ["--series", "equal.npz"]),
        ("classify", ["--series", "ucr.tsv"]),
        ("classify", ["--series", "ucr.tsv", "--front", "none", "--cell", "mgu"]),
        ("classify", ["--data", "sensors.csv", "--series", "x", "y", "z", "--id", "person", "--label", "activity",
                      "--window", "25", "--stride", "20"]),
        ("regress", ["--data", "sensors.csv", "--series", "x", "y", "z", "--id", "person", "--target", "level",
                     "--window", "25"]),
        ("classify", ["--data", "one.csv", "--series", "x", "y", "--label", "activity", "--window", "10"]),
        ("regress", ["--data", "cells.csv", "--series", "wave", "--target", "speed"]),
    ],
)  # fmt: skip
def test_every_form_of_series_is_learned_and_asked_again(place, task, given, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    done = train(place, task, *given, out=tmp_path / "model")
    assert done.code == 0, done
    measured = done.json
    assert measured["task"] == task
    assert measured["metrics"].keys() == measured["baseline"].keys()
    again = gruvy("evaluate", tmp_path / "model", "--json")
    assert again.code == 0, again
    assert again.json["metrics"] == pytest.approx(measured["metrics"], abs=1e-6)
    place_of = given.index("--series") + 1
    data = given[1] if given[0] == "--data" and given[1] != "cells.csv" else None
    asked = ["--data", data] if data else given[: place_of + 1]
    assert len(gruvy("predict", tmp_path / "model", *asked).out.splitlines()) >= 30


def test_windows_of_one_recording_stay_in_one_part(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    train(place, "classify", "--data", "sensors.csv", "--series", "x", "--id", "person", "--label", "activity",
          "--window", "25", out=tmp_path / "model")  # fmt: skip
    split = json.loads((tmp_path / "model" / "split.json").read_text())
    people = {name: {(row - 1) // 400 for row in rows} for name, rows in split["rows"].items()}
    assert people["learn"].isdisjoint(people["test"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--series", "nowhere.ts"], "no such file"),
        (["--series", "train.ts", "--window", "0"], "window"),
        (["--series", "train.ts", "--window", "500"], "window"),
        (["--series", "train.ts", "--front", "both"], "expected one of conv, none"),
        (["--series", "train.ts", "--text", "words"], "give --data FILE"),
        (["--data", "sensors.csv", "--id", "person"], "--id is for series"),
        (["--data", "sensors.csv", "--series", "x", "--id", "person", "--label", "activity"], "--window"),
        (["--data", "sensors.csv", "--series", "q", "--id", "person", "--window", "25", "--label", "activity"],
         "no column"),
        (["--series", "train.ts", "--test", "ucr.tsv"], "channel|label"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_a_sentence(place, given, said, tmp_path, monkeypatch):
    import re

    monkeypatch.chdir(place)
    out = tmp_path / "model"
    sentence = refused("train", "classify", "--recipe", NAME, "--out", out, *given)
    assert re.search(said, sentence), sentence
    assert not out.exists()


def test_a_model_of_series_asks_for_series(model):
    assert "--series FILE" in refused("predict", model[0], "some words")


# A number a step


@pytest.fixture(scope="module")
def stepwise(place):
    rows = [
        {**row, "level": "" if n % 7 == 3 else str(float(row["x"]) + float(row["y"]))}
        for n, row in enumerate(sensors())
    ]
    write_csv(place / "steps.csv", rows)
    folder = place / "stepwise"
    done = gruvy("train", "regress", "--data", place / "steps.csv", "--series", "x", "y", "--id", "person", "--target",
                 "level", "--per-step", "--recipe", NAME, "--out", folder, "--json")  # fmt: skip
    assert done.code == 0, done
    return folder, done.json, rows


def test_every_step_gets_a_number_and_gaps_are_not_judged(stepwise, place):
    folder, measured, rows = stepwise
    assert set(measured["baselines"]) == {"ridge on steps", "mean"}
    assert gruvy("evaluate", folder, "--json").json["metrics"] == pytest.approx(measured["metrics"], abs=1e-6)
    done = gruvy("predict", folder, "--data", place / "steps.csv", "--json")
    values = [json.loads(line)["values"] for line in done.out.splitlines()]
    assert [len(v) for v in values] == [400] * 6
    tested = json.loads((folder / "split.json").read_text())["rows"]["test"]
    errors = [
        abs(values[(row - 1) // 400][step] - float(rows[row - 1 + step]["level"]))
        for row in tested for step in range(400) if rows[row - 1 + step]["level"]
    ]  # fmt: skip
    assert np.mean(errors) == pytest.approx(measured["metrics"]["mae"], rel=1e-4)


def test_a_stream_says_what_predict_says_and_goes_on(stepwise, place, tmp_path):
    folder, _, rows = stepwise
    done = gruvy("predict", folder, "--data", place / "steps.csv", "--json")
    expected = [json.loads(line)["values"] for line in done.out.splitlines()]
    mixed = [rows[400 * person + step] for step in range(10) for person in (1, 4)]  # two people take turns
    said = []
    for part in (mixed[:7], mixed[7:]):
        text = "\n".join(json.dumps({name: row[name] for name in ("person", "x", "y")}) for row in part)
        done = gruvy("stream", folder, "--state", tmp_path / "state.json", stdin=text.encode())
        assert done.code == 0, done
        said += [json.loads(line) for line in done.out.splitlines()]
    for n, (row, answer) in enumerate(zip(mixed, said, strict=True)):
        assert answer["person"] == row["person"]
        assert answer["value"] == pytest.approx(expected[1 if n % 2 == 0 else 4][n // 2], abs=1e-4)


@pytest.mark.parametrize(
    ("row", "said"),
    [({"person": "p1", "x": "1"}, "there is no 'y'"), ({"person": "p1", "x": "a", "y": "1"}, "holds 'a'")],
)
def test_bad_steps_are_refused(stepwise, row, said, tmp_path):
    state = tmp_path / "state.json"
    assert said in refused("stream", stepwise[0], "--state", state, stdin=json.dumps(row).encode())


def test_a_model_of_whole_series_has_no_stream(model):
    assert "a stream is for forecasts, and for regress --per-step" in refused("stream", model[0], stdin=b"x\n1\n")


def test_steps_are_not_pooled(place, tmp_path):
    said = refused("train", "regress", "--data", place / "steps.csv", "--series", "x", "--id", "person", "--target",
                   "level", "--per-step", "--front", "conv", "--recipe", NAME, "--out", tmp_path / "m")  # fmt: skip
    assert "--front conv pools steps" in said
    assert "--per-step is for series" in refused("train", "regress", "--target", "level", "--data", place / "steps.csv",
                                                 "--per-step", "--out", tmp_path / "m")  # fmt: skip


def test_many_series_spare_some_for_validation(place, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES["series"], NAME, replace(SMALL, few=20))
    done = train(place, "classify", "--series", place / "train.ts", "--test", place / "test.ts", out=tmp_path / "model")
    assert done.code == 0, done
    assert "a tenth" in done.err
    assert "validation_loss" in done.json["history"][0]
    assert gruvy("evaluate", tmp_path / "model", "--json").json["metrics"] == pytest.approx(done.json["metrics"])
