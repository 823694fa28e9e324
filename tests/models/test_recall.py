"""Recall against plain loops, over awkward lengths, and step by step."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gruvy.models import recall
from gruvy.models.recall import Recall


def by_loops(module, x, heard, reach):
    """The definition, a step at a time, in NumPy."""
    with torch.no_grad():
        queries, keys = module.query(x).numpy(), module.key(x).numpy()
    nothing, heard = module.nothing.detach().numpy(), heard.numpy()
    batch, steps, size = queries.shape
    found = np.zeros((batch, steps, heard.shape[2] + 1), np.float32)
    for row in range(batch):
        for now in range(steps):
            past = range(max(0, now - reach), now)
            scores = np.array([queries[row, now] @ nothing, *(queries[row, now] @ keys[row, s] for s in past)])
            weights = np.exp((scores - scores.max()) / np.sqrt(size))
            weights /= weights.sum()
            for weight, s in zip(weights[1:], past, strict=True):
                found[row, now, :-1] += weight * heard[row, s + 1]
                found[row, now, -1] += weight
    return found


def example(batch, steps, seed=0):
    """A module whose likeness is pronounced, units, and what is heard."""
    torch.manual_seed(seed)
    module = Recall(5, 3, 4)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module, torch.randn(batch, steps, 5), torch.rand(batch, steps, 3).round()


@given(batch=st.integers(1, 3), steps=st.integers(1, 23), reach=st.integers(2, 12))
def test_is_what_its_definition_says_whatever_the_length(batch, steps, reach):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "_REACH", reach)
        module, x, heard = example(batch, steps, seed=steps)
        with torch.no_grad():
            found = module(x, heard).numpy()
    np.testing.assert_allclose(found, by_loops(module, x, heard, reach), atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5, 17])
def test_step_by_step_is_as_at_once(monkeypatch, steps):
    monkeypatch.setattr(recall, "_REACH", 5)
    module, x, heard = example(2, steps)
    remembered, found = None, []
    with torch.no_grad():
        for place in range(steps):
            one, remembered = module.step(x[:, place], heard[:, place], remembered)
            found.append(one)
        torch.testing.assert_close(torch.stack(found, 1), module(x, heard))


def test_a_later_step_changes_nothing():
    module, x, heard = example(1, 9)
    changed, otherwise = x.clone(), heard.clone()
    changed[:, 6:], otherwise[:, 6:] = 3.0, 1 - heard[:, 6:]
    with torch.no_grad():
        torch.testing.assert_close(module(x, heard)[:, :6], module(changed, otherwise)[:, :6])


def test_every_gradient():
    module, x, heard = example(2, 6)
    module, x, heard = module.double(), x.double().requires_grad_(), heard.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: module(*given), (x, heard))
