"""Trainings on independent examples: an input and a target each, in any order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from gruvy import artefact
from gruvy.data.splits import Split
from gruvy.tasks import MODALITIES, TASKS
from gruvy.tasks.contract import ExampleModality, ExampleTask
from gruvy.tasks.recipes import TextRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training.judging import judge_examples
from gruvy.training.loop import Rows
from gruvy.training.parts import split_examples
from gruvy.training.pretrained import Pretrained
from gruvy.training.reading import Examples, left_out, read_examples
from gruvy.training.request import Outcome, Request
from gruvy.training.source import check_options, source_for
from gruvy.training.study import Fit

_PARTS = ("train", "validation", "test")


class ExampleStudy:
    """See `gruvy.training.study.Study`."""

    def __init__(self, request: Request, examples: Examples | None = None, kind: str = ""):
        """Read what is asked for; or learn from all of `examples`, whose inputs are of `kind`."""
        self.request = request
        task = cast(type[ExampleTask], TASKS[request.task])
        source = None
        if examples is None:
            source = source_for(
                task, request.data, request.columns, request.drop_empty, request.more_data, request.settings
            )
            kind = source.kind
            check_options(task, kind, {**request.columns, **request.settings})
        self.kind = kind
        self.modality = cast(ExampleModality, MODALITIES[self.kind])
        self.recipe = self.modality.with_settings(named_recipe(self.kind, request.recipe), request.settings)
        self.pretrained: Pretrained | None = None
        if request.settings.get("pretrain"):
            self.pretrained = Pretrained(request.settings["pretrain"], request.cell)
            self.recipe = self.pretrained.recipe(cast(TextRecipe, self.recipe))
        self.examples = cast(Examples, examples if source is None else read_examples(task, source))
        self.split = self._split(task)
        if source is None:
            self.split = replace(self.split, train=np.sort(np.concatenate([self.split.train, self.split.test])))
        parts = _PARTS if source is not None else _PARTS[:2]
        self.parts = {name: self.examples.take(getattr(self.split, name)) for name in parts}
        self.task: ExampleTask = task.fit(self.parts["train"].targets, request.settings)
        self.targets = {name: self.task.encode(part.targets, part.rows.tolist()) for name, part in self.parts.items()}
        self.data = source.to_json() if source is not None else {"path": None, "package": None, "columns": {}}
        if self.pretrained:
            self.data["pretrained"] = self.pretrained.hashes
        name = "examples" if source is None else str(source.name or source.path)
        self.size = f"{Path(name).name}, {len(self.examples.rows)} rows"
        self.introduction = _introduction(name, self.examples, self.split)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        if self.pretrained:
            self.inputs = self.pretrained.inputs(cast(TextRecipe, self.recipe))
        else:
            self.inputs = self.modality.fit_inputs(self.parts["train"].inputs, self.recipe)
        self.encoded = {name: self.inputs(part.inputs) for name, part in self.parts.items()}

    def build(self) -> Any:
        """See `Study`."""
        size, request = self.task.output_size, self.request
        model = self.modality.build_model(self.inputs, size, self.recipe, request.cell, request.engine)
        labelled = {name: (self.encoded[name], self.targets[name]) for name in ("train", "validation")}
        model.prepare(labelled["train"], labelled["validation"], self.loss, request.seed)
        if self.pretrained:
            self.pretrained.start(model.network)
        return model

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`."""
        train, validation = (
            Rows(self.encoded[name], self.targets[name], self.inputs.collate) for name in ("train", "validation")
        )
        return [Fit(model.network, train, validation)]

    def finish(self, trained: artefact.Trained) -> None:
        """Weigh the branches on the validation rows."""
        trained.model.finish(trained.branches(self.encoded["validation"]), self.targets["validation"], self.loss)

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the branches, and the baselines, on the test rows."""
        outcome = judge_examples(
            trained, self.encoded["test"], self.targets["test"], self._baselines(), self.request.seed
        )
        trained.recipe = trained.model.prune(trained.recipe)
        rows = {name: self.examples.rows[getattr(self.split, name)].tolist() for name in _PARTS}
        split = {"seed": self.split.seed, "duplicates": self.split.duplicates, "rows": rows}
        return replace(outcome, documents={**outcome.documents, "split.json": json.dumps(split)})

    def _split(self, task: type[ExampleTask]) -> Split:
        examples, request = self.examples, self.request
        labels = examples.targets if task.columns[task.target].kind == "label" else None
        if labels is not None and len(set(labels)) == 1:
            task.fit(labels, request.settings)  # refuses, with the task's own words
        same = self.modality.groups(examples.inputs)
        return split_examples(same, examples.groups, labels, request.settings.get("fold"), request.seed)

    def _baselines(self) -> dict[str, Tensor]:
        """What cheap estimators say of the test rows, having seen the training rows."""
        found = {}
        for name, estimator in self.modality.baselines(self.inputs, self.task).items():
            estimator.fit(self.parts["train"].inputs, self.targets["train"].numpy())
            found[name] = self.task.estimator_outputs(estimator, self.parts["test"].inputs)
        return found


def _introduction(name: str, examples: Examples, split: Split) -> str:
    dropped = f", {examples.dropped} left out because a cell is empty" if examples.dropped else ""
    groups = f"; {len(set(examples.groups))} groups, each on one side of the test part" if examples.groups else ""
    first = (
        f"{name}: {len(examples.rows)} rows{dropped}; {len(split.train)} to train on, "
        f"{len(split.validation)} to validate, {len(split.test)} to test "
        f"({split.duplicates} duplicates kept together{groups})"
    )
    return "\n".join([first, *left_out(0, examples.unreadable), *examples.notes])
