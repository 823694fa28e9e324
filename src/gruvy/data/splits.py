"""Train, validation and test rows, with every duplicate of a text on the same side."""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from gruvy.errors import BadInput

_LINE_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)
_DEFAULT_TEST = 0.2
_PARTS = ("train", "validation", "test")
_TRAIN, _VALIDATION, _TEST = range(3)


def duplicate_groups(texts: Iterable[str]) -> np.ndarray:
    """int64 (texts,): a number for each text, the same for texts that read the same.

    Compared after Unicode NFKC, case folding and white space normalisation, with "<br />" tags as spaces.
    Groups are numbered 0, 1, ... in the order in which they first appear.  Only a 16-byte hash of each
    distinct text is held in memory.
    """
    return _numbered(blake2b(_plain(text), digest_size=16).digest() for text in texts)


def _plain(text: str) -> bytes:
    if text.isascii():
        folded = text.lower()
    else:  # case folding can undo NFKC, so it is applied again
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_LINE_BREAK_TAG.sub(" ", folded).split()).encode("utf-8", "surrogatepass")


def _numbered(values: Iterable[Hashable]) -> np.ndarray:
    """int64: each value's place in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """Row positions (int64, from 0, rising) of the three parts; together they are all rows, each once.

    seed: the seed that reproduces the split.  duplicates: how many rows repeat the text of an earlier row.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    seed: int
    duplicates: int

    def to_json(self) -> dict[str, Any]:
        """Plain lists and ints, ready for json.dumps."""
        parts = {name: getattr(self, name).tolist() for name in _PARTS}
        return {**parts, "seed": self.seed, "duplicates": self.duplicates}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Split":
        """The inverse of to_json.  Raises BadInput when `data` is not what to_json writes."""
        try:
            train, validation, test = (np.asarray(data[name], dtype=np.int64) for name in _PARTS)
            rows = np.concatenate([train, validation, test])
            if not np.array_equal(np.sort(rows), np.arange(len(rows))):
                raise ValueError("the parts do not hold every row once")
            return cls(train, validation, test, int(data["seed"]), int(data["duplicates"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadInput(f"not a saved split ({error}); expected what Split.to_json wrote") from None


def split_rows(
    groups: Sequence[int] | np.ndarray,
    *,
    labels: Sequence[str] | None = None,
    test_size: int | float | None = None,
    validation_size: int | float = 0.1,
    seed: int = 0,
) -> Split:
    """Deal whole groups of rows to train, validation and test at random.

    groups: (rows,) group of each row, as from duplicate_groups; only which rows share a group matters.
    labels: (rows,); given them, each part holds each label in proportion, as nearly as whole groups allow.  A
        group counts under the label of its first row.  A label of three or more groups is in every part, a
        label of two is in train and test, a label of one group is in train.
    test_size, validation_size: a number of rows (int) or a fraction of all rows (float); None is 20 %.
        Exact when groups are single rows and no label is rare, else off by about a group per label.  Where
        one group is as large as half a part, the sizes are shares of the groups instead, and the largest
        groups go to train.

    The same groups, labels, sizes and seed give the same split.  Raises BadInput for too few rows.
    """
    group_of_row = _numbered(np.asarray(groups).tolist())
    rows, count = len(group_of_row), int(group_of_row.max(initial=-1)) + 1
    if count < 3:
        raise BadInput(f"a split needs at least 3 different inputs but the rows hold {count}; add rows")
    label_of_group = np.zeros(count, dtype=np.int64)
    if labels is not None:
        label_of_group = _group_labels(group_of_row, labels)
    for_test = _fraction("test_size", _DEFAULT_TEST if test_size is None else test_size, rows)
    for_validation = _fraction("validation_size", validation_size, rows)
    if for_test + for_validation >= 1:
        raise BadInput(
            f"test_size and validation_size take {for_test:.0%} and {for_validation:.0%} of the rows and "
            "leave none to train on; make them smaller"
        )
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInput(f"seed must be a whole number from 0 up, not {seed!r}")
    part = _deal(np.bincount(group_of_row), label_of_group, for_test, for_validation, seed)
    train, validation, test = (np.flatnonzero(part[group_of_row] == number) for number in range(3))
    if not (len(train) and len(validation) and len(test)):
        raise BadInput("no label has 3 different inputs, which a split needs; add rows")
    return Split(train, validation, test, int(seed), rows - count)


def _group_labels(group_of_row: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """int64 (groups,): the number of the label of each group's first row."""
    if len(labels) != len(group_of_row):
        raise BadInput(f"{len(labels)} labels came for {len(group_of_row)} rows; give one label per row")
    label_of_row = _numbered(labels)
    rows_of_label = np.bincount(label_of_row)
    if rows_of_label.min() < 2:
        lone = labels[int(np.flatnonzero(label_of_row == rows_of_label.argmin())[0])]
        raise BadInput(
            f"label {lone!r} has one row only, so it cannot be in both train and test; "
            "add rows of that label or take it out"
        )
    first_rows = np.unique(group_of_row, return_index=True)[1]
    return _numbered(label_of_row[first_rows].tolist())


def _fraction(name: str, size: int | float, rows: int) -> float:
    """`size` as a fraction of the rows, above 0 and below 1."""
    fraction = size / rows if isinstance(size, int | np.integer) else size
    if isinstance(size, bool) or not isinstance(fraction, float) or not 0 < fraction < 1:
        raise BadInput(f"{name} must be a fraction above 0 and below 1 or 1 to {rows - 1} rows, not {size!r}")
    return fraction


def _deal(sizes: np.ndarray, label: np.ndarray, test: float, validation: float, seed: int) -> np.ndarray:
    """int64 (groups,): the part of each group; `sizes` in rows and `label` from 0 are (groups,) too.

    Within a label the shuffled groups are laid end to end, each as long as its rows; the groups whose middle
    falls in the first stretch are test, in the second validation, the rest is train.
    """
    groups = np.bincount(label)
    rows = np.bincount(label, weights=sizes)
    largest = np.zeros(len(groups), dtype=np.int64)
    np.maximum.at(largest, label, sizes)
    # A stretch longer than the largest group (after rounding) holds some group's middle, so no part comes out
    # empty.  Labels too small or too uneven for that count each group as one, largest groups last, in train.
    uneven = rows * min(test, validation, 1 - test - validation) < 2 * largest + 1
    length = np.where(uneven[label], 1, sizes)
    total = np.where(uneven, groups, rows)
    shuffled = np.random.default_rng(seed).random(len(sizes))  # shuffle() may change with NumPy
    order = np.lexsort((shuffled, np.where(uneven[label], sizes, 0), label))
    ends = np.empty(len(sizes))
    ends[order] = np.cumsum(length[order])
    middle = ends - length / 2 - (np.cumsum(total) - total)[label]
    first = np.clip(_shares(total, test), total > 1, np.maximum(total - 2, total > 1))
    second = np.clip(_shares(total, validation), total > 2, total - first - 1)
    in_test, in_validation = middle < first[label], middle < (first + second)[label]
    return np.where(in_test, _TEST, np.where(in_validation, _VALIDATION, _TRAIN))


def _shares(totals: np.ndarray, fraction: float) -> np.ndarray:
    """Whole numbers near totals * fraction whose running sums stay within a half of the exact ones."""
    return np.diff(np.rint(np.cumsum(totals * fraction)), prepend=0)
