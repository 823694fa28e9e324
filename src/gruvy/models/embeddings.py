"""Word vectors from the training texts alone, for an embedding to start from."""

from __future__ import annotations

import math

import numpy as np

from gruvy.data.text import UNKNOWN, TokenIds

_WINDOW = 5
_CONTEXT_POWER = 0.75
_NORM = 0.3  # root mean square of a vector's units


def word_vectors(tokens: TokenIds, vocabulary_size: int, size: int, seed: int) -> np.ndarray:
    """Positive pointwise mutual information of words that stand near each other, factorised.

    Levy & Goldberg 2014 ("Neural word embedding as implicit matrix factorization") with context distribution
    smoothing (Levy, Goldberg & Dagan 2015, aclanthology Q15-1016) and neighbours weighed by 1 / distance.

    Returns:
        float32 `(vocabulary_size, size)`; zeros for padding, the unknown token and words without neighbours.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    counts = csr_matrix((vocabulary_size, vocabulary_size), dtype=np.float32)
    text = np.repeat(np.arange(len(tokens)), tokens.lengths)
    for distance in range(1, _WINDOW + 1):
        left, right = tokens.ids[:-distance], tokens.ids[distance:]
        together = (text[:-distance] == text[distance:]) & (left > UNKNOWN) & (right > UNKNOWN)
        weights = np.full(int(together.sum()), 1 / distance, np.float32)
        counts = counts + csr_matrix((weights, (left[together], right[together])), counts.shape)
    counts = (counts + counts.T).tocoo()
    vectors = np.zeros((vocabulary_size, size), np.float32)
    if counts.nnz == 0 or vocabulary_size <= size:
        return vectors
    words = np.bincount(counts.row, counts.data, vocabulary_size)
    contexts = words**_CONTEXT_POWER
    information = np.log(counts.data * contexts.sum() / (words[counts.row] * contexts[counts.col]))
    positive = information > 0
    matrix = csr_matrix(
        (information[positive].astype(np.float32), (counts.row[positive], counts.col[positive])), counts.shape
    )
    left_vectors, singular, _ = randomized_svd(matrix, size, n_iter=2, random_state=seed)
    singular[singular < 1e-4 * singular.max()] = 0
    vectors[:] = left_vectors * np.sqrt(singular)
    vectors[words == 0] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-6) * (lengths > 1e-6) * (_NORM * math.sqrt(size))
