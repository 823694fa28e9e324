"""Trainings of language models: one text after another, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.prose import Prose, ProseInputs, Stream, clean, read_prose
from gruvy.errors import BadInput
from gruvy.models.cache import fit_cache
from gruvy.models.kneser_ney import choose_order
from gruvy.models.language import Carrying
from gruvy.models.sampling import Sampling
from gruvy.tasks.language import Language
from gruvy.tasks.modalities import prose as modality
from gruvy.tasks.recipes import LanguageRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training import report
from gruvy.training.prose import cut, figures_of, scored, unknown
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit

_FEWEST = 50  # tokens of a part
_BLOCK, _BLOCKS = 100, 30  # tokens whose mean is one observation of the comparison; fewer than that where there are few
_FEW = 1000  # tokens
_SAMPLE = 60  # tokens written for the model card
_MOST_COMPARED = 2_000_000  # tokens of training text the baseline counts


class LanguageStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, texts: Sequence[str] | None = None):
        """Read the files that are asked for, or take `texts`."""
        self.request, settings = request, request.filled(Language.settings)
        if request.data is None and texts is None:
            raise BadInput("gruvy train language needs a text; give --data FILE (UTF-8), or a table and --text COLUMN")
        self.task = Language.fit(settings)
        self.recipe = _recipe(request.recipe, self.task.unit, settings["vocabulary"])
        self.column, self.cache = request.columns.get("text"), settings["cache"]
        paths = {"train": request.data, "validation": settings["valid"], "test": settings["test"]}
        self.files = {part: Path(path) for part, path in paths.items() if path is not None}
        self.parts, self.shares = self._read(texts, settings["split"])
        self.data = {
            "columns": {"text": self.column} if self.column else {}, "package": None, "split": self.shares,
            "drop_empty": request.drop_empty,
            "files": {part: {"path": str(p.resolve()), "sha256": digest(p)} for part, p in self.files.items()},
        }  # fmt: skip
        characters = sum(part.characters for part in self.parts.values())
        self.size = f"{self.files['train'].name if self.files else 'texts'}, {characters} characters"
        self.introduction = self._introduction()

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
        self.inputs = ProseInputs.fit(self.parts["train"].texts, self.task.unit, self.recipe.vocabulary_size)
        if len(self.inputs.vocabulary) < self.recipe.sampled:
            self.recipe = replace(self.recipe, samples=0)
        self.ids = {name: self.inputs(part.texts) for name, part in self.parts.items()}
        for name, ids in self.ids.items():
            if len(ids) < _FEWEST:
                raise BadInput(
                    f"the {name} part has {len(ids)} tokens; expected at least {_FEWEST}: give more text, or a larger "
                    "share of it with --split"
                )

    def build(self) -> Any:
        """See `Study`."""
        return modality.build_model(self.inputs, 1, self.recipe, self.request.cell, self.request.engine)

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`."""
        train, validation = (Stream(self.ids[name], self.recipe.window) for name in ("train", "validation"))
        self._carrying, self._began = Carrying(model.network), time.monotonic()
        return [Fit(self._carrying, train, validation)]

    def finish(self, trained: artefact.Trained) -> None:
        """Fit the cache, where one is asked for, on the validation part."""
        self._trained_at = self._carrying.tokens / (time.monotonic() - self._began)
        if self.cache:
            found, hidden = modality.log_likelihoods(trained.model.network, self.ids["validation"], hidden=True)
            targets = torch.from_numpy(self.ids["validation"]).long()
            trained.task = replace(self.task, cache=fit_cache(hidden, targets, found, self.cache))

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the model beside a smoothed n-gram model, on the test part."""
        ids, part = self.ids[self.judged], self.parts[self.judged]
        began = time.monotonic()
        found = scored(trained, ids)
        speed = len(ids) / (time.monotonic() - began)
        seen, held_out = self.ids["train"][-_MOST_COMPARED:], self.ids["validation"][:_MOST_COMPARED]
        ngrams = choose_order(seen, held_out, len(self.inputs.vocabulary), self.recipe.orders)
        baseline = f"{ngrams.order}-grams (Kneser-Ney)"
        found[baseline] = ngrams.log_probabilities(ids)
        figures = {name: figures_of(trained.task, values, part) for name, values in found.items()}
        bootstrap = report.paired_bootstrap(_blocks(found["model"]), _blocks(found[baseline]), self.request.seed)
        length = _SAMPLE * (4 if self.task.unit == "char" else 1)
        text = "".join(modality.generate(trained, "", length, Sampling(0.8), self.request.seed))
        also = " and fitted the cache" if self.cache else ""
        chosen = "" if self.judged == "test" else f", which also chose the epoch that is kept{also}"
        few = " (too few to tell models apart)" if len(ids) < _FEW else ""
        of = f"blocks of {_block(len(ids))} tokens"
        printed = [
            f"{self.judged} part: {len(ids)} tokens, {part.characters} characters{chosen}{few}",
            *unknown(self.inputs, ids), report.table(figures), report.comparison(self.task.score, bootstrap, of),
            f"trained at {self._trained_at:,.0f} tokens a second, validation included; scored at {speed:,.0f}",
            f"written by the model (temperature 0.8):\n{text}",
        ]  # fmt: skip
        measured = {
            "task": self.task.name, "n": len(ids), "part": self.judged, "metrics": figures["model"],
            "baseline": figures[baseline], "best_baseline": baseline, "bootstrap": bootstrap,
            "tokens_a_second": {"training": round(self._trained_at), "scoring": round(speed)}, "figures": figures,
        }  # fmt: skip
        sizes = {name: {"tokens": len(self.ids[name]), "characters": p.characters} for name, p in self.parts.items()}
        split = {"parts": sizes}
        return Outcome("\n\n".join(printed), measured, {"split.json": json.dumps(split)})

    def _read(
        self, texts: Sequence[str] | None, shares: tuple[float, ...]
    ) -> tuple[dict[str, Prose], tuple[float, ...]]:
        """The parts, and the shares by which the text was cut into them, where it was."""
        column, drop_empty = self.column, self.request.drop_empty
        parts = {name: read_prose(path, column, drop_empty) for name, path in self.files.items()}
        if texts is not None:
            parts["train"] = clean(texts, "what was given")
        if "validation" in parts:
            if self.request.settings.get("split") not in (None, (), Language.settings["split"].default):
                raise BadInput("--split and --valid are both given; with --valid, all of the data is trained on")
            return parts, ()
        if "test" in parts:
            shares = (shares[0], 1 - shares[0])
        return {**parts, **cut(parts["train"], shares)}, shares

    def _introduction(self) -> str:
        lines = [note for part in self.parts.values() for note in part.notes]
        parts = ", ".join(f"{part.characters:,} characters {_FOR[name]}" for name, part in self.parts.items())
        name = self.request.data or "texts"
        return "\n".join([f"{name}: {parts}; tokens are {_TOKENS[self.task.unit]}", *lines])


_FOR = {"train": "to train on", "validation": "to validate", "test": "to test"}
_TOKENS = {"word": "words, as they stand between spaces", "bpe": "pieces of words (bytes)", "char": "characters"}


def _recipe(name: str, unit: str, vocabulary: int | None) -> LanguageRecipe:
    """The named recipe, as it is for the unit."""
    recipe = named_recipe(modality.KIND, name)
    assert isinstance(recipe, LanguageRecipe)
    if unit == "char":
        recipe = recipe.of_characters()
    size = vocabulary or (recipe.words if unit == "word" else recipe.vocabulary_size)
    return replace(recipe, vocabulary_size=size)


def _block(tokens: int) -> int:
    return min(_BLOCK, max(1, tokens // _BLOCKS))


def _blocks(found: np.ndarray) -> np.ndarray:
    """Mean log-likelihoods of stretches of a stream."""
    count = max(1, len(found) // _block(len(found)))
    return np.array([part.mean() for part in np.array_split(found, count)])
