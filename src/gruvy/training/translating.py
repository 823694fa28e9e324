"""Trainings on pairs of texts: translation, or conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gruvy import artefact
from gruvy.data.pairs import PairInputs, Pairs, TrainingPairs, in_context
from gruvy.errors import BadInput
from gruvy.models.dictionary import Dictionary
from gruvy.tasks.modalities import pairs as modality
from gruvy.tasks.recipes import TranslationRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.tasks.translate import Translate
from gruvy.training import report
from gruvy.training.pairs import COPY, judge_pairs, last_turns, read_part, split_pairs, thinned
from gruvy.training.pictures import attention_picture
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit

_EXAMPLES, _DRAWN = 5, 4
_CHARACTERS = 4  # in the room of a piece
DICTIONARY = "word-by-word dictionary"


class TranslationStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, pairs: Pairs | None = None):
        """Read the files that are asked for, or take `pairs`."""
        settings = request.filled(Translate.settings)
        self.request = request
        self.task = Translate.fit(settings)
        self.recipe = _recipe(request.recipe, settings)
        self.unit, self.shared = settings["unit"], settings["vocabularies"] == "shared"
        self.columns = {role: name for role, name in request.columns.items() if name}
        given = {
            "train": () if pairs is not None else _files(request),
            "validation": settings["valid"],
            "test": settings["test"],
        }
        self.files = {part: tuple(paths) for part, paths in given.items() if paths}
        self.parts = self._read(pairs, settings["split"])
        described = {
            part: [{"path": str(Path(p).resolve()), "sha256": digest(Path(p))} for p in paths]
            for part, paths in self.files.items()
        }  # fmt: skip
        self.data = {
            "columns": self.columns, "package": None, "drop_empty": request.drop_empty, "files": described,
            "split": settings["split"], "seed": request.seed,
        }  # fmt: skip
        names = " and ".join(Path(path).name for path in self.files.get("train", ("pairs",)))
        self.size = f"{names}, {sum(map(len, self.parts.values()))} pairs"
        counted = ", ".join(f"{len(part):,} pairs {_FOR[name]}" for name, part in self.parts.items())
        notes = dict.fromkeys(note for part in self.parts.values() for note in part.notes)
        self.introduction = "\n".join([f"{names}: {counted}", *notes])

    @property
    def judged(self) -> str:
        """The part the model is judged on: the test part, or that of the validation where there is none."""
        return "test" if "test" in self.parts else "validation"

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        recipe = self.recipe
        self.inputs = PairInputs.fit(
            self.parts["train"], self.unit, recipe.vocabulary_size, self.shared, recipe.max_tokens,
            from_end=self.task.context > 0,
        )  # fmt: skip

    def build(self) -> Any:
        """See `Study`."""
        return modality.build_model(self.inputs, 1, self.recipe, self.request.cell, self.request.engine)

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`."""
        train = TrainingPairs(self.inputs, self.parts["train"], self.recipe.piece_dropout)
        return [Fit(model, train, TrainingPairs(self.inputs, self.parts["validation"]))]

    def finish(self, trained: artefact.Trained) -> None:
        """Nothing is left to decide."""

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the translations beside a copy of the source and a dictionary."""
        part = thinned(self.parts[self.judged])
        said, measured = judge_pairs(trained, part)
        most = self.recipe.max_tokens
        long = int((self._lengths() > most).sum())
        cut = [f"{long} training pairs have a side of more than {most} tokens, and were cut there"] if long else []
        dictionary = Dictionary.fit(last_turns(self.parts["train"].sources), self.parts["train"].targets)
        baselines = {COPY: last_turns(part.sources), DICTIONARY: dictionary.translate(last_turns(part.sources))}
        figures = {name: self.task.metrics(texts, part.targets) for name, texts in baselines.items()}
        best = max(figures, key=lambda name: figures[name]["chrf"])
        ours, theirs = (np.array(self.task.scores(t, part.targets)) for t in (said, baselines[best]))
        bootstrap = report.paired_bootstrap(ours, theirs, self.request.seed)
        whole = len(self.parts[self.judged])
        spread = "" if len(part) == whole else f" of {whole}, evenly spread"
        chosen = "" if self.judged == "test" else ", which also chose the epoch that is kept"
        printed = [
            f"{self.judged} part: {len(part)} pairs{spread}{chosen}", *cut,
            report.table({"model": measured["metrics"], **figures}), "\n".join(self.task.signatures()),
            f"beside the {best}: {report.comparison(self.task.score, bootstrap, 'the pairs')}",
            f"{measured['sentences_a_second']:.0f} texts a second, with a beam of {self.task.beam}",
            _examples(part, said),
        ]  # fmt: skip
        measured |= {
            "task": self.task.name, "part": self.judged, "baseline": figures[best], "best_baseline": best,
            "baselines": figures, "bootstrap": bootstrap, "signatures": self.task.signatures(),
        }  # fmt: skip
        split = {"parts": {name: len(p) for name, p in self.parts.items()}}
        sources = self.inputs.encode(part.sources[:_DRAWN])
        picture = attention_picture([
            modality.attended(self.inputs, sources[i].tolist(), one)
            for i, one in enumerate(modality.translations(trained, sources))
        ])  # fmt: skip
        return Outcome("\n\n".join(printed), measured, {"split.json": json.dumps(split), "attention.png": picture})

    def _lengths(self) -> np.ndarray:
        """Tokens of the longer side of each training pair."""
        train = self.parts["train"]
        sides = self.inputs.source.encode(train.sources), self.inputs.target.encode(train.targets)
        return np.maximum(sides[0].lengths, sides[1].lengths)

    def _read(self, pairs: Pairs | None, shares: tuple[float, ...]) -> dict[str, Pairs]:
        drop_empty, context = self.request.drop_empty, self.task.context
        parts = {name: read_part(paths, self.columns, drop_empty) for name, paths in self.files.items()}
        if pairs is not None:
            parts["train"] = pairs
        if "validation" not in parts:
            if "test" in parts:
                shares = (shares[0], 1 - shares[0])
            return {
                **{name: in_context(part, context, modality.TURN) for name, part in parts.items()},
                **split_pairs(parts["train"], shares, context, self.request.seed),
            }
        if self.request.settings.get("split") not in (None, (), Translate.settings["split"].default):
            raise BadInput("--split and --valid are both given; with --valid, all of the data is trained on")
        return {name: in_context(part, context, modality.TURN) for name, part in parts.items()}


_FOR = {"train": "to train on", "validation": "to validate", "test": "to test"}


def _recipe(name: str, settings: dict[str, Any]) -> TranslationRecipe:
    recipe = named_recipe(modality.KIND, name)
    assert isinstance(recipe, TranslationRecipe)
    if settings["unit"] == "char":
        recipe = replace(recipe, max_tokens=_CHARACTERS * recipe.max_tokens)
    chosen = {
        "encoder": settings["encoder"], "attention": settings["attention"], "vocabulary_size": settings["vocabulary"],
    }  # fmt: skip
    return replace(recipe, **{name: value for name, value in chosen.items() if value is not None})


def _files(request: Request) -> tuple[str, ...]:
    if request.data is None:
        raise BadInput(
            "gruvy train translate needs pairs of texts; give --data SOURCES TARGETS, or a table with --source COLUMN "
            "--target COLUMN"
        )
    return request.data, *request.more_data


def _examples(part: Pairs, said: Sequence[str]) -> str:
    lines = []
    for i in np.linspace(0, len(part) - 1, min(_EXAMPLES, len(part))).round().astype(int):
        lines.append(f"  source     {part.sources[i]}\n  model      {said[i]}\n  reference  {part.targets[i]}")
    return "\n\n".join(["examples", *lines])
