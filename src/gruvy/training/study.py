"""What every kind of training has: its data read and split, its model, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from gruvy import artefact
from gruvy.training.loop import Batched
from gruvy.training.request import Outcome, Request


@dataclass(frozen=True)
class Fit:
    """A network to train, and what it learns from and is validated on.

    Attributes:
        validation: None where there are no rows to spare: the last weights are kept then.
    """

    network: nn.Module
    train: Batched
    validation: Batched | None


class Study(Protocol):
    """One training, from data to judgement; `gruvy.training.train` runs it.

    Attributes:
        request: what the user asked for; recipe: its hyper-parameters.
        task: has seen the targets; kind: of the inputs, a key of `RECIPES`; inputs: how they are prepared.
        introduction: what was read and how it is split, for the user.
        data: what was read, for `config.json`; size: of the data, in words.
    """

    request: Request
    recipe: Any
    task: Any
    kind: str
    inputs: Any
    introduction: str
    data: dict[str, Any]
    size: str

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]: ...

    def learn(self) -> None:
        """Prepare the inputs from the training part, and encode all parts."""
        ...

    def build(self) -> Any:
        """The model, with everything fitted that needs no gradient steps."""
        ...

    def fits(self, model: Any) -> list[Fit]:
        """The networks within the model that gradient steps train, one after the other."""
        ...

    def finish(self, trained: artefact.Trained) -> None:
        """Decide on rows that were not trained on how much each part of the model counts."""
        ...

    def judge(self, trained: artefact.Trained) -> Outcome:
        """Measure the trained model beside its baselines, on the test part."""
        ...
