"""The estimators of texts keep scikit-learn's rules and say what the commands say."""

import inspect

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from tests.cli.run import gruvy
from tests.fixtures import my_cells, pairs, prose

from gruvy import TextGenerator, Translator
from gruvy.errors import BadInput

PAIRS = [list(side) for side in zip(*pairs.pairs(60), strict=True)]
TEXT = prose.text(120)


@pytest.fixture(autouse=True)
def recipe():
    with pairs.small_recipe(**pairs.QUICK), prose.small_recipe(max_epochs=2, min_epochs=1):
        yield


def translator(**changes):
    return Translator(**{"recipe": pairs.NAME, "unit": "word", **changes})


def generator(**changes):
    return TextGenerator(**{"recipe": prose.NAME, "unit": "word", **changes})


@pytest.fixture(scope="module")
def fitted():
    """A translator and a generator."""
    with pairs.small_recipe(**pairs.QUICK), prose.small_recipe(max_epochs=2, min_epochs=1):
        return translator().fit(*PAIRS), generator().fit(TEXT)


# The rules of scikit-learn


@pytest.mark.parametrize("make", [Translator, TextGenerator])
def test_parameters_are_kept_as_they_are_given(make):
    names = list(inspect.signature(make).parameters)
    given = {name: object() for name in names}
    assert make(**given).get_params() == given
    model = make(cell="mgu", seed=3, split=[0.8, 0.1, 0.1], unit="char")
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    assert copy.set_params(seed=4).seed == 4


def test_fit_gives_the_estimator_and_changes_no_parameter():
    for model, data in ((translator(split=[0.8, 0.1, 0.1]), PAIRS), (generator(), (TEXT,))):
        before = model.get_params()
        assert model.fit(*data) is model
        assert model.get_params() == before
        assert not hasattr(clone(model), "trained_")


def test_nothing_is_said_before_it_is_fitted():
    for ask in (lambda: Translator().predict(["a"]), lambda: Translator().score(["a"], ["b"]), TextGenerator().generate,
                lambda: TextGenerator().predict(["a"]), lambda: TextGenerator().score(["a"])):  # fmt: skip
        with pytest.raises(NotFittedError):
            ask()


def test_the_same_seed_gives_the_same_model(fitted):
    model, writer = fitted
    np.random.seed(5)
    assert weights(clone(model).fit(*PAIRS)) == weights(model) != weights(clone(model).set_params(seed=1).fit(*PAIRS))
    assert (
        clone(writer).fit(TEXT).score(TEXT)
        == writer.score(TEXT)
        != clone(writer).set_params(seed=1).fit(TEXT).score(TEXT)
    )


def weights(model):
    return {name: weight.tolist() for name, weight in model.trained_.model.state_dict().items()}


def test_searches_and_cross_validation_work():
    scores = cross_val_score(translator(split=(0.8, 0.2)), *PAIRS, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(generator(split=(0.8, 0.2)), {"unit": ["word", "char"]}, cv=2).fit(prose.lines(60))
    assert search.best_params_["unit"] == "char", "a character is less uncertain than a word"


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, lambda texts: np.array(texts, object)])
def test_columns_of_texts_are_taken_as_they_come(kind, fitted):
    model, _ = fitted
    assert model.predict(kind(PAIRS[0][:3])) == model.predict(PAIRS[0][:3])
    assert translator().fit(kind(PAIRS[0]), kind(PAIRS[1])).predict(PAIRS[0]) == model.predict(PAIRS[0])


# Translations


def test_it_learns_the_rule_and_scores_bleu():
    with pairs.small_recipe(max_epochs=7):
        sources, targets = (list(side) for side in zip(*pairs.pairs(), strict=True))
        model = translator().fit(sources, targets)
    held, references = (list(side) for side in zip(*pairs.unseen(), strict=True))
    said = model.predict(held)
    assert model.score(held, references) == sacrebleu.corpus_bleu(said, [references]).score > 90
    assert model.predict(["", held[0], " "]) == ["", said[0], ""]
    assert model.predict(held[0]) == said[:1]


def test_it_is_the_model_of_the_command(fitted, tmp_path):
    done = gruvy(*pairs.command(tmp_path / "out"))
    assert done.code == 0
    assert gruvy("predict", tmp_path / "out", *PAIRS[0]).out.splitlines() == fitted[0].predict(PAIRS[0])


def test_settings_reach_the_model():
    model = translator(
        unit="char", vocabularies="separate", encoder="transformer", attention="dot", beam=2, length_penalty=0.5,
        context=1, split=(0.7, 0.3), cell=f"{my_cells.__file__}:my_gru", engine="eager", max_minutes=1e-6,
    ).fit(*PAIRS)  # fmt: skip
    trained = model.trained_
    assert (trained.task.beam, trained.task.length_penalty, trained.task.context) == (2, 0.5, 1)
    assert (trained.recipe.encoder, trained.recipe.attention) == ("transformer", "dot")
    assert (trained.inputs.shared, trained.inputs.source.unit) == (False, "char")
    assert (trained.cell.name, trained.engine) == ("my_gru", "eager")


def test_control_characters_are_read_as_spaces(fitted):
    plain = fitted[0].predict(PAIRS[0][:3])
    assert fitted[0].predict([text.replace(" ", "\x07") for text in PAIRS[0][:3]]) == plain


BAD = {"unit": "words", "vocabulary": 3, "split": (2,), "cell": "nope", "engine": "nope", "recipe": "nope", "seed": -1,
       "max_minutes": -1}  # fmt: skip
BAD_TRANSLATOR = {**BAD, "beam": 0, "length_penalty": -1, "context": -1, "encoder": "x", "attention": "x",
                  "vocabularies": "both"}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TRANSLATOR)
def test_bad_parameters_of_a_translator_are_refused(name):
    with pytest.raises(BadInput, match=f"{name.replace('_', '.')}|{BAD_TRANSLATOR[name]}"):
        translator(**{name: BAD_TRANSLATOR[name]}).fit(*PAIRS)


@pytest.mark.parametrize("name", ["beam", "context", "vocabulary"])
def test_halves_of_whole_numbers_are_refused_before_the_training(name):
    with pytest.raises(BadInput, match=f"{name} is 2.5; expected a whole number"):
        translator(**{name: 2.5}).fit(*PAIRS)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (PAIRS[0], PAIRS[1][:-1], "60 sources and 59 targets"),
        ([], [], r"texts were given as \[\]; give a list of str"),
        (None, None, "texts were given as None"),
        (3, PAIRS[1], "texts were given as 3"),
        ([1, *PAIRS[0][1:]], PAIRS[1], "text 1 is a int; expected a str"),
        (PAIRS[0], [*PAIRS[1][1:], None], "text 60 is a NoneType; expected a str"),
        ([*PAIRS[0][:-1], " "], PAIRS[1], "pair 60 has an empty side"),
        (PAIRS[0], ["", *PAIRS[1][1:]], "pair 1 has an empty side"),
        (PAIRS[0], ["\x01", *PAIRS[1][1:]], "pair 1 has an empty side"),
        (["\ud800", *PAIRS[0][1:]], PAIRS[1], "text 1 is not valid Unicode"),
        (PAIRS[0][:2], PAIRS[1][:2], "3"),
        (["hello"] * 9, PAIRS[1][:9], "3"),
    ],
)
def test_pairs_that_cannot_be_learned_from_are_refused(X, y, said):
    with pytest.raises(BadInput, match=said):
        translator().fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [(PAIRS[0][:3], PAIRS[1][:2], "3 sources and 2 targets"), ([], [], "give a list of str"), (PAIRS[0], 3, "as 3")],
)
def test_what_cannot_be_scored_is_refused(fitted, X, y, said):
    with pytest.raises(BadInput, match=said):
        fitted[0].score(X, y)


@pytest.mark.parametrize("X", [[], None, 3, ["a", 3], ["\ud800"]])
def test_what_cannot_be_predicted_is_refused(fitted, X):
    for model in fitted:
        with pytest.raises(BadInput):
            model.predict(X)


# Generation


def test_it_writes_as_many_tokens_as_asked_for_and_the_same_again(fitted):
    writer = fitted[1]
    text = writer.generate("the baker", 20, seed=1)
    assert text == writer.generate("the baker", 20, seed=1) != writer.generate("the baker", 20, seed=2)
    assert len(text.split()) + text.count("\n") == 20
    assert writer.generate("the", 0) == ""
    assert writer.generate("the", 8, temperature=0) == writer.generate("the", 8, top_k=1, seed=9)
    assert isinstance(writer.generate(), str)


def test_scores_are_mean_log_likelihoods_of_tokens(fitted):
    writer, texts = fitted[1], ["the baker finds the lamp", "the pilot ."]
    said = writer.predict(texts)
    total = sum(one["nll"] * one["tokens"] for one in said)
    assert writer.score(texts) == pytest.approx(-total / sum(one["tokens"] for one in said))
    assert writer.score(texts[0]) == pytest.approx(-said[0]["nll"])
    assert writer.score(prose.text(50, seed=4)) > writer.score(" ".join(prose.text(50, seed=4).split()[::-1]))


def test_several_texts_are_learned_from():
    texts = ["\n".join(prose.lines(3, seed)) for seed in range(100)]
    writer = generator(split=(0.8, 0.2)).fit(texts)
    assert writer.score(texts) > -3
    assert writer.trained_.inputs.counts.sum() > 1000


@pytest.mark.parametrize("name", [*BAD, "cache"])
def test_bad_parameters_of_a_generator_are_refused(name):
    value = {**BAD, "cache": -5}[name]
    with pytest.raises(BadInput, match=f"{name.replace('_', '.')}|{value}"):
        generator(**{name: value}).fit(TEXT)


@pytest.mark.parametrize("X", ["", [], ["", " "], None, 3, b"abc", ["a", 3], "a", "the " * 30, ["\ud800", TEXT]])
def test_texts_that_cannot_be_learned_from_are_refused(X):
    with pytest.raises(BadInput):
        generator().fit(X)


@pytest.mark.parametrize(
    "asked",
    [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 2}, {"seed": -1}, {"temperature": float("nan")}],
)
def test_sampling_that_cannot_be_is_refused(fitted, asked):
    with pytest.raises(BadInput):
        fitted[1].generate("the", 5, **asked)


def test_a_translator_has_no_say_in_what_a_generator_does(fitted):
    """Each is fitted alone; fitting one leaves the other as it was."""
    model, writer = fitted
    said = model.predict(PAIRS[0][:5])
    generator(seed=2).fit(TEXT)
    assert model.predict(PAIRS[0][:5]) == said
    assert writer.generate("the", 5, seed=0) == writer.generate("the", 5, seed=0)
