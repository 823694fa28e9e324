"""The n-gram branch is the linear model it says it is."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.nn import functional as F

from gruvy.data.ngrams import ngram_features
from gruvy.data.text import TokenIds
from gruvy.models.ngrams import NgramText

PLANTED = 7
BUCKETS, MAX_N = 512, 2


def corpus(count=120, seed=0):
    """Texts of random tokens; those of class 1 hold the planted one."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, count)
    texts = [rng.integers(10, 60, rng.integers(3, 30)) for _ in range(count)]
    for text, target in zip(texts, targets, strict=True):
        if target:
            text[rng.integers(len(text))] = PLANTED
    return TokenIds.join(texts), torch.from_numpy(targets)


def fitted(train=None, validation=None, loss=F.cross_entropy, outputs=2):
    model = NgramText(BUCKETS, MAX_N, outputs)
    model.fit(train or corpus(), validation or corpus(seed=1), loss)
    return model


def by_hand(model, tokens):
    """The same outputs from dense arrays: presence, times scale, to length 1, times weights."""
    indices, indptr = ngram_features(tokens.ids, tokens.offsets, max_n=MAX_N, num_buckets=BUCKETS)
    held = csr_matrix((np.ones(len(indices)), indices, indptr), (len(tokens), BUCKETS)).toarray()
    features = held[:, model.buckets.numpy()] * model.scale.numpy()
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    features = np.divide(features, lengths, out=np.zeros_like(features), where=lengths > 0)
    return features @ model.weight.detach().numpy() + model.bias.detach().numpy()


def test_it_finds_a_planted_word():
    model = fitted()
    tokens, targets = corpus(seed=2)
    assert (model(tokens).argmax(1) == targets).double().mean() > 0.95


@pytest.mark.parametrize("loss", ["classify", "regress"])
def test_outputs_are_those_of_the_linear_model(loss):
    if loss == "classify":
        model = fitted()
    else:
        (train, t), (validation, v) = corpus(), corpus(seed=1)
        model = fitted((train, t.float()), (validation, v.float()), lambda o, y: F.mse_loss(o[:, 0], y), 1)
    tokens, _ = corpus(seed=3)
    np.testing.assert_allclose(model(tokens).detach(), by_hand(model, tokens), rtol=1e-4, atol=1e-5)


def test_only_what_two_texts_hold_is_kept():
    tokens = TokenIds.join([[10, 11], [10, 12], [13, 14], [10, 15]])
    model = NgramText(2**20, 1, 2)
    model.fit((tokens, torch.tensor([0, 1, 0, 1])), (tokens, torch.tensor([0, 1, 0, 1])), F.cross_entropy)
    ten = ngram_features(np.array([10], np.int32), np.array([0, 1]), max_n=1, num_buckets=2**20)[0]
    assert model.buckets.tolist() == ten.tolist()


def test_the_scale_is_how_strongly_a_word_goes_with_the_targets():
    """|sum of the standardised targets of its texts| / (its texts + 2), by a plain loop."""
    tokens, targets = corpus()
    model = fitted()
    columns = np.stack([targets == 0, targets == 1], 1).astype(float)
    columns = (columns - columns.mean(0)) / columns.std(0)
    texts = [set(ngram_features(t, np.array([0, len(t)]), max_n=MAX_N, num_buckets=BUCKETS)[0]) for t in
             (tokens[i] for i in range(len(tokens)))]  # fmt: skip
    for bucket, scale in zip(model.buckets.tolist()[::17], model.scale.tolist()[::17], strict=True):
        holders = [i for i, held in enumerate(texts) if bucket in held]
        assert scale == pytest.approx(np.abs(columns[holders].sum(0)).max() / (len(holders) + 2), rel=1e-4)


def test_ridge_regression_agrees_with_scikit_learn():
    """With a squared loss the fit has a closed form; the penalty is the one validation chose."""
    from sklearn.linear_model import Ridge

    train, targets = corpus(400)
    number = targets.float() * 2 - 1 + 0.1 * torch.randn(400, generator=torch.Generator().manual_seed(0))
    model = NgramText(BUCKETS, MAX_N, 1)
    model.fit((train, number), (train, number), lambda o, y: F.mse_loss(o[:, 0], y), iterations=500)
    features = model._rows(train).toarray().astype(np.float64)
    # Ours: sum (y - f)^2 + ridge / 2 |w|^2; validated on the training rows, the weakest penalty is best.
    theirs = Ridge(alpha=0.02 / 2).fit(features, number.numpy().astype(np.float64))
    np.testing.assert_allclose(model(train)[:, 0].detach(), theirs.predict(features), atol=0.05)


def test_one_text_gives_what_it_gives_among_others():
    model = fitted()
    tokens, _ = corpus(seed=4)
    together = model(tokens)
    for i in range(0, len(tokens), 13):
        torch.testing.assert_close(model(tokens.take([i]))[0], together[i], rtol=1e-4, atol=1e-5)


def test_texts_of_nothing_known_get_the_bias():
    model = fitted()
    tokens = TokenIds.join([[], [9_999_999]])
    torch.testing.assert_close(model(tokens)[0], model.bias)


def test_the_state_goes_into_a_fresh_module():
    model = fitted()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    fresh = NgramText(BUCKETS, MAX_N, 2)
    assert len(fresh.buckets) != len(model.buckets)
    fresh.load_state_dict(state)
    tokens, _ = corpus(seed=5)
    assert torch.equal(fresh(tokens), model(tokens))
    smaller = fitted(corpus(30, seed=6))
    smaller.load_state_dict(state)  # into one of another size
    assert torch.equal(smaller(tokens), model(tokens))


def test_texts_that_share_nothing_leave_a_model_of_the_bias():
    tokens = TokenIds.join([[10, 11], [20, 21], [30, 31], [40, 41]])
    targets = torch.tensor([0, 1, 1, 1])
    model = NgramText(2**20, 2, 2)
    model.fit((tokens, targets), (tokens, targets), F.cross_entropy)
    assert model(tokens).softmax(1)[:, 1].tolist() == pytest.approx([0.75] * 4, abs=0.01)


def test_fitting_twice_gives_the_same():
    tokens, _ = corpus(seed=5)
    assert torch.equal(fitted()(tokens), fitted()(tokens))
