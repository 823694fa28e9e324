"""The loss over a vocabulary is the one it stands for: in half precision nearly, of a sample the better the larger."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from gruvy.models import cross_entropy as module
from gruvy.models.cross_entropy import cross_entropy, sampled_cross_entropy

NAMES = ("hidden", "weight", "bias")


@pytest.fixture(params=[True, False], ids=["in halves", "in float32"])
def halves(request, monkeypatch):
    monkeypatch.setattr(module, "_quick_halves", lambda device: request.param)
    return request.param


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "_quick_halves", lambda device: True)


def problem(tokens=60, vocabulary=200, units=48, scale=0.3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, units, generator=generator, dtype=dtype)
    weight = scale * torch.randn(vocabulary, units, generator=generator, dtype=dtype)
    bias = scale * torch.randn(vocabulary, generator=generator, dtype=dtype)
    targets = torch.randint(0, vocabulary, (tokens,), generator=generator)
    return [t.requires_grad_() for t in (hidden, weight, bias)], targets


def by_torch(hidden, weight, bias, targets, smoothing=0.0):
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none", label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize(("tokens", "vocabulary", "units"), [(60, 200, 48), (1, 2, 1), (17, 1000, 63), (0, 5, 3)])
def test_losses_and_gradients_are_torch_s(halves, smoothing, tokens, vocabulary, units):
    """Within what eight bits of a product leave."""
    operands, targets = problem(tokens, vocabulary, units)
    upstream = torch.rand(tokens)  # tokens that count for unequal amounts
    expected = by_torch(*operands, targets, smoothing)
    wanted = torch.autograd.grad(expected, operands, upstream)
    found = cross_entropy(*operands, targets, smoothing)
    gradients = torch.autograd.grad(found, operands, upstream)
    assert found.dtype == torch.float32
    relative = 0.02 if halves else 1e-5
    torch.testing.assert_close(found, expected, rtol=relative, atol=relative)
    for name, gradient, right in zip(NAMES, gradients, wanted, strict=True):
        assert gradient.dtype == torch.float32
        assert (gradient - right).norm() <= relative * right.norm() + 1e-8, name


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_gradients_it_is_exact(quick, smoothing):
    operands, targets = problem()
    with torch.no_grad():
        assert torch.equal(cross_entropy(*operands, targets, smoothing), by_torch(*operands, targets, smoothing))


def test_float64_is_never_halved(quick):
    operands, targets = problem(dtype=torch.float64)
    assert torch.equal(cross_entropy(*operands, targets), by_torch(*operands, targets))


def test_a_target_of_no_probability_keeps_loss_and_gradients_finite(quick):
    operands, targets = problem(scale=40.0)
    loss = cross_entropy(*operands, targets, 0.1).mean()
    gradients = torch.autograd.grad(loss, operands)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_half_precision_learns_what_full_precision_learns(monkeypatch):
    """Many small steps in which the errors do not add up."""
    final = {}
    for quick in (True, False):
        monkeypatch.setattr(module, "_quick_halves", lambda device, quick=quick: quick)
        operands, targets = problem(units=16)
        optimiser = torch.optim.Adam(operands, 0.03)
        for _ in range(60):
            optimiser.zero_grad()
            cross_entropy(*operands, targets).mean().backward()
            optimiser.step()
        with torch.no_grad():
            final[quick] = cross_entropy(*operands, targets).mean().item()
    assert final[False] < 0.2
    assert final[True] == pytest.approx(final[False], rel=0.05)


# Of a sample


def errors(samples, draws=40):
    """How far losses and gradients of a sample are off the full ones on average, relative to those."""
    operands, targets = problem(vocabulary=60)
    expected = by_torch(*operands, targets)
    wanted = torch.autograd.grad(expected.mean(), operands)
    of_losses, of_gradients = [], []
    for seed in range(draws):
        torch.manual_seed(seed)
        found = sampled_cross_entropy(*operands, targets, samples)
        gradients = torch.autograd.grad(found.mean(), operands)
        of_losses.append(((found - expected).norm() / expected.norm()).item())
        pairs = zip(gradients, wanted, strict=True)
        of_gradients.append(max(((g - w).norm() / w.norm()).item() for g, w in pairs))
    return sum(of_losses) / draws, sum(of_gradients) / draws


def test_a_larger_sample_is_nearer_to_the_whole():
    found = [errors(samples) for samples in (10, 100, 3000)]
    for smaller, larger in itertools.pairwise(found):
        assert larger[0] < 0.7 * smaller[0]
        assert larger[1] < 0.7 * smaller[1]
    assert max(found[-1]) < 0.01


def test_a_sample_that_has_every_token_gives_the_loss_itself():
    torch.manual_seed(0)
    operands, targets = problem(vocabulary=30, dtype=torch.float64)
    found = sampled_cross_entropy(*operands, targets, 20_000)
    torch.testing.assert_close(found, by_torch(*operands, targets))


def test_gradients_of_a_sample_are_those_of_its_loss():
    operands, targets = problem(tokens=4, vocabulary=12, units=3, dtype=torch.float64)

    def loss(*given):
        torch.manual_seed(5)
        return sampled_cross_entropy(*given, targets, 6)

    assert torch.autograd.gradcheck(loss, operands)


def test_a_sample_costs_the_gradient_of_its_tokens_only():
    operands, targets = problem(tokens=5, vocabulary=5000)
    torch.manual_seed(0)
    sampled_cross_entropy(*operands, targets, 50).sum().backward()
    touched = operands[1].grad.abs().sum(1).count_nonzero()
    assert 5 <= touched <= 55


def test_frequent_tokens_are_drawn_more_often_and_every_one_sometimes():
    """A token that is drawn has a gradient."""
    operands, _ = problem(tokens=1, vocabulary=8)
    drawn = torch.zeros(8)
    torch.manual_seed(0)
    for _ in range(300):
        operands[2].grad = None
        sampled_cross_entropy(*operands, torch.tensor([7]), 1).sum().backward()
        drawn += operands[2].grad != 0
    others = drawn[:7]
    assert (others > 0).all()
    expected = torch.log1p(1 / (torch.arange(7) + 1.0)) / torch.log(torch.tensor(9.0))
    torch.testing.assert_close(others / 300, expected, atol=0.08, rtol=0)
