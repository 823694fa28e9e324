"""A language network says the same however the text is cut, and drops units in training only."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.my_cells import my_gru

from gruvy.cells import CATALOGUE, cell, tanh
from gruvy.errors import BadInput
from gruvy.models.language import Carrying, language_model

VOCABULARY = 30
CELLS = [name for name, one in CATALOGUE.items() if len(one.inputs) == 1]
NO_DROPOUT = dict.fromkeys(
    ("embedding_dropout", "input_dropout", "layer_dropout", "output_dropout", "weight_dropout"), 0.0
)


def network(cell_name="gru", **changes):
    options = {
        "embedding_size": 7, "hidden_size": 5, "num_layers": 2, **NO_DROPOUT, "samples": 0, "engine": "auto", **changes
    }  # fmt: skip
    torch.manual_seed(0)
    found = cell_name if not isinstance(cell_name, str) else CATALOGUE[cell_name]
    return language_model(VOCABULARY, found, **options).network.eval()


def batch(rows=3, steps=11, seed=0, fresh=True):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (rows, steps + 1), generator=generator)
    there = torch.ones(rows, steps, dtype=torch.bool)
    return {"ids": ids[:, :-1], "targets": ids[:, 1:].flatten(), "there": there, "fresh": fresh}


def cut(given, *bounds):
    """A batch as several, one after the other."""
    edges = [0, *bounds, given["ids"].shape[1]]
    targets = given["targets"].view(given["ids"].shape)
    return [
        {
            "ids": given["ids"][:, a:b], "there": given["there"][:, a:b], "targets": targets[:, a:b].flatten(),
            "fresh": a == 0,
        }
        for a, b in itertools.pairwise(edges)
    ]  # fmt: skip


@torch.no_grad()
def token_by_token(model, ids, targets):
    """Negative log-likelihoods of a loop over single steps, `(rows, steps)`."""
    states, found = None, []
    for now, after in zip(ids.T, targets.T, strict=True):
        known, states = model.step(now, states)
        found.append(-model.scores(known).log_softmax(-1).gather(1, after[:, None])[:, 0])
    return torch.stack(found, 1)


@pytest.mark.parametrize("name", CELLS)
def test_the_loss_is_that_of_a_loop_over_single_tokens(name):
    model, given = network(name), batch()
    with torch.no_grad():
        losses, _ = model(given)
    expected = token_by_token(model, given["ids"], given["targets"].view(3, 11))
    torch.testing.assert_close(losses.view(3, 11), expected)


@pytest.mark.parametrize("engine", ["eager", "reference", "framework", "fused"])
def test_every_engine_says_the_same(engine):
    given = batch()
    with torch.no_grad():
        found, expected = network(engine=engine)(given)[0], network(engine="eager")(given)[0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", [*CELLS, my_gru])
def test_states_carried_from_batch_to_batch_read_the_whole(name):
    model, given = network(name), batch()
    carrying = Carrying(model).eval()
    with torch.no_grad():
        whole, _ = model(given)
        parts = [carrying(part).view(3, -1) for part in cut(given, 4, 5, 9)]
    torch.testing.assert_close(torch.cat(parts, 1), whole.view(3, 11))


@settings(max_examples=25)
@given(st.sets(st.integers(1, 10), max_size=4), st.integers(1, 4), st.sampled_from(["gru", "lstm"]))
def test_wherever_a_text_is_cut_it_reads_the_same(bounds, rows, name):
    model, given = network(name), batch(rows)
    with torch.no_grad():
        whole, last = model.read(given["ids"])
        states, parts = None, []
        for part in cut(given, *sorted(bounds)):
            hidden, states = model.read(part["ids"], states)
            parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(states, last)


def test_a_batch_that_begins_anew_forgets_and_validation_leaves_training_alone():
    model, given = network(), batch()
    carrying = Carrying(model)
    first, second = cut(given, 5)
    with torch.no_grad():
        alone = carrying.train()(first)
        expected = carrying(second)
        assert torch.equal(carrying(first), alone)
        carrying.eval()(batch(rows=5, seed=3))  # another number of rows
        found = carrying.train()(second)
    assert torch.equal(found, expected)


def test_the_carried_states_are_in_the_state_dict():
    given = batch()
    first, second = cut(given, 5)
    carrying, again = Carrying(network()), Carrying(network())
    with torch.no_grad():
        carrying(first)
        again.load_state_dict(carrying.state_dict())
        assert torch.equal(again(second), carrying(second))


def test_no_gradient_goes_back_past_a_batch():
    """It would fail on the graph of the first batch, which its own gradient has used up."""
    carrying = Carrying(network())
    for part in cut(batch(), 5):
        carrying(part).sum().backward()


def test_targets_that_are_not_there_cost_nothing_and_the_rows_before_them_stay():
    model, given = network(), batch()
    there = torch.arange(11) < torch.tensor([[11], [4], [0]])
    with torch.no_grad():
        every = model(given)[0].view(3, 11)
        some, _ = model({**given, "there": there, "targets": given["targets"].view(3, 11)[there]})
    torch.testing.assert_close(some, every[there])


def test_embeddings_are_those_of_the_output_and_are_learned_as_one():
    model = network()
    names = [name for name, p in model.named_parameters() if VOCABULARY in p.shape]
    assert sorted(names) == ["bias", "embedding.weight"]
    model(batch())[0].mean().backward()
    assert model.embedding.weight.grad.abs().sum(1).gt(0).all()


@pytest.mark.parametrize(("embedding_size", "hidden_size"), [(7, 5), (5, 5), (1, 1), (64, 17)])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_sizes(embedding_size, hidden_size, num_layers):
    model = network(embedding_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers)
    with torch.no_grad():
        hidden, states = model.read(batch()["ids"])
    assert hidden.shape == (3, 11, embedding_size)
    assert len(states) == num_layers
    assert model.scores(hidden).shape == (3, 11, VOCABULARY)


def test_a_fresh_network_is_about_as_surprised_by_every_token():
    losses, _ = network(embedding_size=64, hidden_size=64)(batch())
    torch.testing.assert_close(losses, torch.full_like(losses, VOCABULARY).log(), atol=0.2, rtol=0)


# Dropout

KINDS = list(NO_DROPOUT)


@pytest.mark.parametrize("kind", KINDS)
def test_each_dropout_works_in_training_only(kind):
    model, given = network(**{kind: 0.5}), batch()
    assert torch.equal(model(given)[0], model(given)[0])
    torch.testing.assert_close(model(given)[0], network()(given)[0])
    model.train()
    assert not torch.equal(model(given)[0], model(given)[0])
    torch.manual_seed(3)
    first = model(given)[0]
    torch.manual_seed(3)
    assert torch.equal(model(given)[0], first)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_dropped_weights_keep_their_names_values_and_gradients(name, engine):
    plain = network(name, engine=engine)
    model = network(name, engine=engine, weight_dropout=0.5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert before.keys() == plain.state_dict().keys()
    model.train()
    model(batch())[0].mean().backward()
    assert model.state_dict().keys() == before.keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    recurrent = [p for key, p in model.named_parameters() if "weight_hh" in key]
    for matrix in recurrent:
        dropped = (matrix.grad == 0).float().mean()
        assert 0.2 < dropped < 0.8, "the gradient of a weight that is left out is 0"


def test_embeddings_are_dropped_by_whole_tokens_and_the_others_scaled_so_that_the_mean_stays():
    model = network(embedding_dropout=0.3, num_layers=1)
    rows = []
    model.train()
    torch.manual_seed(0)
    for _ in range(600):
        seen = model._embeddings() / model.embedding.weight
        rows.append(seen[:, 0])
        assert torch.equal(seen.round(decimals=3).min(1).values, seen.round(decimals=3).max(1).values), "whole tokens"
    kept = torch.stack(rows)
    torch.testing.assert_close(kept.mean(), torch.tensor(1.0), atol=0.03, rtol=0)
    torch.testing.assert_close((kept == 0).float().mean(), torch.tensor(0.3), atol=0.02, rtol=0)


def test_a_sampled_loss_is_for_training_only():
    model, given = network(samples=5), batch()
    torch.testing.assert_close(model(given)[0], network()(given)[0])
    model.train()
    assert not torch.equal(model(given)[0], model(given)[0])
    many = network(samples=5000).train()
    with torch.no_grad():
        torch.testing.assert_close(many(given)[0], network()(given)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"samples": 20}, {"weight_dropout": 0.2, "input_dropout": 0.2}])
def test_it_learns_a_text_by_heart(changes):
    model, given = network(embedding_size=16, hidden_size=16, num_layers=1, **changes).train(), batch()
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(80):
        optimiser.zero_grad()
        model(given)[0].mean().backward()
        optimiser.step()
    with torch.no_grad():
        assert model.eval()(given)[0].mean() < 0.7


# Cells


def test_the_catalogue_has_cells_of_one_input():
    assert len(CELLS) == 10


def test_a_cell_that_adds_its_input_to_its_state_gets_embeddings_of_its_size():
    @cell(cite="invented for the tests", sizes={"x": "H"})
    def adding(x, h, U):
        """A state that its input is added to."""
        return tanh(U.h(h)) + x

    model = network(adding, embedding_size=7, hidden_size=5)
    assert model.embedding.weight.shape == (VOCABULARY, 5)
    assert model(batch())[0].isfinite().all()


def test_a_cell_of_two_inputs_is_refused():
    @cell(cite="invented for the tests", sizes={"m": "I"})
    def two(x, m, /, h, W, U):
        """Reads two inputs."""
        return tanh(W.x(x) + W.m(m) + U.h(h))

    with pytest.raises(BadInput, match="feeds one input; two reads x, m: use another cell"):
        network(two)
