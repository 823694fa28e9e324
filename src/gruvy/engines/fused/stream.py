"""One step at a time: the thin path from a layer's `step` to the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gruvy.engines.fused.kernel import DTYPES, kernel, runtime
from gruvy.errors import EngineError
from gruvy.language.cell import Cell


def stepper(cell: Cell, parameters: Sequence[Tensor], input_size: int, hidden_size: int) -> Any:
    """What computes the steps of one layer in one direction, without gradients.

    Args:
        cell: with one input.
        parameters: in the order of the cell's packs.

    Returns:
        `run(x, states, parameters)` with `x` `(batch, units)` or `(units,)`, each state `(1, batch, units)` or
        `(1, units)`, and the layer's parameters by name. It returns the output and the new states, None for what it
        does not take (other layouts and types, large batches), False when a parameter has moved.

    Raises:
        EngineError: there is no kernel, or not for such parameters.
    """
    found, like = kernel(cell), parameters[0]
    shapes = found.parameter_shapes(input_size, hidden_size)
    fit = all(
        p.shape == shape and p.dtype is like.dtype and p.is_cpu and p.is_contiguous()
        for p, shape in zip(parameters, shapes, strict=True)
    )
    if like.dtype not in DTYPES or not fit:
        raise EngineError("steps are compiled for contiguous float32 and float64 on the CPU, of the cell's shapes")
    return runtime().module.Step(
        found.address[like.dtype], list(found.units(input_size, hidden_size)),
        found.places(input_size, hidden_size, like.dtype.itemsize), [p.data_ptr() for p in parameters],
        like.dtype, like.dtype == torch.float64, torch,
    )  # fmt: skip
