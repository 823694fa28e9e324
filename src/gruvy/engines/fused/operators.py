"""The kernels as operators of torch: `torch.ops.gruvy.recurrence` and its gradient."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gruvy.engines.call import Call, Options
from gruvy.engines.eager import EagerEngine
from gruvy.engines.fused.kernel import by_key
from gruvy.engines.fused.passes import Batch, backward, forward
from gruvy.engines.padding import reverse, without_padding

_NAME = "gruvy::recurrence"
_LIBRARY = torch.library.Library("gruvy", "DEF")
_BATCH = "str cell, int[] sizes, Tensor[] inputs, Tensor[] states, Tensor[] parameters, Tensor? lengths, bool reverse"
_LIBRARY.define(f"recurrence({_BATCH}, bool recording, int saving) -> Tensor[]")
_LIBRARY.define(
    f"recurrence_backward({_BATCH}, int saving, Tensor output, Tensor kept, Tensor? grad_output, "
    "Tensor?[] grad_states, bool[] wanted) -> Tensor[]"
)


def _batch(cell, sizes, inputs, states, parameters, lengths, reverse) -> Batch:
    return Batch(by_key(cell), tuple(sizes), inputs, states, parameters, lengths, reverse)


def _forward(cell, sizes, inputs, states, parameters, lengths, reverse, recording, saving):
    return forward(_batch(cell, sizes, inputs, states, parameters, lengths, reverse), recording, saving)


def _forward_fake(cell, sizes, inputs, states, parameters, lengths, reverse, recording, saving):
    batch = _batch(cell, sizes, inputs, states, parameters, lengths, reverse)
    return [inputs[0].new_empty(shape) for shape in (*batch.result_shapes(recording), (batch.kept_elements(saving),))]


def _backward(
    cell, sizes, inputs, states, parameters, lengths, reverse, saving, output, kept, grad_output, grad_states, wanted
):  # fmt: skip
    batch = _batch(cell, sizes, inputs, states, parameters, lengths, reverse)
    found = backward(batch, output, kept, saving, grad_output, grad_states, wanted)
    return [inputs[0].new_empty(0) if d is None else d for d in found]  # an operator returns tensors


def _backward_fake(
    cell, sizes, inputs, states, parameters, lengths, reverse, saving, output, kept, grad_output, grad_states, wanted
):  # fmt: skip
    elementwise = by_key(cell).plan.elementwise
    d_inputs = [
        x.new_empty(x.shape if wanted[i] or i in elementwise else 0) for i, x in enumerate(inputs)
    ]  # fmt: skip
    return [*d_inputs, *(t.new_empty(t.shape) for t in (*states, *parameters))]


_LIBRARY.impl("recurrence", _forward, "CPU")
_LIBRARY.impl("recurrence_backward", _backward, "CPU")
torch.library.register_fake(_NAME, _forward_fake, lib=_LIBRARY)
torch.library.register_fake(f"{_NAME}_backward", _backward_fake, lib=_LIBRARY)


def _remember(ctx, inputs, output) -> None:
    cell, sizes, sequences, states, parameters, lengths, reverse, recording, saving = inputs
    ctx.settings = (cell, sizes, reverse, recording, saving)
    ctx.counts = len(sequences), len(states)
    ctx.save_for_backward(lengths, output[0], output[-1], *sequences, *states, *parameters)
    ctx.set_materialize_grads(False)


def _gradients(ctx, grads):
    found = _flow(ctx, grads[:-1], _backward_operator)
    n_inputs, n_states = ctx.counts
    return (None, None, found[:n_inputs], found[n_inputs : n_inputs + n_states], found[n_inputs + n_states :],
            None, None, None, None)  # fmt: skip


def _backward_operator(batch: Batch, output, kept, saving, grad_output, grad_states, wanted):
    return torch.ops.gruvy.recurrence_backward(
        batch.kernel.key, batch.sizes, batch.inputs, batch.states, batch.parameters, batch.lengths, batch.reverse,
        saving, output, kept, grad_output, grad_states, wanted,
    )  # fmt: skip


def _flow(ctx, grads, run) -> list[Tensor | None]:
    """Gradients of the tensors that `_remember` saved, from those of output, final states and gates."""
    cell, sizes, reverse, recording, saving = ctx.settings
    n_inputs, n_states = ctx.counts
    lengths, output, kept, *tensors = ctx.saved_tensors
    states, parameters = tensors[n_inputs : n_inputs + n_states], tensors[n_inputs + n_states :]
    batch = _batch(cell, sizes, tensors[:n_inputs], states, parameters, lengths, reverse)
    if torch.is_grad_enabled() or any(g is not None for g in grads[1 + n_states :]):
        return _eager_gradients(batch, recording, grads)
    wanted = [x.requires_grad for x in batch.inputs]
    found = run(batch, output, kept, saving, grads[0], list(grads[1 : 1 + n_states]), wanted)
    return [d if t.requires_grad else None for t, d in zip(tensors, found, strict=True)]


class Recurrence(torch.autograd.Function):
    """What the operator does, where nothing but autograd looks on: with less ceremony around short sequences."""

    @staticmethod
    def forward(ctx, cell, sizes, counts, lengths, reverse, recording, saving, *tensors):
        n_inputs, n_states = counts
        split = tensors[:n_inputs], tensors[n_inputs : n_inputs + n_states], tensors[n_inputs + n_states :]
        results = forward(_batch(cell, sizes, *split, lengths, reverse), recording, saving)
        _remember(ctx, (cell, sizes, *split, lengths, reverse, recording, saving), results)
        return tuple(results[:-1])

    @staticmethod
    def backward(ctx, *grads):
        return None, None, None, None, None, None, None, *_flow(ctx, grads, backward)


def _eager_gradients(batch: Batch, recording: bool, grads) -> list[Tensor | None]:
    """What the kernel has no derivative for: second derivatives, and gradients that come in through the gates."""
    again, lengths, cell = torch.is_grad_enabled(), batch.lengths, batch.kernel.cell
    if again:
        warnings.warn(
            "a derivative of a gradient runs on the eager engine: kernels have first derivatives", stacklevel=2
        )
    own, packs = len(cell.inputs), [pack.name for pack in cell.packs]
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        # one tensor may stand in several places: each place has a gradient of its own
        tensors = [t.view_as(t) for t in (*batch.inputs, *batch.states, *batch.parameters)]
        n, k = len(batch.inputs), len(batch.inputs) + len(batch.states)
        inputs = [x if lengths is None else without_padding(x, lengths) for x in tensors[:n]]
        inputs = [reverse(x, lengths) for x in inputs] if batch.reverse else inputs
        call = Call(
            cell, {"I": batch.sizes[0], "H": batch.sizes[1]}, inputs[:own], tensors[n:k],
            dict(zip(packs, tensors[k:], strict=True)), lengths, {}, Options(record_gates=recording),
        )  # fmt: skip
        result = EagerEngine().run(call, dict(zip(cell.normalisers, inputs[own:], strict=True)))
        output, *gates = (
            reverse(v, lengths) if batch.reverse else v for v in (result.output, *result.gates.values())
        )  # fmt: skip
        pairs = [
            (r, g) for r, g in zip((output, *result.states, *gates), grads, strict=True)
            if g is not None and r.requires_grad
        ]  # fmt: skip
        wanted = [t for t in tensors if t.requires_grad]
        found = torch.autograd.grad(
            [r for r, _ in pairs], wanted, [g for _, g in pairs], create_graph=again, allow_unused=True
        )  # fmt: skip
    by_tensor = dict(zip(map(id, wanted), found, strict=True))
    return [by_tensor.get(id(t)) for t in tensors]


torch.library.register_autograd(_NAME, _gradients, setup_context=_remember, lib=_LIBRARY)
recurrence = torch.ops.gruvy.recurrence
