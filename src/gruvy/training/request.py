"""What the user asks of a training, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gruvy.cells import Cell
from gruvy.errors import BadInput
from gruvy.tasks import TASKS
from gruvy.tasks.contract import Setting

_READ_SEVERAL = ("translate", "examples", "music")  # studies that know what to do with several files


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        task: by name; columns: column names by role (a tuple where there may be several), None for the task's default.
        settings: the task's own, by name; those that are not given have their defaults.
        data: a file, or None for the task's default data; more_data: the files beside it, where a task reads several.
        out: the artefact's directory.
        max_minutes: for the whole training, judging included; None for no limit.
        overwrite: replace a model that is already there.
        command: as the user typed it, for the model card.
    """

    task: str
    out: Path
    cell: Cell
    data: str | None = None
    more_data: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    engine: str = "auto"
    recipe: str = "default"
    max_minutes: float | None = None
    overwrite: bool = False
    drop_empty: bool = False
    command: str = ""

    def filled(self, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """The task's settings, with its defaults where the user gave none."""
        given = {name: value for name, value in self.settings.items() if value not in (None, ())}
        return {**{name: setting.default for name, setting in settings.items()}, **given}


def check_request(request: Request) -> None:
    """Refuse what no training can be asked for.

    Raises:
        BadInput: there is no such task, or a number or a choice is not one there is.
    """
    if request.task not in TASKS:
        raise BadInput(f"there is no task {request.task!r}; there are {', '.join(TASKS)}")
    if request.max_minutes is not None and not request.max_minutes > 0:
        raise BadInput(f"--max-minutes is {request.max_minutes:g}; expected a number above 0")
    if not 0 <= request.seed < 2**32:
        raise BadInput(f"--seed is {request.seed}; expected a whole number from 0 to {2**32 - 1}")
    if request.more_data and TASKS[request.task].study not in _READ_SEVERAL:
        raise BadInput(f"--data names {1 + len(request.more_data)} files; gruvy train {request.task} reads one")
    for name, value in request.settings.items():
        choices = TASKS[request.task].settings[name].choices
        if choices and value is not None and value not in choices:
            raise BadInput(f"--{name.replace('_', '-')} is {value!r}; expected one of {', '.join(choices)}")


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Attributes:
        printed: for a person; measured: for a program, also `metrics.json`.
        documents: further files of the artefact, by name.
        use: a command that uses the model in DIR.
    """

    printed: str
    measured: dict[str, Any]
    documents: Mapping[str, str | bytes] = field(default_factory=dict)
    use: str = ""
