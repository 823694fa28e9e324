"""The fused engine: a cell's equations as a compiled kernel, forward and backward."""

from __future__ import annotations

import math

import torch

from gruvy.engines.call import Call, Options, Result
from gruvy.engines.eager import normalised
from gruvy.engines.fused.kernel import DTYPES, kernel
from gruvy.engines.fused.operator import recurrence
from gruvy.engines.fused.passes import EVERYTHING, NOTHING
from gruvy.errors import EngineError
from gruvy.language.cell import Cell


class FusedEngine:
    """See the module."""

    name = "fused"
    purpose = "the cell's equations, compiled"
    takes_lengths = True

    def supports(self, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> tuple[bool, str]:
        """Every cell in float32 and float64 on a CPU, where its kernel is built or can be."""
        if device.type != "cpu":
            return False, f"it computes on the CPU, and the parameters are on {device}"
        if dtype not in DTYPES:
            return False, f"it computes in float32 and float64, and the parameters are {str(dtype).split('.')[1]}"
        try:
            kernel(cell)
        except EngineError as error:
            return False, str(error)
        return True, "its kernel is compiled"

    def run(self, call: Call) -> Result:
        """Run the kernel."""
        inputs = [*call.inputs, *normalised(call)] if call.normalisers else list(call.inputs)
        parameters = list(call.parameters.values())
        saving = NOTHING
        if torch.is_grad_enabled() and any(t.requires_grad for t in (*inputs, *call.states, *parameters)):
            saving = max(1, math.isqrt(call.steps)) if call.options.recompute else EVERYTHING
        output, *rest = recurrence(
            call.cell.key, [call.sizes["I"], call.sizes["H"]], inputs, list(call.states), parameters, call.lengths,
            call.reverse, call.options.record_gates, saving,
        )  # fmt: skip
        count = len(call.states)
        gates = dict(zip(call.cell.graph.gates, rest[count:-1], strict=False)) if call.options.record_gates else {}
        return Result(output, tuple(rest[:count]), gates)
