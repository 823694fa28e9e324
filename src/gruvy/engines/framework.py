"""The framework's own kernels: ATen on a CPU, cuDNN on CUDA, for the cells they are written for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gruvy.cells import elman, gru, lstm
from gruvy.engines.call import Call, Options, Result, transformed
from gruvy.language.cell import Cell

_KERNELS: dict[str, Any] = {gru.key: torch._VF.gru, elman.key: torch._VF.rnn_tanh, lstm.key: torch._VF.lstm}


class FrameworkEngine:
    """See the module."""

    name = "framework"
    purpose = "torch's own kernel"
    takes_lengths = False

    def supports(self, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> tuple[bool, str]:
        """The equations of `gru`, `elman` and `lstm`, under whatever name, without recorded gates."""
        if cell.key not in _KERNELS:
            return False, "torch has kernels for the equations of gru, elman and lstm only"
        if transformed():
            return False, "torch.func and forward-mode derivatives need plain torch calls"
        if options.recompute:
            return False, "torch's kernels keep every value for the backward pass, and recompute was asked for"
        if options.record_gates:
            return False, "torch's kernels do not give their gates out"
        if not dtype.is_floating_point:
            return False, f"{dtype} is not a floating-point type"
        return True, "torch has a kernel for these equations"

    def run(self, call: Call) -> Result:
        """Run torch's kernel."""
        if call.steps == 0 or call.inputs[0].shape[1] == 0:
            width = call.states[0].shape[-1]
            return Result(call.inputs[0].new_zeros(*call.inputs[0].shape[:2], width), tuple(call.states))
        if call.lengths is None:
            return self._padded(call)
        return self._padded_to_own_end(call) if len(call.states) == 1 else self._packed(call)

    def _padded(self, call: Call) -> Result:
        output, *states = _KERNELS[call.cell.key](
            call.inputs[0], _hidden(call.states), _weights(call), True, 1, 0.0, torch.is_grad_enabled(), False, False
        )
        return Result(output, tuple(s[0] for s in states))

    def _padded_to_own_end(self, call: Call) -> Result:
        """One state that is the output: run through the padding and read each sequence's own end."""
        output = self._padded(call).output
        assert call.lengths is not None
        assert call.alive is not None
        last = (call.lengths - 1).clamp(min=0)
        ends = output.gather(0, last[None, :, None].expand(1, -1, output.shape[-1]))[0]
        final = torch.where((call.lengths > 0)[:, None], ends, call.states[0])
        return Result(output.masked_fill(~call.alive, 0), (final,))

    def _packed(self, call: Call) -> Result:
        """Several states: pack the sequences that have a step, so that each state stops at its own end."""
        assert call.lengths is not None
        some = (call.lengths > 0).nonzero()[:, 0]
        output = call.inputs[0].new_zeros(*call.inputs[0].shape[:2], call.states[0].shape[-1])
        if not len(some):
            return Result(output, tuple(call.states))
        packed = pack_padded_sequence(call.inputs[0][:, some], call.lengths[some].cpu(), enforce_sorted=False)
        order = packed.sorted_indices
        initial = [s[some][order] for s in call.states]
        data, *states = _KERNELS[call.cell.key](
            packed.data,
            packed.batch_sizes,
            _hidden(initial),
            _weights(call),
            True,
            1,
            0.0,
            torch.is_grad_enabled(),
            False,
        )
        padded, _ = pad_packed_sequence(
            PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices),
            total_length=call.steps,
        )
        finals = [
            initial.index_put((some,), s[0][packed.unsorted_indices])
            for initial, s in zip(call.states, states, strict=True)
        ]
        return Result(output.index_copy(1, some, padded), tuple(finals))


def _hidden(states) -> Tensor | tuple[Tensor, ...]:
    stacked = tuple(s[None].contiguous() for s in states)
    return stacked if len(stacked) > 1 else stacked[0]


def _weights(call: Call) -> list[Tensor]:
    return [call.parameters[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
