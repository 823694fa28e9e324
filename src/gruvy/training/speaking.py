"""Trainings on recordings and what is said in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.sound.transcripts import Transcripts, to_symbols
from gruvy.errors import BadInput
from gruvy.models.ctc import fewest_steps
from gruvy.models.spectra import LogMel
from gruvy.tasks.modalities import utterances as modality
from gruvy.tasks.modalities.sound import groups
from gruvy.tasks.recipes import SpeechRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.tasks.speech import ANY, KNOWN, Speech
from gruvy.training import report
from gruvy.training import utterances as judging
from gruvy.training.loop import Rows
from gruvy.training.parts import split_examples
from gruvy.training.reading import left_out
from gruvy.training.request import Outcome, Request
from gruvy.training.source import digest
from gruvy.training.study import Fit
from gruvy.training.utterances import CONSTANT, NEAREST, PARTS

_EXAMPLES = 5
_MOST_COMPARED = 300  # recordings that decide which words are written
_STEPS_PER_SYMBOL = 2  # at least, that a recording has for each symbol of its transcript
_FASTEST = 0.05  # share of the recordings that may have fewer
_FOR = {"train": "to train on", "validation": "to validate", "test": "to test"}


class SpeechStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, recordings: Transcripts | None = None):
        """Read the manifests that are asked for, or learn from all of `recordings`."""
        settings = request.filled(Speech.settings)
        if request.data is None and recordings is None:
            raise BadInput("gruvy train speech needs a manifest; give --data FILE --audio COLUMN --transcript COLUMN")
        self.request = request
        self.recipe = _recipe(request.recipe, settings)
        named = {role: request.columns.get(role) or column.default for role, column in Speech.columns.items()}
        self.columns = {role: name for role, name in named.items() if name}
        files = {"train": request.data, "validation": settings["valid"], "test": settings["test"]}
        self.files = {part: path for part, path in files.items() if path}
        self.read = {
            part: judging.read_manifest(path, self.columns, request.drop_empty) for part, path in self.files.items()
        }
        if recordings is not None:
            self.read["train"] = recordings
        self.parts, self.digests = self._split()
        self.task, self.words = Speech.fit(self.parts["train"].texts, settings), settings["words"]
        self.compared: dict[str, float] = {}
        described = {
            p: {"path": str(Path(f).resolve()), "sha256": digest(Path(f), self.columns["audio"])}
            for p, f in self.files.items()
        }  # fmt: skip
        self.data = {
            "columns": self.columns, "package": None, "drop_empty": request.drop_empty, "files": described,
        }  # fmt: skip
        self.size = f"{self._name}, {sum(map(len, self.parts.values()))} recordings"
        self.introduction = self._introduction()

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        self.inputs = modality.fit_inputs(self.parts["train"].paths, self.recipe)
        self.encoded = {name: self.inputs(part.paths) for name, part in self.parts.items()}
        self.recipe = replace(self.recipe, frames_per_step=self._frames_per_step())

    def build(self) -> Any:
        """See `Study`."""
        return modality.build_model(
            self.inputs, self.task.output_size, self.recipe, self.request.cell, self.request.engine
        )

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`; recordings that are shorter than their transcript could be written are left out."""
        kept = {name: self._long_enough(name, model) for name in ("train", "validation")}
        self.short = {name: len(self.parts[name]) - len(rows) for name, rows in kept.items()}
        if not all(map(len, kept.values())):
            raise BadInput(
                "every recording is too short for its transcript; check that each transcript is that of its recording"
            )
        train, validation = (
            Rows(
                self.encoded[name].take(rows),
                self.task.encode([self.parts[name].texts[i] for i in rows]),
                self.inputs.collate,
            )
            for name, rows in kept.items()
        )
        return [Fit(model, train, validation)]

    def finish(self, trained: artefact.Trained) -> None:
        """Write the words of the training transcripts alone, where that errs less on the validation part."""
        part = self.parts["validation"]
        rows = np.unique(np.linspace(0, len(part) - 1, min(len(part), _MOST_COMPARED)).round().astype(int))
        encoded, wanted = self.encoded["validation"].take(rows), part.take(rows).texts
        if self.words is None:
            of_known = replace(trained, task=self.task.with_words(self.parts["train"].texts))
            wer = {
                name: self.task.metrics(modality.transcripts(one, encoded), wanted)["wer"]
                for name, one in ((ANY, trained), (KNOWN, of_known))
            }
            self.compared = wer
            if wer[KNOWN] < wer[ANY]:
                trained.task = self.task = of_known.task

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the transcripts beside a constant and those of similar recordings."""
        test, train, task = self.parts["test"], self.parts["train"], self.task
        said, measured = judging.judge_transcripts(trained, self.encoded["test"], test.texts)
        nearest = judging.NearestRecording(self.inputs.rate, self.encoded["train"], train.texts)
        baselines = {
            CONSTANT: [judging.most_frequent(train.texts)] * len(test),
            NEAREST: nearest.transcripts(self.encoded["test"]),
        }
        figures = {name: task.metrics(texts, test.texts) for name, texts in baselines.items()}
        best = min(figures, key=lambda name: figures[name]["wer"])
        ours, theirs = (task.scores(texts, test.texts) for texts in (said, baselines[best]))
        bootstrap = report.paired_bootstrap(ours, theirs, self.request.seed)
        short = [
            f"{count} recording(s) {_FOR[name]} were shorter than their transcript can be written, and were left out"
            for name, count in self.short.items()
            if count
        ]
        printed = [
            f"test part: {len(test)} recordings, {measured['seconds_of_speech']:.0f} s", *short, self._written(),
            report.table({"model": measured["metrics"], **figures}),
            f"beside the {best}: {report.comparison(task.score, bootstrap, 'the recordings')}",
            f"{measured['times_faster_than_speech']:.0f} times as fast as the speech", _examples(test, said),
        ]  # fmt: skip
        measured |= {
            "task": task.name, "baseline": figures[best], "best_baseline": best, "baselines": figures,
            "bootstrap": bootstrap, "words": self.compared,
        }  # fmt: skip
        split = {"seed": self.request.seed, "rows": {name: part.rows.tolist() for name, part in self.parts.items()}}
        return Outcome("\n\n".join(printed), measured, {"split.json": json.dumps(split)})

    @property
    def _name(self) -> str:
        return Path(self.files["train"]).name if self.files else "what was given"

    def _split(self) -> tuple[dict[str, Transcripts], dict[str, list[Any]]]:
        """The parts (without a test part where no files were read), and what equal recordings in them share."""
        digests = {name: self._marks(part) for name, part in self.read.items()}
        data, hashes = self.read["train"], digests["train"]
        if len(self.read) == len(PARTS):
            return self.read, digests
        if data.groups is not None and len(set(data.groups)) == 1:
            raise BadInput(
                f"--group {self.columns['group']}: every recording is of {data.groups[0]!r}; give recordings of "
                "several, or leave --group out"
            )
        same = np.unique(hashes, return_inverse=True)[1]
        dealt = split_examples(same, data.groups, None, None, self.request.seed)
        own = {"validation": dealt.validation, "test": dealt.test}
        wanted = PARTS if self.files else PARTS[:2]
        kept = {name: rows for name, rows in own.items() if name in wanted and name not in self.read}
        rows = {"train": np.setdiff1d(np.arange(len(data)), np.concatenate(list(kept.values()))), **kept}
        parts = {**self.read, **{name: data.take(chosen) for name, chosen in rows.items()}}
        found = {**digests, **{name: [hashes[i] for i in chosen] for name, chosen in rows.items()}}
        return {name: parts[name] for name in wanted}, found

    def _marks(self, part: Transcripts) -> list[Any]:
        return [digest(path) for path in part.paths] if self.files else groups(part.paths).tolist()

    def _introduction(self) -> str:
        parts, train = self.parts, self.parts["train"]
        counted = ", ".join(f"{len(part):,} recordings {_FOR[name]}" for name, part in parts.items())
        lines = [f"{self._name}: {counted}; {len(self.task.characters)} characters"]
        dropped = sum(part.dropped for part in self.read.values())
        if dropped:
            lines.append(f"{dropped} row(s) with an empty cell were left out")
        lines += [line for part in self.read.values() for line in left_out(0, part.unreadable)]
        for name in list(parts)[1:]:
            lines += judging.strange_characters(parts[name].texts, self.task.characters, f"{name} part")
            shared = len(set(self.digests[name]) & set(self.digests["train"]))
            if shared:
                lines.append(f"{shared} recording(s) of the {name} part are trained on too; its figures flatter")
            if train.groups and parts[name].groups and set(train.groups) & set(parts[name].groups or ()):
                lines.append(f"the {name} part shares values of {self.columns['group']} with the training part")
        return "\n".join(lines)

    def _written(self) -> str:
        """Which words the model writes, and why."""
        said = f"the {len(self.task.words)} words of the training transcripts alone" if self.task.words else "any word"
        why = ""
        if self.compared:
            shares = {name: f"{100 * wer:.1f} %" for name, wer in self.compared.items()}
            why = f" (word error rate of the validation part: {shares[KNOWN]} with those alone, {shares[ANY]} with any)"
        return f"it writes {said}{why}"

    def _frames_per_step(self) -> int:
        """The recipe's, or fewer where people speak so fast that most steps would have to say something."""
        frames = LogMel(self.inputs.rate).frames(torch.as_tensor(self.encoded["train"].lengths)).numpy()
        room = np.quantile(frames / self._fewest_steps("train"), _FASTEST) / _STEPS_PER_SYMBOL
        return max(1, min(self.recipe.frames_per_step, int(room)))

    def _fewest_steps(self, name: str) -> np.ndarray:
        """Steps that each transcript of a part needs, at least 1."""
        texts = self.parts[name].texts
        return np.array([max(1, fewest_steps(to_symbols(text, self.task.characters))) for text in texts])

    def _long_enough(self, name: str, model: Any) -> np.ndarray:
        """The rows of a part whose recordings have as many steps as their transcripts need."""
        steps = model.steps(torch.as_tensor(self.encoded[name].lengths)).numpy()
        return np.flatnonzero(self._fewest_steps(name) <= steps)


def _recipe(name: str, settings: dict[str, Any]) -> SpeechRecipe:
    recipe = named_recipe(modality.KIND, name)
    assert isinstance(recipe, SpeechRecipe)
    if not settings["one_direction"]:
        return recipe
    return replace(recipe, bidirectional=False, hidden_size=2 * recipe.hidden_size)  # the units of both directions


def _examples(part: Transcripts, said: Sequence[str]) -> str:
    lines = []
    for i in np.linspace(0, len(part) - 1, min(_EXAMPLES, len(part))).round().astype(int):
        lines.append(f"  model       {said[i]}\n  transcript  {part.texts[i]}")
    return "\n\n".join(["examples", *lines])
