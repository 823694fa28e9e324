"""The estimator of music keeps scikit-learn's rules and says what the model of the command says."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from tests.fixtures import music

from gruvy import MusicGenerator
from gruvy.errors import BadInput
from gruvy.tasks.modalities.rolls import judged

ROLLS = music.rolls()


@pytest.fixture(autouse=True)
def recipe():
    with music.small_recipe(music=1500):
        yield


def generator(**changes):
    return MusicGenerator(**{"recipe": music.NAME, **changes})


@pytest.fixture(scope="module")
def fitted():
    with music.small_recipe():
        return generator().fit(ROLLS)


def test_parameters_are_kept_as_they_are_given():
    given = {name: object() for name in inspect.signature(MusicGenerator).parameters}
    assert MusicGenerator(**given).get_params() == given
    model = generator(cell="mgu", seed=2)
    assert clone(model).get_params() == model.get_params()


def test_nothing_is_said_before_it_is_fitted():
    for ask in (
        MusicGenerator().generate,
        lambda: MusicGenerator().predict(ROLLS),
        lambda: MusicGenerator().score(ROLLS),
    ):
        with pytest.raises(NotFittedError):
            ask()


def test_the_same_seed_gives_the_same_model():
    one, other = generator(), generator()
    assert one.fit(ROLLS) is one
    assert one.score(ROLLS) == other.fit(np.array(ROLLS, object)).score(ROLLS)
    assert cross_val_score(generator(), ROLLS, cv=2).shape == (2,)


def test_scores_are_mean_log_likelihoods_of_steps(fitted):
    pieces = music.rolls(5, seed=1)
    steps = np.concatenate([one["chord"] for one in judged(fitted.trained_, fitted.trained_.inputs(pieces))])
    assert fitted.score(pieces) == pytest.approx(-steps.mean())
    assert fitted.score(pieces) > fitted.score([np.random.default_rng(0).permutation(roll.T).T for roll in pieces])


def test_predictions_are_those_of_the_model(fitted):
    said = fitted.predict(ROLLS[:3])
    for one, roll in zip(said, ROLLS, strict=False):
        assert one.shape == roll.shape
        assert one == pytest.approx(fitted.trained_.predict(roll))
    assert fitted.predict([ROLLS[0][:1]])[0] == pytest.approx(said[0][:1], abs=1e-5)


def test_it_writes_as_many_steps_as_asked_for_and_the_same_again(fitted):
    written = fitted.generate(ROLLS[0], 12, seed=1)
    assert written.shape == (12, 88)
    assert (written == fitted.generate(ROLLS[0], 12, seed=1)).all()
    assert (fitted.generate(length=30, seed=1) != fitted.generate(length=30, seed=2)).any()
    assert fitted.generate(length=0).shape == (0, 88)
    assert (fitted.generate(length=5, temperature=0) == fitted.generate(length=5, top_k=1, seed=3)).all()


def test_settings_reach_the_model():
    trained = generator(cell="mgu", engine="eager", max_minutes=1e-6).fit(ROLLS).trained_
    assert (trained.cell.name, trained.engine) == ("mgu", "eager")


@pytest.mark.parametrize(("name", "value"), [("cell", "nope"), ("engine", "nope"), ("recipe", "nope"), ("seed", -1)])
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(BadInput, match=f"{name}|{value}"):
        generator(**{name: value}).fit(ROLLS)


@pytest.mark.parametrize(
    ("X", "said"),
    [
        ([], "list of rolls"), (None, "given as None"), ("song.mid", "give a list"), (["song.mid"], "midi.read"),
        ([*ROLLS, np.zeros((3, 60))], "roll 25 is 3 x 60"), (ROLLS[0], "roll 1 is 88"), ([3], "roll 1 is 3"),
        ([*ROLLS, ROLLS[0][:1]], "roll 25 has too few steps \\(1\\); expected at least 2"), (ROLLS[:2], "at least 3"),
        ([np.zeros((9 + i, 88)) for i in range(9)], "no key is ever held"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(X, said):
    with pytest.raises(BadInput, match=said):
        generator().fit(X)


def test_what_cannot_be_asked_is_refused(fitted):
    for ask, said in (
        (lambda: fitted.predict([np.zeros((0, 88))]), "roll 1 has too few steps \\(0\\)"),
        (lambda: fitted.score([ROLLS[0][:1]]), "roll 1 has too few steps \\(1\\)"),
        (lambda: fitted.generate(length=-3), "length is -3"), (lambda: fitted.generate(length=2.5), "length is 2.5"),
        (lambda: fitted.generate("song.mid"), "the prompt is 'song.mid'"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            ask()


def test_several_rolls_may_be_none_and_are_named_by_their_place(fitted):
    model = fitted.trained_
    assert model.predict([]) == []
    assert [one.shape for one in model.predict(np.zeros((2, 5, 88)))] == [(5, 88)] * 2
    with pytest.raises(BadInput, match="roll 2 is 3 x 60"):
        model.predict([np.zeros((5, 88)), np.zeros((3, 60))])
    for raw, said in (("song.mid", "the roll is 'song.mid'.*midi.read"), (None, "the roll is None"), ([1.0], "roll 1")):
        with pytest.raises(BadInput, match=said):
            model.predict(raw)
