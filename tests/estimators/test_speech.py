"""The estimator of speech keeps scikit-learn's rules and reads recordings as the commands do."""

import csv
import inspect

import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tests.fixtures import speech

from gruvy import SpeechRecognizer
from gruvy.errors import BadInput


@pytest.fixture(scope="module")
def clips():
    """Paths and transcripts."""
    manifest = speech.shared(160)
    rows = list(csv.DictReader(manifest.read_text().splitlines()))
    return [manifest.parent / row["path"] for row in rows], [row["text"] for row in rows]


@pytest.fixture(autouse=True)
def recipe():
    with speech.small_recipe(**speech.QUICK):
        yield


def recognizer(**changes):
    return SpeechRecognizer(**{"recipe": speech.NAME, **changes})


@pytest.fixture(scope="module")
def fitted(clips):
    with speech.small_recipe():
        return recognizer().fit(*clips)


def test_parameters_are_kept_as_they_are_given():
    given = {name: object() for name in inspect.signature(SpeechRecognizer).parameters}
    assert SpeechRecognizer(**given).get_params() == given
    model = recognizer(beam=3, words="any")
    assert clone(model).get_params() == model.get_params()


def test_nothing_is_said_before_it_is_fitted():
    for ask in (lambda: SpeechRecognizer().predict(["a.wav"]), lambda: SpeechRecognizer().score(["a.wav"], ["a"])):
        with pytest.raises(NotFittedError):
            ask()


def test_it_learns_to_write_what_is_said(fitted, clips):
    paths, texts = clips
    said = fitted.predict(paths[:40])
    right = np.mean([a == b for a, b in zip(said, texts[:40], strict=True)])
    assert right > 0.8
    assert right - 0.2 < fitted.score(paths[:40], texts[:40]) <= 1
    assert fitted.score(paths[:4], [f"  {text} " for text in texts[:4]]) == fitted.score(paths[:4], texts[:4])
    assert fitted.predict([]) == []


def test_samples_are_learned_from_as_their_files_are(clips):
    paths, texts = (side[:20] for side in clips)
    pairs = [soundfile.read(path, dtype="float32") for path in paths]
    from_files, from_samples = recognizer().fit(map(str, paths), texts), recognizer().fit(pairs, texts)
    assert from_files.predict(pairs) == from_samples.predict(paths) == from_samples.predict(pairs)
    weights = [one.trained_.model.state_dict() for one in (from_files, from_samples)]
    assert all((weights[0][name] == weight).all() for name, weight in weights[1].items())


def test_settings_reach_the_model(clips):
    model = recognizer(one_direction=True, words="known", beam=2, cell="mgu", engine="eager", max_minutes=1e-6)
    trained = model.fit(*(side[:40] for side in clips)).trained_
    assert (trained.recipe.bidirectional, trained.task.words) == (False, tuple(sorted(speech.WORDS)))
    assert (trained.task.beam, trained.cell.name, trained.engine) == (2, "mgu", "eager")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("beam", 0, "beam 0"), ("beam", 2.5, "beam is 2.5"), ("words", "all", "known, any"), ("cell", "nope", "nope")],
)
def test_bad_parameters_are_refused(name, value, said, clips):
    with pytest.raises(BadInput, match=said):
        recognizer(**{name: value}).fit(*clips)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, y[1:]), "160 inputs and 159 targets"),
        (lambda x, y: (x[0], y), "give a list of them"),
        (lambda x, y: (x, None), "texts were given as None"),
        (lambda x, y: (x, [*y[:-1], None]), "text 160 is a NoneType"),
        (lambda x, y: (x, [" ", *y[1:]]), "transcript 1 is empty"),
        (lambda x, y: (["nowhere.wav", *x[1:]], y), "nowhere.wav: no such file"),
        (lambda x, y: ([3, *x[1:]], y), "recording 1 is 3"),
        (lambda x, y: (x[:2], y[:2]), "at least 3 different"),
        (lambda x, y: (x[:9], [text * 50 for text in y[:9]]), "too short for its transcript"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(change, said, clips):
    with pytest.raises(BadInput, match=said):
        recognizer().fit(*change(*clips))


def test_an_array_alone_is_one_recording_at_the_rate_of_the_model(fitted, clips):
    samples, rate = soundfile.read(clips[0][0], dtype="float32")
    assert rate == fitted.trained_.inputs.rate
    said = fitted.predict(clips[0][:1])
    assert fitted.trained_.predict(samples) == fitted.trained_.predict((samples, rate)) == {"text": said[0]}
    assert fitted.trained_.predict(np.stack([samples, samples], 1)) == {"text": said[0]}
    with pytest.raises(BadInput, match=r"float64 of shape \(\)"):
        fitted.trained_.predict(np.array(1.0))
