"""Word vectors: words in like company are alike, everything else is zero."""

import numpy as np
import pytest

from gruvy.data.text import PADDING, UNKNOWN, TokenIds
from gruvy.models.embeddings import word_vectors


def company(seed=0):
    """Words 2 and 3 stand among 10..19, words 4 and 5 among 20..29."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(400):
        word, around = [(2, 10), (3, 10), (4, 20), (5, 20)][rng.integers(4)]
        text = rng.integers(around, around + 10, 6)
        texts.append([*text[:3], word, *text[3:]])
    return TokenIds.join(texts)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_words_in_like_company_are_alike():
    vectors = word_vectors(company(), 40, 6, seed=0)
    assert min(cosine(vectors[2], vectors[3]), cosine(vectors[4], vectors[5])) > 0.8
    assert max(cosine(vectors[a], vectors[b]) for a in (2, 3) for b in (4, 5)) < 0.3


def test_shape_type_and_length():
    vectors = word_vectors(company(), 40, 6, seed=0)
    assert (vectors.shape, vectors.dtype) == ((40, 6), np.float32)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors[10:30], axis=1), 0.3 * np.sqrt(6), rtol=1e-4)


@pytest.mark.parametrize("size", [6, 20])
def test_padding_unknown_and_lone_words_are_zero(size):
    """Also where there are fewer words in company than units."""
    tokens = TokenIds.join([[2, 3, 4, UNKNOWN, PADDING]] * 10 + [[7], [7], [UNKNOWN, 8, UNKNOWN]])
    vectors = word_vectors(tokens, 50, size, seed=0)
    assert vectors[[2, 3, 4]].any(1).all()
    assert not vectors[[PADDING, UNKNOWN, 7, 8, 30, 49]].any()


def test_neighbours_do_not_reach_across_texts():
    vectors = word_vectors(TokenIds.join([[2], [3]] * 20), 50, 4, seed=0)
    assert not vectors.any()


@pytest.mark.parametrize(
    ("texts", "vocabulary", "size"),
    [
        ([], 30, 4),
        ([[2]], 30, 4),
        ([[2, 3]], 4, 8),
        ([[2, 3]], 4, 4),
        ([[2, 3, 2]], 5, 4),
        ([[1, 1, 1]], 2, 1),
    ],
)
def test_tiny_vocabularies_give_finite_vectors_of_the_shape(texts, vocabulary, size):
    vectors = word_vectors(TokenIds.join(texts), vocabulary, size, seed=0)
    assert vectors.shape == (vocabulary, size)
    assert np.isfinite(vectors).all()


def test_the_same_seed_gives_the_same_vectors():
    assert np.array_equal(word_vectors(company(), 40, 6, seed=3), word_vectors(company(), 40, 6, seed=3))
