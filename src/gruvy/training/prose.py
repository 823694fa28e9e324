"""Running text in parts, and how it is scored; what the commands need of it without a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gruvy import artefact
from gruvy.data.prose import Prose, ProseInputs
from gruvy.errors import BadInput
from gruvy.tasks.language import Language
from gruvy.tasks.modalities import prose as modality

PARTS = ("train", "validation", "test")


def scored(trained: artefact.Trained, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Log-likelihoods of a stream, of the model and of the model with its cache, where there is one."""
    cache = trained.task.cache
    found, hidden = modality.log_likelihoods(trained.model.network, ids, hidden=cache is not None)
    scores = {"model": found.double().numpy()}
    if cache is not None:
        targets = torch.from_numpy(ids).long()
        scores[f"model with a cache of {cache.size}"] = cache.log_probabilities(hidden, targets, found).double().numpy()
    return scores


def figures_of(task: Language, found: np.ndarray, part: Prose) -> dict[str, float]:
    """The task's metrics of a text."""
    return task.metrics(found, part.characters, modality.words(part.texts))


def unknown(inputs: ProseInputs, ids: np.ndarray) -> list[str]:
    """What to say of tokens that training never had."""
    count = inputs.unknown(ids)
    return (
        [f"{count} of {len(ids)} tokens were never seen in training; they are scored as one unknown token"]
        if count
        else []
    )


def cut(prose: Prose, shares: Sequence[float]) -> dict[str, Prose]:
    """Parts that follow one another: of the lines of one text, or of several texts.

    Args:
        shares: of training and validation, and of testing where there are three.

    Raises:
        BadInput: shares that are none, or a text of too few lines.
    """
    fine = len(shares) in (2, 3) and all(0 < share < 1 for share in shares) and sum(shares) <= 1 + 1e-9
    if not fine:
        raise BadInput(
            f"--split {' '.join(f'{s:g}' for s in shares)}: expected two or three shares that sum to at most 1, of "
            "training, validation and test, such as 0.9 0.05 0.05"
        )
    whole, joined = (prose.texts, False) if len(prose.texts) > 1 else (prose.texts[0].splitlines(keepends=True), True)
    if joined and len(whole) < 10 * len(shares):  # few lines: cut between characters
        whole = list(prose.texts[0])
    sizes = np.cumsum([len(text) for text in whole])
    bounds = [0, *(int(np.searchsorted(sizes, share * sizes[-1], side="right")) for share in np.cumsum(shares))]
    bounds[-1] = len(whole) if abs(sum(shares) - 1) < 1e-9 else bounds[-1]
    parts = {}
    for name, first, stop in zip(PARTS, bounds[:-1], bounds[1:], strict=False):
        chosen = whole[first:stop]
        if not any(text.strip() for text in chosen):
            raise BadInput(f"the {name} part of the text is empty; give more text, or larger shares with --split")
        parts[name] = Prose(["".join(chosen)] if joined else chosen, prose.notes if name == "train" else [])
    return parts
