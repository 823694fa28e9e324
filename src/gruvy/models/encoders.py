"""Encoders: a sequence of vectors as a sequence of vectors that know their neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gruvy.cells import Cell
from gruvy.engines import real_steps
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.layers.recurrent import States
from gruvy.models.parts import LockedDropout

ENCODERS = ("gru", "transformer", "gru+attention", "attention+gru")
_HEAD_UNITS = 64


class RecurrentLayer(nn.Module):
    """One recurrent layer, batch first, whatever the cell: one that adds its input to its state gets it projected."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, engine: str, bidirectional: bool = False):
        super().__init__()
        adds = "H" in cell.inputs.values()
        self.projection = nn.Linear(input_size, hidden_size) if adds else nn.Identity()
        self.layer = Recurrent(
            cell, hidden_size if adds else input_size, hidden_size, batch_first=True, engine=engine,
            bidirectional=bidirectional, recurrent_init="orthogonal",
        )  # fmt: skip

    @property
    def output_units(self) -> int:
        """Units of the output in one step."""
        return self.layer.output_units

    def forward(self, x: Tensor, states: States | None, lengths: Tensor) -> tuple[Tensor, States]:
        """`(batch, steps, input_size)` -> output `(batch, steps, output_units)`, 0 past the ends, and last states."""
        return self.layer(self.projection(x), states, lengths=lengths)

    def step(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """`(batch, input_size)` -> `(batch, output_units)` and the states after it."""
        return self.layer.step(self.projection(x), states)


class RecurrentEncoder(nn.Module):
    """Bidirectional layers, with locked dropout between them; from the second on, a layer adds to what it reads."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: float, engine: str):
        super().__init__()
        layers: list[RecurrentLayer] = []
        for _ in range(num_layers):
            size = layers[-1].output_units if layers else input_size
            layers.append(RecurrentLayer(cell, size, hidden_size, engine, bidirectional=True))
        self.layers = nn.ModuleList(layers)
        self.dropout = LockedDropout(dropout)
        self.output_units = layers[-1].output_units

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, steps, input_size)` -> `(batch, steps, output_units)`, 0 past the ends."""
        output, _ = self.layers[0](x, None, lengths)
        for layer in list(self.layers)[1:]:
            output = output + layer(self.dropout(output), None, lengths)[0]
        return output


class TransformerEncoder(nn.Module):
    """Transformer blocks, normalised first, over vectors with the positions of Vaswani et al. 2017, arXiv:1706.03762.

    Positions have no limit.
    """

    def __init__(self, input_size: int, units: int, num_layers: int, dropout: float):
        super().__init__()
        self.projection = nn.Linear(input_size, units)
        heads = next(n for n in range(max(1, units // _HEAD_UNITS), 0, -1) if units % n == 0)
        block = nn.TransformerEncoderLayer(units, heads, 4 * units, dropout, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, num_layers, nn.LayerNorm(units), enable_nested_tensor=False)
        self.output_units = units

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, steps, input_size)` -> `(batch, steps, units)`, 0 past the ends."""
        padding = ~real_steps(lengths, x.shape[1])[..., 0].T
        output = self.projection(x) + positions(x.shape[1], self.output_units, x)
        return self.blocks(output, src_key_padding_mask=padding).masked_fill(padding[..., None], 0)


class Chain(nn.Module):
    """Encoders one after the other."""

    def __init__(self, *encoders: RecurrentEncoder | TransformerEncoder):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.output_units = encoders[-1].output_units

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, steps, input_size)` -> `(batch, steps, output_units)`, 0 past the ends."""
        for encoder in self.encoders:
            x = encoder(x, lengths)
        return x


def source_encoder(
    name: str, cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: float, engine: str
) -> Chain:
    """An encoder of `2 * hidden_size` units by its name in `ENCODERS`.

    Args:
        cell, num_layers: of the recurrent layers; `"transformer"` has `num_layers` blocks, the mixed ones one block.

    Raises:
        BadInput: there is no such encoder.
    """
    if name not in ENCODERS:
        raise BadInput(f"there is no encoder {name!r}; expected one of {', '.join(ENCODERS)}")
    units = 2 * hidden_size

    def recurrent(size: int) -> RecurrentEncoder:
        return RecurrentEncoder(cell, size, hidden_size, num_layers, dropout, engine)

    def blocks(size: int, count: int) -> TransformerEncoder:
        return TransformerEncoder(size, units, count, dropout)

    if name == "gru":
        return Chain(recurrent(input_size))
    if name == "transformer":
        return Chain(blocks(input_size, num_layers))
    if name == "gru+attention":
        first = recurrent(input_size)
        return Chain(first, blocks(first.output_units, 1))
    return Chain(blocks(input_size, 1), recurrent(units))


def positions(steps: int, units: int, like: Tensor) -> Tensor:
    """Sines and cosines of every step `(steps, units)`, of `units` (even) wave lengths from 2π to 10,000 · 2π."""
    rates = torch.exp(torch.arange(0, units, 2, device=like.device) * (-math.log(10_000.0) / units))
    angles = torch.arange(steps, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :units].to(like.dtype)
