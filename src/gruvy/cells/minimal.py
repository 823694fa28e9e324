"""Cells with fewer gates."""

from gruvy.language.cell import cell
from gruvy.language.functions import sigmoid, tanh


@cell(cite="Zhou et al. 2016, arXiv:1603.09420")
def mgu(x, h, W, U, b):
    """Minimal gated unit: one gate forgets and resets."""
    f = sigmoid(W.f(x) + U.f(h) + b.f)
    n = tanh(W.n(x) + U.n(f * h) + b.n)
    return (1 - f) * h + f * n


@cell(cite="Feng et al. 2024, arXiv:2410.01201")
def mingru(x, h, W, b):
    """Gate and candidate see the input alone, so the recurrence is linear in the state."""
    z = sigmoid(W.z(x) + b.z)
    n = W.n(x) + b.n
    return (1 - z) * h + z * n
