"""The long short-term memory, to compare with."""

from gruvy.language.cell import cell
from gruvy.language.functions import sigmoid, tanh


@cell(cite="Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735, and Gers et al. 2000; the form of torch")
def lstm(x, h, c, W, U, bi, bh):
    """Long short-term memory: three gates and two states."""
    i = sigmoid(W.i(x) + bi.i + U.i(h) + bh.i)
    f = sigmoid(W.f(x) + bi.f + U.f(h) + bh.f)
    g = tanh(W.g(x) + bi.g + U.g(h) + bh.g)
    o = sigmoid(W.o(x) + bi.o + U.o(h) + bh.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c
