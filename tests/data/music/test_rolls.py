"""Rolls are read whole from every kind of file, or refused with what is wrong."""

import numpy as np
import pytest
import torch
from tests.fixtures.music import mat_file, midi_file, named, npz_file, rolls

from gruvy.data.music.midi import LOWEST
from gruvy.data.music.rolls import EncodedRolls, RollInputs, as_roll, copies, read_music
from gruvy.errors import BadInput


def roll(steps=4, keys=88, held=((0, 40), (1, 41))):
    made = np.zeros((steps, keys))
    for step, key in held:
        made[step, key] = 1
    return made


def refused(*paths, **options):
    with pytest.raises(BadInput) as caught:
        read_music(paths, **options)
    return str(caught.value)


# Arrays


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_types_of_numbers_read_the_same(dtype):
    found = as_roll(roll().astype(dtype), "it")
    assert (found == roll()).all()
    assert found.dtype == np.uint8


def test_velocities_count_as_held():
    assert (as_roll(roll() * 90, "it") == roll()).all()
    assert (as_roll(roll() * 0.4, "it") == roll()).all()


def test_midi_keys_are_those_of_a_piano():
    notes = []
    found = as_roll(roll(2, 128, [(0, LOWEST), (1, LOWEST + 87), (1, 3)]), "it", notes)
    assert np.argwhere(found).tolist() == [[0, 0], [1, 87]]
    assert notes == ["it: notes beyond the 88 keys of a piano are left out"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (roll(keys=87), "it is 4 x 87; expected steps x 88 keys"), (roll().T, "transpose it"),
        (np.zeros(88), "it is 88; expected"), (roll(held=[(2, 5)]) * np.nan, "has nan at step 1, key 1"),
        (-roll(), "has -1 at step 1, key 41"), (roll() * 128, "velocity up to 127"), ([["a"] * 88], "holds no numbers"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(values, said):
    with pytest.raises(BadInput, match=said):
        as_roll(values, "it")


# Files


def test_the_parts_of_a_mat_file(tmp_path):
    music = read_music([mat_file(tmp_path)])
    made = rolls()
    expected = {"train": made[:14], "validation": made[14:19], "test": made[19:]}
    assert set(music.parts) == set(expected)
    for part, pieces in expected.items():
        assert all((a == b).all() for a, b in zip(music.parts[part].rolls, pieces, strict=True))
    assert music.parts["test"].names[0] == "testdata 1"
    assert read_music([mat_file(tmp_path, testdata=made)]).parts.keys() == {"test"}


def test_a_mat_file_without_the_names(tmp_path):
    assert "has no traindata, validdata, testdata" in refused(mat_file(tmp_path, pieces=rolls()))


def test_a_mat_file_of_numbers(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "m.mat", {"traindata": roll()})
    assert "no cell array" in refused(tmp_path / "m.mat")


@pytest.mark.parametrize("name", ["broken.mat", "broken.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"MATLAB 5.0 MAT-file" + b"\0" * 200])
def test_a_broken_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert f"{name} is no readable" in refused(tmp_path / name) or content[:6] == b"MATLAB"


def test_the_arrays_of_an_npz_file(tmp_path):
    music = read_music([npz_file(tmp_path)])
    assert len(music.parts[""]) == 24
    assert music.parts[""].names[:2] == ["piece_0", "piece_1"]
    parts = {**dict(named(rolls(4), "traindata_")), **dict(named(rolls(2), "validdata_"))}
    found = read_music([npz_file(tmp_path, parts)]).parts
    assert {part: len(pieces) for part, pieces in found.items()} == {"train": 4, "validation": 2}
    mixed = {**parts, "other": roll()}
    assert "none for 'other'" in refused(npz_file(tmp_path, mixed))


def test_pickles_are_not_read(tmp_path):
    cells = np.empty(2, object)
    cells[:] = rolls(2)
    assert "Python objects" in refused(npz_file(tmp_path, {"traindata": cells}))


def test_pieces_of_one_step_are_left_out_and_named(tmp_path):
    music = read_music([npz_file(tmp_path, {"long": roll(), "short": roll(1, held=()), "none": roll(0, held=())})])
    assert music.parts[""].names == ["long"]
    assert music.notes == ["2 pieces of fewer than 2 steps are left out: short, none"]
    assert "at least 2 steps" in refused(npz_file(tmp_path, {"short": roll(1, held=[(0, 3)])}))
    assert "found none" in refused(npz_file(tmp_path, {}))


def test_midi_files_and_folders(tmp_path):
    notes = [(60, 0, 480, 0), (62, 480, 960, 0)]
    one, two = (midi_file(tmp_path / f"{name}.mid", notes, tempos=[(0, 90)]) for name in ("one", "two"))
    music = read_music([one, two])
    assert (music.steps_per_beat, music.tempo) == (4, 90)
    assert music.parts[""].names == [str(one), str(two)]
    assert music.parts[""].rolls[0].shape == (8, 88)
    assert read_music([tmp_path], steps_per_beat=1).parts[""].rolls[0].shape == (2, 88)


def test_a_broken_file_among_others(tmp_path):
    midi_file(tmp_path / "one.mid", [(60, 0, 480, 0)])
    (tmp_path / "two.mid").write_bytes(b"no")
    music = read_music([tmp_path])
    assert len(music.parts[""]) == 1
    assert "MIDI files left out: 1; the first: " in music.notes[0]
    assert "two.mid" in music.notes[0]
    assert "two.mid is no readable" in refused(tmp_path / "two.mid")
    (tmp_path / "one.mid").unlink()
    assert "none of the 1 MIDI files can be used" in refused(tmp_path)


def test_other_files_and_numbers(tmp_path):
    assert "no such file" in refused(tmp_path / "none.mid")
    assert "one .mat or .npz file" in refused(npz_file(tmp_path), npz_file(tmp_path, name="b.npz"))
    assert "--steps-per-beat 0" in refused(npz_file(tmp_path), steps_per_beat=0)


def test_the_digest_is_of_what_is_played(tmp_path):
    first = read_music([npz_file(tmp_path)])
    assert first.digest() == read_music([npz_file(tmp_path, name="again.npz")]).digest()
    changed = {**dict(named(rolls())), "piece_3": roll()}
    assert first.digest() != read_music([npz_file(tmp_path, changed)]).digest()


def test_copies_in_another_key_are_copies():
    one, other = rolls(1)[0], rolls(2)[1]
    found = copies([one, other, np.roll(one, 5, 1), one[:-1], np.zeros_like(one)])
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 4


# Inputs


def test_rates_are_those_of_the_pieces():
    made = rolls(200)
    inputs = RollInputs.fit(made, 2, 120.0)
    before, after = (np.concatenate([r[s] for r in made]) for s in (slice(-1), slice(1, None)))
    common = after.sum(0) > 100
    assert inputs.frequencies[common] == pytest.approx(after.mean(0)[common], rel=0.05)
    key = int(before.sum(0).argmax())
    assert inputs.staying[key] == pytest.approx(after[before[:, key] > 0, key].mean(), abs=0.02)
    assert inputs.entering[key] == pytest.approx(after[before[:, key] == 0, key].mean(), abs=0.02)
    for rates in (inputs.frequencies, inputs.staying, inputs.entering):
        assert ((rates > 0) & (rates < 1)).all()


def test_inputs_are_read_as_they_were_saved(tmp_path):
    inputs = RollInputs.fit(rolls(), 3, 77.5)
    inputs.save(tmp_path)
    again = RollInputs.load(tmp_path)
    assert (again.steps_per_beat, again.tempo) == (3, 77.5)
    assert (again.staying == inputs.staying).all()


def test_a_batch_is_padded():
    made = rolls(3)
    inputs = RollInputs.fit(made, 2, 120.0)
    batch = inputs.collate(inputs(made), [2, 0])
    assert batch["lengths"].tolist() == [len(made[2]), len(made[0])]
    assert batch["rolls"].dtype == torch.float32
    assert (batch["rolls"][0, : len(made[2])].numpy() == made[2]).all()
    assert batch["rolls"].sum() == made[2].sum() + made[0].sum()


def test_long_pieces_are_cut():
    made = EncodedRolls(rolls(3))
    parts = made.cut(7)
    assert parts.lengths.max() <= 7
    assert len(parts) == sum(-(-length // 7) - (length % 7 == 1) for length in made.lengths)
    assert (parts.rolls[1] == made.rolls[0][7:14]).all()
    assert (made.cut(100).lengths == made.lengths).all()
