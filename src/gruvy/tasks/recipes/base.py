"""What every recipe has: how a network is trained, whatever it reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, whatever it reads.

    Attributes:
        batch_size: rows a batch; fewer where there are few rows.
        learning_rate, weight_decay, clip: of AdamW, with the norm of the gradient clipped.
        warm_up: share of the training during which the learning rate rises; it then falls along a cosine.
        steps: gradient steps aimed at.
        min_epochs, max_epochs, patience: bounds, and epochs without improvement before training stops.
        epoch_steps: the most steps between two validations, where an epoch has more; 0 for no such bound.
        averaging: decay a step of the running mean of the weights that is validated and kept; 0 for none.
        judging: share of a limit of time that is kept for judging.
    """

    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    warm_up: float = 0.25
    steps: int = 2500
    min_epochs: int = 3
    max_epochs: int = 40
    patience: int = 3
    epoch_steps: int = 0
    averaging: float = 0.99
    judging: float = 0.2

    def epochs(self, lengths: np.ndarray) -> int:
        """Epochs for training rows of `lengths`, in steps of the sequence."""
        return self._bounded(self.steps / self.batches(len(lengths)))

    def batches(self, rows: int) -> int:
        """Batches an epoch."""
        whole = -(-rows // self.batch_for(rows))
        return min(whole, self.epoch_steps) if self.epoch_steps else whole

    def batch_for(self, rows: int) -> int:
        """Rows a batch: at least some thirty batches an epoch, as long as one holds 8 rows."""
        return max(8, min(self.batch_size, rows // 32))

    def _bounded(self, epochs: float) -> int:
        return min(self.max_epochs, max(self.min_epochs, round(epochs)))
