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
_SMOOTHING = 1.0


class NgramText(nn.Module):
    """A linear model of which hashed n-grams of tokens a text holds.

    Each n-gram is scaled by how strongly it goes with the targets in training (the idea of Wang & Manning 2012,
    aclanthology P12-2018, for any target), and each text's features are scaled to length 1.

    Args:
        num_buckets: of the hash; n-grams that share a bucket share a weight.
        max_n: longest n-gram.
        output_size: units of the answer.
    """

    scale: Tensor

    def __init__(self, num_buckets: int, max_n: int, output_size: int):
        super().__init__()
        self.max_n = max_n
        self.register_buffer("scale", torch.zeros(num_buckets))
        self.weight = nn.Parameter(torch.zeros(num_buckets, output_size))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, tokens: TokenIds) -> Tensor:
        """-> `(texts, output_size)`."""
        indices, indptr = self._features(tokens)
        buckets, starts = torch.from_numpy(indices), torch.from_numpy(indptr)
        values = self.scale[buckets]
        text = torch.repeat_interleave(torch.arange(len(tokens)), starts.diff())
        length = torch.zeros(len(tokens)).index_add_(0, text, values**2).sqrt().clamp(min=1e-9)
        weighted = values[:, None] * self.weight[buckets] / length[text, None]
        return self.bias + torch.zeros(len(tokens), len(self.bias)).index_add(0, text, weighted)

    def fit(self, tokens: TokenIds, targets: Tensor, loss: Loss, ridge: float = 1.0, iterations: int = 60) -> None:
        """Find scale and weights.

        Args:
            targets: what `loss` wants beside outputs, `(texts,)`.
            loss: the mean loss of outputs `(texts, output_size)`.
            ridge: penalty of the squared weights, beside the summed loss.
            iterations: of L-BFGS at most.
        """
        from scipy.optimize import minimize
        from scipy.sparse import csr_matrix

        indices, indptr = self._features(tokens)
        shape = (len(tokens), len(self.scale))
        held = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape)
        self.scale.copy_(torch.from_numpy(_association(held, targets)))
        rows = _scaled_to_length_1(held, self.scale.numpy())
        columns = rows.T.tocsr()
        size = len(self.bias)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weight, bias = flat[:-size].reshape(-1, size), flat[-size:]
            outputs = torch.from_numpy((rows @ weight + bias).astype(np.float32)).requires_grad_()
            total = loss(outputs, targets) * len(tokens)
            (grad,) = torch.autograd.grad(total, outputs)
            by_weight = columns @ grad.numpy() + ridge * weight
            value = total.item() + 0.5 * ridge * float((weight**2).sum())
            return value, np.append(by_weight.ravel(), grad.numpy().sum(0)).astype(np.float64)

        start = np.zeros(self.weight.numel() + size)
        options: dict[str, Any] = {"maxiter": iterations, "maxcor": 8, "ftol": 1e-5}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.astype(np.float32)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(found[:-size].reshape(-1, size)))
            self.bias.copy_(torch.from_numpy(found[-size:]))

    def _features(self, tokens: TokenIds) -> tuple[np.ndarray, np.ndarray]:
        return ngram_features(tokens.ids, tokens.offsets, max_n=self.max_n, num_buckets=len(self.scale))


def _association(held: Any, targets: Tensor) -> np.ndarray:
    """How far the targets of the texts that hold an n-gram lie from the rest, shrunk where few hold it; `(buckets,)`."""
    if targets.dtype.is_floating_point:
        columns = targets.double().numpy()[:, None]
    else:
        columns = nn.functional.one_hot(targets).double().numpy()
    columns = (columns - columns.mean(0)) / np.maximum(columns.std(0), 1e-9)
    counts = np.asarray(held.sum(0)).ravel()
    return (np.abs(held.T @ columns).max(1) / (counts + 2 * _SMOOTHING)).astype(np.float32)


def _scaled_to_length_1(held: Any, scale: np.ndarray) -> Any:
    rows = held.copy()
    rows.data = scale[rows.indices]
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    rows.data /= np.repeat(np.maximum(lengths, 1e-9), np.diff(rows.indptr)).astype(np.float32)
    return rows
