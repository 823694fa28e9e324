"""Attention gives what its equations give, in parts as in one, and never looks at padding."""

import math

import numpy as np
import pytest
import torch

from gruvy.models import attention as module
from gruvy.models.attention import AdditiveAttention, DotAttention

LENGTHS = [5, 1, 3]


def additive():
    return AdditiveAttention(4, 6, 7)


def dot():
    return DotAttention(4, 6)


def made(build, targets=3, sources=5):
    torch.manual_seed(0)
    attention = build().double()
    queries = torch.randn(len(LENGTHS), targets, 4, dtype=torch.double)
    values = torch.randn(len(LENGTHS), sources, 6, dtype=torch.double)
    return attention, queries, values


def written_out(attention, queries, values):
    """Context and weights, one query of one sequence at a time, in NumPy."""
    weights = {name: p.detach().numpy() for name, p in attention.named_parameters()}
    contexts, shares = np.zeros((*queries.shape[:2], 6)), np.zeros((*queries.shape[:2], values.shape[1]))
    for row, length in enumerate(LENGTHS):
        for step, query in enumerate(queries[row].numpy()):
            keys = values[row, :length].numpy()
            asked = weights["query.weight"] @ query
            if isinstance(attention, AdditiveAttention):
                projected = keys @ weights["key.weight"].T + weights["key.bias"]
                scores = np.tanh(asked + projected) @ weights["score.weight"][0]
            else:
                scores = keys @ asked / math.sqrt(6)
            share = np.exp(scores) / np.exp(scores).sum()
            shares[row, step, :length], contexts[row, step] = share, share @ keys
    return torch.from_numpy(contexts), torch.from_numpy(shares)


@pytest.mark.parametrize("build", [additive, dot])
@pytest.mark.parametrize("targets", [0, 1, 3])
def test_it_is_what_the_equations_say(build, targets):
    attention, queries, values = made(build, targets)
    context, weights = attention(queries, attention.prepare(values, torch.tensor(LENGTHS)))
    expected_context, expected_weights = written_out(attention, queries, values)
    torch.testing.assert_close(context, expected_context)
    torch.testing.assert_close(weights, expected_weights)


@pytest.mark.parametrize("build", [additive, dot])
def test_gradients(build):
    attention, queries, values = made(build)

    def whole(queries, values):
        return attention(queries, attention.prepare(values, torch.tensor(LENGTHS)))

    assert torch.autograd.gradcheck(whole, (queries.requires_grad_(), values.requires_grad_()))


@pytest.mark.parametrize("build", [additive, dot])
def test_padding_is_not_looked_at(build):
    attention, queries, values = made(build)
    lengths = torch.tensor(LENGTHS)
    expected, _ = attention(queries, attention.prepare(values, lengths))
    values[1, 1:] = 100.0
    context, weights = attention(queries, attention.prepare(values, lengths))
    torch.testing.assert_close(context, expected)
    assert not weights[1, :, 1:].any()


def test_in_parts_it_is_the_same_with_its_gradients(monkeypatch):
    attention, queries, values = made(additive, targets=7)
    lengths = torch.tensor(LENGTHS)

    def gradients():
        attention.zero_grad()
        given = queries.clone().requires_grad_(), values.clone().requires_grad_()
        context, weights = attention(given[0], attention.prepare(given[1], lengths))
        (context.square().sum() + weights.square().sum()).backward()
        return context, [t.grad for t in (*given, *attention.parameters())]

    expected, of_whole = gradients()
    monkeypatch.setattr(module, "_MOST", 2 * len(LENGTHS) * 5 * 7)  # two queries at once
    context, of_parts = gradients()
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(of_parts, of_whole)
