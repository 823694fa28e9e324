"""Piano rolls, read from .mat, .npz and MIDI files, and how a model is given them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy.data.music import midi
from gruvy.data.music.midi import KEYS, LOWEST
from gruvy.errors import BadInput

_PARTS = {"traindata": "train", "validdata": "validation", "testdata": "test"}
_MIDI_KEYS = 128
_LOUDEST = 127
_SHOWN = 3  # names in a note
_STEPS_PER_BEAT, _STEPS_PER_BEAT_OF_ROLLS = 4, 2  # rolls do not say; the published ones are of quarters and eighths


@dataclass(frozen=True)
class Pieces:
    """Piano rolls by name.

    Attributes:
        rolls: uint8 `(steps, 88)` each, 1 where a key is held, of two steps at least.
    """

    names: list[str]
    rolls: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.rolls)

    def take(self, rows: Sequence[int] | np.ndarray) -> Pieces:
        """The pieces at `rows`."""
        return Pieces([self.names[i] for i in rows], [self.rolls[i] for i in rows])


@dataclass(frozen=True)
class Music:
    """Pieces as they were read.

    Attributes:
        parts: `train`, `validation` and `test`, as far as the file names them; otherwise all pieces as `""`.
        notes: what was left out or changed in reading, for the user.
        steps_per_beat, tempo: of the steps, tempo in beats a minute.
    """

    parts: dict[str, Pieces]
    notes: list[str]
    steps_per_beat: int
    tempo: float

    def digest(self) -> str:
        """SHA-256 of all rolls, in order."""
        found = sha256()
        for name, pieces in self.parts.items():
            for roll in pieces.rolls:
                found.update(f"{name} {roll.shape} ".encode() + np.packbits(roll).tobytes())
        return found.hexdigest()


def read_music(paths: Sequence[str | Path], steps_per_beat: int | None = None) -> Music:
    """Read a .mat or .npz file of rolls, or MIDI files and folders of them.

    A .mat file has cells `traindata`, `validdata`, `testdata` (Boulanger-Lewandowski et al. 2012), or one of them. An
    .npz file has an array for each piece; a piece whose name begins with one of those three is of that part. Of the
    files in a folder, those that cannot be read are left out, with a note.

    Args:
        steps_per_beat: of the grid that MIDI is put on (4 unless told), and of the rolls as they stand (2).

    Raises:
        BadInput: there is nothing to read, it cannot be read, or no piece has two steps.
    """
    if steps_per_beat is not None and not 1 <= steps_per_beat <= midi.FINEST:
        raise BadInput(f"--steps-per-beat {steps_per_beat}: expected a whole number from 1 to {midi.FINEST}")
    files = [Path(path) for path in paths]
    if not all(str(path).strip() for path in paths):
        raise BadInput("an empty path came; give a MIDI file, or a folder of them")
    for file in files:
        if not file.exists():
            raise BadInput(f"{file}: no such file or directory")
    if files[0].suffix.lower() in (".mat", ".npz"):
        if len(files) > 1:
            raise BadInput(f"--data names {len(files)} files; give one .mat or .npz file, or several MIDI files")
        arrays = _read_mat(files[0]) if files[0].suffix.lower() == ".mat" else _read_npz(files[0])
        notes: list[str] = []
        raw = {part: {name: as_roll(a, name, notes) for name, a in found.items()} for part, found in arrays.items()}
        return _music(raw, notes, str(files[0]), steps_per_beat or _STEPS_PER_BEAT_OF_ROLLS, midi.TEMPO)
    return _read_midi(files, steps_per_beat or _STEPS_PER_BEAT)


def as_roll(values: Any, name: str, notes: list[str] | None = None) -> np.ndarray:
    """An array of 0 and 1, or of velocities, as a roll: uint8 `(steps, 88)`, 1 where a key is held.

    Of 128 MIDI keys, the 88 of a piano are kept.

    Args:
        name: of the piece, for errors; notes: where to say what was left out.

    Raises:
        BadInput: another shape, or values that are no velocities.
    """
    try:
        array = np.asarray(values)
        numbers = array.astype(np.float32)
    except (TypeError, ValueError):
        raise BadInput(f"{name} holds no numbers; expected 0, 1 or velocities, (steps, {KEYS})") from None
    if numbers.ndim != 2 or numbers.shape[1] not in (KEYS, _MIDI_KEYS):
        turned = numbers.ndim == 2 and numbers.shape[0] in (KEYS, _MIDI_KEYS)
        remedy = "transpose it" if turned else "give each step all the keys of a piano"
        shape = " x ".join(map(str, numbers.shape))
        raise BadInput(f"{name} is {shape}; expected steps x {KEYS} keys (or {_MIDI_KEYS} MIDI keys): {remedy}")
    wrong = ~((numbers >= 0) & (numbers <= _LOUDEST))
    if wrong.any():
        step, key = np.argwhere(wrong)[0]
        raise BadInput(
            f"{name} has {numbers[step, key]:g} at step {step + 1}, key {key + 1}; expected 0 (up), 1 (held) or a "
            f"velocity up to {_LOUDEST}"
        )
    held = (numbers > 0).astype(np.uint8)
    if held.shape[1] == KEYS:
        return held
    inside = held[:, LOWEST : LOWEST + KEYS]
    if notes is not None and held.sum() > inside.sum():
        notes.append(f"{name}: notes beyond the {KEYS} keys of a piano are left out")
    return inside


def _read_mat(file: Path) -> dict[str, dict[str, Any]]:
    """Arrays by part and by name."""
    from scipy.io import loadmat

    try:
        found = loadmat(file, variable_names=list(_PARTS))
    except NotImplementedError:
        raise BadInput(f"{file} is of MATLAB 7.3; save it again with save(..., '-v7')") from None
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise BadInput(f"{file} is no readable .mat file ({type(error).__name__}); write it again") from None
    arrays = {name: found[name] for name in _PARTS if name in found}
    if not arrays:
        raise BadInput(f"{file} has no {', '.join(_PARTS)}; expected cells of (steps, {KEYS}) arrays by those names")
    for name, cells in arrays.items():
        if cells.dtype != object:
            raise BadInput(f"{name} of {file} is no cell array; expected a cell for each piece")
    return {
        _PARTS[name]: {f"{name} {i + 1}": roll for i, roll in enumerate(cells.ravel())}
        for name, cells in arrays.items()
    }


def _read_npz(file: Path) -> dict[str, dict[str, Any]]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError):
        raise BadInput(f"{file} is no readable .npz file; write it again with numpy.savez") from None
    except ValueError as error:
        if "pickle" not in str(error):
            raise BadInput(f"{file} is no readable .npz file ({error}); write it again with numpy.savez") from None
        raise BadInput(
            f"{file} holds arrays of Python objects, which are not read because loading them can run code; save one "
            "array for each piece, named traindata_1, traindata_2, ..."
        ) from None
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        part = next((part for prefix, part in _PARTS.items() if name.startswith(prefix)), "")
        parts.setdefault(part, {})[name] = array
    if "" in parts and len(parts) > 1:
        raise BadInput(
            f"{file} names a part for some pieces and none for {next(iter(parts['']))!r}; begin every name with "
            f"{', '.join(_PARTS)}, or none"
        )
    return parts


def _read_midi(paths: Sequence[Path], steps_per_beat: int) -> Music:
    notes: list[str] = []
    rolls: dict[str, np.ndarray] = {}
    broken, tempos = [], []
    for path in paths:
        files = midi.within(path) if path.is_dir() else [path]
        for file in files:
            try:
                song = midi.read(file, steps_per_beat)
            except BadInput as error:
                if not path.is_dir():
                    raise
                broken.append(str(error))
                continue
            rolls[str(file)] = song.roll
            tempos.append(song.tempo)
            notes += song.notes
    if broken and not rolls:
        raise BadInput(f"none of the {len(broken)} MIDI files can be used; the first: {broken[0]}")
    if broken:
        notes.insert(0, f"MIDI files left out: {len(broken)}; the first: {broken[0]}")
    tempo = float(np.median(tempos)) if tempos else midi.TEMPO
    return _music({"": rolls}, notes, ", ".join(map(str, paths)), steps_per_beat, tempo)


def _music(
    raw: Mapping[str, Mapping[str, np.ndarray]], notes: list[str], name: str, steps_per_beat: int, tempo: float
) -> Music:
    """The pieces of two steps or more, and what is to be said of the others."""
    short = [piece for rolls in raw.values() for piece, roll in rolls.items() if len(roll) < 2]
    parts = {
        part: Pieces(*map(list, zip(*kept, strict=True)))
        for part, rolls in raw.items()
        if (kept := [(piece, roll) for piece, roll in rolls.items() if len(roll) > 1])
    }
    if not parts:
        found = f"{len(short)} of fewer than 2 steps" if short else "none"
        raise BadInput(f"{name}: expected pieces of at least 2 steps, so that there is a next one; found {found}")
    if short:
        listed = ", ".join(short[:_SHOWN]) + (", ..." if len(short) > _SHOWN else "")
        notes = [*notes, f"{len(short)} pieces of fewer than 2 steps are left out: {listed}"]
    return Music(parts, _shortened(notes), steps_per_beat, tempo)


def _shortened(notes: list[str]) -> list[str]:
    return notes if len(notes) <= 2 * _SHOWN else [*notes[: 2 * _SHOWN], f"and {len(notes) - 2 * _SHOWN} notes more"]


def copies(rolls: Sequence[np.ndarray]) -> np.ndarray:
    """A number for each roll, the same for rolls that are the same but for the key they stand in."""
    seen: dict[bytes, int] = {}
    found = []
    for roll in rolls:
        used = np.flatnonzero(roll.any(0))
        plain = roll[:, used[0] : used[-1] + 1] if len(used) else roll[:, :0]
        mark = blake2b(f"{plain.shape} ".encode() + np.packbits(plain).tobytes(), digest_size=16).digest()
        found.append(seen.setdefault(mark, len(seen)))
    return np.array(found, np.int64)


@dataclass(frozen=True)
class EncodedRolls:
    """Rolls as a model is given them; each has two steps or more, or is the beginning of a piece."""

    rolls: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.rolls)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each roll."""
        return np.array([len(roll) for roll in self.rolls], np.int64)

    def take(self, rows: Sequence[int] | np.ndarray) -> EncodedRolls:
        """The rolls at `rows`."""
        return EncodedRolls([self.rolls[i] for i in rows])

    def cut(self, steps: int) -> EncodedRolls:
        """The rolls in stretches of `steps`, what is left over of two at least, each to be read as a piece."""
        found = [roll[i : i + steps] for roll in self.rolls for i in range(0, len(roll), steps)]
        return EncodedRolls([part for part in found if len(part) > 1])


@dataclass(frozen=True)
class RollInputs:
    """How music becomes numbers, and what is to be known of the training pieces to write and to compare.

    Attributes:
        steps_per_beat, tempo: of the steps, tempo in beats a minute.
        frequencies, staying, entering: float64 `(88,)`, the probability of each key to be held at all, where it was
            held a step before, and where it was not.
    """

    steps_per_beat: int
    tempo: float
    frequencies: np.ndarray
    staying: np.ndarray
    entering: np.ndarray

    @classmethod
    def fit(cls, rolls: Sequence[np.ndarray], steps_per_beat: int, tempo: float) -> RollInputs:
        """Count the keys of training rolls; the rate of a rare event is drawn towards that of all keys."""
        before = np.concatenate([roll[:-1] for roll in rolls]).astype(bool)
        after = np.concatenate([roll[1:] for roll in rolls]).astype(bool)
        total = np.full(after.shape[1], len(after))
        return cls(
            steps_per_beat, tempo, _rates(after.sum(0), total),
            _rates((after & before).sum(0), before.sum(0)), _rates((after & ~before).sum(0), (~before).sum(0)),
        )  # fmt: skip

    def __call__(self, raw: Sequence[Any]) -> EncodedRolls:
        """Rolls or arrays, see `as_roll`."""
        return EncodedRolls([as_roll(roll, f"roll {i + 1}") for i, roll in enumerate(raw)])

    def collate(self, encoded: EncodedRolls, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """`rolls` float32 `(batch, longest, 88)`, 0 past each end, and `lengths`, in steps."""
        chosen = encoded.take(rows)
        rolls = torch.zeros(len(chosen), int(chosen.lengths.max(initial=0)), KEYS)
        for place, roll in zip(rolls, chosen.rolls, strict=True):
            place[: len(roll)] = torch.from_numpy(roll)
        return {"rolls": rolls, "lengths": torch.from_numpy(chosen.lengths)}

    def save(self, folder: Path) -> None:
        """Write inputs.json."""
        tables = {name: getattr(self, name).tolist() for name in ("frequencies", "staying", "entering")}
        steps = {"steps_per_beat": self.steps_per_beat, "tempo": self.tempo}
        (folder / "inputs.json").write_text(json.dumps({**steps, **tables}))

    @classmethod
    def load(cls, folder: Path) -> RollInputs:
        """What `save` wrote."""
        data = json.loads((folder / "inputs.json").read_text())
        tables = {name: np.array(data[name]) for name in ("frequencies", "staying", "entering")}
        return cls(data["steps_per_beat"], data["tempo"], **tables)


def _rates(events: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Events a chance of each key, with one chance more at the rate of all keys."""
    whole = (events.sum() + 0.5) / (chances.sum() + 1)
    found: np.ndarray = (events + whole) / (chances + 1)
    return found
