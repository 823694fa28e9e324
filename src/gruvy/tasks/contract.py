"""What training, artefact, evaluation and prediction ask of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Column:
    """A column the task reads; its role is also the name of the command's option.

    Attributes:
        kind: how the cells are read.
        default: the column's name when the user gives none; None makes the option required, unless it is `optional`.
        help: one line for the command line.
        many: several columns may have the role.
    """

    kind: Literal["text", "label", "number", "any"]
    default: str | None
    help: str
    many: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Setting:
    """A setting of the task's own.

    Attributes:
        kind: of its value; bool is a switch that is off by default.
        default: `...` makes it required.
        help: one line for the command line.
        many: several values, a tuple; choices: the values there are.
    """

    kind: type
    default: Any
    help: str
    many: bool = False
    choices: tuple[str, ...] = ()


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
    """What the tasks about one kind of input share; a module such as `gruvy.tasks.modalities.text` is one.

    Inputs, learned from the training part, turn what the user has into an encoded collection with `__len__`,
    `lengths` and `take(rows)`, and `collate(encoded, rows)` into a batch for the model. The model has `network` (what
    gradient steps train), `branches` (what each part says of a batch) and `answer` (the part that speaks for it).

    Attributes:
        KIND: its name in artefacts, and its key in `RECIPES`.
        COMMAND, PYTHON: how a model of it is used, for its model card; WHAT: its inputs in a word.
    """

    KIND: str
    COMMAND: str
    PYTHON: str
    WHAT: str

    @property
    def load_inputs(self) -> Any:
        """`(folder, recipe) -> inputs`."""
        ...

    @property
    def build_model(self) -> Any:
        """`(inputs, output_size, recipe, cell, engine) -> model`."""
        ...

    @property
    def predict(self) -> Any:
        """`(trained, raw) -> predictions`, of what a user has."""
        ...


class ExampleModality(Modality, Protocol):
    """A modality of independent examples, which classification and regression can learn from.

    Attributes:
        ROLE: the column that names inputs of this kind.
        COLUMNS, SETTINGS: options that are for this kind of input; READING: those settings that say how it is read.
    """

    ROLE: str
    COLUMNS: Mapping[str, Column]
    SETTINGS: Mapping[str, Setting]
    READING: tuple[str, ...]

    @property
    def with_settings(self) -> Any:
        """`(recipe, settings) -> recipe`, as the user's settings change it."""
        ...

    @property
    def groups(self) -> Any:
        """`(raw inputs) -> (rows,)`: a number that equal inputs share."""
        ...

    @property
    def fit_inputs(self) -> Any:
        """`(raw training inputs, recipe) -> inputs`."""
        ...

    @property
    def baselines(self) -> Any:
        """`(inputs, task) -> estimators by name`, in scikit-learn's manner, that read raw inputs."""
        ...


class Task(Protocol):
    """One kind of question; an instance has seen what is to be learned.

    Class attributes:
        name: on the command line and in artefacts.
        summary: one line of help.
        study: how it is trained, a key of the studies in `gruvy.training.train`.
        columns: the columns it reads, by role; settings: its own, by name.
        modalities: the kinds of input it may have, the usual one first.
        score: what `scores` gives, in words.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    study: ClassVar[str]
    columns: ClassVar[Mapping[str, Column]]
    settings: ClassVar[Mapping[str, Setting]]
    modalities: ClassVar[tuple[Modality, ...]]
    score: ClassVar[str]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...
    def to_json(self) -> dict[str, Any]: ...

    @property
    def output_size(self) -> int:
        """Units of the head."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch of outputs."""
        ...


class ExampleTask(Task, Protocol):
    """A task on independent examples, an input and a target each.

    Class attributes:
        target: the role to learn; default_data: what it trains on where no data is given.
        estimator_name: what baselines on features of the inputs are called.
    """

    target: ClassVar[str]
    default_data: ClassVar[DefaultData | None]
    modalities: ClassVar[tuple[ExampleModality, ...]]
    estimator_name: ClassVar[str]

    @classmethod
    def fit(cls, targets: Any, settings: Mapping[str, Any]) -> Self:
        """Learn what the targets are; BadInput when nothing can be learned from them."""
        ...

    def encode(self, targets: Any, rows: Sequence[int | str]) -> Tensor:
        """Targets as the loss wants them; `rows`, of a table or names of files, are for errors."""
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
