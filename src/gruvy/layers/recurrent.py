"""A recurrent layer around any cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gruvy.cells import Cell
from gruvy.engines import (
    Call,
    Options,
    Result,
    check_name,
    choose,
    explain,
    real_steps,
    reverse,
    without_padding,
)
from gruvy.errors import BadInput
from gruvy.language.cell import Pack, units
from gruvy.language.graph import Size
from gruvy.layers.checks import check_settings
from gruvy.layers.lengths import check_lengths
from gruvy.layers.stepping import thin_stepper

States = Tensor | tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Runs a cell over sequences: stacked layers, one or two directions, unequal lengths, any engine.

    Parameters are named as torch names them (`weight_ih_l0`, `weight_hh_l0_reverse`, ...), one for each of the
    cell's packs.

    Args:
        cell: a `gruvy.cells.Cell`.
        input_size: units of each input the cell declares of size `"I"`.
        hidden_size: units of the state.
        num_layers: layers on top of each other.
        bias: False leaves the cell's biases (`b`, `bi`, `bh`) out.
        batch_first: input and output are `(batch, steps, units)` instead of `(steps, batch, units)`.
        dropout: probability of zeroing a unit between layers, in training.
        bidirectional: a second set of parameters reads each sequence from its own end.
        engine: `"auto"`, or the name of an engine, which then never falls back.
        learn_initial_state: initial states are parameters (they begin at the cell's initial values).
        recurrent_init: `"uniform"` as torch, or `"orthogonal"` for the square recurrent matrices.
        output_size: adds the output projection y = V h + c.
        recompute: training keeps the states of some steps only and computes the rest again: less memory, more time.
        device, dtype: of the parameters.

    Raises:
        BadInput: sizes, probabilities or names that cannot be.
    """

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, *, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, engine: str = "auto",
        learn_initial_state: bool = False, recurrent_init: str = "uniform", output_size: int | None = None,
        recompute: bool = False, device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ):  # fmt: skip
        super().__init__()
        check_settings(cell, input_size, hidden_size, num_layers, dropout, recurrent_init, bidirectional, output_size)
        check_name(engine)
        self.cell, self.engine = cell, engine
        self.recompute = recompute
        self._stepper: Any = None  # prepared at the first step; False when it cannot be
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.learn_initial_state, self.recurrent_init = learn_initial_state, recurrent_init
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        for layer, suffix in self._places():
            self._add_parameters(layer, suffix, factory)
        self.projection = (
            nn.Linear(self._cell_units * self._directions, output_size, **factory) if output_size else None
        )
        self.reset_parameters()

    def forward(
        self,
        input: Tensor | PackedSequence | Sequence[Tensor],
        states: States | None = None,
        *,
        lengths: Sequence[int] | Tensor | None = None,
        record_gates: bool = False,
    ) -> Any:
        """Run the layers.

        Args:
            input: `(steps, batch, units)`, `(batch, steps, units)` with `batch_first`, `(steps, units)` for a single
                sequence, or a `PackedSequence`; for a cell of several inputs, a sequence of such tensors.
            states: initial states, `(num_layers * directions, batch, units)`; a tuple for a cell of several states.
                The cell's initial values when None.
            lengths: real steps of each sequence, 0 allowed, in any order; what lies beyond is padding, whatever it
                holds.
            record_gates: also return the cell's named values at every step.

        Returns:
            `(output, states)`: output `(steps, batch, directions * units)` in the input's layout, 0 past each
            sequence's end; states as described above, each at its sequence's own end (in both directions). With
            `record_gates`, also a list of `{name: (steps, batch, units)}`, one for each layer and direction, in this
            layout whatever the input's.

        Raises:
            BadInput: shapes or lengths that do not fit.
            EngineError: the named engine cannot run this call.
        """
        packed, given = None, input
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise BadInput("a PackedSequence brings its own lengths; leave lengths out")
            packed = input
            given, lengths = pad_packed_sequence(packed)
        sequences: list[Any] = list(given) if isinstance(given, Sequence) else [given]
        self._check_inputs(sequences)
        single = sequences[0].dim() == 2
        if single:
            sequences = [x[:, None] for x in sequences]
        elif self.batch_first and packed is None:
            sequences = [x.transpose(0, 1) for x in sequences]
        steps, batch = sequences[0].shape[:2]
        valid = None if lengths is None else check_lengths(lengths, batch, steps, sequences[0].device)
        dtype = self._like(sequences[0]).dtype
        sequences = [x if x.dtype is dtype else x.to(dtype) for x in sequences]  # what autocast hands on is of another
        initial = self._initial_states(states, batch, single, sequences[0])
        output, finals, gates = self._run_layers(sequences, initial, valid, record_gates)
        if self.projection is not None:
            output = self.projection(output)
            if valid is not None:
                output = output.masked_fill(~real_steps(valid, steps), 0)
        if single:
            output, finals = output[:, 0], [s[:, 0] for s in finals]
        laid_out = self._as_came(output, packed, valid, single)
        final_states = finals[0] if len(finals) == 1 else tuple(finals)
        return (laid_out, final_states, gates) if record_gates else (laid_out, final_states)

    def step(self, x: Tensor | Sequence[Tensor], states: States | None = None) -> tuple[Tensor, States]:
        """One time step, for streaming: `(batch, units)` or `(units,)` in, `(output, states)` out.

        Args:
            x: the input at this step (a sequence of tensors for a cell of several inputs).
            states: what the step before returned; None to begin.

        Raises:
            BadInput: the layer is bidirectional (the second direction begins at the end).
        """
        thin = states is not None and self._stepper is not False and self.engine in ("auto", "fused")
        thin = thin and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if thin and not self._forward_hooks and not self._forward_pre_hooks:
            stepped = self._stepper is not None and self._stepper(x, states, self._parameters)
            if stepped is False:  # not prepared, or the parameters have moved since
                self._stepper = thin_stepper(self)
                stepped = self._stepper and self._stepper(x, states, self._parameters)
            if stepped:
                return stepped
        if self.bidirectional:
            raise BadInput("a bidirectional layer cannot run step by step: its second direction begins at the end")
        now = [x] if isinstance(x, Tensor) else list(x)
        one = now[0].dim() == 1
        sequence = [v[None] for v in now]
        if not one and self.batch_first:
            sequence = [v.transpose(0, 1) for v in sequence]
        output, after = self(sequence, states)
        return (output[0] if one or not self.batch_first else output[:, 0]), after

    def explain(self) -> str:
        """What runs on the parameters' device, and why the other engines do not."""
        like = self._like(torch.empty(0))
        return explain(
            self.engine, self.cell, like.device, like.dtype, Options(training=self.training, recompute=self.recompute)
        )

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform in ±1/√hidden_size as torch, except where cell or layer say otherwise."""
        bound = 1 / math.sqrt(self.hidden_size)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if parameter is not None and not name.startswith("initial_"):
                    parameter.uniform_(-bound, bound)
            for layer, suffix in self._places():
                self._initialise(layer, suffix)
        if self.projection is not None:
            self.projection.reset_parameters()

    def extra_repr(self) -> str:
        """The settings that differ from the defaults."""
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
                    "engine": "auto"}  # fmt: skip
        changed = [f"{k}={getattr(self, k)!r}" for k, v in defaults.items() if getattr(self, k) != v]
        return ", ".join([self.cell.name, str(self.input_size), str(self.hidden_size), *changed])

    # Parameters

    @property
    def output_units(self) -> int:
        """Units of the output in one step, both directions together."""
        if self.projection is not None:
            return self.projection.out_features
        return self._cell_units * self._directions

    def _like(self, otherwise: Tensor) -> Tensor:
        """A parameter, whose type and device inputs must have; `otherwise` where there is none."""
        for parameter in self._parameters.values():
            if parameter is not None:
                return parameter
        return next(self.parameters(), otherwise)

    @property
    def _cell_units(self) -> int:
        return units(self.cell.graph.output.size, self._sizes(0))

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _places(self) -> list[tuple[int, str]]:
        suffixes = ("", "_reverse")[: self._directions]
        return [(layer, suffix) for layer in range(self.num_layers) for suffix in suffixes]

    def _sizes(self, layer: int) -> dict[Size, int]:
        hidden: dict[Size, int] = {"I": self.input_size, "H": self.hidden_size}
        if layer:
            hidden["I"] = units(self.cell.graph.output.size, hidden) * self._directions
        return hidden

    def _stores(self, pack: Pack) -> bool:
        return self.bias or not pack.name.startswith(("bias_ih", "bias_hh"))

    def _stored(self) -> list[Pack]:
        return [pack for pack in self.cell.packs if self._stores(pack)]

    def _add_parameters(self, layer: int, suffix: str, factory: dict[str, Any]) -> None:
        sizes = self._sizes(layer)
        for pack in self._stored():
            empty = torch.empty(pack.shape(sizes), **factory)
            self.register_parameter(f"{pack.name}_l{layer}{suffix}", nn.Parameter(empty))
        for name, size in self.cell.normalisers.items():
            self.add_module(f"N_{name}_l{layer}{suffix}", nn.BatchNorm1d(units(size, sizes), **factory))
        if self.learn_initial_state:
            for name, size in self.cell.states.items():
                empty = torch.empty(units(size, sizes), **factory)
                self.register_parameter(f"initial_{name}_l{layer}{suffix}", nn.Parameter(empty))

    def _initialise(self, layer: int, suffix: str) -> None:
        sizes = self._sizes(layer)
        for pack in self._stored():
            parameter = self._parameters[f"{pack.name}_l{layer}{suffix}"]
            assert parameter is not None
            for label, rows in pack.rows(sizes):
                if label in self.cell.init:
                    parameter[rows] = self.cell.init[label]
                elif self.recurrent_init == "orthogonal" and label.startswith("U.") and pack.columns == "H":
                    nn.init.orthogonal_(parameter[rows])
        for name in self.cell.normalisers:
            self.get_submodule(f"N_{name}_l{layer}{suffix}").reset_parameters()  # type: ignore[operator]
        if self.learn_initial_state:
            for name in self.cell.states:
                self.get_parameter(f"initial_{name}_l{layer}{suffix}").fill_(self.cell.init.get(name, 0.0))

    def _parameters_of(self, layer: int, suffix: str, like: Tensor) -> dict[str, Tensor]:
        found = {}
        for pack in self.cell.packs:
            if self._stores(pack):
                found[pack.name] = getattr(self, f"{pack.name}_l{layer}{suffix}")  # parametrized and pruned ones too
            else:
                found[pack.name] = like.new_zeros(pack.shape(self._sizes(layer)))
        return found

    # Running

    def _check_inputs(self, sequences: list[Tensor]) -> None:
        wanted = [units(size, self._sizes(0)) for size in self.cell.inputs.values()]
        for x in sequences:
            if not isinstance(x, Tensor):
                raise BadInput(f"the input is a {type(x).__name__}; expected a tensor: torch.as_tensor(...) makes one")
        if len(sequences) != len(wanted):
            raise BadInput(
                f"{len(sequences)} input(s) came for the cell {self.cell.name}; it reads "
                f"{', '.join(self.cell.inputs)}: give a sequence with one tensor for each"
            )
        layout = "(batch, steps, units)" if self.batch_first else "(steps, batch, units)"
        like = self._like(sequences[0])
        for name, x, width in zip(self.cell.inputs, sequences, wanted, strict=True):
            if x.dim() not in (2, 3) or x.shape[-1] != width or x.shape[:-1] != sequences[0].shape[:-1]:
                raise BadInput(
                    f"the input {name} has shape {tuple(x.shape)}; expected {layout} or (steps, units), with {width} "
                    "units"
                )
            cast = torch.is_autocast_enabled(x.device.type) and x.dtype.is_floating_point
            if (x.dtype != like.dtype and not cast) or x.device != like.device:
                raise BadInput(
                    f"the input {name} is {x.dtype} on {x.device}, the parameters are {like.dtype} on {like.device}; "
                    "convert one with .to(...)"
                )

    def _initial_states(self, states: States | None, batch: int, single: bool, like: Tensor) -> list[Tensor]:
        places = self._places()
        widths = {name: units(size, self._sizes(0)) for name, size in self.cell.states.items()}
        if states is None:
            return [self._default_state(name, width, batch, like) for name, width in widths.items()]
        given = [states] if isinstance(states, Tensor) else list(states)
        if len(given) != len(widths):
            raise BadInput(f"{len(given)} state(s) came; {self.cell.name} has {len(widths)}: {', '.join(widths)}")
        if single:
            given = [s[:, None] if s.dim() == 2 else s for s in given]
        for name, state, width in zip(widths, given, widths.values(), strict=True):
            if state.dtype != like.dtype or state.device != like.device:
                raise BadInput(
                    f"the state {name} is {state.dtype} on {state.device}, the input {like.dtype} on {like.device}; "
                    "convert one with .to(...)"
                )
            if state.shape != (len(places), batch, width):
                raise BadInput(
                    f"the state {name} has shape {tuple(state.shape)}; expected (layers x directions, batch, units) = "
                    f"{(len(places), batch, width)}"
                )
        return given

    def _default_state(self, name: str, width: int, batch: int, like: Tensor) -> Tensor:
        if not self.learn_initial_state:
            return like.new_full((len(self._places()), batch, width), self.cell.init.get(name, 0.0))
        names = [f"initial_{name}_l{layer}{suffix}" for layer, suffix in self._places()]
        learned = [getattr(self, n) for n in names]
        return torch.stack(learned)[:, None].expand(-1, batch, -1)

    def _run_layers(
        self, sequences: list[Tensor], initial: list[Tensor], lengths: Tensor | None, record_gates: bool
    ) -> tuple[Tensor, list[Tensor], list]:
        finals: list[tuple[Tensor, ...]] = []
        gates = []
        output = sequences[0]
        for layer in range(self.num_layers):
            results = []
            for suffix in ("", "_reverse")[: self._directions]:
                states = [s[len(finals)] for s in initial]
                result = self._run_direction(layer, suffix, sequences, states, lengths, record_gates)
                results.append(result.output)
                finals.append(result.states)
                gates.append(dict(result.gates))
            output = torch.cat(results, -1) if len(results) > 1 else results[0]
            if self.dropout and self.training and layer < self.num_layers - 1:
                output = F.dropout(output, self.dropout)
            sequences = [output, *sequences[1:]]
        return output, [torch.stack(s) for s in zip(*finals, strict=True)], gates

    def _run_direction(
        self, layer: int, suffix: str, sequences: list[Tensor], states: list[Tensor], lengths: Tensor | None,
        record_gates: bool,
    ) -> Result:  # fmt: skip
        like = sequences[0]
        options = Options(record_gates=record_gates, training=self.training, recompute=self.recompute)
        engine = choose(self.engine, self.cell, like.device, like.dtype, options)
        as_they_are = engine.takes_lengths and not self.cell.normalisers
        backwards = bool(suffix) and not as_they_are
        if lengths is not None and not as_they_are:
            sequences = [without_padding(x, lengths) for x in sequences]
        call = Call(
            self.cell, self._sizes(layer), [reverse(x, lengths) if backwards else x for x in sequences], states,
            self._parameters_of(layer, suffix, like), lengths,
            {name: self.get_submodule(f"N_{name}_l{layer}{suffix}") for name in self.cell.normalisers}, options,
            reverse=bool(suffix) and as_they_are,
        )  # fmt: skip
        result = engine.run(call)
        if not backwards:
            return result
        gates = {name: reverse(gate, lengths) for name, gate in result.gates.items()}
        return Result(reverse(result.output, lengths), result.states, gates)

    def _as_came(self, output: Tensor, packed: PackedSequence | None, lengths: Tensor | None, single: bool) -> Any:
        if packed is None:
            return output.transpose(0, 1) if self.batch_first and not single else output
        assert lengths is not None
        order = packed.sorted_indices
        if order is not None:
            output, lengths = output.index_select(1, order), lengths[order]
        data = pack_padded_sequence(output, lengths.cpu()).data
        return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
