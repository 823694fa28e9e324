"""What comes next in polyphonic music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.modalities import rolls


@dataclass(frozen=True)
class Music:
    """The keys of the next step."""

    name: ClassVar[str] = "music"
    summary: ClassVar[str] = "Learn which keys come next in polyphonic music, to score music and to write it."
    study: ClassVar[str] = "music"
    columns: ClassVar[Mapping[str, Column]] = {}
    settings: ClassVar[Mapping[str, Setting]] = {
        "steps_per_beat": Setting(int, None, "of the grid MIDI is put on [4], or of the rolls as they are [2]"),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (rolls,)
    score: ClassVar[str] = "log-likelihood a step (nats)"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls()

    def to_json(self) -> dict[str, Any]:
        """Nothing: all models of music learn the same."""
        return {}

    @property
    def output_size(self) -> int:
        """One loss a step."""
        return 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of the losses `(steps,)`."""
        return outputs.mean()

    def metrics(self, judged: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
        """How well the next steps of pieces were predicted.

        Args:
            judged: a mapping for each piece, see `gruvy.models.music.MusicModel.judged`.

        Returns:
            `nll`, in nats a step, of whole chords, whose keys are predicted together: the mean over all steps of all
            pieces but the first of each, which Bai et al. 2018 (arXiv:1803.01271) leave out too; `nll_by_piece` the
            mean of the pieces' means; `keys_nll` where each key is predicted by itself, the sum over the keys of the
            binary cross-entropy, as theirs; `accuracy` the share of keys that are both, among those that are held or
            said to be (Bay et al. 2009).
        """
        whole = {name: np.concatenate([piece[name] for piece in judged]) for name in judged[0]}
        hits, misses = whole["hits"].sum(), whole["misses"].sum()
        return {
            "nll": float(whole["chord"].mean()), "nll_by_piece": float(np.mean([p["chord"].mean() for p in judged])),
            "keys_nll": float(whole["keys"].mean()), "accuracy": float(hits / max(1, hits + misses)),
        }  # fmt: skip
