"""Estimators of texts, sequences of symbols and several inputs learn from what is in memory."""

import numpy as np
import pytest
from sklearn.base import clone

import gruvy
from gruvy.errors import BadInput
from gruvy.tasks.recipes import RECIPES, SequenceRecipe, SeriesRecipe, TextRecipe
from gruvy.tasks.recipes.several import SeveralRecipe

NAME = "test-small"
FEW = {"steps": 120, "min_epochs": 2, "max_epochs": 20, "learning_rate": 1e-2}


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    monkeypatch.setitem(RECIPES["sequence"], NAME, SequenceRecipe(hidden_size=8, members=1, **FEW))
    monkeypatch.setitem(RECIPES["text"], NAME, TextRecipe(embedding_size=8, hidden_size=8, ngram_max_n=0, **FEW))
    several = SeveralRecipe(
        text=TextRecipe(embedding_size=8, hidden_size=8, ngram_max_n=0),
        series=SeriesRecipe(hidden_size=8, members=1, convolutions=0), **FEW,
    )  # fmt: skip
    monkeypatch.setitem(RECIPES["several"], NAME, several)


def promoters(count=100):
    rng = np.random.default_rng(0)
    found = ["".join(rng.choice(list("ACGT"), 30)) for _ in range(count)]
    return [one[:8] + "TATAAT" + one[14:] if i % 2 else one for i, one in enumerate(found)], np.arange(count) % 2 == 1


def test_a_classifier_of_sequences():
    sequences, labels = promoters()
    model = gruvy.SequenceClassifier(inputs="sequence", recipe=NAME)
    assert clone(model).inputs == "sequence"
    model.fit(sequences, labels)
    assert model.classes_.tolist() == [False, True]
    assert model.score(sequences, labels) > 0.8
    assert model.predict_proba(sequences[:3]).sum(1) == pytest.approx(1)


def test_a_regression_of_sequences():
    sequences, _ = promoters()
    counts = np.array([float(one.count("G") + one.count("C")) for one in sequences])
    model = gruvy.SequenceRegressor(inputs="sequence", recipe=NAME).fit(sequences, counts)
    assert model.score(sequences, counts) > 0.5


def test_a_classifier_of_texts():
    texts = [("a fine day" if i % 2 else "a grim night") + f" number {i}" for i in range(80)]
    labels = ["good" if i % 2 else "bad" for i in range(80)]
    model = gruvy.SequenceClassifier(inputs="text", recipe=NAME).fit(texts, labels)
    assert model.predict(["a fine day", "a grim night"]).tolist() == ["good", "bad"]


def test_a_classifier_of_several_inputs():
    rng = np.random.default_rng(0)
    warm, rising = rng.random((2, 100)) < 0.5
    rows = [
        {
            "text": "warm day" if w else "cold day",
            "series": np.linspace(0, 1 if r else -1, 12)[:, None] + 0.1 * rng.random(),
        }
        for w, r in zip(warm, rising, strict=True)
    ]
    labels = 2 * warm + rising
    model = gruvy.SequenceClassifier(inputs="several", recipe=NAME).fit(rows, labels)
    assert model.score(rows, labels) > 0.8


@pytest.mark.parametrize(
    ("inputs", "X", "said"),
    [("picture", ["a"], "expected one of"), ("text", "one text", "a list"), ("sequence", ["ACGT"], "2 targets")],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(inputs, X, said):
    with pytest.raises(BadInput, match=said):
        gruvy.SequenceClassifier(inputs=inputs).fit(X, ["a", "b"])


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (["a"] * 60, "every input has the label 'a'; give inputs with at least two labels"),
        ([None] * 60, "label 1 is None; give each input a label"), (["a", None] * 30, "label 2 is None"),
        ([1.0, np.nan] * 30, "label 2 is nan"), ("low", "targets were given as 'low'; give a list"),
        (None, "targets were given as None"), (np.zeros((60, 2)), r"targets were given as an array \(60, 2\)"),
        ([{}] * 60, "give texts, or numbers"), ([["a"], ["a", "b"]] * 30, "give texts, or numbers"),
        (["a"] * 59 + ["b"], "label 'b' has one row only"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_learned_are_refused_as_they_were_given(y, said):
    with pytest.raises(BadInput, match=said) as error:
        gruvy.SequenceClassifier(inputs="sequence", recipe=NAME).fit(promoters(60)[0], y)
    assert "column" not in str(error.value)


@pytest.mark.parametrize("inputs", ["series", "text", "audio"])
@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([np.nan] * 60, "target 1 is nan; give each input a number, or leave it out"),
        ([1.0] * 30 + [np.nan] * 30, "target 31 is nan; give each input a number, or leave it out"),
        ([1.0, np.inf] * 30, "target 2 is inf"), (["a"] * 60, "give a number for each input"), ("low", "give a list"),
        (None, "targets were given as None"), ([None] * 60, "target 1 is nan|give a number"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_learned_are_refused(inputs, y, said):
    with pytest.raises(BadInput, match=said):
        gruvy.SequenceRegressor(inputs=inputs, recipe=NAME).fit([np.arange(9)] * 60, y)


def test_the_model_within_knows_the_labels():
    sequences, labels = promoters()
    model = gruvy.SequenceClassifier(inputs="sequence", recipe=NAME, max_minutes=1e-6).fit(sequences, labels)
    assert model.trained_.task.labels == ("False", "True")
    model.fit(sequences, np.where(labels, 10, 9))
    assert model.classes_.tolist() == [9, 10]
    said = model.trained_.predict(sequences[:5])
    assert [[one["probabilities"][name] for name in ("9", "10")] for one in said] == model.predict_proba(
        sequences[:5]
    ).tolist()
