"""The script that makes strings of digits, on invented tones."""

import csv
import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parents[2] / "examples" / "digit_strings.py"
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPEAKERS = ("ada", "bo", "cy", "di")
RATE = 2000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A tone for each digit, speaker and take; their length says which they are."""
    folder = tmp_path_factory.mktemp("recordings")
    for digit, speaker, take in itertools.product(range(10), range(4), range(4)):
        length = 200 + 16 * digit + 4 * speaker + take
        tone = 0.4 * np.sin(np.arange(length) * (0.3 + 0.05 * digit))
        soundfile.write(folder / f"{digit}_{SPEAKERS[speaker]}_{take}.wav", tone, RATE)
    (folder / "notes.txt").write_text("no recording")
    soundfile.write(folder / "noise.wav", np.zeros(100), RATE)
    return folder


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def read(out):
    """The rows of each part."""
    parts = ("train", "valid", "test")
    return {part: list(csv.DictReader((out / f"{part}.csv").read_text().splitlines())) for part in parts}


def test_parts_have_speakers_of_their_own(recordings, tmp_path):
    done = run(recordings, tmp_path, "--strings", 30, "--seed", 1, "--test", "cy", "--valid", "ada")
    assert done.returncode == 0, done.stderr
    assert "test: 3 strings of cy" in done.stdout
    parts = read(tmp_path)
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 30, "valid": 3, "test": 3}
    speakers = {name: {row["speaker"] for row in rows} for name, rows in parts.items()}
    assert (speakers["test"], speakers["valid"]) == ({"cy"}, {"ada"})
    assert all(not a & b for a, b in itertools.combinations(speakers.values(), 2))
    lengths = set()
    for rows in parts.values():
        for row in rows:
            words = row["text"].split()
            assert 3 <= len(words) <= 7
            assert set(words) <= set(WORDS)
            samples, rate = soundfile.read(tmp_path / row["path"])
            assert rate == RATE
            assert len(words) * 0.1 + 0.05 <= len(samples) / RATE <= len(words) * 0.7 + 0.5
            assert 0.01 < np.abs(samples).max() <= 1
            lengths.add(len(samples))
    assert len(lengths) > 20


def test_the_same_seed_gives_the_same_strings(recordings, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run(recordings, tmp_path / name, "--strings", 5, "--seed", seed).returncode == 0
    a, b, c = ((tmp_path / name / "train.csv").read_text() for name in "abc")
    assert a == b != c
    assert (tmp_path / "a/train/00000.wav").read_bytes() == (tmp_path / "b/train/00000.wav").read_bytes()


@pytest.fixture
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("digit_strings", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_few_speakers_are_not_lost_to_validation(script, recordings):
    bank, _ = script.read_bank(recordings, "{digit}_{speaker}_{take}")
    parts = script.by_speaker(bank, [], [], 0)
    (test,) = parts["test"]
    assert set(parts["train"]) == set(parts["valid"]) == set(SPEAKERS) - {test}
    lengths = {
        part: {len(take) for words in parts[part].values() for takes in words.values() for take in takes}
        for part in ("train", "valid", "test")
    }
    assert all(not a & b for a, b in itertools.combinations(lengths.values(), 2))


def test_shared_speakers_have_recordings_of_their_own(script, recordings):
    bank, rate = script.read_bank(recordings, "{digit}_{speaker}_{take}")
    assert (rate, set(bank)) == (RATE, set(SPEAKERS))
    parts = script.by_take(bank, 0)
    for speaker, word in itertools.product(SPEAKERS, WORDS):
        lengths = [{len(take) for take in parts[part][speaker][word]} for part in ("train", "valid", "test")]
        assert list(map(len, lengths)) == [2, 1, 1]
        assert set.union(*lengths) == {len(take) for take in bank[speaker][word]}
        assert len(set.union(*lengths)) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--test", "zoe"), "there is no speaker zoe, only ada, bo, cy, di"),
        (("--test", "ada", "bo", "cy", "di"), "cannot be dealt so to the parts"),
        (("--valid", "ada", "bo", "cy", "di"), "cannot be dealt so to the parts"),
        (("--valid", "ada", "--test", "ada"), "cannot be dealt so to the parts"),
        (("--names", "{speaker}-{digit}"), "no recording in .* is named like"),
        (("--names", "x"), "expected {digit} and {speaker} in it"),
        (("--strings", "0"), "expected numbers of at least 1 and 0"),
        (("--share-speakers", "--test", "ada"), "leave --valid and --test out"),
    ],
)
def test_mistakes_are_told_in_a_sentence(recordings, tmp_path, options, said):
    done = run(recordings, tmp_path / "out", *options)
    assert done.returncode == 1
    assert re.search(said, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
