"""Which tag every step of a sequence has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from gruvy.data.tagged import Tagged
from gruvy.errors import BadInput
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.entities import entities, entity_figures, of_entities
from gruvy.tasks.examples import FOLD, GROUP
from gruvy.tasks.modalities import steps

_MOST_SHOWN = 40  # tags in a table
Figures = dict[str, float]


@dataclass(frozen=True)
class Tag:
    """Cross-entropy of tags, or of sequences of tags.

    Attributes:
        tags: in the order of the head's units.
        unit: what a step is, see `gruvy.data.tagged.Tagged`.
        commonest: the most frequent tag of the training part.
    """

    tags: tuple[str, ...]
    unit: str
    commonest: str

    name: ClassVar[str] = "tag"
    summary: ClassVar[str] = "Learn which tag every step of a sequence has: each residue, or each word."
    study: ClassVar[str] = "tag"
    columns: ClassVar[Mapping[str, Column]] = {
        "sequence": Column("text", None, "column with the sequences; a number, from 1, of a CoNLL file", optional=True),
        "tags": Column("text", None, "column with as many tags: a string, a list, or apart by spaces", optional=True),
        "mask": Column("text", None, "column with 1 where a step counts, and 0", optional=True),
        "group": GROUP,
    }
    settings: ClassVar[Mapping[str, Setting]] = {
        "crf": Setting(bool, False, "tags depend on their neighbours: a conditional random field"),
        "valid": Setting(str, None, "file to validate on [a part of the data]"),
        "test": Setting(str, None, "file to judge on [a part of the data]"),
        "fold": FOLD,
    }
    modalities: ClassVar[tuple[Modality, ...]] = (steps,)
    score: ClassVar[str] = "accuracy"

    @classmethod
    def fit(cls, learned: Tagged) -> Self:
        """Learn the tags that count, in sorted order.

        Raises:
            BadInput: fewer than two.
        """
        counts = Counter(_counted(learned.tags, learned.counted))
        if len(counts) < 2:
            held = f"every step that counts has the tag {min(counts)!r}" if counts else "no step counts, says the mask"
            raise BadInput(f"{held}; tagging needs at least two tags: check the tags and the mask")
        return cls(tuple(sorted(counts)), learned.unit, max(sorted(counts), key=counts.__getitem__))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(tuple(data["tags"]), data["unit"], data["commonest"])

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return {"tags": list(self.tags), "unit": self.unit, "commonest": self.commonest}

    @property
    def output_size(self) -> int:
        """One unit a tag."""
        return len(self.tags)

    @property
    def of_entities(self) -> bool:
        """Whether the tags are of the BIO kind."""
        return of_entities(self.tags)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of negative log-likelihoods."""
        return outputs.mean()

    def encode(self, tagged: Tagged) -> list[np.ndarray]:
        """Tag numbers of each sequence, int64 `(steps,)`; -1 where a step does not count or its tag is unknown."""
        number = {tag: i for i, tag in enumerate(self.tags)}
        return [
            np.where(counted, [number.get(tag, -1) for tag in tags], -1)
            for tags, counted in zip(tagged.tags, tagged.counted, strict=True)
        ]

    def strange(self, tagged: Tagged) -> str:
        """What is to be said of tags training never had: they count as wrong; "" where there are none."""
        known = set(self.tags)
        found = Counter(tag for tag in _counted(tagged.tags, tagged.counted) if tag not in known)
        if not found:
            return ""
        named = ", ".join(repr(tag) for tag in sorted(found)[:5]) + (", ..." if len(found) > 5 else "")
        if found.total() == 1:
            return f"1 step has a tag that training never had ({named}) and counts as wrong"
        return f"{found.total()} steps have tags that training never had ({named}) and count as wrong"

    def named(self, said: Sequence[np.ndarray]) -> list[list[str]]:
        """Numbers of tags as tags."""
        return [[self.tags[i] for i in one] for one in said]

    def metrics(self, said: Sequence[Sequence[str]], wanted: Tagged) -> Figures:
        """Accuracy of the steps that count, and the mean of F1 over the tags they have; of entities, where tags are of
        the BIO kind, F1, precision and recall."""
        ours, theirs = (np.array(_counted(tags, wanted.counted)) for tags in (said, wanted.tags))
        figures = {"accuracy": float((ours == theirs).mean()), "macro_f1": float(np.mean(_f1(ours, theirs)[:, 2]))}
        if not self.of_entities:
            return figures
        kept = (_outside(tags, wanted.counted) for tags in (said, wanted.tags))
        return figures | entity_figures(*kept)

    def scores(self, said: Sequence[Sequence[str]], wanted: Tagged) -> np.ndarray:
        """For each sequence, steps that are right, in units of the mean number of steps that count: their mean is the
        accuracy."""
        right = [
            sum(a == b for a, b, c in zip(*one, strict=True) if c)
            for one in zip(said, wanted.tags, wanted.counted, strict=True)
        ]
        return np.array(right) * len(wanted) / wanted.steps

    def details(self, said: Sequence[Sequence[str]], wanted: Tagged) -> str:
        """Precision, recall, F1 and number of steps of each tag, the frequent ones first."""
        ours, theirs = (np.array(_counted(tags, wanted.counted)) for tags in (said, wanted.tags))
        tags, counts = np.unique(theirs, return_counts=True)
        figures = _f1(ours, theirs)
        order = np.argsort(-counts, kind="stable")[:_MOST_SHOWN]
        title = f"tag, the {_MOST_SHOWN} most frequent of {len(tags)}" if len(tags) > _MOST_SHOWN else "tag"
        width = max(12, len(title), *(len(tag) for tag in tags))
        lines = [f"{title:<{width}}{'precision':>12}{'recall':>10}{'F1':>10}{'steps':>10}"]
        for i in order:
            precision, recall, f1 = figures[i]
            lines.append(f"{tags[i]:<{width}}{precision:>12.4f}{recall:>10.4f}{f1:>10.4f}{counts[i]:>10}")
        return "\n".join(lines)

    def prediction(self, sequence: Sequence[str], tags: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
        """An answer, ready for JSON; see `gruvy.tasks.modalities.steps.predict`."""
        named: Any = [self.tags[i] for i in tags]
        found: dict[str, Any] = {} if self.unit == "symbols" else {"tokens": list(sequence)}
        if self.of_entities:
            found["entities"] = [
                {"type": one.type, "start": one.start, "stop": one.stop, "steps": list(sequence[one.start : one.stop])}
                for one in entities(named)
            ]
        together = self.unit == "symbols" and all(len(tag) == 1 for tag in self.tags)
        sure = np.take_along_axis(probabilities, tags[:, None], 1)[:, 0]
        return {
            "tags": "".join(named) if together else named,
            **found,
            "probabilities": [round(float(p), 4) for p in sure],
        }


def _counted(tags: Sequence[Sequence[str]], counted: Sequence[np.ndarray]) -> list[str]:
    """The tags of all steps that count."""
    return [tag for one, counts in zip(tags, counted, strict=True) for tag, c in zip(one, counts, strict=True) if c]


def _outside(tags: Sequence[Sequence[str]], counted: Sequence[np.ndarray]) -> list[list[str]]:
    """Tags with O at the steps that do not count."""
    return [
        [tag if c else "O" for tag, c in zip(one, counts, strict=True)]
        for one, counts in zip(tags, counted, strict=True)
    ]


def _f1(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of each tag in `theirs`, in sorted order, `(tags, 3)`."""
    rows = []
    for tag in np.unique(theirs):
        right, said, wanted = ((ours == tag) & (theirs == tag)).sum(), (ours == tag).sum(), (theirs == tag).sum()
        rows.append((right / max(1, said), right / wanted, 2 * right / (said + wanted)))
    return np.array(rows)
