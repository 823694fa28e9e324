"""Trainings of music: parts, what is counted, what is refused, and figures on the part that is held back."""

import json

import numpy as np
import pytest
from tests.fixtures import small
from tests.fixtures.music import (
    FILES,
    METRICS,
    data_file,
    mat_file,
    named,
    npz_file,
    request,
    rolls,
    small_recipe,
    trained,
)

from gruvy.data.music.rolls import read_music
from gruvy.errors import BadInput
from gruvy.training.composing import MusicStudy
from gruvy.training.rolls import divided, to_judge


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


QUICK = {"music": 1}  # one epoch


def refused(tmp_path, data, **changes):
    with pytest.raises(BadInput) as caught:
        small.train(request(tmp_path / "out", data, **changes))
    assert not (tmp_path / "out").exists()
    return str(caught.value)


# Parts


def test_the_parts_of_the_file_are_used():
    found = divided(read_music([data_file()]), 0)
    assert {part: len(pieces) for part, pieces in found.parts.items()} == {"train": 14, "validation": 5, "test": 5}
    assert (found.judged, found.split) == ("test", None)


def test_pieces_without_parts_are_split_and_copies_kept_together(tmp_path):
    made = rolls(12)
    copies = {**dict(named(made)), **dict(named([np.roll(roll, 3, 1) for roll in made], "copy_"))}
    music = read_music([npz_file(tmp_path, copies)])
    for seed in range(3):
        parts = divided(music, seed).parts
        assert sum(map(len, parts.values())) == 24
        for pieces in parts.values():
            assert len({name for name in pieces.names if name.startswith("copy")}) == len(pieces) / 2
    assert divided(music, 1).parts["test"].names == divided(music, 1).parts["test"].names


def test_without_a_test_part_the_validation_part_is_judged(tmp_path):
    made = rolls(8)
    found = divided(read_music([mat_file(tmp_path, traindata=made[:5], validdata=made[5:])]), 0)
    assert found.judged == "validation"


@pytest.mark.parametrize(("parts", "missing"), [(["traindata"], "validdata"), (["validdata", "testdata"], "traindata")])
def test_a_file_that_lacks_a_part(tmp_path, parts, missing):
    assert f"has no {missing}" in refused(tmp_path, mat_file(tmp_path, **dict.fromkeys(parts, rolls(4))))


def test_too_few_pieces(tmp_path):
    one = rolls(1)[0]
    assert "1 of them different" in refused(tmp_path, npz_file(tmp_path, dict.fromkeys("abcd", one)))


def test_the_part_of_another_file_that_is_judged(tmp_path):
    made = rolls(4)
    assert len(to_judge(read_music([mat_file(tmp_path, testdata=made[:1], validdata=made[1:])]))) == 1
    assert len(to_judge(read_music([mat_file(tmp_path, traindata=made, validdata=made[1:])]))) == 3
    assert len(to_judge(read_music([npz_file(tmp_path)]))) == 24


# Trainings


def test_figures_are_on_the_test_part_beside_the_baselines():
    folder, outcome = trained()
    measured = outcome.measured
    assert {p.name for p in folder.iterdir()} == FILES
    assert set(measured["metrics"]) == set(measured["baseline"]) == METRICS
    assert measured["n"] == sum(len(roll) - 1 for roll in rolls()[19:])
    assert measured["part"] == "test"
    assert set(measured["figures"]) == {"model", "last chord again", "note frequencies"}
    assert measured["metrics"]["nll"] < measured["baseline"]["nll"]
    for said in ("test part: 5 pieces", "too few", "validation part, which chose the epoch", "last chord again"):
        assert said in outcome.printed
    assert json.loads((folder / "split.json").read_text())["pieces"]["test"][0] == "testdata 1"


def test_the_validation_part_is_said_to_have_chosen_the_epoch(tmp_path):
    made = rolls(8)
    with small_recipe(**QUICK):
        outcome = small.train(request(tmp_path / "out", mat_file(tmp_path, traindata=made[:5], validdata=made[5:])))
    assert "validation part: 3 pieces" in outcome.printed
    assert "which also chose the epoch that is kept" in outcome.printed


def test_the_same_seed_gives_the_same_model(tmp_path):
    with small_recipe(**QUICK):
        one, again, other = (
            small.train(request(tmp_path / str(number), seed=seed)).measured["metrics"]
            for number, seed in enumerate((3, 3, 5))
        )
    assert one == again
    assert one != other


def test_long_pieces_are_trained_on_in_stretches():
    study = MusicStudy(request(data_file().parent / "none"))
    study.learn()
    train, validation = (fit for fit in (study.fits(study.build())[0].train, study.fits(study.build())[0].validation))
    assert train.lengths.max() <= 12
    assert train.lengths.sum() == sum(map(len, rolls()[:14]))
    assert validation.lengths.tolist() == [len(roll) for roll in rolls()[14:19]]
    for rows, first in ((train, 0), (validation, 1)):
        for batch in rows.batches(4):
            assert len(batch["targets"]) == int((batch["lengths"] - first).sum())


def test_music_without_a_note(tmp_path):
    silent = {name: np.zeros((4 + i, 88)) for i, name in enumerate("abcd")}
    assert "no key is ever held" in refused(tmp_path, npz_file(tmp_path, silent))


def test_music_of_one_key_is_trained_on_and_said(tmp_path):
    rng, made = np.random.default_rng(0), {}
    for name in "abcdefgh":
        made[name] = np.zeros((12, 88))
        made[name][:, 40] = rng.random(12) < 0.5
    study = MusicStudy(request(tmp_path / "out", npz_file(tmp_path, made)))
    assert "one key only" in study.introduction
    with small_recipe(**QUICK):
        outcome = small.train(request(tmp_path / "out", npz_file(tmp_path, made)))
    assert np.isfinite(list(outcome.measured["metrics"].values())).all()


def test_no_data(tmp_path):
    from dataclasses import replace

    with pytest.raises(BadInput, match="gruvy train music needs music"):
        small.train(replace(request(tmp_path / "out"), data=None))
