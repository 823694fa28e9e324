"""Whether a layer's steps can take the thin path to the compiled kernel."""

from __future__ import annotations

from typing import Any

from gruvy.engines.fused.stream import stepper
from gruvy.errors import EngineError


def thin_stepper(layer: Any) -> Any:
    """The `stepper` of a plain `Recurrent`; False for stacked ones, two directions, or more than the cell alone."""
    packs, parameters = layer.cell.packs, list(layer._parameters.values())
    plain = (
        layer.num_layers == 1 and not layer.bidirectional and layer.projection is None and not layer.cell.normalisers
        and len(layer.cell.inputs) == 1 and len(parameters) == len(packs)
        and [f"{pack.name}_l0" for pack in packs] == list(layer._parameters)
    )  # fmt: skip
    if not plain or any(p is None for p in parameters):
        return False
    try:
        return stepper(layer.cell, parameters, layer.input_size, layer.hidden_size)
    except EngineError:
        return False
