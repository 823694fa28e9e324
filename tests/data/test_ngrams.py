"""Hashed n-grams: the compiled kernel, the NumPy one and the definition agree on every document."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data import ngrams
from gruvy.data.ngrams import compiled, ngram_features
from gruvy.errors import BadInput

MASK = 2**64 - 1

tokens = st.integers(0, 20) | st.integers(0, 2**31 - 1)
documents = st.lists(st.lists(tokens, max_size=12), max_size=8)
orders = st.integers(1, 5)
buckets = st.sampled_from([1, 2, 7, 1000, 2**20, 2**31]) | st.integers(1, 2**31)


def pack(docs):
    ids = np.array([token for doc in docs for token in doc], np.int32)
    return ids, np.cumsum([0, *map(len, docs)], dtype=np.int64)


def unpack(indices, indptr):
    assert indices.dtype == np.int32
    assert indptr.dtype == np.int64
    return [indices[start:stop].tolist() for start, stop in pairwise(indptr)]


def definition(doc, max_n, num_buckets):
    """The features of one document, in Python integers, from the words of the module's docstring."""

    def hashed(ngram):
        h = 0
        for k, token in enumerate(ngram, 1):
            h = (h + k * 0x9E3779B97F4A7C15 + token) & MASK
            h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 & MASK
            h = (h ^ (h >> 27)) * 0x94D049BB133111EB & MASK
            h ^= h >> 31
        return h

    ngrams_of = (doc[i : i + n] for n in range(1, max_n + 1) for i in range(len(doc) - n + 1))
    return sorted({hashed(ngram) % num_buckets for ngram in ngrams_of})


@given(documents, orders, buckets)
def test_numpy_follows_the_definition(docs, max_n, num_buckets):
    rows = unpack(*ngrams._features_numpy(*pack(docs), max_n, num_buckets))
    assert rows == [definition(doc, max_n, num_buckets) for doc in docs]


@pytest.mark.skipif(not compiled()[0], reason=f"no compiled n-gram kernel: {compiled()[1]}")
@given(documents, orders, buckets)
def test_compiled_equals_numpy(docs, max_n, num_buckets):
    ids, offsets = pack(docs)
    extension, _ = ngrams._extension()
    for fast, plain in zip(
        ngrams._features_compiled(extension, ids, offsets, max_n, num_buckets),
        ngrams._features_numpy(ids, offsets, max_n, num_buckets),
        strict=True,
    ):
        assert fast.dtype == plain.dtype
        np.testing.assert_array_equal(fast, plain)


@given(documents, orders, buckets, st.randoms(use_true_random=False))
def test_permuting_the_documents_permutes_the_rows(docs, max_n, num_buckets, random):
    order = random.sample(range(len(docs)), len(docs))
    rows = unpack(*ngram_features(*pack(docs), max_n=max_n, num_buckets=num_buckets))
    permuted = [docs[i] for i in order]
    assert unpack(*ngram_features(*pack(permuted), max_n=max_n, num_buckets=num_buckets)) == [rows[i] for i in order]


@pytest.mark.parametrize("max_n", range(1, 6))
@pytest.mark.parametrize("docs", [[], [[]], [[], [], []], [[4]], [[], [4], []], [[4, 9], [], [4]]])
def test_documents_shorter_than_an_ngram(docs, max_n):
    rows = unpack(*ngram_features(*pack(docs), max_n=max_n))
    assert rows == [definition(doc, max_n, 2**20) for doc in docs]


def test_a_repeated_ngram_is_one_feature():
    (row,) = unpack(*ngram_features(*pack([[5] * 40]), max_n=3))
    assert len(row) == 3


def test_token_zero_hashes_to_the_first_output_of_splitmix64():
    """The published generator, seeded with 0, starts with 0xE220A8397B1DCDAF."""
    (row,) = unpack(*ngram_features(*pack([[0]]), max_n=1, num_buckets=2**31))
    assert row == [0xE220A8397B1DCDAF % 2**31]


def test_the_hash_does_not_change():
    """Saved models hold weights by bucket number."""
    (row,) = unpack(*ngram_features(*pack([[1, 2, 3]]), max_n=3))
    assert row == [102381, 154817, 265113, 380723, 397167, 480974]


IDS, OFFSETS = pack([[1, 2, 3], [4]])


@pytest.mark.parametrize(
    ("ids", "offsets", "options", "message"),
    [
        ([1, 2, 3, 4], OFFSETS, {}, "ids must be a one-dimensional NumPy array of int32"),
        (IDS.astype(np.int64), OFFSETS, {}, "array of int32"),
        (IDS.astype(float), OFFSETS, {}, "array of int32"),
        (IDS.reshape(2, 2), OFFSETS, {}, "one-dimensional"),
        (np.repeat(IDS, 2)[::2], OFFSETS, {}, "ids must be contiguous"),
        (-IDS, OFFSETS, {}, "ids must not be negative"),
        (IDS, OFFSETS.astype(np.int32), {}, "array of int64"),
        (IDS, np.repeat(OFFSETS, 2)[::2], {}, "offsets must be contiguous"),
        (IDS, OFFSETS[:0], {}, "start at 0"),
        (IDS, OFFSETS[1:], {}, "start at 0"),
        (IDS, OFFSETS[:-1], {}, "end at the number of ids, 4"),
        (IDS, np.array([0, 9, 4]), {}, "must not decrease"),
        (IDS, np.array([0, -1, 4]), {}, "must not decrease"),
        (IDS, OFFSETS, {"max_n": 0}, "max_n must be a whole number from 1 to 5, not 0"),
        (IDS, OFFSETS, {"max_n": 6}, "max_n"),
        (IDS, OFFSETS, {"max_n": 2.0}, "max_n"),
        (IDS, OFFSETS, {"num_buckets": 0}, "num_buckets"),
        (IDS, OFFSETS, {"num_buckets": 2**31 + 1}, "num_buckets"),
    ],
)
def test_bad_input_is_refused(ids, offsets, options, message):
    with pytest.raises(BadInput, match=message):
        ngram_features(ids, offsets, **options)


def test_compiled_says_where_or_why():
    present, where_or_why = compiled()
    assert isinstance(present, bool)
    assert "_ngrams" in where_or_why
