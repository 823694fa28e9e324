"""The recurrent network without gates."""

from gruvy.language.cell import cell
from gruvy.language.functions import tanh


@cell(cite="Elman 1990, doi:10.1207/s15516709cog1402_1; the form of torch and cuDNN")
def elman(x, h, W, U, bi, bh):
    """Vanilla recurrent network: the baseline every comparison starts from.

    The output projection y = V h + c of the texts is the layer's `output_size`.
    """
    return tanh(W.h(x) + bi.h + U.h(h) + bh.h)
