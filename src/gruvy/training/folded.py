"""Trainings on series with a target each: few rows leave none to spare for validation, and folds take its place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.labelled.series import SeriesTable, read_series
from gruvy.errors import BadInput
from gruvy.models.series import RECURRENT
from gruvy.tasks import TASKS
from gruvy.tasks.contract import ExampleTask
from gruvy.tasks.modalities import series as modality
from gruvy.tasks.recipes import SeriesRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training.judging import judge_examples
from gruvy.training.labelled import reading, taken, target_kind
from gruvy.training.loop import Rows
from gruvy.training.parts import split_examples
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit

_STRETCHES = 20  # of a single recording
_PATIENCE, _EPOCHS = 5, 5  # where there is a validation part: epochs without improvement, and epochs at least


class FoldedStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, table: SeriesTable | None = None):
        """Read what is asked for; or learn from all of `table`."""
        self.request = request
        task = cast(type[ExampleTask], TASKS[request.task])
        self.label = task.columns[task.target].kind == "label"
        self.per_step = bool(request.settings.get("per_step"))
        held = request.settings.get("test")
        if table is not None:
            self.path = Path("the series given")
            self.parts = {"learn": table}
        else:
            self.path, self.reading = reading(task, request.data, request.columns, request.settings)
            table = self._read(self.path)
            self.parts = self._parts(table, held)
        self.task: ExampleTask = task.fit(self.parts["learn"].targets, request.settings)
        self.targets = {name: self.task.encode(part.targets, part.rows.tolist()) for name, part in self.parts.items()}
        self.recipe = self._recipe()
        self.folds = self._folds()
        self.data: dict[str, Any] = {"path": None, "package": None, "columns": {}, "channels": table.channels}
        if self.path.is_file():
            self.data |= _describe(self.path, request, held)
        self.size = f"{self.path.name}, {len(table)} series"
        self.introduction = self._introduction(table)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        self.inputs = modality.fit_inputs(self.parts["learn"].inputs, self.recipe)
        self.encoded = {name: self.inputs(part.inputs) for name, part in self.parts.items()}

    def build(self) -> Any:
        """See `Study`."""
        size, request = self.task.output_size, self.request
        model = modality.build_model(self.inputs, size, self.recipe, request.cell, request.engine)
        folds = torch.from_numpy(self.folds)
        self.held_out = model.prepare(self.encoded["learn"], self.targets["learn"], folds, self.loss, request.seed)
        return model

    def fits(self, model: Any) -> list[Fit]:
        """One network a fold, trained without it; validated on it only where there is a single one."""
        found = []
        for fold, member in enumerate(model.network.members):
            train, validation = (self._rows(np.flatnonzero(rows)) for rows in (self.folds != fold, self.folds == fold))
            found.append(Fit(member, train, validation if self.recipe.members == 1 else None))
        return found

    def finish(self, trained: artefact.Trained) -> None:
        """Weigh the branches on the rows held out from each."""
        if not self.held_out:  # nothing stands beside the recurrent branch
            return
        held = self.folds >= 0
        said = {RECURRENT: self._said_of_held_out(trained)[held], **self.held_out}
        trained.model.finish(said, self.targets["learn"][held], self.loss)

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the branches, and the baselines, on the test rows."""
        outcome = judge_examples(
            trained, self.encoded["test"], self.targets["test"], self._baselines(), self.request.seed
        )
        trained.recipe = trained.model.prune(trained.recipe)
        rows = {name: self.parts[name].rows.tolist() for name in ("learn", "test")}
        split = {"rows": rows, "folds": self.folds.tolist(), "test": self.data["test"]}
        return replace(outcome, documents={**outcome.documents, "split.json": json.dumps(split)})

    def _parts(self, table: SeriesTable, held: str | None) -> dict[str, SeriesTable]:
        if held:
            return {"learn": table, "test": self._read(Path(held))}
        return {name: taken(table, rows) for name, rows in self._split(table).items()}

    def _read(self, path: Path) -> SeriesTable:
        table = read_series(path, kind=target_kind(self.label, self.per_step), **self.reading)
        if len(np.unique(table.groups)) > 1:
            return table
        # One recording: its stretches are what is kept together.
        return replace(table, groups=np.arange(len(table)) * _STRETCHES // len(table))

    def _split(self, table: SeriesTable) -> dict[str, np.ndarray]:
        labels = cast(list[str], table.targets) if self.label else None
        split = split_examples(table.groups, None, labels, self.request.settings.get("fold"), self.request.seed)
        return {"learn": np.sort(np.concatenate([split.train, split.validation])), "test": split.test}

    def _recipe(self) -> SeriesRecipe:
        recipe = named_recipe(self.kind, self.request.recipe)
        assert isinstance(recipe, SeriesRecipe)
        front = self.request.settings.get("front")
        recipe = replace(recipe, front=front or recipe.front, scaling=recipe.scaling if self.label else 0.0)
        if self.per_step:
            recipe = per_step_recipe(recipe, front)
        rows = len(self.parts["learn"])
        if rows > recipe.few:
            return replace(recipe, members=1, patience=_PATIENCE, min_epochs=_EPOCHS, steps=4 * recipe.steps)
        return replace(recipe, members=max(2, min(recipe.members, len(np.unique(self.parts["learn"].groups)))))

    def _folds(self) -> np.ndarray:
        """The fold of each learning row; -1 for rows that are always trained on."""
        from sklearn.model_selection import StratifiedGroupKFold

        part, members = self.parts["learn"], self.recipe.members
        labels = self.targets["learn"].numpy() if self.label else np.zeros(len(part))
        folds = np.zeros(len(part), np.int64)
        parts = StratifiedGroupKFold(members if members > 1 else 10, shuffle=True, random_state=self.request.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a label is in fewer folds than there are
            try:
                for fold, (_, rows) in enumerate(parts.split(labels, labels, part.groups)):
                    folds[rows] = fold
            except ValueError:
                raise BadInput(f"{self.path} has {len(part)} series to learn from, too few; give more") from None
        return np.where(folds == 0, 0, -1) if members == 1 else folds

    def _rows(self, chosen: np.ndarray) -> Rows:
        encoded, targets = self.encoded["learn"].take(chosen), self.targets["learn"][chosen]
        return Rows(encoded, targets, self.inputs.collate)

    def _said_of_held_out(self, trained: artefact.Trained) -> Tensor:
        """What each member says of the rows it has not seen, in the order of all; 0 for rows all have seen."""
        said = torch.zeros(len(self.folds), self.task.output_size)
        for fold, member in enumerate(trained.model.network.members):
            rows = np.flatnonzero(self.folds == fold)
            if len(rows):
                said[rows] = trained.outputs_of(member, self.encoded["learn"].take(rows))
        return said

    def _baselines(self) -> dict[str, Tensor]:
        learn, test = ([part[i] for i in range(len(part))] for part in (self.encoded["learn"], self.encoded["test"]))
        found = {}
        for name, estimator in modality.estimators(self.label, self.per_step).items():
            fitted = estimator.fit(learn, self.targets["learn"].numpy())
            found[name] = self.task.estimator_outputs(fitted, test)
        if not self.label:
            found["mean"] = self.task.constant_outputs(len(test))
        return found

    def _introduction(self, table: SeriesTable) -> str:
        lengths = [len(one) for one in table.inputs]
        span = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else f"{lengths[0]}"
        channels = f", {len(table.channels)} channels" if len(table.channels) > 1 else ""
        learn, test = (len(self.parts[name]) if name in self.parts else 0 for name in ("learn", "test"))
        how = (
            f"{self.recipe.members} networks, each without a fold" if self.recipe.members > 1 else "a tenth to validate"
        )
        first = (
            f"{self.path}: {len(table)} series of {span} steps{channels}; {learn} to learn from ({how}), {test} to test"
        )
        return "\n".join([first, *table.notes])


def per_step_recipe(recipe: SeriesRecipe, front: str | None) -> SeriesRecipe:
    """A number at every step: a recurrent layer that reads each step as it comes, and nothing that looks ahead.

    Raises:
        BadInput: a front was asked for, which would pool steps.
    """
    if front == "conv":
        raise BadInput("--front conv pools steps, and --per-step gives each one a number; leave one of them out")
    return replace(
        recipe, front="none", pooling=(), bidirectional=False, convolutions=0, warping=0.0, scaling=0.0,
        max_steps=2**31,
    )  # fmt: skip


def _describe(path: Path, request: Request, held: str | None) -> dict[str, Any]:
    """For `config.json`."""
    return {
        "path": str(path.resolve()), "package": None, "columns": dict(request.columns), "sha256": digest(path),
        "file_in_series": request.data is None, "test": str(Path(held).resolve()) if held else None,
        "window": request.settings.get("window"), "stride": request.settings.get("stride"),
    }  # fmt: skip
