"""A training of a language model that is stopped goes on as if it had not been, with the states it carried."""

import functools
import shutil

import numpy as np
import pytest
from tests.fixtures import small
from tests.fixtures.my_cells import my_gru
from tests.fixtures.prose import FILES, parts, request, small_recipe, text, text_file, trained
from tests.fixtures.small import snapshot, train

import gruvy
from gruvy.cells import CATALOGUE
from gruvy.data.prose import Stream
from gruvy.errors import BadInput, Interrupted
from gruvy.models.language import Carrying
from gruvy.training import loop
from gruvy.training.language import LanguageStudy


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def interrupted(out, epoch=2, unit="word", **changes):
    """Leave in `out` what Ctrl-C in the second batch of an epoch leaves."""
    step = loop.Steps.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == epoch - 1 and batch_idx == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Steps, "training_step", training_step)
        with pytest.raises(Interrupted, match="goes on from the last whole epoch"):
            train(request(out, unit, **changes))


def assert_whole(folder):
    assert {p.name for p in folder.iterdir()} == FILES
    assert "".join(gruvy.load(folder).generate("the", 5))


PLAIN = dict.fromkeys(
    ("embedding_dropout", "input_dropout", "layer_dropout", "output_dropout", "weight_dropout", "averaging"), 0.0
)
RECIPES = {
    "epochs that are passes": {},
    "parts of passes": {"epoch_steps": 10, "max_epochs": 6, "tokens": 60_000},
    "parts of passes, plainly": {"epoch_steps": 10, "max_epochs": 6, "tokens": 60_000, **PLAIN},
    "parts that are shorter than a pass by a batch": {"epoch_steps": 27, "max_epochs": 4},
}


@functools.cache
def uninterrupted(name):
    out = small._FOLDER / f"whole-{name}".replace(" ", "-")
    with small_recipe(**RECIPES[name]):
        outcome = train(request(out, "word"))
    return outcome.measured, (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("epoch", [2, 4])
def test_the_same_request_goes_on_and_ends_as_if_never_stopped(name, epoch, out):
    """With the states at which the last whole epoch ended, within a pass over the text too."""
    expected, weights = uninterrupted(name)
    with small_recipe(**RECIPES[name]):
        interrupted(out, epoch)
        outcome = train(request(out, "word"))
    assert_whole(out)
    for key in ("history", "metrics", "baseline", "bootstrap"):
        assert outcome.measured[key] == expected[key], key
    assert (out / "model.safetensors").read_bytes() == weights


def test_without_the_carried_states_it_would_end_otherwise(out, monkeypatch):
    """What the test above stands on."""
    name = "parts of passes, plainly"
    _, weights = uninterrupted(name)
    with small_recipe(**RECIPES[name]):
        interrupted(out)
        monkeypatch.setattr(Carrying, "set_extra_state", lambda self, state: None)
        train(request(out, "word"))
    assert (out / "model.safetensors").read_bytes() != weights


def test_epochs_that_are_parts_of_a_pass_go_through_the_whole_text(monkeypatch):
    """Each token is trained on as often as any other, within one pass."""
    seen = []
    batches = Stream.batches

    def spied(self, batch_size, seed=None, epoch=0, most=0):
        found = batches(self, batch_size, seed, epoch, most)
        if seed is not None:
            seen.extend(target for batch in found for target in batch["targets"].tolist())
        return found

    monkeypatch.setattr(Stream, "batches", spied)
    with small_recipe(epoch_steps=10, max_epochs=3, tokens=10**6):
        train(request(small._FOLDER / "spied", "word", overwrite=True))
    ids = gruvy.load(small._FOLDER / "spied").inputs([parts()["train"]])
    counts = np.bincount(ids, minlength=40)
    assert len(seen) >= len(ids)
    first_pass = np.bincount(seen[: len(ids)], minlength=40)
    np.testing.assert_array_equal(first_pass, counts)


def test_stopping_twice_still_ends_well(out):
    _, weights = uninterrupted("parts of passes")
    with small_recipe(**RECIPES["parts of passes"]):
        interrupted(out, 2)
        interrupted(out, 4)
        train(request(out, "word"))
    assert (out / "model.safetensors").read_bytes() == weights


def test_another_request_on_an_unfinished_training_is_refused_and_changes_nothing(out, tmp_path):
    interrupted(out)
    before = snapshot(out)
    (tmp_path / "other.txt").write_text(text(seed=5), encoding="utf-8")
    others = ({"seed": 1}, {"cell": CATALOGUE["lstm"]}, {"data": str(tmp_path / "other.txt")}, {"unit": "char"},
              {"settings": {"vocabulary": 20}}, {"settings": {"split": (0.8, 0.1, 0.1)}},
              {"settings": {"cache": 20}}, {"settings": {"valid": str(tmp_path / "other.txt")}})  # fmt: skip
    for changes in others:
        with pytest.raises(BadInput, match="unfinished training with other settings"):
            train(request(out, **changes))
        assert snapshot(out) == before, changes


def test_a_training_killed_while_it_judges_needs_no_second_training(out, monkeypatch):
    class Killed(BaseException):
        """Ends a run without any of its clean-up."""

    def judge(self, trained):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LanguageStudy, "judge", judge)
        with pytest.raises(Killed):
            train(request(out, "word"))
    steps = []
    step = loop.Steps.training_step
    monkeypatch.setattr(loop.Steps, "training_step", lambda self, *given: steps.append(1) or step(self, *given))
    outcome = train(request(out, "word"))
    assert not steps
    assert outcome.measured["metrics"] == trained("word")[1].measured["metrics"]


def test_a_text_that_has_changed_is_another_training(out, tmp_path):
    data = tmp_path / "d.txt"
    shutil.copy(text_file(), data)
    interrupted(out, data=str(data))
    data.write_text(text(seed=3), encoding="utf-8")
    with pytest.raises(BadInput, match="unfinished training with other settings"):
        train(request(out, data=str(data)))


@pytest.mark.parametrize("changes", [{"cell": CATALOGUE["lstm"]}, {"cell": my_gru}, {"engine": "eager"}], ids=str)
def test_other_cells_and_engines_train_write_and_resume(changes, out):
    interrupted(out, **changes)
    outcome = train(request(out, "word", **changes))
    assert len(outcome.measured["history"]) > 2
    assert_whole(out)
    assert gruvy.load(out).cell.name == changes.get("cell", CATALOGUE["gru"]).name
