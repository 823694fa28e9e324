"""The catalogue of cells and what is needed to write one: `from gruvy.cells import cell, sigmoid, tanh`."""

from gruvy.cells.gated import gru, gru_carry, gru_output_gate, gru_projected, gru_reset_before
from gruvy.cells.memory import lstm
from gruvy.cells.minimal import mgu, mingru
from gruvy.cells.normalised import gru_layernorm, layer_norm
from gruvy.cells.vanilla import elman
from gruvy.language.cell import Cell, cell
from gruvy.language.functions import (
    abs,
    exp,
    expm1,
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

CATALOGUE: dict[str, Cell] = {
    c.name: c
    for c in (
        elman, gru_reset_before, gru, gru_carry, gru_output_gate, gru_projected, lstm, mgu, gru_layernorm, mingru,
    )
}  # fmt: skip

__all__ = [
    "CATALOGUE", "Cell", "cell", *CATALOGUE, "layer_norm",
    "abs", "exp", "expm1", "log", "maximum", "mean", "minimum", "relu", "sigmoid", "softplus", "sqrt", "tanh", "where",
]  # fmt: skip
