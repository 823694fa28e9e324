"""The peers: gruvy's engines, torch, ONNX Runtime, OpenVINO, JAX and oneDNN, each set up from the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gruvy.benchmarking.contract import Arrays, Case, Foreign, Peer
from gruvy.benchmarking.foreign import Jax, OnnxRuntime, OpenVino
from gruvy.benchmarking.onednn import OneDnn
from gruvy.benchmarking.problem import MODES, Problem
from gruvy.cells import Cell, elman, gru, lstm
from gruvy.engines import ENGINES, Options


class Gruvy:
    """One of gruvy's engines."""

    packages: Sequence[str] = ()
    modes = tuple(MODES)
    tolerance = (3e-6, 1e-5)

    def __init__(self, engine: str):
        self.engine, self.name = engine, f"gruvy {engine}"

    def runs(self, cell: Cell) -> bool:
        """Whether the engine supports the cell on a CPU."""
        return ENGINES[self.engine].supports(cell, torch.device("cpu"), torch.float32, Options())[0]

    def available(self) -> str | None:
        """Always here."""
        return None

    def build(self, problem: Problem) -> Case:
        """The problem's own layer, with this engine."""
        layer, inputs = copy.deepcopy(problem.layer), _leaves(problem)
        layer.engine = self.engine
        if problem.mode.streams:
            return _streaming([_bare(row) for row in zip(*inputs, strict=True)], layer.step)
        return _whole(problem, layer, inputs, lambda: layer(_bare(inputs), lengths=problem.lengths)[0])


class Torch(Foreign):
    """torch's own layers; unequal lengths are packed, and their output is padded again."""

    name = "torch"
    packages = ("torch",)
    modes = tuple(MODES)
    layers: Mapping[str, Any] = {gru.key: nn.GRU, lstm.key: nn.LSTM, elman.key: nn.RNN}

    def runs(self, cell: Cell) -> bool:
        """Whether the equations are those of `gru`, `lstm` or `elman`."""
        return cell.key in self.layers

    def build(self, problem: Problem) -> Case:
        """A layer that has loaded the problem's weights."""
        (_, _, I, H), (x,), lengths = problem.shape, _leaves(problem), problem.lengths
        layer = self.layers[problem.cell.key](I, H, bidirectional=problem.mode.bidirectional, dtype=x.dtype)
        layer.load_state_dict(problem.layer.state_dict())
        if problem.mode.streams:
            return _streaming(x.split(1), layer)

        def forward() -> Tensor:
            if lengths is None:
                return layer(x)[0]
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            return pad_packed_sequence(layer(packed)[0], total_length=len(x))[0]

        return _whole(problem, layer, [x], forward)


def _leaves(problem: Problem) -> list[Tensor]:
    return [x.clone().requires_grad_(problem.mode.trains) for x in problem.inputs]


def _bare(inputs: Sequence[Tensor]) -> Any:
    return inputs[0] if len(inputs) == 1 else inputs


def _streaming(rows: Sequence[Any], step: Callable[[Any, Any], tuple[Tensor, Any]]) -> Case:
    """One step after another."""

    @torch.inference_mode()
    def call() -> Tensor:
        state = None
        for row in rows:
            output, state = step(row, state)
        return output

    return Case(call, lambda output: {"output": output.numpy()})


def _whole(problem: Problem, layer: nn.Module, inputs: Sequence[Tensor], forward: Callable[[], Tensor]) -> Case:
    """Whole sequences, with the gradients where the mode trains."""
    if not problem.mode.trains:
        return Case(torch.inference_mode()(forward), lambda output: {"output": output.numpy()})
    names = ["input", *(f"input {i}" for i in range(1, len(inputs)))]
    wanted = dict(zip(names, inputs, strict=True)) | dict(layer.named_parameters())

    def call() -> tuple[Tensor, Sequence[Tensor]]:
        output = forward()
        return output.detach(), torch.autograd.grad(output.sum(), list(wanted.values()))

    def results(returned: tuple[Tensor, Sequence[Tensor]]) -> Arrays:
        output, gradients = returned
        return {"output": output.numpy()} | {k: g.numpy() for k, g in zip(wanted, gradients, strict=True)}

    return Case(call, results)


FOREIGN: tuple[Peer, ...] = (Torch(), OnnxRuntime(), OpenVino(), Jax(), OneDnn())


def peers_of(cell: Cell, engines: Sequence[str]) -> list[Peer]:
    """The `engines` of gruvy, and every peer that has the cell's equations, installed or not."""
    return [*map(Gruvy, engines), *(peer for peer in FOREIGN if peer.runs(cell))]
