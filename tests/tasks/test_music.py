"""What is said of music: figures as they are published, predictions for every roll, music that can be written again."""

import numpy as np
import pytest
from tests.fixtures import small
from tests.fixtures.music import METRICS, rolls, trained

import gruvy
from gruvy.data.music.rolls import EncodedRolls, Pieces
from gruvy.errors import BadInput
from gruvy.tasks.modalities import rolls as modality
from gruvy.tasks.music import Music
from gruvy.training.rolls import FREQUENCIES, LAST, figures, scored


@pytest.fixture(scope="module")
def model():
    return gruvy.load(trained()[0])


def published(probabilities, roll):
    """Negative log-likelihood of the keys, as the loop of Bai et al. 2018 sums it; and how many steps it is of."""
    y = roll[1:].astype(float)
    return -np.trace(y @ np.log(probabilities).T + (1 - y) @ np.log(1 - probabilities).T), len(y)


def test_the_figure_of_keys_is_the_published_one(model):
    sums = [published(model.predict(roll)[:-1].astype(float), roll) for roll in rolls()]
    total, steps = np.sum(sums, axis=0)
    found = Music().metrics(modality.judged(model, model.inputs(rolls())))
    assert found["keys_nll"] == pytest.approx(total / steps, rel=1e-4)
    assert set(found) == METRICS


def test_means_of_steps_and_of_pieces():
    judged = [
        {"chord": [1.0, 3.0], "keys": [4.0, 4.0], "hits": [1, 2], "misses": [0, 1]},
        {"chord": [8.0], "keys": [10.0], "hits": [0], "misses": [4]},
    ]
    judged = [{name: np.array(values) for name, values in piece.items()} for piece in judged]
    assert Music().metrics(judged) == {"nll": 4.0, "nll_by_piece": 5.0, "keys_nll": 6.0, "accuracy": 3 / 8}


def test_a_piece_is_judged_alike_alone_and_among_others(model):
    made = rolls(9)
    together = modality.judged(model, EncodedRolls(made))
    for roll, said in zip(made, together, strict=True):
        (alone,) = modality.judged(model, EncodedRolls([roll]))
        assert said["keys"].shape == (len(roll) - 1,)
        assert all(said[name] == pytest.approx(alone[name], abs=1e-4) for name in said)


def test_the_baselines_are_likelihoods_too(model):
    piece = rolls(1)
    found = scored(model, Pieces(["one"], piece))
    p = model.inputs.frequencies
    by_hand = -np.log(np.where(piece[0][1:] > 0, p, 1 - p)).sum(1)
    assert found[FREQUENCIES][0]["keys"] == pytest.approx(by_hand)
    last = np.where(piece[0][:-1] > 0, model.inputs.staying, model.inputs.entering)
    assert found[LAST][0]["chord"].sum() == pytest.approx(published(last, piece[0])[0])


def test_a_model_learns_more_than_the_baselines_know(model):
    made = rolls(12, seed=7)
    found = figures(scored(model, Pieces([""] * 12, made)))
    assert found["model"]["nll"] < min(found[LAST]["nll"], found[FREQUENCIES]["nll"])


# Predictions


def test_a_roll_gives_probabilities_of_its_shape(model):
    roll = rolls(1)[0]
    found = model.predict(roll)
    assert found.shape == roll.shape
    assert ((found > 0) & (found < 1)).all()
    assert model.predict(roll[:1]) == pytest.approx(found[:1], abs=1e-5)
    assert model.predict(roll * 90.0) == pytest.approx(found)


def test_several_rolls_give_several_answers(model):
    made = rolls(3)
    for one, roll in zip(model.predict(made), made, strict=True):
        assert one == pytest.approx(model.predict(roll))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.zeros((0, 88)), "no steps"), (np.zeros((3, 40)), "3 x 40"), ("song.mid", "midi.read"),
        (np.full((2, 88), np.nan), "has nan"),
    ],
)  # fmt: skip
def test_what_is_no_roll_is_refused(model, raw, said):
    with pytest.raises(BadInput, match=said):
        model.predict(raw)


# Writing


def test_a_seed_gives_the_same_music_again(model):
    one, other = (model.generate(length=20, seed=seed) for seed in (3, 4))
    assert one.shape == (20, 88)
    assert set(np.unique(one)) <= {0, 1}
    assert (one == model.generate(length=20, seed=3)).all()
    assert (one != other).any()


def test_what_is_written_depends_on_the_beginning(model):
    made = rolls(2)
    one, other = (model.generate(roll, length=12, seed=0) for roll in made)
    assert (one != other).any()
    assert (one == model.generate(made[0] * 80, length=12, seed=0)).all()


def test_the_likeliest_chord_comes_after_a_beginning(model):
    """A model that has learned its triads goes on with one."""
    begun = rolls(1)[0]
    whole = np.concatenate([begun, model.generate(begun, 1, temperature=0)])
    (judged,) = modality.judged(model, model.inputs([whole]))
    assert judged["chord"][-1] <= judged["chord"].mean() + 2


def test_beginnings_that_are_no_rolls(model):
    with pytest.raises(BadInput, match="the prompt is 2 x 3"):
        model.generate(np.zeros((2, 3)))
    with pytest.raises(BadInput, match="temperature"):
        model.generate(temperature=-1)


def test_files_of_the_artefact_are_its_own(model):
    folder, _ = trained()
    assert "generate" in (folder / "README.md").read_text()
    assert small.snapshot(folder)["roll.png"].startswith(b"\x89PNG")
