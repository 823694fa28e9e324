"""Trainings of models of music."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruvy import artefact
from gruvy.data.music.midi import KEYS, LOWEST
from gruvy.data.music.rolls import EncodedRolls, RollInputs, read_music
from gruvy.data.music.rolls import Music as ReadMusic
from gruvy.errors import BadInput
from gruvy.models.sampling import Sampling
from gruvy.tasks.modalities import rolls as modality
from gruvy.tasks.music import Music
from gruvy.tasks.recipes import MusicRecipe
from gruvy.tasks.recipes import recipe as named_recipe
from gruvy.training import report
from gruvy.training.loop import Rows
from gruvy.training.request import Outcome, Request
from gruvy.training.rolls import FREQUENCIES, LAST, divided, figures, scored
from gruvy.training.study import Fit

_FEW = 10  # pieces
_SAMPLE = 96  # steps in the picture
_VALIDATED = 960  # steps at once, so that memory is bounded; what is judged is whole


@dataclass(frozen=True)
class _Targets:
    """What the steps of rolls are to be compared with; the network itself compares them, in the key it hears them in.

    Attributes:
        first: whether the first step of each counts.
    """

    encoded: EncodedRolls
    first: bool

    def __getitem__(self, rows: np.ndarray) -> Tensor:
        return torch.zeros(int((self.encoded.lengths[rows] - (not self.first)).sum()))


class MusicStudy:
    """See `gruvy.training.study.Study`."""

    kind = modality.KIND

    def __init__(self, request: Request, music: ReadMusic | None = None):
        """Read the files that are asked for, or learn from all of `music`."""
        self.request = request
        if request.data is None and music is None:
            raise BadInput("gruvy train music needs music; give --data FILE (.mat, .npz) or MIDI files or a folder")
        self.task, recipe = Music(), named_recipe(self.kind, request.recipe)
        assert isinstance(recipe, MusicRecipe)
        self.recipe = recipe
        paths = [] if request.data is None else [request.data, *request.more_data]
        self.music = music or read_music(paths, request.filled(Music.settings)["steps_per_beat"])
        self.divided = divided(self.music, request.seed, tested=music is None)
        self.parts = self.divided.parts
        name = request.data or "what was given"
        if not any(roll.any() for roll in self.parts["train"].rolls):
            raise BadInput(f"{name}: no key is ever held in the pieces to train on; give others")
        self.data: dict[str, Any] = {
            "columns": {}, "package": None, "paths": [str(Path(path).resolve()) for path in paths],
            "sha256": self.music.digest(), "steps_per_beat": self.music.steps_per_beat,
        }  # fmt: skip
        counts = {part: f"{len(p)} pieces ({sum(map(len, p.rolls)):,} steps)" for part, p in self.parts.items()}
        self.size = f"{', '.join(Path(path).name for path in paths[:3]) or name}: {counts['train']} to train on"
        said = ", ".join(f"{count} {_FOR[part]}" for part, count in counts.items())
        self.introduction = "\n".join([f"{name}: {said}", *self.music.notes, *_odd(self.parts["train"].rolls)])

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's."""
        return self.task.loss

    def learn(self) -> None:
        """See `Study`."""
        music, rolls = self.music, self.parts["train"].rolls
        self.inputs = RollInputs.fit(rolls, music.steps_per_beat, music.tempo)

    def build(self) -> Any:
        """See `Study`."""
        return modality.build_model(self.inputs, 1, self.recipe, self.request.cell, self.request.engine)

    def fits(self, model: Any) -> list[Fit]:
        """See `Study`."""
        heard = EncodedRolls(self.parts["train"].rolls).cut(self.recipe.window)
        known = EncodedRolls(self.parts["validation"].rolls).cut(_VALIDATED)
        train = Rows(heard, _Targets(heard, first=True), self.inputs.collate)
        return [Fit(model.network, train, Rows(known, _Targets(known, first=False), self.inputs.collate))]

    def finish(self, trained: artefact.Trained) -> None:
        """Nothing: the model is the network."""

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the model beside the last chord and the frequencies of the keys."""
        part = self.divided.judged
        pieces = self.parts[part]
        scores = scored(trained, pieces)
        found = figures(scores)
        means = {name: np.array([-one["chord"].mean() for one in judged]) for name, judged in scores.items()}
        best = min((LAST, FREQUENCIES), key=lambda name: found[name]["nll"])
        bootstrap = report.paired_bootstrap(means["model"], means[best], self.request.seed)
        steps = sum(len(roll) - 1 for roll in pieces.rolls)
        chosen = "" if part == "test" else ", which also chose the epoch that is kept"
        few = " (too few to tell models apart)" if len(pieces) < _FEW else ""
        beside = f"beside {best}: {report.comparison(self.task.score, bootstrap, 'the pieces')}"
        printed = [
            f"{part} part: {len(pieces)} pieces, {steps:,} steps, the first of each left out{chosen}{few}",
            report.table(found),
            *([beside] if len(pieces) > 1 else []),
            "nll: nats a step, of the whole chord, each of its keys given those below it; keys nll: the sum of the 88 "
            "keys, each predicted by itself (binary cross-entropy)",
        ]  # fmt: skip
        measured = {
            "task": self.task.name, "n": steps, "part": part, "metrics": found["model"], "baseline": found[best],
            "best_baseline": best, "bootstrap": bootstrap, "figures": found,
        }  # fmt: skip
        if part == "test":
            known = figures({"model": scored(trained, self.parts["validation"])["model"]})["model"]
            measured["validation"] = known
            printed.append("validation part, which chose the epoch that is kept: " + _listed(known))
        written = modality.generate(trained, "", _SAMPLE, Sampling(), self.request.seed)
        picture = roll_picture({f"{part} part: {pieces.names[0]}": pieces.rolls[0], "written by the model": written})
        names = {part: p.names for part, p in self.parts.items()}
        seed = self.divided.split.seed if self.divided.split else None
        split = json.dumps({"seed": seed, "pieces": names})
        return Outcome("\n\n".join(printed), measured, {"split.json": split, "roll.png": picture})


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())


def _odd(rolls: list[np.ndarray]) -> list[str]:
    """What to say of training pieces that hold little to learn."""
    used = np.any([roll.any(0) for roll in rolls], axis=0).sum()
    return ["the pieces to train on hold one key only; a model can learn its rhythm"] if used == 1 else []


def roll_picture(rolls: Mapping[str, np.ndarray]) -> bytes:
    """Beginnings of rolls by name, one above the other, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    used = np.flatnonzero(np.any([roll.any(0) for roll in rolls.values()], axis=0))
    ends = (LOWEST + used[0] - 2, LOWEST + used[-1] + 2) if len(used) else (LOWEST, LOWEST + KEYS)
    figure = Figure(figsize=(9, 2.8 * len(rolls)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (name, roll) in enumerate(rolls.items()):
        axes = figure.add_subplot(len(rolls), 1, place + 1)
        shown = roll[:_SAMPLE].T
        axes.imshow(
            shown, cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="nearest",
            extent=(0.5, shown.shape[1] + 0.5, LOWEST - 0.5, LOWEST + KEYS - 0.5),
        )  # fmt: skip
        axes.set(xlabel="step", ylabel="MIDI key", ylim=ends)
        axes.set_title(name, fontsize=10, parse_math=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    return picture.getvalue()


_FOR = {"train": "to train on", "validation": "to validate", "test": "to test"}
