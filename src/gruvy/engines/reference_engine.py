"""The reference as an engine: torch tensors in and out, float64 NumPy between them."""

from __future__ import annotations

import torch
from torch import Tensor

from gruvy.engines import reference
from gruvy.engines.call import Call, Options, Result
from gruvy.language.cell import Cell


class ReferenceEngine:
    """See `gruvy.engines.reference`."""

    name = "reference"
    purpose = "the specification, in float64 NumPy"
    takes_lengths = False

    def supports(self, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> tuple[bool, str]:
        """Every cell on a CPU, as long as nothing but outputs, states and their gradients is asked for."""
        if device.type != "cpu":
            return False, f"it computes with NumPy on the CPU, and the parameters are on {device}"
        if options.record_gates:
            return False, "it does not record gates"
        if options.recompute:
            return False, "it keeps every value for the backward pass, and recompute was asked for"
        if cell.normalisers and options.training:
            return False, "it does not keep the running statistics of a normaliser in training"
        return True, "runs every cell on the CPU, slowly"

    def run(self, call: Call) -> Result:
        """Run the reference; its own backward gives the gradients."""
        names = list(call.parameters)
        affine = [p for norm in call.normalisers.values() for p in (norm.weight, norm.bias)]
        tensors = (*call.inputs, *call.states, *call.parameters.values(), *affine)
        output, *states = _Reference.apply(call, names, *tensors)
        return Result(output, tuple(states))


class _Reference(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: Call, names: list[str], *tensors: Tensor):
        ctx.run, ctx.names = _as_run(call), names
        ctx.save_for_backward(*tensors)  # so that torch refuses a backward after one of them was changed
        output, states = reference.forward(ctx.run)
        return tuple(torch.from_numpy(a.copy()).to(call.inputs[0]) for a in (output, *states))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output: Tensor, *grad_states: Tensor):
        grads = reference.backward(ctx.run, _array(grad_output), [_array(g) for g in grad_states])
        arrays = [*grads.inputs, *grads.states, *(grads.parameters[name] for name in ctx.names)]
        arrays += [a for name in ctx.run.norms for a in grads.norms[name]]
        return None, None, *(torch.from_numpy(a).to(t) for a, t in zip(arrays, ctx.saved_tensors, strict=True))


def _as_run(call: Call) -> reference.Run:
    norms = {
        name: reference.BatchNorm(
            _array(norm.weight), _array(norm.bias), _array(norm.running_mean), _array(norm.running_var), norm.eps
        )
        for name, norm in call.normalisers.items()
    }
    return reference.Run(
        call.cell, call.sizes, [_array(x) for x in call.inputs], [_array(s) for s in call.states],
        {name: _array(p) for name, p in call.parameters.items()},
        None if call.lengths is None else _array(call.lengths), norms,
    )  # fmt: skip


def _array(tensor: Tensor):
    return tensor.detach().to(torch.float64).numpy() if tensor.is_floating_point() else tensor.numpy()
