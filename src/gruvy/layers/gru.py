"""The drop-in for `torch.nn.GRU`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gruvy.cells import gru
from gruvy.layers.recurrent import Recurrent


class GRU(Recurrent):
    """`torch.nn.GRU` with the same arguments, shapes and state_dict names, and `lengths`.

    Checkpoints load strictly both ways. The equations are those of `gruvy.cells.gru` (Cho et al. 2014,
    arXiv:1406.1078v1, reset gate after the product).

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as torch.
        engine: `"auto"`, or the name of an engine.
        learn_initial_state, recurrent_init, recompute: as `gruvy.Recurrent`.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: torch.device | str | None = None,
        dtype: torch.dtype | None = None, *, engine: str = "auto", learn_initial_state: bool = False,
        recurrent_init: str = "uniform", recompute: bool = False,
    ):  # fmt: skip
        super().__init__(
            gru, input_size, hidden_size, num_layers, bias=bias, batch_first=batch_first, dropout=dropout,
            bidirectional=bidirectional, engine=engine, learn_initial_state=learn_initial_state,
            recurrent_init=recurrent_init, recompute=recompute, device=device, dtype=dtype,
        )  # fmt: skip

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Sequence[int] | Tensor | None = None,
        record_gates: bool = False,
    ) -> Any:
        """As `torch.nn.GRU`, with `lengths`: `(output, h_n)`; see `gruvy.Recurrent.forward`."""
        return super().forward(input, hx, lengths=lengths, record_gates=record_gates)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch lists them."""
        names = [[f"{p.name}_l{layer}{suffix}" for p in self._stored()] for layer, suffix in self._places()]
        return [[getattr(self, name) for name in place] for place in names]

    def extra_repr(self) -> str:
        """As torch, without the cell's name."""
        return super().extra_repr().partition(", ")[2]

    def flatten_parameters(self) -> None:
        """Nothing to do; here because code written for `torch.nn.GRU` calls it."""
