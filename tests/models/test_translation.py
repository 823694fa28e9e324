"""The translation model: what it is trained on is what it writes with, sequence by sequence, whatever is around."""

import pytest
import torch
from tests.cells.user_cells import USER_CELLS
from tests.models.writing import OPTIONS, SOURCES, TARGETS, batch, new_model, padded, small_model

from gruvy.cells import CATALOGUE
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput
from gruvy.models.attention import KINDS
from gruvy.models.encoders import ENCODERS
from gruvy.models.translation import translation_model

CELLS = [CATALOGUE["gru"], CATALOGUE["lstm"], CATALOGUE["gru_carry"], *(USER_CELLS[n] for n in ("rglru", "slstm"))]


def stepwise(model, source, target):
    """Negative log-likelihoods of one target, written token by token."""
    state = model.decode_start(*padded([source]))
    found = []
    for before, token in zip([END, *target[:-1]], target, strict=True):
        log_probabilities, state, _ = model.decode_step(torch.tensor([before]), state)
        found.append(-log_probabilities[0, token])
    return torch.stack(found)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_the_loss_of_a_batch_is_what_writing_its_targets_alone_costs(cell):
    model = small_model(cell)
    with torch.no_grad():
        expected = torch.cat([stepwise(model, *pair) for pair in zip(SOURCES, TARGETS, strict=True)])
        torch.testing.assert_close(model(batch()), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("attention", KINDS)
def test_so_it_is_with_every_encoder_and_attention_and_two_vocabularies(name, attention):
    model = small_model(encoder=name, attention=attention, vocabulary=(8, 9), shared=False)
    with torch.no_grad():
        expected = torch.cat([stepwise(model, *pair) for pair in zip(SOURCES, TARGETS, strict=True)])
        torch.testing.assert_close(model(batch()), expected, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing():
    model = small_model()
    expected = model(batch())
    more = batch(extra=4)
    torch.testing.assert_close(model(more), expected)
    more["source"][1, 1:] = 7
    more["target"][0, 2:] = 7
    torch.testing.assert_close(model(more), expected)


def test_several_hypotheses_of_a_source_do_not_disturb_each_other():
    model = small_model()
    state = model.decode_start(*padded(SOURCES))
    both = state.take(torch.arange(4).repeat_interleave(2))
    ids = torch.tensor([3, 4] * 4)
    with torch.no_grad():
        together, _, weights = model.decode_step(ids, both)
        for hypothesis in range(2):
            expected, _, attended = model.decode_step(ids[hypothesis::2], state)
            torch.testing.assert_close(together[hypothesis::2], expected)
            torch.testing.assert_close(weights[hypothesis::2], attended)


def test_attention_is_a_share_of_the_real_source():
    model = small_model()
    source, lengths = padded(SOURCES)
    _, _, weights = model.decode_step(torch.full((4,), END), model.decode_start(source, lengths))
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert [int(n) for n in (weights > 0).sum(1)] == lengths.tolist()


def test_every_parameter_learns_from_a_finite_gradient():
    for options in ({"shared": False, "encoder": "gru+attention"}, {"attention": "dot", "num_layers": 2}):
        model = small_model(**options).train()
        model(batch()).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_smoothing_and_dropout_are_of_training_only():
    plain = {"word_dropout": 0.0, "locked_dropout": 0.0, "dropout": 0.0}
    model, smoothed = small_model(smoothing=0.0, **plain), small_model(**plain)
    expected = model(batch())
    torch.testing.assert_close(smoothed(batch()), expected)
    torch.testing.assert_close(model.train()(batch()), expected, atol=2e-2, rtol=2e-2)  # of halves, in training
    assert not torch.allclose(smoothed.train()(batch()), expected, atol=2e-2, rtol=2e-2)
    dropped = small_model().train()
    assert not torch.equal(dropped(batch()), dropped(batch()))


def test_it_learns_to_turn_sequences_around():
    """A task that needs attention: the state cannot hold the sequence at this size."""
    model = new_model(
        vocabulary=12, embedding_size=16, hidden_size=24, word_dropout=0.0, locked_dropout=0.0, dropout=0.0
    )
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(250):
        words = torch.randint(3, 12, (32, 6)).tolist()
        loss = model(batch([[*w, END] for w in words], [[*w[::-1], END] for w in words])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    words = torch.randint(3, 12, (32, 6)).tolist()
    unseen = batch([[*w, END] for w in words], [[*w[::-1], END] for w in words])
    assert model.eval()(unseen).mean() < 0.2  # chance is 1.9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cell": USER_CELLS["augru"]}, "augru reads x, a"),
        ({"attention": "local"}, "no attention 'local'; expected one of additive, dot"),
        ({"hidden_size": 7}, "hidden_size is 7; expected an even number"),
        ({"encoder": "cnn"}, "no encoder 'cnn'"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    options = {**OPTIONS, "cell": CATALOGUE["gru"], **changes}
    with pytest.raises(BadInput, match=said):
        translation_model(9, 9, options.pop("cell"), **options)
