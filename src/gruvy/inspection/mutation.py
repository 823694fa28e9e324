"""In-silico mutation: what each substitution in a sequence changes in what a model says (Zhou & Troyanskaya 2015,
doi:10.1038/nmeth.3547).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gruvy.artefact import Trained
from gruvy.data.text import TokenIds
from gruvy.errors import BadInput

_AT_ONCE = 4096  # sequences in memory, at most
_SYMBOLS_AT_ONCE = 2**20  # symbols of them
_PER_LINE = 60  # positions in a line of the picture


@dataclass(frozen=True, eq=False)
class MutationMap:
    """The effects of all substitutions in one sequence.

    Attributes:
        sequence: as it was read; letters: what is put in.
        score: of the sequence; what: the score, in words.
        effects: float64 `(positions, letters)`, how much the score changes; 0 for the sequence's own letter.
    """

    sequence: str
    letters: str
    score: float
    what: str
    effects: np.ndarray

    @property
    def importance(self) -> np.ndarray:
        """How much the score owes to each position: minus the mean change of its substitutions, `(positions,)`."""
        others = np.array([[letter != own for letter in self.letters] for own in self.sequence])
        return -self.effects.sum(1) / np.maximum(1, others.sum(1))

    def strongest(self, count: int) -> list[dict[str, Any]]:
        """The substitutions that change the score most: position from 1, letters, change."""
        order = np.argsort(-np.abs(self.effects), axis=None, kind="stable")
        places = [divmod(int(flat), len(self.letters)) for flat in order]
        own, put = self.sequence, self.letters
        return [
            {"position": at + 1, "from": own[at], "to": put[to], "change": float(self.effects[at, to])}
            for at, to in places
            if put[to] != own[at]
        ][:count]

    def to_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "sequence": self.sequence, "score": self.score, "what": self.what, "letters": list(self.letters),
            "effects": self.effects.tolist(),
        }  # fmt: skip


def mutation_map(trained: Trained, sequence: str, label: str | None = None) -> MutationMap:
    """What each substitution of a letter changes.

    Args:
        trained: a model that classifies sequences, whose score is the log-odds of a label, or that gives them numbers.
        label: whose log-odds; None for the label the model gives the sequence.

    Raises:
        BadInput: the model reads something else, the label is none of its, or the sequence is too long.
    """
    if trained.kind != "sequence":
        raise BadInput(
            "gruvy mutate needs a classifier or a regression of DNA, proteins or the like; this model is none"
        )
    encoded = trained.inputs([sequence])
    ids = encoded[0]
    if len(ids) > trained.recipe.max_symbols:  # type: ignore[attr-defined]
        raise BadInput(f"the sequence has {len(ids):,} symbols and is not read whole; cut it to the part of interest")
    alphabet = trained.inputs.alphabet
    own = _said(trained, encoded)
    labels = getattr(trained.task, "labels", None)
    chosen = _chosen(labels, own, label) if labels is not None else None
    if labels is None and label is not None:
        raise BadInput(f"--label {label}: this model gives numbers, no labels; leave it out")
    score = float(_scores(trained, own, chosen)[0])
    effects = np.zeros((len(ids), len(alphabet.letters)))
    places = [(at, to) for at in range(len(ids)) for to in range(len(alphabet.letters)) if ids[at] != 2 + to]
    for part in _parts(places, len(ids)):
        mutants = np.repeat(ids[None], len(part), 0)
        at, to = np.array(part).T
        mutants[np.arange(len(part)), at] = 2 + to
        effects[at, to] = _scores(trained, _said(trained, TokenIds.join(list(mutants))), chosen) - score
    what = "value" if chosen is None or labels is None else f"log-odds of {labels[chosen]!r}"
    return MutationMap(alphabet.decode(ids), alphabet.letters, score, what, effects)


def _parts(places: list[tuple[int, int]], length: int) -> Iterator[list[tuple[int, int]]]:
    size = max(1, min(_AT_ONCE, _SYMBOLS_AT_ONCE // length))
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _said(trained: Trained, encoded: TokenIds) -> Tensor:
    return trained.branches(encoded)[trained.model.answer].double()


def _chosen(labels: tuple[str, ...], own: Tensor, label: str | None) -> int:
    if label is None:
        return int(own[0].argmax())
    if label not in labels:
        raise BadInput(f"--label {label}: the model knows {', '.join(map(repr, labels[:10]))}; give one of its labels")
    return labels.index(label)


def _scores(trained: Trained, outputs: Tensor, chosen: int | None) -> np.ndarray:
    """Log-odds of the chosen label, or numbers in the target's units, `(sequences,)`."""
    if chosen is None:
        return np.array([answer["value"] for answer in trained.task.predictions(outputs)])
    others = [i for i in range(outputs.shape[1]) if i != chosen]
    return (outputs[:, chosen] - outputs[:, others].logsumexp(1)).numpy()


def mutation_picture(found: MutationMap) -> bytes:
    """The effects as a map of positions and letters, as PNG: above it the sequence, each letter as high as the score
    owes to it; in the map, the sequence's own letters are dots.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    length, letters = len(found.sequence), len(found.letters)
    lines = -(-length // _PER_LINE)
    height = 1.1 + 0.16 * max(4, letters)
    figure = Figure(figsize=(12, 0.5 + lines * height), layout="constrained")
    FigureCanvasAgg(figure)
    bound = float(np.abs(found.effects).max()) or 1.0
    rows = figure.subplots(2 * lines, 1, squeeze=False, height_ratios=[1, 0.16 * max(4, letters)] * lines)[:, 0]
    for line in range(lines):
        part = slice(line * _PER_LINE, min(length, (line + 1) * _PER_LINE))
        logo, axes = rows[2 * line], rows[2 * line + 1]
        _draw_letters(logo, found, part)
        image = axes.imshow(
            found.effects[part].T, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto", interpolation="nearest",
            extent=(part.start + 0.5, part.stop + 0.5, letters - 0.5, -0.5),
        )  # fmt: skip
        own = [(at + 1, found.letters.index(s)) for at, s in enumerate(found.sequence) if s in found.letters]
        axes.plot(*zip(*own, strict=True), "k.", markersize=3) if own else None
        axes.set_yticks(range(letters), list(found.letters), fontsize=7)
        axes.tick_params(axis="x", labelsize=7)
        for one in (logo, axes):
            one.set_xlim(line * _PER_LINE + 0.5, (line + 1) * _PER_LINE + 0.5)
    rows[-1].set_xlabel("position", fontsize=9)
    figure.colorbar(image, ax=list(rows), fraction=0.02, pad=0.01, label="change")
    figure.suptitle(f"What each substitution changes in the {found.what}, which is {found.score:.3g}", fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    return picture.getvalue()


def _draw_letters(axes: Any, found: MutationMap, part: slice) -> None:
    """The sequence, each letter as high as the score owes to its position (below the line, where it costs)."""
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    importance = found.importance
    for at in range(part.start, part.stop):
        path = TextPath((0, 0), found.sequence[at], size=1)
        box = path.get_extents()
        if not box.width or not box.height:
            continue
        place = Affine2D().translate(-box.x0, -box.y0).scale(0.9 / box.width, importance[at] / box.height)
        colour = "C0" if importance[at] >= 0 else "C3"
        axes.add_patch(PathPatch(place.translate(at + 0.55, 0).transform_path(path), facecolor=colour, linewidth=0))
    axes.axhline(0, color="0.6", linewidth=0.5)
    axes.set_ylim(min(0.0, importance.min()) * 1.05, max(importance.max(), 1e-9) * 1.05)
    axes.tick_params(labelbottom=False, labelsize=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
