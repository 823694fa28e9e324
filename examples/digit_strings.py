"""Strings of spoken digits from recordings of single ones, to train `gruvy train speech` on.

    python examples/digit_strings.py RECORDINGS OUT --strings 4000 --seed 0
    gruvy train speech --data OUT/train.csv --valid OUT/valid.csv --test OUT/test.csv \
        --audio path --transcript text --out MODEL

RECORDINGS is a folder of WAV or FLAC files named "{digit}_{speaker}_{take}", such as 7_george_12.wav. OUT gets three
manifests (columns path, text, speaker) and the strings as WAV files. A string is 3 to 7 digits of one speaker with
random gaps, a random level and background noise. No recording is in two parts. One speaker is kept for the test
(`--test` names others) and is in no other part. One more is kept for validation (`--valid` names others), unless there
are fewer than ten: then the strings to validate on are of other recordings of the speakers that are trained on. With
`--share-speakers` all parts have all speakers, and recordings of their own.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = ("train", "valid", "test")
SHARES = {"train": 1.0, "valid": 0.1, "test": 0.1}  # of --strings
TAKES = {"valid": 0.1, "test": 0.2}  # of the recordings of a digit, where speakers are shared
FEW = 10  # speakers: with fewer, one is too much to lose to validation
GAP = (0.05, 0.5)  # seconds between digits
LEVEL = (-40.0, -15.0)  # of a string, in decibels below full scale
NOISE = (20.0, 45.0)  # decibels that the noise is below the speech

Bank = dict[str, dict[str, list[np.ndarray]]]  # speaker -> word -> recordings


def read_bank(folder: Path, names: str) -> tuple[Bank, int]:
    """All recordings of digits by speaker and word, in the order of their names, and their sample rate."""
    fields = re.split(r"\{(digit|speaker|take)\}", names)
    pattern = "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(fields))
    bank: Bank = defaultdict(lambda: defaultdict(list))
    rates = set()
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".wav", ".flac")):
        found = re.fullmatch(pattern, path.stem)
        digit = found and found["digit"].lower()
        if not found or digit not in (*WORDS, *"0123456789"):
            continue
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        rates.add(rate)
        bank[found["speaker"]][WORDS[int(digit)] if digit.isdigit() else digit].append(samples.mean(1))
    if not bank:
        sys.exit(f"no recording in {folder} is named like {names}; say how they are named with --names")
    if len(rates) > 1:
        sys.exit(f"the recordings have the sample rates {sorted(rates)}; convert them to one")
    return bank, rates.pop()


def by_speaker(bank: Bank, valid: Sequence[str], test: Sequence[str], seed: int) -> dict[str, Bank]:
    """Parts with speakers of their own; with few, validation has other recordings of those that are trained on."""
    speakers = sorted(bank)
    if strange := sorted({*valid, *test} - set(speakers)):
        sys.exit(f"there is no speaker {strange[0]}, only {', '.join(speakers)}")
    free = [s for s in np.random.default_rng(seed).permutation(speakers).tolist() if s not in {*valid, *test}]
    if free and not test:
        test = [free.pop()]
    if free and not valid and len(speakers) < FEW:
        known = by_take({speaker: bank[speaker] for speaker in free}, seed, ("valid",))
        return {**known, "test": {speaker: bank[speaker] for speaker in test}}
    if free and not valid:
        valid = [free.pop()]
    chosen = {"train": set(speakers) - {*valid, *test}, "valid": set(valid), "test": set(test)}
    if set(valid) & set(test) or not all(chosen.values()):
        sys.exit(f"{len(speakers)} speaker(s) cannot be dealt so to the parts; record more, or pass --share-speakers")
    return {part: {speaker: bank[speaker] for speaker in speakers if speaker in chosen[part]} for part in PARTS}


def by_take(bank: Bank, seed: int, held: Sequence[str] = ("valid", "test")) -> dict[str, Bank]:
    """Parts, the training and those `held`, with recordings of their own of every speaker and digit."""
    rng = np.random.default_rng(seed)
    parts: dict[str, Bank] = {part: defaultdict(dict) for part in ("train", *held)}
    for speaker, words in sorted(bank.items()):
        for word, takes in sorted(words.items()):
            if len(takes) < 3:
                sys.exit(f"{speaker} says {word} in {len(takes)} recording(s); expected 3 or more, for three parts")
            order = rng.permutation(len(takes)).tolist()
            for part in held:
                count = max(1, round(TAKES[part] * len(takes)))
                parts[part][speaker][word] = [takes[order.pop()] for _ in range(count)]
            parts["train"][speaker][word] = [takes[i] for i in order]
    return parts


def string(words: dict[str, list[np.ndarray]], rate: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A string of digits of one speaker: samples `(steps,)` within -1 to 1, and its words."""
    said = rng.choice(sorted(words), rng.integers(3, 8)).tolist()
    pieces = [np.zeros(round(rate * rng.uniform(*GAP)), np.float32)]
    for word in said:
        pieces += [words[word][rng.integers(len(words[word]))], np.zeros(round(rate * rng.uniform(*GAP)), np.float32)]
    samples = np.concatenate(pieces)
    power = np.sqrt(np.mean(samples**2)) + 1e-6
    samples = samples + power * 10 ** (-rng.uniform(*NOISE) / 20) * rng.standard_normal(len(samples))
    samples = samples / power * 10 ** (rng.uniform(*LEVEL) / 20)
    return samples / max(1.0, np.abs(samples).max()), " ".join(said)


def write_part(out: Path, part: str, bank: Bank, count: int, rate: int, rng: np.random.Generator) -> None:
    """`count` strings as WAV files of 16 bits, and the manifest that lists them."""
    (out / part).mkdir(parents=True, exist_ok=True)
    speakers = sorted(bank)
    with (out / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "text", "speaker"])
        for number in range(count):
            speaker = speakers[rng.integers(len(speakers))]
            samples, said = string(bank[speaker], rate, rng)
            path = Path(part) / f"{number:05d}.wav"
            soundfile.write(out / path, samples, rate, subtype="PCM_16")
            rows.writerow([path.as_posix(), said, speaker])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--strings", type=int, default=4000, help="to train on; a tenth as many in the other parts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--names", default="{digit}_{speaker}_{take}", help="how the recordings are named")
    parser.add_argument("--valid", nargs="+", default=[], metavar="SPEAKER")
    parser.add_argument("--test", nargs="+", default=[], metavar="SPEAKER")
    parser.add_argument("--share-speakers", action="store_true", help="parts differ in recordings, not in speakers")
    given = parser.parse_args()
    if "{digit}" not in given.names or "{speaker}" not in given.names:
        sys.exit(f"--names {given.names}: expected {{digit}} and {{speaker}} in it")
    if given.strings < 1 or given.seed < 0:
        sys.exit("--strings and --seed: expected numbers of at least 1 and 0")
    if given.share_speakers and (given.valid or given.test):
        sys.exit("--share-speakers puts every speaker in every part; leave --valid and --test out")
    bank, rate = read_bank(given.recordings, given.names)
    dealt = by_take(bank, given.seed) if given.share_speakers else by_speaker(bank, given.valid, given.test, given.seed)
    rng = np.random.default_rng(given.seed)
    for part in PARTS:
        own = dealt[part]
        count = max(1, round(SHARES[part] * given.strings))
        write_part(given.out, part, own, count, rate, rng)
        print(f"{part}: {count} strings of {', '.join(sorted(own))}")


if __name__ == "__main__":
    main()
