"""A linear model of hashed n-grams: the strong, cheap branch of a text model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gruvy.data.ngrams import ngram_features
from gruvy.data.text import TokenIds

Loss = Callable[[Tensor, Tensor], Tensor]
Labelled = tuple[TokenIds, Tensor]

_SHRINKAGE = 2.0
_RIDGES = (0.5, 0.1, 0.02)  # penalties tried, strongest first: each fit starts where the last one ended


class NgramText(nn.Module):
    """A linear model of which hashed n-grams of tokens a text holds.

    Each n-gram is scaled by how strongly it goes with the targets in training (the idea of Wang & Manning 2012,
    aclanthology P12-2018, for any target), and each text's features are scaled to length 1.

    Args:
        num_buckets: of the hash; n-grams that share a bucket share a weight.
        max_n: longest n-gram.
        output_size: units of the answer.
    """

    buckets: Tensor
    scale: Tensor

    def __init__(self, num_buckets: int, max_n: int, output_size: int):
        super().__init__()
        self.num_buckets, self.max_n = num_buckets, max_n
        self.register_buffer("buckets", torch.zeros(0, dtype=torch.int32))  # those two training texts hold, rising
        self.register_buffer("scale", torch.zeros(0))
        self.weight = nn.Parameter(torch.zeros(0, output_size))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, tokens: TokenIds) -> Tensor:
        """-> `(texts, output_size)`."""
        rows = self._rows(tokens)
        return self.bias + torch.from_numpy(rows @ self.weight.detach().numpy())

    def fit(self, train: Labelled, validation: Labelled, loss: Loss, iterations: int = 60) -> None:
        """Find scale and weights on `train`, and the penalty of the squared weights on `validation`.

        Args:
            train, validation: tokens with their targets `(texts,)`.
            loss: the mean loss of outputs `(texts, output_size)`.
            iterations: of L-BFGS at most, for each penalty.
        """
        self._choose_features(*train)
        rows, held_out = self._rows(train[0]), self._rows(validation[0])
        flat, best = np.zeros(self.weight.numel() + len(self.bias)), float("inf")
        for ridge in _RIDGES:
            flat = minimise(rows, train[1], loss, ridge, flat, len(self.bias), iterations)
            weight, bias = unflatten(flat.astype(np.float32), len(self.bias))
            reached = loss(torch.from_numpy(held_out @ weight + bias), validation[1]).item()
            if reached < best:
                best = reached
                with torch.no_grad():
                    self.weight.copy_(torch.from_numpy(weight))
                    self.bias.copy_(torch.from_numpy(bias))

    def _choose_features(self, tokens: TokenIds, targets: Tensor) -> None:
        """Keep the buckets two texts hold, and scale each by how far its texts' targets lie from the mean."""
        from scipy.sparse import csr_matrix

        indices, indptr = self._hashed(tokens)
        held = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (len(tokens), self.num_buckets))
        counts = np.bincount(indices, minlength=self.num_buckets)
        kept = np.flatnonzero(counts >= 2)
        if targets.dtype.is_floating_point:
            columns = targets.numpy()[:, None]
        else:
            columns = nn.functional.one_hot(targets).float().numpy()
        columns = (columns - columns.mean(0)) / np.maximum(columns.std(0), 1e-9)
        association = np.abs(held.T @ columns).max(1)[kept] / (counts[kept] + _SHRINKAGE)
        self.buckets = torch.from_numpy(kept.astype(np.int32))
        self.scale = torch.from_numpy(association.astype(np.float32))
        self.weight = nn.Parameter(torch.zeros(len(kept), len(self.bias)))

    def _hashed(self, tokens: TokenIds) -> tuple[np.ndarray, np.ndarray]:
        return ngram_features(tokens.ids, tokens.offsets, max_n=self.max_n, num_buckets=self.num_buckets)

    def _rows(self, tokens: TokenIds) -> Any:
        """Scaled features as a sparse matrix `(texts, kept buckets)` with rows of length 1."""
        from scipy.sparse import csr_matrix

        indices, indptr = self._hashed(tokens)
        buckets, scale = self.buckets.numpy(), self.scale.numpy()
        place = np.searchsorted(buckets, indices)
        known = place < len(buckets)
        known[known] = buckets[place[known]] == indices[known]
        columns, starts = place[known], np.append(0, np.cumsum(known))[indptr]
        values = scale[columns]
        squares = np.append(0.0, np.cumsum(values.astype(np.float64) ** 2))[starts]
        lengths = np.sqrt(np.maximum(np.diff(squares), 1e-18))
        values = (values / np.repeat(lengths, np.diff(starts))).astype(np.float32)
        return csr_matrix((values, columns, starts), (len(tokens), len(buckets)))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Make room for as many features as were saved."""
        if f"{prefix}buckets" in state_dict:
            kept = len(state_dict[f"{prefix}buckets"])
            self.buckets, self.scale = torch.zeros(kept, dtype=torch.int32), torch.zeros(kept)
            self.weight = nn.Parameter(torch.zeros(kept, len(self.bias)))
        super()._load_from_state_dict(state_dict, prefix, *args)


def minimise(
    rows: Any, targets: Tensor, loss: Loss, ridge: float, start: np.ndarray, size: int, iterations: int
) -> Any:
    """Weights and bias, flat, that minimise the summed loss plus half of `ridge` times the squared weights."""
    from scipy.optimize import minimize

    columns = rows.T.tocsr()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = unflatten(flat.astype(np.float32), size)
        outputs = torch.from_numpy(rows @ weight + bias).requires_grad_()
        total = loss(outputs, targets) * len(targets)
        (grad,) = torch.autograd.grad(total, outputs)
        by_weight = columns @ grad.numpy() + ridge * weight
        value = total.item() + 0.5 * ridge * float((weight.astype(np.float64) ** 2).sum())
        return value, np.append(by_weight.ravel(), grad.numpy().sum(0)).astype(np.float64)

    options: dict[str, Any] = {"maxiter": iterations, "maxcor": 8, "ftol": 1e-5}
    return minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x


def unflatten(flat: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    return flat[:-size].reshape(-1, size), flat[-size:]
