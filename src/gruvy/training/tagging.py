"""Trainings on sequences with a tag at every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.batches import LengthBuckets, pad
from gruvy.data.folds import fold_rows
from gruvy.data.steps import StepIds
from gruvy.data.tagged import Tagged, read_tagged
from gruvy.errors import BadInput
from gruvy.tasks.modalities import steps as modality
from gruvy.tasks.recipes import TagRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.tasks.tag import Tag
from gruvy.tasks.windows import NAME as WINDOWS
from gruvy.tasks.windows import WindowLogistic
from gruvy.training import report
from gruvy.training.parts import split_examples
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit
from gruvy.training.tagged import CONSTANT, constant, judge_tags, together

_PARTS = 10  # of the sequences to learn from; each network is validated on one of them
_FEW = 20  # sequences to judge on
_PACE = 0.2  # share by which lengths are blurred, so that the sequences of a batch differ from epoch to epoch


@dataclass(frozen=True)
class TaggedRows:
    """See `gruvy.training.loop.Batched`.

    Attributes:
        tags: int64 `(steps,)` of each sequence, negative where a step does not count; some step of each does.
    """

    encoded: StepIds
    tags: Sequence[np.ndarray]
    collate: Callable[[StepIds, Any], dict[str, Tensor]]

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence."""
        return self.encoded.lengths

    def batches(self, batch_size: int, seed: int | None = None, epoch: int = 0, most: int = 0) -> TaggedBatches:
        """(At most `most`) batches, shuffled by `seed` and `epoch`; in order of length without a seed."""
        lengths = self.lengths.astype(float)
        if seed is not None:
            lengths *= np.random.default_rng((seed, epoch)).uniform(1 - _PACE, 1 + _PACE, len(lengths))
        buckets = LengthBuckets(lengths, batch_size, seed)
        buckets.set_epoch(epoch)
        return TaggedBatches(self, list(buckets)[: most or None])


@dataclass(frozen=True)
class TaggedBatches:
    """Batches with `tags` `(batch, steps)`, and as `targets` those that count."""

    rows: TaggedRows
    chosen: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for rows in self.chosen:
            tags = torch.from_numpy(pad([self.rows.tags[i] for i in rows], -1)[0])
            yield {**self.rows.collate(self.rows.encoded, rows), "tags": tags, "targets": tags[tags >= 0]}


class TagStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, tagged: Tagged | None = None):
        """Read the files that are asked for, or learn from all of `tagged`."""
        self.request = request
        settings = request.filled(Tag.settings)
        if request.data is None and tagged is None:
            raise BadInput("gruvy train tag needs data; give --data FILE, a table or a file in CoNLL's manner")
        if settings["fold"] and settings["test"]:
            raise BadInput("--fold and --test are both given; with --test, all of the data is learned from")
        files = {"train": request.data, "validation": settings["valid"], "test": settings["test"]}
        self.files = {part: str(path) for part, path in files.items() if path}
        self.columns = {role: name for role, name in request.columns.items() if name}
        self.parts = self._parts(settings["fold"], tagged)
        self.task = Tag.fit(self.parts["train"])
        self.tags = {name: self.task.encode(part) for name, part in self.parts.items()}
        if "validation" in self.parts and not any((tags >= 0).any() for tags in self.tags["validation"]):
            raise BadInput(f"no step of {settings['valid']} counts and has a tag of the training; give another --valid")
        self.recipe = self._recipe(settings)
        described = {
            part: {"path": str(Path(path).resolve()), "sha256": digest(Path(path))} for part, path in self.files.items()
        }  # fmt: skip
        self.data = {
            "columns": self.columns, "package": None, "drop_empty": request.drop_empty, "files": described,
            "fold": settings["fold"],
        }  # fmt: skip
        self.size = f"{self._name}, {sum(map(len, self.parts.values()))} sequences"
        self.introduction = self._introduction()

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        self.inputs = modality.fit_inputs(self.task.unit, self.parts["train"].sequences, self.recipe)
        self.encoded = {name: self.inputs(part.sequences) for name, part in self.parts.items()}

    def build(self) -> Any:
        """See `Study`."""
        size, request = self.task.output_size, self.request
        return modality.build_model(self.inputs, size, self.recipe, request.cell, request.engine)

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`; without a file to validate on, each member is validated on another part of the sequences."""
        if "validation" in self.parts:
            return [Fit(model.members[0], self._rows("train"), self._rows("validation"))]
        keys = self.keys
        part = fold_rows(keys, min(_PARTS, len(np.unique(keys))), seed=self.request.seed)
        return [
            Fit(member, self._rows("train", part != number), self._rows("train", part == number))
            for number, member in enumerate(model.members)
        ]

    def finish(self, trained: artefact.Trained) -> None:
        """Nothing is left to decide."""

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the tags beside those of the baselines, on the test part."""
        part, task = self.parts["test"], self.task
        said, measured = judge_tags(trained, part)
        windows = WindowLogistic(self.inputs.ids, task.unit)
        windows.fit(self.encoded["train"], self.tags["train"], self.request.seed)
        baselines = {
            WINDOWS: task.named(windows.predict(self.encoded["test"])), CONSTANT: constant(trained, part)
        }  # fmt: skip
        figures = {name: task.metrics(tags, part) for name, tags in baselines.items()}
        best = max(figures, key=lambda name: figures[name][task.score])
        ours, theirs = task.scores(said, part), task.scores(baselines[best], part)
        bootstrap = report.paired_bootstrap(ours, theirs, self.request.seed)
        beside = f"beside the {best}: {report.comparison(task.score, bootstrap, 'the sequences')}"
        few = " (too few to tell models apart)" if len(part) < _FEW else ""
        printed = [
            f"test part: {len(part)} sequences{few}, {part.steps:,} steps that count",
            *([strange] if (strange := task.strange(part)) else []),
            report.table({"model": measured["metrics"], **figures}),
            *([beside] if len(part) > 1 else []),
            f"{measured['steps_a_second']:,.0f} steps a second",
            f"model\n{task.details(said, part)}",
        ]  # fmt: skip
        measured |= {
            "task": task.name, "baseline": figures[best], "best_baseline": best, "baselines": figures,
            "bootstrap": bootstrap,
        }  # fmt: skip
        rows = {name: one.rows.tolist() for name, one in self.parts.items()}
        return Outcome("\n\n".join(printed), measured, {"split.json": json.dumps({"rows": rows})})

    @property
    def _name(self) -> str:
        return Path(self.files["train"]).name if self.files else "what was given"

    def _parts(self, fold: str | None, tagged: Tagged | None) -> dict[str, Tagged]:
        """What is learned from and, of files, judged on; where there is a file for it, validated on."""
        train = tagged
        if train is None:
            train = read_tagged(self.files["train"], self.columns, self.request.drop_empty)
        parts = {
            name: read_tagged(path, self.columns, self.request.drop_empty, train.unit)
            for name, path in self.files.items()
            if name != "train"
        }
        self.dropped, self.duplicates = train.dropped, 0
        if "test" not in parts and tagged is None:
            split = split_examples(together(train), train.groups, None, fold, self.request.seed)
            self.duplicates = split.duplicates
            learn = np.sort(np.concatenate([split.train, split.validation]))
            train, parts["test"] = train.take(learn), train.take(split.test)
        if "test" in parts and not parts["test"].steps:
            raise BadInput("no step of the test part counts, says the mask; give more sequences, or another mask")
        found = {"train": train.take(_counting(train)), **parts}
        self.keys = _apart(found["train"])
        different = len(np.unique(self.keys))
        if "validation" not in parts and different < 2:
            more = "give more, or --valid FILE" if self.files else "give more"
            raise BadInput(
                f"too few different sequences with a step that counts ({different}) to learn from and to validate on; "
                f"{more}"
            )
        return found

    def _recipe(self, settings: Mapping[str, Any]) -> TagRecipe:
        recipe = named_recipe(self.kind, self.request.recipe)
        assert isinstance(recipe, TagRecipe)
        parts = min(_PARTS, len(np.unique(self.keys)))
        one = "validation" in self.parts or len(self.parts["train"]) > recipe.few
        return replace(recipe, crf=settings["crf"], members=1 if one else min(recipe.members, parts))

    def _rows(self, name: str, chosen: np.ndarray | None = None) -> TaggedRows:
        """The `chosen` sequences of a part, as far as some step of them counts."""
        tags = self.tags[name]
        rows = [i for i, one in enumerate(tags) if (one >= 0).any() and (chosen is None or chosen[i])]
        return TaggedRows(self.encoded[name].take(rows), [tags[i] for i in rows], self.inputs.collate)

    def _introduction(self) -> str:
        of = {"train": "to learn from", "validation": "to validate", "test": "to test"}
        counts = ", ".join(f"{len(part):,} {of[name]}" for name, part in self.parts.items())
        dropped = f"; {self.dropped} left out because a cell is empty" if self.dropped else ""
        repeated = f" ({self.duplicates} duplicates kept together)" if self.duplicates else ""
        names = ", ".join(self.task.tags[:20]) + (", ..." if len(self.task.tags) > 20 else "")
        return (
            f"{self._name}: sequences of {self.task.unit}, {counts}{repeated}{dropped}; "
            f"{self.parts['train'].steps:,} steps with {len(self.task.tags)} tags: {names}"
        )


def _apart(train: Tagged) -> np.ndarray:
    """A number for each sequence; those with the same one are together trained or validated on: groups, where there are
    enough, otherwise equal sequences."""
    if train.groups is None or len(set(train.groups)) < _PARTS:
        return together(train)
    numbers: np.ndarray = np.unique(train.groups, return_inverse=True)[1]
    return numbers


def _counting(part: Tagged) -> np.ndarray:
    """The sequences with a step that counts."""
    return np.flatnonzero([one.any() for one in part.counted])
