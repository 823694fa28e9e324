"""Entities in tags of the BIO kind: names, phrases and other stretches of several steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_TAG = re.compile(r"([BIESLUM])-(.+)")
_BEGINS, _ENDS = "BSU", "ESLU"  # where a prefix alone begins or ends an entity, in IOBES and BILOU


class Entity(NamedTuple):
    """Steps `start` to before `stop`, of a type."""

    type: str
    start: int
    stop: int


def of_entities(tags: Iterable[str]) -> bool:
    """Whether tags are of the BIO kind, one of its relatives IOB, IOBES and BILOU included."""
    named = set(tags) - {"O"}
    return any(tag.startswith(("B-", "I-")) for tag in named) and all(_TAG.fullmatch(tag) for tag in named)


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sequence of tags, as the CoNLL-2000 evaluation finds them: one also begins where the type
    changes, or with an `I-` after no entity.
    """
    found: list[Entity] = []
    open_type, start, ended = "", 0, True
    for place, tag in enumerate((*tags, "O")):
        told = _TAG.fullmatch(tag)
        prefix, type_ = told.groups() if told else ("O", "")
        goes_on = not ended and type_ == open_type and prefix not in _BEGINS
        if open_type and not goes_on:
            found.append(Entity(open_type, start, place))
        if not goes_on:
            open_type, start = type_, place
        ended = prefix in _ENDS or not type_
    return found


def entity_figures(said: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """F1, precision and recall of whole entities, type and both ends right (Tjong Kim Sang & Buchholz 2000)."""
    right = of_said = of_wanted = 0
    for ours, theirs in zip(said, wanted, strict=True):
        a, b = set(entities(ours)), set(entities(theirs))
        right, of_said, of_wanted = right + len(a & b), of_said + len(a), of_wanted + len(b)
    return {
        "entity_f1": 2 * right / max(1, of_said + of_wanted), "entity_precision": right / max(1, of_said),
        "entity_recall": right / max(1, of_wanted),
    }  # fmt: skip
