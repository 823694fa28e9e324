"""Cells that normalise their pre-activations."""

from gruvy.language.cell import cell
from gruvy.language.functions import mean, sigmoid, sqrt, tanh


def layer_norm(*parts, eps=1e-5):
    """The parts, shifted and scaled together to mean 0 and variance 1 over all their units (Ba et al. 2016).

    Returns:
        The normalised vector for one part, a tuple for several; gain and bias are the cell's to add.
    """
    centre = mean(*parts)
    centred = [part - centre for part in parts]
    scale = sqrt(mean(*(part * part for part in centred)) + eps)
    normalised = tuple(part / scale for part in centred)
    return normalised if len(parts) > 1 else normalised[0]


_GAINS = ("g_xr", "g_xz", "g_hr", "g_hz", "g_xn", "g_hn")


@cell(
    cite="Ba et al. 2016, arXiv:1607.06450, supplementary equations of the GRU",
    init={f"p.{gain}": 1.0 for gain in _GAINS} | {f"b.{bias}": 0.0 for bias in ("xr", "xz", "hr", "hz", "xn", "hn")},
)
def gru_layernorm(x, h, W, U, b, p):
    """Gated recurrent unit with layer norm on its pre-activations, r and z normalised jointly."""
    x_r, x_z = layer_norm(W.r(x), W.z(x))
    h_r, h_z = layer_norm(U.r(h), U.z(h))
    x_n, h_n = layer_norm(W.n(x)), layer_norm(U.n(h))
    r = sigmoid(p.g_xr * x_r + b.xr + p.g_hr * h_r + b.hr)
    z = sigmoid(p.g_xz * x_z + b.xz + p.g_hz * h_z + b.hz)
    n = tanh(p.g_xn * x_n + b.xn + r * (p.g_hn * h_n + b.hn))
    return (1 - z) * h + z * n
