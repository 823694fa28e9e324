"""A linear model of k-mers and of where they stand: the strong, cheap branch of a sequence model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gruvy.data.text import TokenIds
from gruvy.models.ngrams import Labelled, Loss, minimise, unflatten

_COMMON, _PLACED = 4000, 64  # different k-mers, about, up to which k grows: anywhere, and at a place of their own
_LONGEST = 8
_FEWEST = 2  # training sequences that hold a feature which is kept
_MOST_ROWS = 20_000  # training sequences looked at
_AT_ONCE = 1_000_000  # symbols whose features are in memory before equal ones are counted
_RIDGES = (2.0, 0.5, 0.1, 0.02)  # penalties tried, strongest first: each fit starts where the last one ended


class KmerSequence(nn.Module):
    """A linear model of how often each k-mer stands in a sequence and, where sequences are aligned, of what stands
    where.

    Counts enter by their square roots. Counts and places are scaled to length 1 each. Places are kept where that costs
    less on the validation rows.

    Args:
        symbols: ids there are; letters: how many of them are different letters, which decides how long k-mers get.
        positions: symbols of an aligned sequence; 0 where places say nothing.
        output_size: units of the answer.
        complement: the id of what pairs with each id, to count both strands; None for one.
    """

    keys: Tensor

    def __init__(self, symbols: int, letters: int, positions: int, output_size: int, complement: np.ndarray | None):
        super().__init__()
        self.symbols, self.positions, self.complement = symbols, positions, complement
        self.longest, self.longest_placed = _k(_COMMON, letters), _k(_PLACED, letters) if positions else 0
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))  # of the features that are kept, rising
        self.weight = nn.Parameter(torch.zeros(0, output_size))
        self.bias = nn.Parameter(torch.zeros(output_size))

    def forward(self, tokens: TokenIds) -> Tensor:
        """-> `(sequences, output_size)`."""
        return self.bias + torch.from_numpy(self._rows(tokens) @ self.weight.detach().numpy())

    def fit(self, train: Labelled, validation: Labelled, loss: Loss, iterations: int = 60) -> None:
        """Find the weights on `train`, and their penalty and whether places count on `validation`.

        Args:
            train, validation: ids with their targets `(sequences,)`.
            loss: the mean loss of outputs `(sequences, output_size)`.
            iterations: of L-BFGS at most, for each penalty.
        """
        best, kept = float("inf"), self.keys
        chosen = np.arange(0, len(train[0]), -(-len(train[0]) // _MOST_ROWS))
        tokens, targets = train[0].take(chosen), train[1][chosen]
        keys = self._common_keys(tokens)
        for some in [keys, keys[_place(keys, self.positions) == 0]] if self.positions else [keys]:
            self.keys = torch.from_numpy(some)
            rows, held_out = self._rows(tokens), self._rows(validation[0])
            size = len(self.bias)
            flat = np.zeros((len(some) + 1) * size)
            for ridge in _RIDGES:
                flat = minimise(rows, targets, loss, ridge, flat, size, iterations)
                weight, bias = unflatten(flat.astype(np.float32), size)
                reached = loss(torch.from_numpy(held_out @ weight + bias), validation[1]).item()
                if reached < best:
                    best, kept = reached, self.keys
                    self.weight = nn.Parameter(torch.from_numpy(weight.copy()))
                    self.bias = nn.Parameter(torch.from_numpy(bias.copy()))
        self.keys = kept

    def _common_keys(self, tokens: TokenIds) -> np.ndarray:
        """Keys that several sequences hold; all, where there are few sequences."""
        parts = [np.unique(self._features(part)[1], return_counts=True) for part in _parts(tokens)]
        found, place = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts for _, counts in parts]))
        return found[counts >= min(_FEWEST, len(tokens))]

    def _features(self, tokens: TokenIds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sequence, key and count of each feature there is, sequence by sequence."""
        strands = [tokens] if self.complement is None else [tokens, _reversed(tokens, self.complement)]
        found: dict[str, list[np.ndarray]] = {"document": [], "key": []}
        for strand in strands:
            document = np.repeat(np.arange(len(strand)), strand.lengths)
            place = np.arange(len(strand.ids)) - strand.offsets[document]
            room = strand.lengths[document] - place  # symbols from a place to the end of its sequence
            codes = np.zeros(len(strand.ids), np.int64)
            for k in range(1, self.longest + 1):
                starts = np.flatnonzero(room >= k)
                # No two k-mers have one code, whatever their k: ids are above 0.
                codes[starts] = codes[starts] * self.symbols + strand.ids[starts + k - 1]
                found["document"].append(document[starts])
                found["key"].append(codes[starts] * (self.positions + 1))
                if k <= self.longest_placed:
                    inside = starts[place[starts] < self.positions]
                    found["document"].append(document[inside])
                    found["key"].append(codes[inside] * (self.positions + 1) + 1 + place[inside])
        documents, keys = np.concatenate(found["document"]), np.concatenate(found["key"])
        span = keys.max(initial=0) + 1
        both, counts = np.unique(documents * span + keys, return_counts=True)
        return *np.divmod(both, span), counts

    def _rows(self, tokens: TokenIds) -> Any:
        """Features as a sparse matrix `(sequences, kept keys)`, counts and places scaled to length 1 in each row."""
        from scipy.sparse import vstack

        return vstack([self._part(part) for part in _parts(tokens)], format="csr")

    def _part(self, tokens: TokenIds) -> Any:
        from scipy.sparse import csr_matrix

        documents, keys, counts = self._features(tokens)
        known = self.keys.numpy()
        column = np.searchsorted(known, keys)
        here = column < len(known)
        here[here] = known[column[here]] == keys[here]
        documents, column, counts = documents[here], column[here], counts[here]
        placed = _place(known[column], self.positions) > 0
        block = 2 * documents + placed
        totals = np.bincount(block, counts, minlength=2 * len(tokens))  # the squares of the square roots
        values = np.sqrt(counts / totals[block]).astype(np.float32)
        return csr_matrix((values, (documents, column)), (len(tokens), len(known)))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Make room for as many features as were saved."""
        if f"{prefix}keys" in state_dict:
            kept = len(state_dict[f"{prefix}keys"])
            self.keys = torch.zeros(kept, dtype=torch.int64)
            self.weight = nn.Parameter(torch.zeros(kept, len(self.bias)))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _k(most: int, letters: int) -> int:
    """How long k-mers of so many letters are, for about `most` of them."""
    return min(_LONGEST, max(1, round(math.log(most) / math.log(max(2, letters)))))


def _place(keys: np.ndarray, positions: int) -> np.ndarray:
    """The place within each key, from 1; 0 where it is anywhere."""
    return keys % (positions + 1)


def _parts(tokens: TokenIds) -> Iterator[TokenIds]:
    """The sequences in parts of not too many symbols."""
    start = 0
    while start < len(tokens):
        end = int(np.searchsorted(tokens.offsets, tokens.offsets[start] + _AT_ONCE, side="right")) - 1
        end = min(len(tokens), max(start + 1, end))
        yield tokens.take(range(start, end))
        start = end


def _reversed(tokens: TokenIds, complement: np.ndarray) -> TokenIds:
    return TokenIds.join([complement[tokens[i]][::-1] for i in range(len(tokens))])
