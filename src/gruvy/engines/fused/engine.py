"""The fused engine: a cell's equations as a compiled kernel, forward and backward."""

from __future__ import annotations

import math
import warnings
from functools import cache

import torch
from torch import Tensor

from gruvy.engines.call import Call, Options, Result, transformed
from gruvy.engines.eager import normalised
from gruvy.engines.fused.kernel import DTYPES, kernel, key_of
from gruvy.engines.fused.operators import Recurrence, recurrence
from gruvy.engines.fused.passes import EVERYTHING, NOTHING, Batch, forward
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
        if transformed():
            return False, "torch.func and forward-mode derivatives need plain torch calls"
        try:
            kernel(cell)
        except EngineError as error:
            _say_once(str(error))
            return False, str(error)
        return True, "its kernel is compiled"

    def run(self, call: Call) -> Result:
        """Run the kernel."""
        inputs = list(call.inputs)
        if call.normalisers:
            with torch.autocast("cpu", enabled=False):
                inputs += normalised(call)
        parameters = list(call.parameters.values())
        saving = NOTHING
        if torch.is_grad_enabled() and any(t.requires_grad for t in (*inputs, *call.states, *parameters)):
            saving = max(1, math.isqrt(call.steps)) if call.options.recompute else EVERYTHING
        sizes, states = (call.sizes["I"], call.sizes["H"]), list(call.states)
        key, record = key_of(call.cell), call.options.record_gates
        if not _nothing_watches(inputs[0]):
            output, *rest = recurrence(
                key, sizes, inputs, states, parameters, call.lengths, call.reverse, record, saving
            )[:-1]  # fmt: skip
        elif saving == NOTHING:
            batch = Batch(kernel(call.cell), sizes, inputs, states, parameters, call.lengths, call.reverse)
            output, *rest = forward(batch, record, NOTHING)[:-1]
        else:
            counts = len(inputs), len(states)
            output, *rest = Recurrence.apply(
                key, sizes, counts, call.lengths, call.reverse, record, saving, *inputs, *states, *parameters
            )  # fmt: skip
        count = len(states)
        gates = dict(zip(call.cell.graph.gates, rest[count:], strict=True)) if record else {}
        return Result(output, tuple(rest[:count]), gates)


@cache
def _say_once(reason: str) -> None:
    warnings.warn(f"a slower engine runs: {reason}", stacklevel=5)


def _nothing_watches(x: Tensor) -> bool:
    """Whether a call can go past torch's dispatcher: nothing traces it or stands in for tensors."""
    return type(x) is Tensor and not torch.compiler.is_compiling() and not torch._C._len_torch_dispatch_stack()
