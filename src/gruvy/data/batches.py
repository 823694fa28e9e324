"""Length-bucketed batches: texts of like length together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_POOL = 50  # batches whose texts are sorted together


class LengthBuckets:
    """Batches of row numbers; a new shuffle each epoch, the same for the same seed and epoch.

    Args:
        lengths: `(rows,)`.
        batch_size: rows a batch.
        seed: None keeps all rows in order of length, for evaluation.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int | None = None):
        self.lengths, self.batch_size, self.seed, self.epoch = np.asarray(lengths), batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size * _POOL)
        return whole * _POOL + -(-rest // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.seed is None:
            yield from self._pools(np.argsort(self.lengths, kind="stable"))
            return
        rng = np.random.default_rng((self.seed, self.epoch))
        batches = list(self._pools(rng.permutation(len(self.lengths))))
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def _pools(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        size = self.batch_size * _POOL
        for pool in (rows[i : i + size] for i in range(0, len(rows), size)):
            ordered = pool[np.argsort(self.lengths[pool], kind="stable")]
            yield from (ordered[i : i + self.batch_size] for i in range(0, len(ordered), self.batch_size))


def pad(sequences: Sequence[np.ndarray], value: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of ids `(steps,)` as one int64 array `(batch, longest)`, padded at the end, and their lengths."""
    lengths = np.array([len(s) for s in sequences], np.int64)
    batch = np.full((len(sequences), int(lengths.max(initial=0))), value, np.int64)
    for row, sequence in zip(batch, sequences, strict=True):
        row[: len(sequence)] = sequence
    return batch, lengths
