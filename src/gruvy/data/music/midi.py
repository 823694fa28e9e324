"""MIDI files as piano rolls, and piano rolls as MIDI files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.errors import BadInput

KEYS, LOWEST = 88, 21  # of a piano; the MIDI number of its lowest
TEMPO = 120.0  # beats a minute, where a file names none
FINEST = 96  # steps a beat
SLOWEST, FASTEST = 5.0, 1000.0  # beats a minute
SUFFIXES = (".mid", ".midi")
_DRUMS = 9  # the channel, from 0
_TICKS = 480  # a beat, of files we write
_VELOCITY = 80
_LONGEST = 200_000  # steps: beyond it the file is damaged


@dataclass(frozen=True)
class Song:
    """A MIDI file as it was read.

    Attributes:
        roll: uint8 `(steps, 88)`; tempo: in beats a minute, that of most of the file.
        notes: what was left out, for the user.
    """

    roll: np.ndarray
    tempo: float
    notes: list[str]


def within(folder: Path) -> list[Path]:
    """The MIDI files in a folder and the folders in it, by name.

    Raises:
        BadInput: there are none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise BadInput(f"{folder} holds no MIDI file; expected names that end in {' or '.join(SUFFIXES)}")
    return found


def read(file: Path, steps_per_beat: int) -> Song:
    """The notes of all tracks but the drums, on a grid of steps.

    Beats are counted as the file counts them, so that changes of tempo do not bend the grid. A note is held for one
    step at least; velocities and pedals are left out, and silence before the first note.

    Raises:
        BadInput: the file cannot be read, or has no notes of pitch.
    """
    import mido

    try:
        song = mido.MidiFile(file)
        ticks = song.ticks_per_beat
        played = list(_played(song))
        tempo = _tempo(song)
    except OSError as error:
        raise BadInput(f"{file} is no readable MIDI file ({error.strerror or error or 'damaged'})") from None
    except Exception as error:  # mido raises many kinds for a damaged file
        raise BadInput(f"{file} is no readable MIDI file ({type(error).__name__}: damaged)") from None
    if not 0 < ticks < 2**15:
        raise BadInput(f"{file} counts frames (SMPTE), not beats; export it with beats")
    if not played:
        raise BadInput(f"{file} has no notes, drums aside; leave it out")
    keys, starts, ends = np.array(played).T
    inside = (keys >= LOWEST) & (keys < LOWEST + KEYS)
    if not inside.any():
        raise BadInput(f"{file} has no notes on the {KEYS} keys of a piano; leave it out")
    notes = [] if inside.all() else [f"{file}: notes beyond the {KEYS} keys of a piano are left out"]
    keys, starts, ends = keys[inside] - LOWEST, starts[inside], ends[inside]
    first = np.rint(starts * steps_per_beat / ticks).astype(np.int64)
    last = np.maximum(first + 1, np.rint(ends * steps_per_beat / ticks).astype(np.int64))
    first, last = first - first.min(), last - first.min()
    if last.max() > _LONGEST:
        raise BadInput(f"{file} is {last.max():,} steps long; expected at most {_LONGEST:,}: it may be damaged")
    roll = np.zeros((last.max(), KEYS), np.uint8)
    for key, begin, end in zip(keys, first, last, strict=True):
        roll[begin:end, key] = 1
    return Song(roll, tempo, notes)


def _played(song: Any) -> Iterator[tuple[int, int, int]]:
    """MIDI key, start and end of each note, in ticks; a note without an end is held to the end of its track."""
    for track in song.tracks:
        now, held = 0, dict[tuple[int, int], int]()
        for message in track:
            now += message.time
            if message.type not in ("note_on", "note_off") or message.channel == _DRUMS:
                continue
            place = message.channel, message.note
            if place in held:  # a new stroke ends the one before
                yield message.note, held.pop(place), now
            if message.type == "note_on" and message.velocity:
                held[place] = now
        for (_, note), start in held.items():
            yield note, start, now


def _tempo(song: Any) -> float:
    """Beats a minute, as most beats of the file have it."""
    from mido import merge_tracks, tempo2bpm

    spans: dict[float, int] = {}
    tempo = TEMPO
    for message in merge_tracks(song.tracks):
        spans[tempo] = spans.get(tempo, 0) + message.time
        if message.type == "set_tempo" and message.tempo:
            tempo = round(tempo2bpm(message.tempo), 3)
    found = max(spans, key=lambda one: spans[one]) if any(spans.values()) else tempo
    return min(FASTEST, max(SLOWEST, found))


def write(file: Path, roll: np.ndarray, steps_per_beat: int, tempo: float) -> None:
    """Write a roll `(steps, 88)` as one track of piano; a key that is held on is one note.

    Raises:
        BadInput: the file cannot be written.
    """
    import mido

    song = mido.MidiFile(ticks_per_beat=_TICKS)
    track = song.add_track("piano")
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    now = 0
    for tick, kind, key in _strokes(roll, steps_per_beat):
        velocity = _VELOCITY if kind == "note_on" else 0
        track.append(mido.Message(kind, note=key + LOWEST, velocity=velocity, time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=round(len(roll) * _TICKS / steps_per_beat) - now))
    try:
        song.save(file)
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({error.strerror or error}); give another --out") from None


def _strokes(roll: np.ndarray, steps_per_beat: int) -> list[tuple[int, str, int]]:
    """Tick, kind and key of each message, in order; at the same tick, ends come before beginnings."""
    silent = np.zeros((1, roll.shape[1]), np.int8)
    changes = np.diff(np.concatenate([silent, roll.astype(np.int8), silent]), axis=0)
    found = [
        (round(int(step) * _TICKS / steps_per_beat), "note_on" if changes[step, key] > 0 else "note_off", int(key))
        for step, key in np.argwhere(changes)
    ]
    return sorted(found, key=lambda stroke: (stroke[0], stroke[1] == "note_on", stroke[2]))
