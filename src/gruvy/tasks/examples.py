"""What tasks on independent examples share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gruvy.errors import BadInput
from gruvy.tasks.contract import Column, Setting

GROUP = Column("label", None, "column whose values are never in two parts, such as the speaker", optional=True)
FOLD = Setting(str, None, "K/N: test on the K-th of N parts of the rows [a fifth at random]")


def predict_examples(trained: Any, raw: Any, is_one: bool) -> Any:
    """A prediction (a dict) for one input, a list of them for several.

    Args:
        trained: a `gruvy.artefact.Trained`.

    Raises:
        BadInput: it is neither.
    """
    if is_one:
        return predict_examples(trained, [raw], False)[0]
    several = listed(raw)
    if not several:
        return []
    return trained.task.predictions(trained.branches(trained.inputs(several))[trained.model.answer])


def listed(raw: Any) -> list[Any]:
    """Several inputs as a list.

    Raises:
        BadInput: they are none.
    """
    if isinstance(raw, (Mapping, bytes)) or not isinstance(raw, Iterable):
        raise BadInput(f"predict was given {raw!r:.60}; expected one input, or a list of them")
    return list(raw)
