"""The recurrent branch ignores padding; the combination helps or is left out."""

import pytest
import torch
from torch.nn import functional as F

from gruvy.cells import CATALOGUE
from gruvy.data.batches import pad
from gruvy.data.text import PADDING, TokenIds
from gruvy.models.text import Combination, text_model
from gruvy.tasks.recipes import TextRecipe

SEQUENCES = [[3, 4, 5, 6, 7, 8, 9], [5], [9, 8, 7], [2, 2, 2, 2]]


def model(ngram_max_n=0, **changes):
    options = {
        "embedding_size": 5, "hidden_size": 4, "num_layers": 1, "bidirectional": True,
        "pooling": ("max", "mean", "last"), "word_dropout": 0.5, "locked_dropout": 0.5, "dropout": 0.5,
        "ngram_max_n": ngram_max_n, "ngram_buckets": 64, "engine": "auto", **changes,
    }  # fmt: skip
    torch.manual_seed(0)
    return text_model(20, 2, CATALOGUE[options.pop("cell", "gru")], **options).eval()


def batch(sequences, extra=0):
    ids, lengths = pad(sequences)
    return {
        "ids": F.pad(torch.from_numpy(ids), (0, extra), value=PADDING), "lengths": torch.from_numpy(lengths),
        "tokens": TokenIds.join(sequences),
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2}, {"bidirectional": False}, {"cell": "lstm"}, {"cell": "mgu"}, {"engine": "eager"}],
    ids=str,
)
def test_a_batch_gives_what_its_texts_give_alone(options):
    network = model(**options).network
    together = network(batch(SEQUENCES))
    for row, sequence in zip(together, SEQUENCES, strict=True):
        torch.testing.assert_close(row, network(batch([sequence]))[0])


def test_more_padding_and_other_padding_change_nothing():
    network = model().network
    expected = network(batch(SEQUENCES))
    more = batch(SEQUENCES, extra=5)
    torch.testing.assert_close(network(more), expected)
    more["ids"][more["ids"] == PADDING] = 11
    torch.testing.assert_close(network(more), expected)


def test_dropout_works_in_training_only():
    network = model().network
    given = batch(SEQUENCES)
    assert torch.equal(network(given), network(given))
    network.train()
    assert not torch.equal(network(given), network(given))


# The combination


def outputs(seed, strength=2.0, count=200):
    """Targets, outputs that know them, and outputs that do not."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 2, (count,), generator=generator)
    good = torch.randn(count, 2, generator=generator)
    good[torch.arange(count), targets] += strength
    return targets, good, torch.randn(count, 2, generator=generator)


def test_fitting_the_combination_lowers_the_loss_below_either_branch():
    targets, good, _ = outputs(0)
    _, other, _ = outputs(0, strength=1.5)
    other = other.roll(1, 0)
    other[torch.arange(200), targets] += 1.5
    combination = Combination(2, 2)
    before = F.cross_entropy(combination(good, other), targets)
    combination.fit([good, other], targets, F.cross_entropy)
    after = F.cross_entropy(combination(good, other), targets)
    assert after < min(before, F.cross_entropy(good, targets), F.cross_entropy(other, targets))


def test_the_combination_stays_finite_when_the_rows_are_separated():
    targets, good, _ = outputs(0, strength=50.0)
    combination = Combination(2, 2)
    combination.fit([good, good], targets, F.cross_entropy)
    assert all(torch.isfinite(p).all() for p in combination.parameters())


def finished(recurrent, ngrams, targets):
    made = model(ngram_max_n=2)
    made.finish({"recurrent branch": recurrent, "n-gram branch": ngrams}, targets, F.cross_entropy)
    return made


def test_a_helpful_branch_is_kept():
    targets, good, noise = outputs(1)
    made = finished(noise, good, targets)
    assert made.prune(TextRecipe()) == TextRecipe()
    assert made.answer == "both"
    assert set(made.branches(batch(SEQUENCES))) == {"n-gram branch", "recurrent branch", "both"}


def test_a_branch_that_says_the_same_of_every_text_is_not_chosen():
    targets, good, _ = outputs(2)
    assert finished(good, torch.zeros(200, 2), targets).answer == "recurrent branch"


def test_branches_of_noise_are_seldom_chosen():
    """Noise must not pass for help because weighing it also calibrates the other branch."""
    answers = [finished(good, noise, targets).answer for targets, good, noise in map(outputs, range(8))]
    assert answers.count("both") <= 2


def test_pruning_removes_the_branch_from_the_file():
    made = model(ngram_max_n=2)
    made.answer = "recurrent branch"
    assert made.prune(TextRecipe()).ngram_max_n == 0
    assert not [name for name in made.state_dict() if "ngram" in name or "combination" in name]
    assert set(made.branches(batch(SEQUENCES))) == {"recurrent branch"}


def test_a_model_without_ngrams_has_nothing_to_weigh():
    made = model()
    made.finish({"recurrent branch": torch.zeros(3, 2)}, torch.tensor([0, 1, 0]), F.cross_entropy)
    assert made.answer == "recurrent branch"
