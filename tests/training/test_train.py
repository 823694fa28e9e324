"""A training from a CSV file to an artefact."""

import hashlib
import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from tests.fixtures.small import (
    FILES,
    NAME,
    data_file,
    quiet,
    rows,
    small_recipe,
    snapshot,
    strict_json,
    train,
    trained,
    write_csv,
)
from tests.fixtures.small import request as wish

import gruvy
from gruvy.cells import CATALOGUE
from gruvy.data.splits import duplicate_groups
from gruvy.data.tables import read_table
from gruvy.errors import BadInput, RunFailed
from gruvy.training.request import Request
from gruvy.training.train import train as run

TASKS = ("classify", "regress")
METRICS = {
    "classify": {"accuracy", "f1", "nll", "calibration_error"},
    "regress": {"mae", "mse", "r2", "spearman"},
}


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture(params=TASKS)
def finished(request):
    return trained(request.param)


def read(folder, name):
    return strict_json((folder / name).read_text())


def test_the_artefact_s_files_are_there_and_no_others(finished):
    folder, outcome = finished
    pictures = {"residuals.png"} if outcome.measured["task"] == "regress" else set()
    assert {p.name for p in folder.iterdir()} == FILES | pictures


def test_metrics_json_is_what_was_measured_in_the_contract_s_form(finished):
    folder, outcome = finished
    measured = read(folder, "metrics.json")
    assert measured == outcome.measured
    assert {"task", "metrics", "baseline", "n"} <= set(measured)
    assert set(measured["metrics"]) == set(measured["baseline"]) == METRICS[measured["task"]]
    assert set(measured["branches"]) == {"n-gram branch", "recurrent branch", "both"}
    assert measured["n"] == len(read(folder, "split.json")["rows"]["test"])
    assert len(measured["history"]) == 3
    assert all(math.isfinite(value) for epoch in measured["history"] for value in epoch.values())


def test_it_learned_something(finished):
    _, outcome = finished
    metrics = outcome.measured["metrics"]
    assert metrics.get("accuracy", metrics.get("r2")) > 0.6


def test_the_split_is_recorded_and_no_text_is_on_two_sides(finished):
    folder, _ = finished
    split = read(folder, "split.json")
    parts = split["rows"]
    assert sorted(row for part in parts.values() for row in part) == list(range(1, 121))
    assert split["seed"] == 0
    assert split["duplicates"] >= 12
    group = duplicate_groups(row["text"] for row in rows())
    sides = [{group[row - 1] for row in part} for part in parts.values()]
    assert len(set().union(*sides)) == sum(map(len, sides))
    assert min(map(len, sides)) > 0


def test_the_hashes_are_those_of_all_other_files(finished):
    folder, _ = finished
    hashes = read(folder, "hashes.json")
    assert set(hashes) == {p.name for p in folder.iterdir()} - {"hashes.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_nothing_is_pickled_and_the_curve_is_a_png(finished):
    folder, _ = finished
    for name, content in snapshot(folder).items():
        assert not content.startswith((b"\x80", b"PK")), name
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_config_says_what_the_model_was_made_from(finished):
    folder, outcome = finished
    config = read(folder, "config.json")
    assert config["format"] == 1
    assert config["gruvy"] == gruvy.__version__
    assert config["task"] == outcome.measured["task"]
    assert config["cell"]["name"] == "gru"
    assert config["seed"] == 0
    assert config["data"]["sha256"] == hashlib.sha256(data_file().read_bytes()).hexdigest()


def test_the_model_card_holds_the_real_metrics(finished):
    folder, outcome = finished
    card = (folder / "README.md").read_text()
    assert outcome.printed in card
    for value in outcome.measured["metrics"].values():
        assert f"{value:.4f}" in card


def test_what_is_printed_names_every_branch_and_the_baseline(finished):
    _, outcome = finished
    for name in ("n-gram branch", "recurrent branch", "both", "TF-IDF + "):
        assert name in outcome.printed
    assert "95 % interval" in outcome.printed


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_numbers_and_weights(task, tmp_path):
    torch.manual_seed(123)  # what went on before does not matter
    np.random.seed(123)
    folder, outcome = trained(task)
    again = train(wish(task, data_file(), tmp_path / "again"))
    for key in ("metrics", "baseline", "branches", "history", "bootstrap"):
        assert again.measured[key] == outcome.measured[key], key
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_the_weights_kept_are_those_of_the_best_epoch(tmp_path):
    with small_recipe(learning_rate=0.5, averaging=0.0, steps=200, max_epochs=10, patience=2, ngram_max_n=0):
        outcome = train(wish("classify", data_file(), tmp_path / "out"))
    losses = [epoch["validation_loss"] for epoch in outcome.measured["history"]]
    assert losses.index(min(losses)) < len(losses) - 1, "the test needs a training that gets worse"
    assert len(losses) <= losses.index(min(losses)) + 3, "patience is 2 epochs"
    assert validation_loss(tmp_path / "out") == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_with_averaged_weights_too(task):
    folder, outcome = trained(task)
    best = min(epoch["validation_loss"] for epoch in outcome.measured["history"])
    assert validation_loss(folder) == pytest.approx(best, rel=1e-5)


def validation_loss(folder):
    """Of the saved recurrent branch, on the rows that split.json calls validation."""
    model = gruvy.load(folder)
    chosen = read(folder, "split.json")["rows"]["validation"]
    columns = {name: model.task.columns[role].kind for role, name in model.about["data"]["columns"].items()}
    table = read_table(data_file(), columns)
    held = {name: [values[row - 1] for row in chosen] for name, values in table.columns.items()}
    texts, targets = (held[model.about["data"]["columns"][role]] for role in ("text", model.task.target))
    outputs = model.branches(model.inputs(texts))["recurrent branch"]
    return model.task.loss(outputs, model.task.encode(targets, chosen)).item()


def test_a_request_needs_no_more_than_a_task_a_folder_a_cell_and_data(tmp_path):
    outcome = train(Request("classify", tmp_path / "out", CATALOGUE["gru"], str(data_file()), recipe=NAME))
    assert outcome.measured["metrics"] == trained("classify")[1].measured["metrics"]


def test_a_training_leaves_the_process_as_it_was(tmp_path):
    """A program that trains a model keeps its arithmetic, its environment and its handlers."""
    smallest, environment, handler = torch.tensor(1e-40), dict(os.environ), signal.getsignal(signal.SIGINT)
    try:
        run(wish("classify", data_file(), tmp_path / "out"), quiet())
        assert (smallest * 1).item() > 0
        assert dict(os.environ) == environment
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        torch.set_flush_denormal(False)


def test_class_weights_change_the_loss_and_are_kept(tmp_path):
    skewed = [row for i, row in enumerate(rows(150)) if row["label"] == "good" or i % 4 == 0]
    data = write_csv(tmp_path / "skewed.csv", skewed)
    train(wish("classify", data, tmp_path / "out", settings={"class_weights": True}))
    assert gruvy.load(tmp_path / "out").task.balanced


def test_a_time_limit_of_no_time_still_gives_a_model(tmp_path):
    with small_recipe(steps=100_000, max_epochs=1000, patience=1000):
        outcome = train(wish("classify", data_file(), tmp_path / "out", max_minutes=1e-6))
    assert outcome.measured["history"]
    assert gruvy.load(tmp_path / "out").predict("splendid lamp")["label"] in ("good", "bad")


@pytest.mark.parametrize("task", TASKS)
def test_a_loss_that_is_no_number_stops_the_run_and_leaves_nothing(task, tmp_path):
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0), pytest.raises(RunFailed) as caught:
        train(wish(task, data_file(), tmp_path / "out"))
    for part in ("the loss became", "at step ", "epoch 1", "learning rate of"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_validation_loss_that_is_no_number_stops_the_run_too(tmp_path):
    """With one step an epoch the weights are ruined before a training loss shows it."""
    data = write_csv(tmp_path / "few.csv", rows(12))
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0, ngram_max_n=0), pytest.raises(RunFailed):
        train(wish("regress", data, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_default_data_is_read_from_its_package_with_renamed_labels(tmp_path, monkeypatch):
    from gruvy.tasks.classify import Classify
    from gruvy.tasks.contract import DefaultData

    package = tmp_path / "invented_rows"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    kept = [{**row, "source": "mine", "label": str(int(row["label"] == "good"))} for row in rows()]
    write_csv(package / "rows.csv", [*kept, {**kept[0], "source": "other", "label": "7"}])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(Classify, "default_data", DefaultData(
        "invented", "invented_rows/rows.csv", {"text": "text", "label": "label"}, {"source": "mine"},
        {"0": "no", "1": "yes"},
    ))  # fmt: skip
    train(wish("classify", data_file(), tmp_path / "out", data=None))
    assert gruvy.load(tmp_path / "out").task.labels == ("no", "yes")
    assert read(tmp_path / "out", "config.json")["data"]["path"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_minutes": 0}, "--max-minutes is 0; expected a number above 0"),
        ({"max_minutes": float("nan")}, "--max-minutes"),
        ({"seed": -1}, "--seed is -1; expected a whole number"),
        ({"seed": 2**40}, "seed"),
        ({"recipe": "smal"}, "did you mean 'small'"),
        ({"columns": {"text": "txt"}}, "did you mean 'text'"),
        ({"columns": {"text": "label"}}, "name the same column"),
        ({"data": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"task": "regress", "columns": {}}, "give --target COLUMN"),
        ({"task": "regress", "columns": {"target": "label"}}, "finite number was expected"),
        ({"task": "regress", "data": None}, "gruvy train regress needs data"),
        ({"engine": "framework", "cell": CATALOGUE["mgu"]}, "framework"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(changes, said, tmp_path):
    changes = {"task": "classify", **changes}
    wanted = wish(changes.pop("task"), data_file(), tmp_path / "out", **changes)
    with pytest.raises(BadInput, match=said):
        train(wanted)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task_is_refused_by_name(tmp_path):
    with pytest.raises(BadInput, match=r"classfy.*classify"):
        train(Request("classfy", tmp_path / "out", CATALOGUE["gru"], str(data_file())))


def test_a_long_text_is_cut_with_a_note(tmp_path):
    made = rows()
    made[77]["text"] = "lamp " * 30_000
    data = write_csv(tmp_path / "long.csv", made)
    with pytest.warns(UserWarning, match="150,000 characters; the first 100,000 are read"):
        train(wish("classify", data, tmp_path / "out"))


def test_metrics_json_is_json_for_few_rows(tmp_path):
    """Six rows leave one or two to test on, where R² and rank correlation have no value."""
    data = write_csv(tmp_path / "few.csv", rows(6))
    train(wish("regress", data, tmp_path / "out"))
    json.dumps(read(tmp_path / "out", "metrics.json"))
