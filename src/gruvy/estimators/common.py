"""What estimators share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from gruvy.artefact import Trained
from gruvy.cells.lookup import find_cell
from gruvy.errors import BadInput
from gruvy.tasks import TASKS
from gruvy.training.request import Request, check_request
from gruvy.training.study import Study
from gruvy.training.train import fitted, settled


def request_of(task: str, estimator: Any, settings: Mapping[str, Any]) -> Request:
    """What an estimator asks of a training.

    Raises:
        BadInput: a setting is not what it may be.
    """
    kinds = TASKS[task].settings
    for name, value in settings.items():
        if kinds[name].kind is int and not isinstance(value, (int, np.integer, type(None))):
            raise BadInput(f"{name} is {value!r}; expected a whole number")
    request = Request(
        task, Path(), find_cell(estimator.cell), settings=settings, seed=estimator.seed, engine=estimator.engine,
        recipe=estimator.recipe, max_minutes=estimator.max_minutes,
    )  # fmt: skip
    check_request(request)
    return request


def texts_of(X: Any) -> list[str]:
    """A text, or several, as a list."""
    texts = [X] if isinstance(X, str) else list(X) if isinstance(X, Iterable) else []
    if not texts:
        raise BadInput(f"texts were given as {X!r:.60}; give a list of str")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"text {number + 1} is a {type(text).__name__}; expected a str")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadInput(f"text {number + 1} is not valid Unicode; give it as UTF-8") from None
    return texts


def listed(X: Any) -> list[Any]:
    """Inputs as a list."""
    if isinstance(X, (str, bytes, Mapping)) or not np.iterable(X):
        raise BadInput(f"inputs were given as {X!r:.60}; give a list of them")
    return list(X)


def check_equal(inputs: int, targets: int) -> None:
    """Refuse other numbers of targets than of inputs."""
    if inputs != targets:
        raise BadInput(f"there are {inputs} inputs and {targets} targets; give one for each")


def trained_by(study: Study, quiet: bool) -> Trained:
    """The model of a study, trained in a folder that is gone afterwards."""
    check_request(study.request)
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder, settled(study.request.seed):
        return fitted(study, Path(folder), console, time.monotonic())[0]
