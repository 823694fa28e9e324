"""Tagged sequences in parts, and how tags are judged; what the commands need of it without a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gruvy import artefact
from gruvy.data.splits import duplicate_groups
from gruvy.data.tagged import Tagged, read_tagged
from gruvy.errors import BadInput
from gruvy.tasks.modalities.steps import answers
from gruvy.training.source import digest

CONSTANT = "most frequent tag"


def judge_tags(trained: artefact.Trained, part: Tagged) -> tuple[list[list[str]], dict[str, Any]]:
    """The tags said of each sequence of a part, and how good and how quick they are."""
    if not part.steps:
        raise BadInput("no step of the part to judge on counts, says the mask; give more sequences, or another mask")
    encoded = trained.inputs(part.sequences)
    began = time.monotonic()
    said = trained.task.named([one.tags for one in answers(trained, encoded)])
    took = time.monotonic() - began
    measured = {
        "metrics": trained.task.metrics(said, part), "n": len(part), "steps": part.steps,
        "steps_a_second": round(sum(map(len, said)) / max(took, 1e-6), 1),
    }  # fmt: skip
    return said, measured


def constant(trained: artefact.Trained, part: Tagged) -> list[list[str]]:
    """The most frequent tag of the training part, at every step."""
    return [[trained.task.commonest] * len(one) for one in part.sequences]


def together(part: Tagged) -> np.ndarray:
    """A number for each sequence, which equal ones share."""
    between = " " if part.unit == "words" else ""
    return duplicate_groups(between.join(one) for one in part.sequences)


def own_part(trained: artefact.Trained, folder: Path) -> Tagged:
    """The part a model was judged on, read again.

    Raises:
        BadInput: the file is gone, or has changed.
    """
    about = trained.about["data"]
    name = "test" if "test" in about["files"] else "train"
    file = about["files"][name]
    path = Path(file["path"])
    if not path.is_file():
        raise BadInput(f"the data of the training is no longer at {path}; give --data FILE")
    if digest(path) != file["sha256"]:
        raise BadInput(f"{path} has changed since the training, so its test part is unknown; give --data FILE")
    tagged = read_tagged(path, about["columns"], about["drop_empty"], trained.task.unit)
    if name == "test":
        return tagged
    rows = artefact.read_json(folder, "split.json")["rows"]["test"]
    return tagged.take(np.flatnonzero(np.isin(tagged.rows, rows)))


def columns_for(trained: artefact.Trained, given: Mapping[str, str]) -> dict[str, str]:
    """Column names by role: those of the training, but for those the user gave; who names columns names the mask too,
    where there is one."""
    known = trained.task.columns
    for role in given:
        if role not in known:
            raise BadInput(f"--{role} has no place here; a tag model reads --{', --'.join(known)}")
    kept = ("sequence", "tags") if given else ("sequence", "tags", "mask")
    return {role: name for role, name in trained.about["data"]["columns"].items() if role in kept} | dict(given)
