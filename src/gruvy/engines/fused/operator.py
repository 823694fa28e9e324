"""The kernels as operators of torch: `torch.ops.gruvy.recurrence` and its gradient."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gruvy.engines.call import Call, Options
from gruvy.engines.eager import EagerEngine
from gruvy.engines.fused.kernel import Kernel, by_key, row_major, runtime
from gruvy.engines.padding import reverse, without_padding

_NAME = "gruvy::recurrence"
_LIBRARY = torch.library.Library("gruvy", "DEF")
_COMMON = "str cell, int input_size, int hidden_size, Tensor[] inputs, Tensor[] states, Tensor[] parameters, "
_COMMON += "Tensor? lengths, bool reverse"
_LIBRARY.define(f"recurrence({_COMMON}, bool recording, bool saving) -> Tensor[]")
_LIBRARY.define(
    f"recurrence_backward({_COMMON}, Tensor output, Tensor saved, Tensor? grad_output, Tensor?[] grad_states, "
    "bool[] wanted) -> Tensor[]"
)


def _prepared(kernel: Kernel, inputs, states, parameters, lengths):
    lengths = None if lengths is None else lengths.contiguous()
    return [row_major(x) for x in inputs], [row_major(s) for s in states], [p.contiguous() for p in parameters], lengths


def _shapes(kernel: Kernel, inputs, states, sizes, recording: bool) -> list[tuple[int, ...]]:
    """Of the output, the final states and the gates."""
    steps, batch = inputs[0].shape[:2]
    width = {size: n for size, n in zip(kernel.plan.sizes, kernel.units(sizes), strict=True)}
    gates = [(steps, batch, width[size]) for size in kernel.plan.gates.values()] if recording else []
    return [(steps, batch, width[kernel.cell.graph.output.size]), *(tuple(s.shape) for s in states), *gates]


def _forward(cell, input_size, hidden_size, inputs, states, parameters, lengths, reverse, recording, saving):
    kernel, like = by_key(cell), inputs[0]
    sizes = kernel.sizes(input_size, hidden_size)
    results = [like.new_empty(shape) for shape in _shapes(kernel, inputs, states, sizes, recording)]
    steps, batch = like.shape[:2]
    saved = None
    if saving:
        saved = _pooled(kernel.saved_elements(steps * batch, sizes, like.element_size()), like.dtype)
    if not steps or not batch:
        for state, result in zip(states, results[1:], strict=False):
            result.copy_(state)
    else:
        inputs, states, parameters, lengths = _prepared(kernel, inputs, states, parameters, lengths)
        gates = [None] * (0 if recording else len(kernel.plan.gates))
        kernel.run(
            False, like.dtype, (steps, batch), lengths, reverse, recording, saved, sizes,
            [*inputs, *states, *results, *gates], parameters,
        )  # fmt: skip
    return [*results, like.new_empty(0) if saved is None else saved]


def _pooled(elements: int, dtype: torch.dtype) -> Tensor:
    return torch.from_dlpack(runtime().module.take(elements * dtype.itemsize)).view(dtype)


def _forward_fake(cell, input_size, hidden_size, inputs, states, parameters, lengths, reverse, recording, saving):
    kernel, like = by_key(cell), inputs[0]
    sizes = kernel.sizes(input_size, hidden_size)
    results = [like.new_empty(shape) for shape in _shapes(kernel, inputs, states, sizes, recording)]
    rows = like.shape[0] * like.shape[1]
    kept = kernel.saved_elements(rows, sizes, like.element_size()) if saving else 0
    return [*results, like.new_empty(kept)]


def _backward(
    cell, input_size, hidden_size, inputs, states, parameters, lengths, reverse, output, saved, grad_output,
    grad_states, wanted,
):  # fmt: skip
    kernel, like = by_key(cell), inputs[0]
    sizes, (steps, batch) = kernel.sizes(input_size, hidden_size), like.shape[:2]
    empty = like.new_empty(0)
    touched = kernel.plan.touched
    d_inputs = [
        (torch.empty_like if i in touched and steps * batch else torch.zeros_like)(
            x, memory_format=torch.contiguous_format
        )
        if wanted[i] or i in kernel.plan.elementwise
        else None
        for i, x in enumerate(inputs)
    ]
    d_states = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in states]
    d_parameters = [torch.zeros_like(p, memory_format=torch.contiguous_format) for p in parameters]
    if steps and batch:
        inputs, states, parameters, lengths = _prepared(kernel, inputs, states, parameters, lengths)
        if grad_output is None:
            grad_output = like.new_zeros(1).expand(output.shape)
        kernel.run(
            True, like.dtype, (steps, batch), lengths, reverse, False, saved, sizes,
            [*inputs, *states, output, row_major(grad_output), *(g if g is None else row_major(g) for g in grad_states),
             *(d if i in touched else None for i, d in enumerate(d_inputs)), *d_states],
            parameters, d_parameters,
        )  # fmt: skip
    else:
        d_states = [torch.zeros_like(s) if g is None else g.clone() for s, g in zip(states, grad_states, strict=True)]
    return [*(empty if d is None else d for d in d_inputs), *d_states, *d_parameters]


def _backward_fake(
    cell, input_size, hidden_size, inputs, states, parameters, lengths, reverse, output, saved, grad_output,
    grad_states, wanted,
):  # fmt: skip
    contiguous, elementwise = torch.contiguous_format, by_key(cell).plan.elementwise
    d_inputs = [
        torch.empty_like(x, memory_format=contiguous) if wanted[i] or i in elementwise else x.new_empty(0)
        for i, x in enumerate(inputs)
    ]
    return [*d_inputs, *(torch.empty_like(t, memory_format=contiguous) for t in (*states, *parameters))]


_LIBRARY.impl("recurrence", _forward, "CPU")
_LIBRARY.impl("recurrence_backward", _backward, "CPU")
torch.library.register_fake(_NAME, _forward_fake, lib=_LIBRARY)
torch.library.register_fake(f"{_NAME}_backward", _backward_fake, lib=_LIBRARY)


def _remember(ctx, inputs, output) -> None:
    cell, input_size, hidden_size, sequences, states, parameters, lengths, reverse, recording, _ = inputs
    ctx.settings = (cell, input_size, hidden_size, reverse, recording)
    ctx.counts = len(sequences), len(states), len(parameters)
    lengths = () if lengths is None else (lengths,)
    ctx.save_for_backward(*sequences, *states, *parameters, output[0], output[-1], *lengths)
    ctx.set_materialize_grads(False)


def _gradients(ctx, grads):
    cell, input_size, hidden_size, reverse, recording = ctx.settings
    n_inputs, n_states, _ = ctx.counts
    *tensors, output, saved = ctx.saved_tensors[: sum(ctx.counts) + 2]
    lengths = next(iter(ctx.saved_tensors[sum(ctx.counts) + 2 :]), None)
    inputs, states = tensors[:n_inputs], tensors[n_inputs : n_inputs + n_states]
    parameters = tensors[n_inputs + n_states :]
    if torch.is_grad_enabled() or any(g is not None for g in grads[1 + n_states : -1]):
        found = _eager_gradients(by_key(cell), (input_size, hidden_size), inputs, states, parameters, lengths, reverse,
                                 recording, grads[:-1])  # fmt: skip
    else:
        wanted = [x.requires_grad for x in inputs]
        found = torch.ops.gruvy.recurrence_backward(
            cell, input_size, hidden_size, inputs, states, parameters, lengths, reverse, output, saved, grads[0],
            list(grads[1 : 1 + n_states]), wanted,
        )  # fmt: skip
        found = [d if t.requires_grad else None for t, d in zip(tensors, found, strict=True)]
    return (None, None, None, found[:n_inputs], found[n_inputs : n_inputs + n_states], found[n_inputs + n_states :],
            None, None, None, None)  # fmt: skip


def _eager_gradients(kernel, sizes, inputs, states, parameters, lengths, reversed_, recording, grads):
    """What the kernel has no derivative for: second derivatives, and gradients that come in through the gates."""
    again = torch.is_grad_enabled()
    if again:
        warnings.warn(
            "a derivative of a gradient runs on the eager engine: kernels have first derivatives", stacklevel=2
        )
    cell, own = kernel.cell, len(kernel.cell.inputs)
    with torch.enable_grad():
        run_over = [x if lengths is None else without_padding(x, lengths) for x in inputs]
        run_over = [reverse(x, lengths) for x in run_over] if reversed_ else run_over
        packs = [pack.name for pack in cell.packs]
        call = Call(
            cell, kernel.sizes(*sizes), run_over[:own], states, dict(zip(packs, parameters, strict=True)), lengths,
            {}, Options(record_gates=recording),
        )  # fmt: skip
        result = EagerEngine().run(call, dict(zip(cell.normalisers, run_over[own:], strict=True)))
        results = [result.output, *result.gates.values()]
        results = [reverse(r, lengths) for r in results] if reversed_ else results
        results[1:1] = result.states
        pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad]
        tensors = [*inputs, *states, *parameters]
        wanted = [t for t in tensors if t.requires_grad]
        found = torch.autograd.grad(
            [r for r, _ in pairs], wanted, [g for _, g in pairs], create_graph=again, allow_unused=True
        )
    by_tensor = {id(t): g for t, g in zip(wanted, found, strict=False)}
    return [by_tensor.get(id(t)) for t in tensors]


torch.library.register_autograd(_NAME, _gradients, setup_context=_remember, lib=_LIBRARY)
recurrence = torch.ops.gruvy.recurrence
