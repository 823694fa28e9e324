"""The gated recurrent unit and the forms the founding texts print."""

from gruvy.language.cell import cell
from gruvy.language.functions import sigmoid, tanh


@cell(cite="Cho et al. 2014, arXiv:1406.1078v1; the form of torch, cuDNN and Keras")
def gru(x, h, W, U, bi, bh):
    """Gated recurrent unit, reset gate applied after the recurrent product."""
    r = sigmoid(W.r(x) + bi.r + U.r(h) + bh.r)
    z = sigmoid(W.z(x) + bi.z + U.z(h) + bh.z)
    n = tanh(W.n(x) + bi.n + r * (U.n(h) + bh.n))
    return z * h + (1 - z) * n


@cell(cite="Cho et al. 2014, arXiv:1406.1078; the default of ONNX")
def gru_reset_before(x, h, W, U, b):
    """Gated recurrent unit, reset gate applied before the recurrent product."""
    r = sigmoid(W.r(x) + U.r(h) + b.r)
    z = sigmoid(W.z(x) + U.z(h) + b.z)
    n = tanh(W.n(x) + U.n(r * h) + b.n)
    return z * h + (1 - z) * n


@cell(cite="as printed in the founding texts; the published unit is gru (Cho et al. 2014, arXiv:1406.1078)")
def gru_carry(x, h, c, W, U, b):
    """Gated recurrent unit with a separate candidate memory c.

    Departs from the published GRU: the reset gate decides what the memory keeps, the candidate sees the whole state,
    and z opens towards the new value.
    """
    r = sigmoid(W.r(x) + U.r(h) + b.r)
    z = sigmoid(W.z(x) + U.z(h) + b.z)
    c = r * c + (1 - r) * tanh(W.c(x) + U.c(h) + b.c)
    h = z * c + (1 - z) * h
    return h, c


@cell(
    cite="as printed in the founding texts; the published unit is gru_reset_before (Cho et al. 2014, arXiv:1406.1078)"
)
def gru_output_gate(x, h, W, U):
    """Three gates: the layer's output y is the state seen through an output gate.

    Departs from the published GRU: the output gate, no biases, z opens towards the new value, and the reset gate
    appears twice, as printed.
    """
    r = sigmoid(W.r(x) + U.r(h))
    z = sigmoid(W.z(x) + U.z(h))
    n = tanh(W.n(x) + U.n(r * h))
    h_new = (1 - z) * h + z * r * n
    o = sigmoid(W.o(x) + U.o(h))
    y = o * h_new
    return y, h_new


@cell(
    cite="as printed in the founding texts; the published unit is gru_reset_before (Cho et al. 2014, arXiv:1406.1078)"
)
def gru_projected(x, h, W, U, b):
    """A squashed candidate C instead of an update gate.

    Departs from the published GRU: there is no explicit update gate. Printed with shapes that do not agree; this is
    the reading in which every term has one.
    """
    r = sigmoid(W.r(x) + U.r(h) + b.r)
    C = sigmoid(W.c(x) + U.c(r * h) + b.c)
    return tanh(C + U.h(h))
