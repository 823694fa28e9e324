"""What is measured: a cell in a mode at a shape, with the weights and inputs that every peer gets."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gruvy.cells import Cell
from gruvy.language.cell import units
from gruvy.language.graph import Size, topological
from gruvy.layers import Recurrent

Shape = tuple[int, int, int, int]  # steps, batch, input size, hidden size

_STEPS = 200  # of a stream
_SEQUENCES: tuple[Shape, ...] = (
    (200, 1, 128, 128), (100, 1, 256, 256), (1000, 1, 512, 512),
    (200, 32, 128, 128), (200, 32, 256, 256), (1000, 16, 64, 64),
    (2000, 8, 256, 256), (200, 64, 512, 512), (50, 256, 128, 128),
)  # fmt: skip
_STREAMS: tuple[Shape, ...] = tuple((_STEPS, 1, size, size) for size in (64, 128, 256, 512))
_RAGGED: tuple[Shape, ...] = ((500, 32, 128, 128), (500, 32, 256, 256))

_MEAN_LENGTH = 0.46  # of the longest
_SEED = 14  # the default ragged batch has a mean length of 229


@dataclass(frozen=True)
class Mode:
    """A way of running a layer.

    Attributes:
        title: for the reader of a table.
        shapes: what is measured when no shapes are given.
        trains: forward, and backward of the sum of the output to the input and all weights.
        streams: one step at a time, batch 1, the state kept by the caller; times are those of a step.
        ragged: sequences of unequal lengths in one batch.
        bidirectional: both directions.
    """

    name: str
    title: str
    shapes: tuple[Shape, ...]
    trains: bool = False
    streams: bool = False
    ragged: bool = False
    bidirectional: bool = False

    def fit(self, shape: Shape) -> Shape:
        """The shape as this mode runs it."""
        return (_STEPS, 1, *shape[2:]) if self.streams else shape

    def label(self, shape: Shape) -> str:
        """A shape as a column's head: steps × batch over input × hidden."""
        T, B, I, H = shape
        return f"{I}×{H}" if self.streams else f"{T}×{B}\n{I}×{H}"


MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("train", "training step (forward and backward)", _SEQUENCES, trains=True),
        Mode("infer", "inference over whole sequences", _SEQUENCES),
        Mode("stream", "streaming from Python, time of one step", _STREAMS, streams=True),
        Mode("ragged-train", "training step on unequal lengths", _RAGGED, trains=True, ragged=True),
        Mode("ragged-infer", "inference on unequal lengths, both directions", _RAGGED, ragged=True, bidirectional=True),
    )
}


@dataclass(frozen=True)
class Problem:
    """One thing that peers are compared on.

    Attributes:
        threads: how many each peer may use.
        layer: holds the weights.
        inputs: each `(steps, batch, units)`.
        lengths: real steps of each sequence in a ragged mode, None otherwise.
    """

    cell: Cell
    mode: Mode
    shape: Shape
    threads: int
    layer: Recurrent
    inputs: tuple[Tensor, ...]
    lengths: Tensor | None

    @classmethod
    def make(cls, cell: Cell, mode: Mode, shape: Shape, threads: int) -> Problem:
        """The same weights, inputs and lengths every time.

        Raises:
            BadInput: the cell cannot have these sizes.
        """
        T, B, I, H = shape
        sizes: dict[Size, int] = {"I": I, "H": H}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            layer = Recurrent(cell, I, H, bidirectional=mode.bidirectional).train(mode.trains)
            inputs = tuple(torch.randn(T, B, units(size, sizes)) for size in cell.inputs.values())
        return cls(cell, mode, shape, threads, layer, inputs, _lengths(T, B) if mode.ragged else None)

    def double(self) -> Problem:
        """The same in float64."""
        return replace(self, layer=copy.deepcopy(self.layer).double(), inputs=tuple(x.double() for x in self.inputs))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights, by the names torch gives them."""
        return {name: p.detach().numpy() for name, p in self.layer.named_parameters()}

    @property
    def flops(self) -> float:
        """Of the matrix products that cannot be avoided; a training step has three for each of the forward pass."""
        T, B, I, H = self.shape
        sizes: dict[Size, int] = {"I": I, "H": H}
        products = [node for node in topological(self.cell.graph.roots) if node.op == "product"]
        each = sum(2 * units(node.size, sizes) * units(node.args[0].size, sizes) for node in products)
        steps = T * B if self.lengths is None else int(self.lengths.sum())
        return each * steps * (3 if self.mode.trains else 1) * (2 if self.mode.bidirectional else 1)


def _lengths(longest: int, batch: int) -> Tensor:
    """Lengths as those of texts: many short ones, a few long ones, one of them the longest."""
    spread = 0.6
    drawn = np.random.default_rng(_SEED).lognormal(np.log(_MEAN_LENGTH) - spread**2 / 2, spread, batch)
    lengths = np.clip(np.round(drawn * longest), 1, longest).astype(np.int64)
    lengths[0] = longest
    return torch.from_numpy(lengths)
