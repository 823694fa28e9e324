"""The passes of a kernel on tensors: what is allocated, kept and handed over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gruvy.engines.fused.kernel import Kernel, runtime
from gruvy.errors import BadInput

NOTHING, EVERYTHING = 0, -1  # what a forward pass may keep; n > 0 keeps the states of every n-th step
_POOLED = 1 << 16  # elements from which a tensor comes from the pool: fresh memory is dear


@dataclass(frozen=True)
class Batch:
    """What both passes are given; see `gruvy.engines.call.Call`.

    Attributes:
        sizes: input and hidden size.
        inputs: the outcomes of the cell's normalisers behind its own inputs.
        parameters: in the order of the cell's packs.
    """

    kernel: Kernel
    sizes: tuple[int, int]
    inputs: Sequence[Tensor]
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]
    lengths: Tensor | None
    reverse: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and sequences."""
        steps, batch = self.inputs[0].shape[:2]
        return steps, batch

    def result_shapes(self, recording: bool) -> list[tuple[int, ...]]:
        """Of the output, the final states and the gates."""
        width = dict(zip(self.kernel.plan.sizes, self.kernel.units(*self.sizes), strict=True))
        gates = [(*self.shape, width[size]) for size in self.kernel.plan.gates.values()] if recording else []
        output = (*self.shape, width[self.kernel.cell.graph.output.size])
        return [output, *(tuple(s.shape) for s in self.states), *gates]

    def kept_elements(self, saving: int) -> int:
        """Of what a forward pass keeps."""
        steps, batch = self.shape
        if saving == EVERYTHING:
            return self.kernel.saved_elements(steps * batch, *self.sizes, self.inputs[0].element_size())
        return len(_windows(steps, saving)) * sum(math.prod(s.shape) for s in self.states) if saving else 0

    def laid_out(self) -> Batch:
        """The same with rows the kernel can read.

        Raises:
            BadInput: a tensor that is not what the cell has: the kernel would read past it.
        """
        dtype, shapes = self.inputs[0].dtype, self.kernel.parameter_shapes(*self.sizes)
        for pack, shape, parameter in zip(self.kernel.cell.packs, shapes, self.parameters, strict=True):
            if parameter.shape != shape or parameter.dtype is not dtype or not parameter.is_cpu:
                raise BadInput(
                    f"the parameter {pack.name} is {parameter.dtype} of shape {tuple(parameter.shape)} on "
                    f"{parameter.device}; expected {dtype} of shape {shape} on the CPU"
                )
        lengths = None if self.lengths is None else self.lengths.contiguous()
        return Batch(
            self.kernel, self.sizes, [_row_major(x) for x in self.inputs], [_row_major(s) for s in self.states],
            [p.contiguous() for p in self.parameters], lengths, self.reverse,
        )  # fmt: skip


def empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """A contiguous tensor of `like`'s type that holds anything."""
    count = math.prod(shape)
    if count < _POOLED:
        return like.new_empty(shape)
    return torch.from_dlpack(runtime().module.take(count * like.element_size())).view(like.dtype).view(shape)


def forward(batch: Batch, recording: bool, saving: int) -> list[Tensor]:
    """The output, the final states, the gates when `recording`, and what is kept for `backward`."""
    like, (steps, sequences) = batch.inputs[0], batch.shape
    results = [empty(shape, like) for shape in batch.result_shapes(recording)]
    kept = empty((batch.kept_elements(saving),), like)
    if not steps or not sequences:
        for state, result in zip(batch.states, results[1:], strict=False):
            result.copy_(state)
        return [*results, kept]
    batch = batch.laid_out()
    n, gates = len(batch.states), [None] * (0 if recording else len(batch.kernel.plan.gates))
    output, finals, recorded = results[0], results[1 : 1 + n], results[1 + n :]
    if saving in (NOTHING, EVERYTHING):
        saved = kept if saving else None
        _run(batch, (0, steps), [*batch.inputs, *batch.states, *results, *gates], recording, saved)
        return [*results, kept]
    windows = _windows(steps, saving)
    starts = _boundaries(kept, batch.states)
    for first, state in zip(starts[0], batch.states, strict=True):
        first.copy_(state)
    for i, window in enumerate(windows):
        ends = finals if i + 1 == len(windows) else starts[i + 1]
        _run(batch, window, [*batch.inputs, *starts[i], output, *ends, *recorded, *gates], recording, None)
    return [*results, kept]


def backward(
    batch: Batch, output: Tensor, kept: Tensor, saving: int, grad_output: Tensor | None,
    grad_states: Sequence[Tensor | None], wanted: Sequence[bool],
) -> list[Tensor | None]:  # fmt: skip
    """Gradients of the inputs (None where not `wanted`), the initial states and the parameters."""
    like, (steps, sequences), planned = batch.inputs[0], batch.shape, batch.kernel.plan
    d_inputs: list[Tensor | None] = [
        empty(x.shape, x) if wanted[i] or i in planned.elementwise else None for i, x in enumerate(batch.inputs)
    ]
    for i, d in enumerate(d_inputs):
        if d is not None and (i not in planned.touched or not steps or not sequences):
            d.zero_()
    d_parameters = [empty(p.shape, p).zero_() for p in batch.parameters]
    if not steps or not sequences:
        flowing = [
            torch.zeros_like(s) if g is None else g.clone() for s, g in zip(batch.states, grad_states, strict=True)
        ]
        return [*d_inputs, *flowing, *d_parameters]
    batch = batch.laid_out()
    grad_output = like.new_zeros(1).expand(output.shape) if grad_output is None else grad_output
    grads: list[Tensor | None] = [None if g is None else _row_major(g) for g in grad_states]
    reached = [d if i in planned.touched else None for i, d in enumerate(d_inputs)]
    d_states = [empty(s.shape, s) for s in batch.states]

    def run(window: tuple[int, int], start: Sequence[Tensor], saved: Tensor, into: Sequence[Tensor]) -> None:
        users = [*batch.inputs, *start, output, _row_major(grad_output), *grads, *reached, *into]
        _run(batch, window, users, False, saved, d_parameters)

    if saving == EVERYTHING:
        run((0, steps), batch.states, kept, d_states)
        return [*d_inputs, *d_states, *d_parameters]
    windows, starts = _windows(steps, saving), _boundaries(kept, batch.states)
    rows = min(saving, steps) * sequences
    saved = empty((batch.kernel.saved_elements(rows, *batch.sizes, like.element_size()),), like)
    unused = [None] * len(planned.gates)
    for i in reversed(range(len(windows))):
        again = [torch.empty_like(s) for s in batch.states]
        once = like.new_empty(sequences, output.shape[-1])  # every step writes its output here again
        _run(batch, windows[i], [*batch.inputs, *starts[i], once, *again, *unused], False, saved)
        into = d_states if i == 0 else again
        run(windows[i], batch.states if i == 0 else starts[i], saved, into)
        grads = list(into)
    return [*d_inputs, *d_states, *d_parameters]


def _windows(steps: int, length: int) -> list[tuple[int, int]]:
    return [(t, min(t + length, steps)) for t in range(0, steps, length)]


def _boundaries(kept: Tensor, states: Sequence[Tensor]) -> list[list[Tensor]]:
    """The states at the start of each window, as they are kept one behind the other."""
    sizes = [math.prod(s.shape) for s in states]
    rows = kept.view(-1, sum(sizes))
    return [[part.view(s.shape) for part, s in zip(row.split(sizes), states, strict=True)] for row in rows]


def _row_major(tensor: Tensor) -> Tensor:
    """The tensor itself where the units of a row are contiguous; one number everywhere becomes one row."""
    if tensor._is_zerotensor():  # a gradient of nothing but zeros, which has no memory
        tensor = tensor.clone()
    if tensor.shape[-1] <= 1 or tensor.stride(-1) == 1:
        return tensor
    if tensor.numel() and not any(tensor.stride()):
        return tensor.flatten()[:1].expand(tensor.shape[-1]).contiguous().expand(tensor.shape)
    return tensor.contiguous()


def _run(
    batch: Batch, window: tuple[int, int], users: Sequence[Tensor | None], recording: bool, saved: Tensor | None,
    gradients: Sequence[Tensor] | None = None,
) -> None:  # fmt: skip
    """Call the kernel: forward, or backward into `gradients`; `users` are the tensors of `call.h`."""
    kernel, dtype = batch.kernel, batch.inputs[0].dtype
    arguments = [
        torch.get_num_threads(), *batch.shape, *window, 0 if batch.lengths is None else batch.lengths.data_ptr(),
        int(batch.reverse), int(recording), 0 if saved is None else saved.data_ptr(), *kernel.units(*batch.sizes),
    ]  # fmt: skip
    for tensor in users:
        if tensor is None:
            arguments += (0, 0, 0)
        elif tensor.dim() == 3:
            arguments += (tensor.data_ptr(), tensor.stride(0), tensor.stride(1))
        else:
            arguments += (tensor.data_ptr(), 0, tensor.stride(0))
    places = kernel.places(*batch.sizes, dtype.itemsize)
    for tensors in (batch.parameters,) if gradients is None else (batch.parameters, gradients):
        starts = [t.data_ptr() for t in tensors]
        arguments += [starts[pack] + at for pack, at in places]
    runtime().module.run(dtype == torch.float64, kernel.address[dtype], gradients is not None, arguments)
