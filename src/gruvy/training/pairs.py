"""Pairs of texts in parts, and how translations are judged; what the commands need of it without a training."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.data.pairs import Pairs, in_context, read_pairs
from gruvy.data.splits import duplicate_groups, split_rows
from gruvy.errors import BadInput
from gruvy.tasks.modalities import pairs as modality

PARTS = ("train", "validation", "test")
COPY = "copy of the source"
_MOST_JUDGED = 2000  # pairs, evenly spread where there are more


def judge_pairs(trained: artefact.Trained, part: Pairs) -> tuple[list[str], dict[str, Any]]:
    """Translations of all sources of a part, and how good and how quick they are."""
    began = time.monotonic()
    found = modality.translations(trained, trained.inputs.encode(part.sources))
    took = time.monotonic() - began
    said = [trained.inputs.target.decode(one.ids) for one in found]
    measured = {
        "metrics": trained.task.metrics(said, part.targets), "n": len(part),
        "sentences_a_second": round(len(part) / took, 1), "cut_at_the_limit": sum(not one.ended for one in found),
    }  # fmt: skip
    return said, measured


def read_part(paths: Sequence[str], columns: Mapping[str, str], drop_empty: bool) -> Pairs:
    """Pairs of two files, or of a table's columns.

    Raises:
        BadInput: files or columns that do not fit together; see `gruvy.data.pairs.read_pairs`.
    """
    sides = [columns[role] for role in ("source", "target") if role in columns]
    if len(paths) == 1 and len(sides) != 2:
        raise BadInput(
            f"{paths[0]} is one file; give two, source and target, line by line, or a table and its columns: "
            "--source COLUMN --target COLUMN"
        )
    if len(paths) == 2 and columns:
        raise BadInput(f"--{next(iter(columns))} names a column of a table, and two files came; leave it out")
    return read_pairs(paths, sides or None, drop_empty, columns.get("conversation"))


def split_pairs(pairs: Pairs, shares: Sequence[float], context: int, seed: int) -> dict[str, Pairs]:
    """Parts of pairs: at random, with equal sources together; whole conversations where they are read in context.

    Args:
        shares: of training and validation, and of testing where there are three; the rest is left out.

    Raises:
        BadInput: shares that are none, or too few pairs.
    """
    if not (len(shares) in (2, 3) and all(0 < share < 1 for share in shares) and sum(shares) <= 1 + 1e-9):
        raise BadInput(
            f"--split {' '.join(f'{s:g}' for s in shares)}: expected two or three shares that sum to at most 1, of "
            "training, validation and test, such as 0.9 0.05 0.05"
        )
    whole = in_context(pairs, context, modality.TURN)
    if context and pairs.conversations is None:  # one conversation: parts follow one another
        bounds = np.round(np.cumsum([0.0, *shares]) * len(pairs)).astype(int)
        rows = [np.arange(first, stop) for first, stop in itertools.pairwise(bounds)]
    else:
        rows = _dealt(pairs, shares, context, seed)
    if not all(map(len, rows)):
        raise BadInput(f"{len(pairs)} pairs are too few to split into {len(rows)} parts; give more")
    return dict(zip(PARTS, map(whole.take, rows), strict=False))


def _dealt(pairs: Pairs, shares: Sequence[float], context: int, seed: int) -> list[np.ndarray]:
    """Row numbers of each part, dealt at random."""
    names = pairs.conversations
    groups = duplicate_groups(pairs.sources)
    if context and names is not None:
        groups = np.unique(names, return_inverse=True)[1]
        if groups.max() < 2:
            raise BadInput(f"{groups.max() + 1} conversations are too few to split; give at least 3, or --valid")
    # Without a test part, what split_rows calls test is the other half of the validation part.
    last, middle = (shares[2], shares[1]) if len(shares) == 3 else (shares[1] / 2, shares[1] / 2)
    split = split_rows(groups, test_size=last, validation_size=middle, seed=seed)
    kept = split.train
    if sum(shares) < 1 - 1e-9:
        kept = np.random.default_rng(seed).permutation(kept)[: max(1, round(shares[0] * len(pairs)))]
    if len(shares) == 3:
        return [np.sort(kept), split.validation, split.test]
    return [np.sort(kept), np.sort(np.concatenate([split.validation, split.test]))]


def thinned(pairs: Pairs) -> Pairs:
    """At most 2,000 pairs, evenly spread."""
    if len(pairs) <= _MOST_JUDGED:
        return pairs
    return pairs.take(np.linspace(0, len(pairs) - 1, _MOST_JUDGED).round().astype(int))


def last_turns(sources: Sequence[str]) -> list[str]:
    """Sources without the context of a conversation."""
    return [source.rsplit(modality.TURN, 1)[-1] for source in sources]
