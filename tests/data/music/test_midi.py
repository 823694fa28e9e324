"""MIDI files become rolls on a grid of beats, and rolls become MIDI files that read as they were."""

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.fixtures.music import midi_file

from gruvy.data.music import midi
from gruvy.errors import BadInput

C, E, G = 60, 64, 67


@pytest.fixture
def path(tmp_path):
    return tmp_path / "song.mid"


def held(roll):
    """The MIDI keys held at each step."""
    return [(np.flatnonzero(step) + midi.LOWEST).tolist() for step in roll]


def test_notes_are_put_on_the_grid(path):
    midi_file(path, [(C, 0, 480, 0), (E, 230, 490, 0), (G, 480, 720, 0)])
    assert held(midi.read(path, 2).roll) == [[C], [C, E], [G]]
    assert held(midi.read(path, 1).roll) == [[C, E], [G]]


def test_a_short_note_is_held_for_a_step(path):
    midi_file(path, [(C, 0, 10, 0), (E, 480, 481, 0)])
    assert held(midi.read(path, 2).roll) == [[C], [], [E]]


def test_changes_of_tempo_do_not_bend_the_grid(path):
    notes = [(C, 0, 480, 0), (E, 480, 960, 0)]
    even = midi.read(midi_file(path, notes), 4)
    song = midi.read(midi_file(path, notes, tempos=[(0, 60), (480, 200), (490, 60)]), 4)
    assert (song.roll == even.roll).all()
    assert (even.tempo, song.tempo) == (120, 60)


def test_tracks_are_merged_and_drums_left_out(path):
    midi_file(path, [(C, 0, 480, 0)], [(E, 0, 480, 3)], [(38, 0, 480, 9)])
    assert held(midi.read(path, 1).roll) == [[C, E]]


def test_silence_before_the_first_note_is_left_out(path):
    midi_file(path, [(C, 960, 1440, 0)])
    assert held(midi.read(path, 1).roll) == [[C]]


def test_a_note_that_does_not_end_is_held_to_the_end(path):
    song = mido.MidiFile(ticks_per_beat=100)
    song.tracks.append(mido.MidiTrack([
        mido.Message("note_on", note=C, time=0), mido.Message("note_on", note=E, time=100),
        mido.Message("note_off", note=E, time=100),
    ]))  # fmt: skip
    song.save(path)
    assert held(midi.read(path, 1).roll) == [[C], [C, E]]


def test_notes_beyond_a_piano_are_left_out_and_said(path):
    song = midi.read(midi_file(path, [(5, 0, 480, 0), (C, 0, 480, 0)]), 1)
    assert held(song.roll) == [[C]]
    assert "beyond the 88 keys" in song.notes[0]


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(88)), elements=st.sampled_from([0, 0, 0, 1])),
    st.sampled_from([1, 2, 3, 4, 7, 24, 96]),
)
def test_what_is_written_reads_as_it_was(tmp_path_factory, roll, steps):
    roll[0, 40] = roll[-1, 41] = 1  # silence at the ends is no part of what is read
    path = tmp_path_factory.mktemp("midi") / "song.mid"
    midi.write(path, roll, steps, 90.0)
    song = midi.read(path, steps)
    assert (song.roll == roll).all()
    assert song.tempo == pytest.approx(90, abs=0.01)


def test_a_held_key_is_one_note(path):
    roll = np.zeros((6, 88), np.uint8)
    roll[1:5, 39] = 1
    midi.write(path, roll, 2, 120.0)
    strokes = [message for message in mido.MidiFile(path).tracks[0] if not message.is_meta]
    assert [(m.type, m.note, m.time) for m in strokes] == [("note_on", C, 240), ("note_off", C, 960)]
    assert mido.MidiFile(path).length == pytest.approx(1.5)


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(BadInput, match="cannot be written"):
        midi.write(tmp_path / "none" / "song.mid", np.zeros((2, 88), np.uint8), 2, 120.0)


@pytest.mark.parametrize(
    "content", [b"", b"not music", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x09"]
)
def test_a_broken_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"song.mid is no readable MIDI file"):
        midi.read(path, 4)


@pytest.mark.parametrize(
    ("tracks", "said"),
    [([], "no notes, drums aside"), ([[(38, 0, 480, 9)]], "no notes, drums aside"), ([[(3, 0, 9, 0)]], "88 keys")],
)
def test_a_file_without_notes_of_a_piano(path, tracks, said):
    with pytest.raises(BadInput, match=said):
        midi.read(midi_file(path, *tracks), 4)


def test_a_file_that_counts_frames(path):
    midi_file(path, [(C, 0, 480, 0)])
    content = bytearray(path.read_bytes())
    content[12:14] = b"\xe7\x28"  # 25 frames a second, 40 ticks each
    path.write_bytes(content)
    with pytest.raises(BadInput, match="SMPTE"):
        midi.read(path, 4)


def test_a_file_without_end(path):
    midi_file(path, [(C, 0, 2**27, 0)], beat=1)
    with pytest.raises(BadInput, match="steps long"):
        midi.read(path, 4)


def test_files_are_found_in_folders(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/two.MIDI", "one.mid", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in midi.within(tmp_path)] == ["two.MIDI", "one.mid"]
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="holds no MIDI file"):
        midi.within(tmp_path / "none")
