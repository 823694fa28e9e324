"""Trainings on pairs of texts: translation, or conversation."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gruvy import artefact
from gruvy.data.pairs import PairInputs, Pairs, TrainingPairs, in_context, read_pairs
from gruvy.data.splits import duplicate_groups, split_rows
from gruvy.errors import BadInput
from gruvy.models.dictionary import Dictionary
from gruvy.tasks import pairs as modality
from gruvy.tasks.recipes import TranslationRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.tasks.translate import Translate
from gruvy.training import report
from gruvy.training.pictures import attention_picture
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit

PARTS = ("train", "validation", "test")
_MOST_JUDGED = 2000  # pairs, evenly spread where there are more
_EXAMPLES, _DRAWN = 5, 4
_CHARACTERS = 4  # in the room of a piece
COPY, DICTIONARY = "copy of the source", "word-by-word dictionary"


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


def judge_pairs(trained: artefact.Trained, part: Pairs) -> tuple[list[str], dict[str, Any]]:
    """Translations of all sources of a part, and how good and how quick they are."""
    began = time.monotonic()
    found = modality.translations(trained, trained.inputs.encode(part.sources))
    took = time.monotonic() - began
    said = [trained.inputs.target.decode(one.ids) for one in found]
    measured = {
        "metrics": trained.task.metrics(said, part.targets), "n": len(part),
        "sentences_a_second": round(len(part) / took, 1), "cut_at_the_limit": sum(not one.ended for one in found),
    }  # fmt: skip
    return said, measured


def read_part(paths: Sequence[str], columns: Mapping[str, str], drop_empty: bool) -> Pairs:
    """Pairs of two files, or of a table's columns.

    Raises:
        BadInput: files or columns that do not fit together; see `gruvy.data.pairs.read_pairs`.
    """
    sides = [columns[role] for role in ("source", "target") if role in columns]
    if len(paths) == 1 and len(sides) != 2:
        raise BadInput(
            f"{paths[0]} is one file; give two, source and target, line by line, or a table and its columns: "
            "--source COLUMN --target COLUMN"
        )
    if len(paths) == 2 and columns:
        raise BadInput(f"--{next(iter(columns))} names a column of a table, and two files came; leave it out")
    return read_pairs(paths, sides or None, drop_empty, columns.get("conversation"))


def split_pairs(pairs: Pairs, shares: Sequence[float], context: int, seed: int) -> dict[str, Pairs]:
    """Parts of pairs: at random, with equal sources together; whole conversations where they are read in context.

    Args:
        shares: of training and validation, and of testing where there are three; the rest is left out.

    Raises:
        BadInput: shares that are none, or too few pairs.
    """
    if not (len(shares) in (2, 3) and all(0 < share < 1 for share in shares) and sum(shares) <= 1 + 1e-9):
        raise BadInput(
            f"--split {' '.join(f'{s:g}' for s in shares)}: expected two or three shares that sum to at most 1, of "
            "training, validation and test, such as 0.9 0.05 0.05"
        )
    whole = in_context(pairs, context, modality.TURN)
    if context and pairs.conversations is None:  # one conversation: parts follow one another
        bounds = np.round(np.cumsum([0.0, *shares]) * len(pairs)).astype(int)
        rows = [np.arange(first, stop) for first, stop in itertools.pairwise(bounds)]
    else:
        rows = _dealt(pairs, shares, context, seed)
    if not all(map(len, rows)):
        raise BadInput(f"{len(pairs)} pairs are too few to split into {len(rows)} parts; give more")
    return dict(zip(PARTS, map(whole.take, rows), strict=False))


def _dealt(pairs: Pairs, shares: Sequence[float], context: int, seed: int) -> list[np.ndarray]:
    """Row numbers of each part, dealt at random."""
    names = pairs.conversations
    groups = duplicate_groups(pairs.sources)
    if context and names is not None:
        groups = np.unique(names, return_inverse=True)[1]
        if groups.max() < 2:
            raise BadInput(f"{groups.max() + 1} conversations are too few to split; give at least 3, or --valid")
    # Without a test part, what split_rows calls test is the other half of the validation part.
    last, middle = (shares[2], shares[1]) if len(shares) == 3 else (shares[1] / 2, shares[1] / 2)
    split = split_rows(groups, test_size=last, validation_size=middle, seed=seed)
    kept = split.train
    if sum(shares) < 1 - 1e-9:
        kept = np.random.default_rng(seed).permutation(kept)[: max(1, round(shares[0] * len(pairs)))]
    if len(shares) == 3:
        return [np.sort(kept), split.validation, split.test]
    return [np.sort(kept), np.sort(np.concatenate([split.validation, split.test]))]


def thinned(pairs: Pairs) -> Pairs:
    """At most 2,000 pairs, evenly spread."""
    if len(pairs) <= _MOST_JUDGED:
        return pairs
    return pairs.take(np.linspace(0, len(pairs) - 1, _MOST_JUDGED).round().astype(int))


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


def last_turns(sources: Sequence[str]) -> list[str]:
    """Sources without the context of a conversation."""
    return [source.rsplit(modality.TURN, 1)[-1] for source in sources]


def _examples(part: Pairs, said: Sequence[str]) -> str:
    lines = []
    for i in np.linspace(0, len(part) - 1, min(_EXAMPLES, len(part))).round().astype(int):
        lines.append(f"  source     {part.sources[i]}\n  model      {said[i]}\n  reference  {part.targets[i]}")
    return "\n\n".join(["examples", *lines])
