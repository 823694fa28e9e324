"""Pooling against a plain loop; dropout that masks what it says it masks."""

import pytest
import torch

from gruvy.models.parts import POOLINGS, LockedDropout, Pooling, WordDropout

LENGTHS = torch.tensor([5, 1, 3])


def outputs():
    values = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)) - 2  # maxima below 0 too
    for row, length in zip(values, LENGTHS, strict=True):
        row[length:] = 0
    return values


PLAIN = {
    "max": lambda steps: [max(column) for column in zip(*steps, strict=True)],
    "mean": lambda steps: [sum(column) / len(column) for column in zip(*steps, strict=True)],
    "last": lambda steps: steps[-1],
}


@pytest.mark.parametrize("kinds", [("max",), ("mean",), ("last",), ("max", "mean"), ("last", "max", "mean")])
def test_pooling_is_what_a_loop_over_real_steps_gives(kinds):
    pooled = Pooling(kinds)(outputs(), LENGTHS)
    for row, values, length in zip(pooled, outputs(), LENGTHS, strict=True):
        expected = [value for kind in kinds for value in PLAIN[kind](values[:length].tolist())]
        torch.testing.assert_close(row, torch.tensor(expected))


@pytest.mark.parametrize("kind", POOLINGS)
def test_padding_is_not_pooled(kind):
    short, longer = outputs(), torch.cat([outputs(), torch.zeros(3, 6, 4)], 1)
    assert torch.equal(Pooling((kind,))(short, LENGTHS), Pooling((kind,))(longer, LENGTHS))


def test_locked_dropout_has_one_mask_a_sequence():
    dropped = LockedDropout(0.5)(torch.ones(40, 7, 30))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()  # the same at every step
    assert not (dropped[0] == dropped[1]).all()  # another for another sequence
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.1)  # nothing to undo when predicting


def test_word_dropout_hides_about_as_many_tokens_as_asked():
    ids = torch.full((100, 50), 9)
    dropped = WordDropout(0.2, unknown=1)(ids)
    assert set(dropped.unique().tolist()) == {1, 9}
    assert (dropped == 1).double().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (ids == 9).all()


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (LockedDropout(0.9).eval(), torch.ones(4, 5, 6)),
        (LockedDropout(0.0), torch.ones(4, 5, 6)),
        (WordDropout(0.9, 1).eval(), torch.full((4, 5), 7)),
        (WordDropout(0.0, 1), torch.full((4, 5), 7)),
    ],
)
def test_dropout_is_off_when_predicting_or_when_zero(module, x):
    assert torch.equal(module(x), x)
