"""Several inputs at once: a text, a series, a sequence and a recording in the columns of one table."""

import json

import numpy as np
import pytest
import soundfile
from tests.cli.run import gruvy, refused
from tests.fixtures.small import write_csv

import gruvy as library
from gruvy.tasks.recipes import RECIPES, SequenceRecipe, SeriesRecipe, SoundRecipe, TextRecipe
from gruvy.tasks.recipes.several import SeveralRecipe

NAME = "test-small"
SMALL = SeveralRecipe(
    text=TextRecipe(embedding_size=8, hidden_size=8, ngram_buckets=2**10), series=SeriesRecipe(
        hidden_size=8, members=1, convolutions=0), sequence=SequenceRecipe(hidden_size=8, members=1, kmers=False),
    audio=SoundRecipe(filters=(4, 4, 8), hidden_size=8), steps=120, min_epochs=2, max_epochs=20, learning_rate=1e-2,
)  # fmt: skip
ROWS = 120


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    monkeypatch.setitem(RECIPES["several"], NAME, SMALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Rows whose label follows from the text and the series together, and from neither alone."""
    folder, rng, rows = tmp_path_factory.mktemp("several"), np.random.default_rng(0), []
    for i in range(ROWS):
        warm, rising = rng.random(2) < 0.5
        slope = 1 if rising else -1
        soundfile.write(folder / f"{i}.wav", 0.1 * rng.standard_normal(800), 8000)
        rows.append({
            "words": ("a warm and bright day " if warm else "a cold and dark day ") + f"number {i}",
            "curve": " ".join(f"{slope * t / 5 + 0.1 * rng.standard_normal():.3f}" for t in range(20)),
            "dna": "".join(rng.choice(list("ACGT"), 30)),
            "clip": f"{i}.wav",
            "label": f"{'warm' if warm else 'cold'} {'up' if rising else 'down'}",
            "score": f"{2 * warm + rising}",
        })  # fmt: skip
    write_csv(folder / "rows.csv", rows)
    return folder


def train(task, *given, out):
    return gruvy("train", task, *given, "--recipe", NAME, "--out", out, "--json")


def test_a_text_and_a_series_say_together_what_neither_says_alone(place, tmp_path):
    out, data = tmp_path / "model", place / "rows.csv"
    done = train("classify", "--data", data, "--text", "words", "--series", "curve", out=out)
    assert done.code == 0, done
    figures = {name: branch["accuracy"] for name, branch in done.json["branches"].items()}
    assert figures["all inputs"] > 0.9
    assert 0.3 < figures["text alone"] < 0.8
    assert 0.3 < figures["series alone"] < 0.8
    assert gruvy("evaluate", out, "--json").json["metrics"] == pytest.approx(done.json["metrics"], abs=1e-6)
    said = gruvy("predict", out, "--data", data, "--json").out.splitlines()
    assert len(said) == ROWS
    model = library.load(out)
    one = model.predict({"text": "a warm and bright day", "series": np.arange(20.0)[:, None] / 5})
    assert one["label"] == "warm up"
    assert model.predict([]) == []


def test_four_inputs_and_a_number(place, tmp_path):
    out, data = tmp_path / "model", place / "rows.csv"
    columns = ("--text", "words", "--series", "curve", "--sequence", "dna", "--audio", "clip", "--target", "score")
    done = train("regress", "--data", data, *columns, out=out)
    assert done.code == 0, done
    expected = {f"{how} {role}" if how == "without" else f"{role} {how}"
                for how in ("alone", "without") for role in ("text", "series", "sequence", "audio")}  # fmt: skip
    assert expected | {"all inputs"} <= set(done.json["branches"])
    assert gruvy("evaluate", out, "--json").json["metrics"] == pytest.approx(done.json["metrics"], abs=1e-6)
    assert json.loads((out / "config.json").read_text())["kind"] == "several"


def test_what_cannot_be_used_is_refused_in_a_sentence(place, tmp_path):
    out, data = tmp_path / "model", place / "rows.csv"
    assert "give --data FILE" in refused("train", "classify", "--text", "words", "--sequence", "dna", "--out", out)
    same = refused("train", "classify", "--data", data, "--text", "words", "--sequence", "words", "--out", out)
    assert "each needs its own" in same
    assert not out.exists()
