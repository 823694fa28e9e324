"""Batches of like length: every row once an epoch, repeatable, with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data.batches import LengthBuckets, pad

LENGTHS = st.lists(st.integers(0, 300), max_size=200)
SEEDS = st.none() | st.integers(0, 2**32)


def order(lengths, batch_size, seed, epoch):
    buckets = LengthBuckets(np.array(lengths, int), batch_size, seed)
    buckets.set_epoch(epoch)
    return [batch.tolist() for batch in buckets]


@given(LENGTHS, st.integers(1, 40), SEEDS, st.integers(0, 50))
def test_an_epoch_holds_every_row_once_in_batches_of_at_most_the_size(lengths, batch_size, seed, epoch):
    batches = order(lengths, batch_size, seed, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert len(LengthBuckets(np.array(lengths, int), batch_size, seed)) == len(batches)


@given(LENGTHS, st.integers(1, 40), SEEDS, st.integers(0, 50))
def test_the_same_seed_and_epoch_give_the_same_order(lengths, batch_size, seed, epoch):
    assert order(lengths, batch_size, seed, epoch) == order(lengths, batch_size, seed, epoch)


def test_another_epoch_and_another_seed_give_another_order():
    lengths = np.arange(100)
    first = order(lengths, 8, seed=3, epoch=0)
    assert first != order(lengths, 8, seed=3, epoch=1)
    assert first != order(lengths, 8, seed=4, epoch=0)


def test_without_a_seed_rows_come_in_order_of_length_whatever_the_epoch():
    lengths = np.random.default_rng(0).integers(1, 99, 500)
    rows = [row for batch in order(lengths, 8, None, 0) for row in batch]
    assert (np.diff(lengths[rows]) >= 0).all()
    assert rows == [row for batch in order(lengths, 8, None, 7) for row in batch]


def test_batches_do_not_come_in_order_of_length_when_shuffled():
    lengths = np.arange(1, 401)
    longest = [max(lengths[batch]) for batch in order(lengths, 8, 0, 0)]
    assert longest != sorted(longest)


def test_little_of_a_batch_is_padding():
    lengths = np.random.default_rng(0).integers(1, 400, 3000)
    batches = order(lengths, 32, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


@given(st.lists(st.lists(st.integers(1, 9), max_size=7), max_size=9), st.integers(-1, 0))
def test_pad_keeps_the_sequences_and_fills_the_rest(sequences, value):
    batch, lengths = pad([np.array(s, np.int32) for s in sequences], value)
    assert batch.dtype == lengths.dtype == np.int64
    assert batch.shape == (len(sequences), max(map(len, sequences), default=0))
    assert lengths.tolist() == [len(s) for s in sequences]
    for row, sequence in zip(batch, sequences, strict=True):
        assert row.tolist() == sequence + [value] * (batch.shape[1] - len(sequence))


@pytest.mark.parametrize("lengths", [[], [0], [5]])
def test_few_rows(lengths):
    assert order(lengths, 4, 0, 0) == ([[0]] if lengths else [])
