"""What tasks on independent examples share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gruvy.errors import BadInput


def predict_examples(trained: Any, raw: Any, is_one: bool) -> Any:
    """A prediction (a dict) for one input, a list of them for several.

    Args:
        trained: a `gruvy.artefact.Trained`.

    Raises:
        BadInput: it is neither.
    """
    if is_one:
        return predict_examples(trained, [raw], False)[0]
    if isinstance(raw, (Mapping, bytes)) or not isinstance(raw, Iterable):
        raise BadInput(f"predict was given {raw!r:.60}; expected one input, or a list of them")
    raw = list(raw)
    if not raw:
        return []
    return trained.task.predictions(trained.branches(trained.inputs(raw))[trained.model.answer])
