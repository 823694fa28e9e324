"""Cells as a user would write them, from the papers: what the catalogue's own cells do not exercise.

Several inputs, states of other sizes, delays, constants, other letters, normalisers, -inf as an initial
value, and every function of the language. They run through every test of the engines.
"""

from gruvy.cells import (
    Cell,
    abs,
    cell,
    exp,
    expm1,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    where,
)


@cell(
    cite="Che et al. 2016, arXiv:1606.01865",
    sizes={"m": "I", "d": "I", "seen": "I", "p.mean": "I", "u.x": "I", "b.x": "I"},
)
def gru_d(x, m, d, /, h, seen, W, U, V, D, u, b, p):
    """Missing values imputed from the last seen one, which decays to the mean; m masks, d is time since."""
    gx = exp(-relu(u.x * d + b.x))
    gh = exp(-relu(D.h(d) + b.h))
    seen = m * x + (1 - m) * seen
    x = m * x + (1 - m) * (gx * seen + (1 - gx) * p.mean)
    h = gh * h
    r = sigmoid(W.r(x) + U.r(h) + V.r(m) + b.r)
    z = sigmoid(W.z(x) + U.z(h) + V.z(m) + b.z)
    n = tanh(W.n(x) + U.n(r * h) + V.n(m) + b.n)
    return (1 - z) * h + z * n, seen


@cell(cite="Ravanelli et al. 2018, arXiv:1803.10225")
def ligru(x, h, W, U, N):
    """One gate, relu, batch norm on the input's products."""
    z = sigmoid(N.z(W.z(x)) + U.z(h))
    n = relu(N.n(W.n(x)) + U.n(h))
    return z * h + (1 - z) * n


@cell(cite="Bradbury et al. 2017, arXiv:1611.01576, window of 2", sizes={"before": "I"})
def qrnn(x, c, before, W, V, b):
    """Gates from a window over the input; the state `before` is a delay."""
    z = tanh(W.z(x) + V.z(before) + b.z)
    f = sigmoid(W.f(x) + V.f(before) + b.f)
    o = sigmoid(W.o(x) + V.o(before) + b.o)
    c = f * c + (1 - f) * z
    return o * c, c, x


@cell(cite="De et al. 2024, arXiv:2402.19427", sizes={"x": "H"}, init={"p.a": -4.0})
def rglru(x, h, W, b, p, *, c=8.0):
    """Real-gated linear recurrent unit: linear in the state."""
    r = sigmoid(W.r(x) + b.r)
    i = sigmoid(W.i(x) + b.i)
    log_a = -c * softplus(p.a) * r
    return exp(log_a) * h + sqrt(-expm1(2 * log_a)) * (i * x)


@cell(cite="Li et al. 2018, arXiv:1803.04831")
def indrnn(x, h, W, u, b):
    """Each unit sees only itself."""
    return relu(W.h(x) + u.h * h + b.h)


@cell(cite="Jozefowicz et al. 2015")
def mut3(x, h, W, U, b):
    """The third of the mutated architectures."""
    z = sigmoid(W.z(x) + U.z(tanh(h)) + b.z)
    r = sigmoid(W.r(x) + U.r(h) + b.r)
    return tanh(U.h(r * h) + W.h(x) + b.h) * z + h * (1 - z)


@cell(cite="Beck et al. 2024, arXiv:2405.04517", init={"m": float("-inf")})
def slstm(x, h, c, n, m, W, U, b):
    """Exponential gates, kept in range by the stabiliser m."""
    i = W.i(x) + U.i(h) + b.i
    f = -softplus(-(W.f(x) + U.f(h) + b.f))
    o = sigmoid(W.o(x) + U.o(h) + b.o)
    z = tanh(W.z(x) + U.z(h) + b.z)
    m_new = maximum(f + m, i)
    i = exp(i - m_new)
    f = exp(f + m - m_new)
    c = f * c + i * z
    n = f * n + i
    return o * (c / n), c, n, m_new


@cell(cite="Zhou et al. 2018, arXiv:1809.03672", sizes={"a": 1})
def augru(x, a, /, h, W, U, b):
    """The update gate is scaled by an attention score a that comes with the input."""
    r = sigmoid(W.r(x) + U.r(h) + b.r)
    z = a * sigmoid(W.z(x) + U.z(h) + b.z)
    n = tanh(W.n(x) + r * U.n(h) + b.n)
    return (1 - z) * h + z * n


@cell(
    cite="Kusupati et al. 2018, arXiv:1901.02358",
    sizes={"p.zeta": 1, "p.nu": 1},
    init={"p.zeta": 1.0, "p.nu": -4.0},
)
def fastgrnn(x, h, W, U, b, p):
    """One pair of matrices for gate and candidate, two scalars between them."""
    a = W.a(x) + U.a(h)
    z = sigmoid(a + b.z)
    return z * h + (sigmoid(p.zeta) * (1 - z) + sigmoid(p.nu)) * tanh(a + b.h)


@cell(cite="Hafner et al. 2020, arXiv:2010.02193")
def gru_dreamer(x, h, W, U):
    """Reset, candidate and update normalised jointly; the update gate leans to keeping."""
    r, c, u = layer_norm(W.r(x) + U.r(h), W.c(x) + U.c(h), W.u(x) + U.u(h))
    n = tanh(sigmoid(r) * c)
    z = sigmoid(u - 1)
    return z * n + (1 - z) * h


@cell(sizes={"k": 1})
def every_function(x, h, k, W, U, b, p, *, scale=0.5):
    """No one's cell: the functions and shapes the others leave out."""
    a = W.a(x) + U.a(h) + b.a
    size = sqrt(1 + mean(a * a, h))
    low = minimum(a, p.floor) + scale * abs(h)
    h = where(a > 0, low / size, -log(1 + exp(low)) * scale) + k * maximum(a, -0.3)
    return h, tanh(mean(h) + scale * k)


USER_CELLS: dict[str, Cell] = {
    c.name: c
    for c in (
        gru_d, ligru, qrnn, rglru, indrnn, mut3, slstm, augru, fastgrnn, gru_dreamer, every_function,
    )
}  # fmt: skip

# States whose values must be positive for the equations to mean anything.
POSITIVE_STATES = {("slstm", "n")}
