"""The estimator of tags keeps scikit-learn's rules and says what the command says."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from tests.cli.run import gruvy
from tests.fixtures import small, tagged

from gruvy import Tagger
from gruvy.errors import BadInput

ROWS = tagged.switched(60)
X, Y = [row["made"] for row in ROWS], [row["state"] for row in ROWS]
MASK = [[int(c) for c in row["counts"]] for row in ROWS]
SENTENCES = [list(map(list, zip(*one, strict=True))) for one in tagged.sentences(60)]
WORDS, TAGS = ([one[side] for one in SENTENCES] for side in (0, 1))


@pytest.fixture(autouse=True)
def recipe():
    with tagged.small_recipe(members=1, max_epochs=8):
        yield


def tagger(**changes):
    return Tagger(**{"recipe": tagged.NAME, **changes})


@pytest.fixture(scope="module")
def fitted():
    """Taggers of symbols and of words."""
    with tagged.small_recipe(members=1, max_epochs=8):
        return tagger().fit(X, Y), tagger().fit(WORDS, TAGS)


def weights(model):
    return {name: weight.tolist() for name, weight in model.trained_.model.state_dict().items()}


def test_parameters_are_kept_as_they_are_given():
    given = {name: object() for name in inspect.signature(Tagger).parameters}
    assert Tagger(**given).get_params() == given
    model = tagger(crf=True)
    assert clone(model).get_params() == model.get_params()


def test_fit_gives_the_estimator_and_the_same_seed_the_same_model(fitted):
    again = clone(fitted[0])
    assert not hasattr(again, "trained_")
    assert again.fit(X, Y) is again
    assert weights(again) == weights(fitted[0])


def test_nothing_is_said_before_it_is_fitted():
    for ask in (lambda: Tagger().predict(["a"]), lambda: Tagger().score(["a"], ["b"])):
        with pytest.raises(NotFittedError):
            ask()


def test_tags_are_said_as_they_were_given(fitted):
    symbols, words = fitted
    said = symbols.predict(X[:3])
    assert [len(one) for one in said] == [len(one) for one in X[:3]]
    assert symbols.predict([f" {X[0]}\n"]) == said[:1]
    assert set("".join(said)) <= {"D", "U"}
    assert symbols.classes_.tolist() == ["D", "U"]
    assert clone(symbols).fit(X, [list(one) for one in Y]).predict(X[:3]) == [list(one) for one in said]
    assert words.predict(WORDS[:3]) == TAGS[:3]
    assert words.predict([np.array(one) for one in WORDS[:3]]) == TAGS[:3]
    assert symbols.predict([]) == words.predict([]) == []


def test_it_learns_and_scores_the_share_of_right_steps(fitted):
    symbols, words = fitted
    said = "".join(symbols.predict(X))
    assert symbols.score(X, Y) == pytest.approx(np.mean([a == b for a, b in zip(said, "".join(Y), strict=True)]))
    assert words.score(WORDS, TAGS) > 0.95
    assert cross_val_score(tagger(), WORDS, TAGS, cv=2).shape == (2,)


def test_steps_that_do_not_count_are_not_looked_at(fitted):
    wrong = ["".join(tag if c else "?" for tag, c in zip(*one, strict=True)) for one in zip(Y, MASK, strict=True)]
    model = tagger().fit(X, wrong, MASK)
    assert model.classes_.tolist() == ["D", "U"]
    assert model.score(X, wrong, MASK) == model.score(X, Y, MASK) > model.score(X, wrong)


def test_it_is_the_model_of_the_command_on_all_of_the_data(fitted, tmp_path):
    """With a file to test on, the command learns from all of the other one."""
    data = small.write_csv(tmp_path / "data.csv", ROWS)
    done = gruvy("train", "tag", "--data", data, "--test", data, *tagged.TABLE, "--recipe",
                 tagged.NAME, "--out", tmp_path / "out")  # fmt: skip
    assert done.code == 0, done
    assert gruvy("predict", tmp_path / "out", *X).out.split() == fitted[0].predict(X)


def test_settings_reach_the_model():
    model = tagger(crf=True, cell="mgu", engine="eager", max_minutes=1e-6).fit(WORDS, TAGS)
    trained = model.trained_
    assert (trained.recipe.crf, trained.cell.name, trained.engine) == (True, "mgu", "eager")


@pytest.mark.parametrize(("name", "value"), [("cell", "nope"), ("engine", "nope"), ("recipe", "nope"), ("seed", -1)])
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(BadInput, match=f"{name}|{value}"):
        tagger(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    ("sequences", "tags", "mask", "said"),
    [
        (X, Y[1:], None, "60 inputs and 59 targets"),
        (X, [*Y[:-1], "D"], None, f"sequence 60 has {len(X[-1])} steps and 1 in its tags"),
        (X, Y, MASK[1:], "60 inputs and 59"),
        (X, Y, [*MASK[:-1], [1]], "and 1 in its mask"),
        (X, Y, [[2] * len(X[0]), *MASK[1:]], "mask of sequence 1 .* 1 where a step counts"),
        (X, Y, ["1" * len(one) for one in X], "mask of sequence 1"),
        (X, Y, [[0] * len(one) for one in X], r"counts \(0\)"),
        (X[:1], Y[:1], None, r"too few different sequences with a step that counts \(1\)"),
        ([], [], None, "too few"),
        ("abcd", "UUDD", None, "give a list of them"),
        (None, Y, None, "given as None"),
        ([*X[:-1], 3], Y, None, "sequence 60: 3 came"),
        ([*X[:-1], " "], Y, None, "sequence 60 is empty"),
        ([*X[:-1], list(X[-1])], Y, None, "some sequences came as texts"),
        (X, [*Y[:-1], [0] * len(X[-1])], None, "the tags of sequence 60"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(sequences, tags, mask, said):
    with pytest.raises(BadInput, match=said):
        tagger().fit(sequences, tags, mask)


def test_other_sequences_than_those_of_the_training_are_refused(fitted):
    symbols, words = fitted
    for ask in (lambda: symbols.predict(WORDS), lambda: words.predict(X), lambda: words.score(X, Y)):
        with pytest.raises(BadInput, match="the model has learned from"):
            ask()
    with pytest.raises(BadInput, match="counts"):
        symbols.score(X[:1], Y[:1], [[False] * len(X[0])])
