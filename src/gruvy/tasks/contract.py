"""What training, artefact, evaluation and prediction ask of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from torch import Tensor

from gruvy.cells import Cell
from gruvy.tasks.recipes import Recipe


@dataclass(frozen=True)
class Column:
    """A column the task reads; its role is also the name of the command's option.

    Attributes:
        kind: how the cells are read.
        default: the column's name when the user gives none; None makes the option required.
        help: one line for the command line.
    """

    kind: Literal["text", "label", "number"]
    default: str | None
    help: str


@dataclass(frozen=True)
class Flag:
    """A yes-or-no setting of the task; off by default."""

    help: str


@dataclass(frozen=True)
class DefaultData:
    """The data a task trains on when the user gives none.

    Attributes:
        package, file: an installed package and the file within it; the package is not imported.
        columns: column names by role; where: rows to keep; rename: other names for target values.
    """

    package: str
    file: str
    columns: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)


class Modality(Protocol):
    """What the tasks about one kind of input share; a module such as `gruvy.tasks.text` is one.

    Inputs, learned from the training rows, turn what the user has into an encoded collection with `__len__`,
    `lengths` and `take(rows)`, and `collate(encoded, rows)` into a batch for the model. The model has `network` (what
    gradient steps train), `prepare` and `finish` (what comes before and after them), `branches` (what each says),
    `answer` (the branch that speaks for the model) and `prune` (which removes the others).
    """

    def groups(self, raw: Any) -> np.ndarray: ...
    def fit_inputs(self, raw: Any, recipe: Recipe) -> Any: ...
    def load_inputs(self, folder: Path, recipe: Recipe) -> Any: ...
    def build_model(self, inputs: Any, output_size: int, recipe: Recipe, cell: Cell, engine: str) -> Any: ...
    def baseline_features(self, inputs: Any) -> Any: ...
    def is_one(self, raw: Any) -> bool: ...


class Task(Protocol):
    """Loss, metrics, head and batch contract of one kind of question; an instance has seen the training targets.

    Class attributes:
        name: on the command line and in artefacts.
        summary: one line of help.
        columns: the columns it reads, by role; the first is the input, `target` names the role to learn.
        flags: its own settings, by name.
        modality: what it shares with other tasks about the same kind of input.
        score: what `scores` gives, in words.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    columns: ClassVar[Mapping[str, Column]]
    target: ClassVar[str]
    flags: ClassVar[Mapping[str, Flag]]
    default_data: ClassVar[DefaultData | None]
    modality: ClassVar[Modality]
    score: ClassVar[str]
    baseline_name: ClassVar[str]

    @classmethod
    def fit(cls, targets: Any, flags: Mapping[str, bool]) -> Self:
        """Learn what the targets are; BadInput when nothing can be learned from them."""
        ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...
    def to_json(self) -> dict[str, Any]: ...

    @property
    def output_size(self) -> int:
        """Units of the head."""
        ...

    def encode(self, targets: Any, rows: Sequence[int]) -> Tensor:
        """Targets as the loss wants them; `rows` name the file's rows in an error."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of `outputs` `(batch, output_size)`."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]: ...

    def scores(self, outputs: Tensor, targets: Tensor) -> np.ndarray:
        """One number an example, higher is better, whose mean the bootstrap compares."""
        ...

    def details(self, outputs: Tensor, targets: Tensor) -> str:
        """More to print about the outputs than numbers: a confusion matrix, residuals."""
        ...

    def predictions(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Outputs as what the user asked for, ready for JSON."""
        ...

    def constant_outputs(self, count: int) -> Tensor:
        """Outputs of the constant guess, the cheapest baseline: `(count, output_size)`."""
        ...

    def estimator(self) -> Any:
        """The baseline's scikit-learn estimator, to be fitted on encoded targets."""
        ...

    def estimator_outputs(self, estimator: Any, features: Any) -> Tensor:
        """The fitted baseline's predictions, as outputs."""
        ...
