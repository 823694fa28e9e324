"""The `@cell` decorator: from a function to a `Cell` that engines, layers and documents share."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gruvy.errors import BadInput, CellError
from gruvy.language import analysis
from gruvy.language.evaluate import evaluate
from gruvy.language.functions import table_for
from gruvy.language.graph import ELEMENTWISE, LEAVES, Node, Size, topological
from gruvy.language.operands import group
from gruvy.language.trace import Arguments, Graph, read_arguments, reporting_lines, trace

_PACK_NAMES = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "bi": "bias_ih", "bh": "bias_hh"}
_OPERATIONS = LEAVES | ELEMENTWISE | {"product", "norm", "mean"}


@dataclass(frozen=True)
class Pack:
    """One stored parameter: the members of a group stacked by rows, in order of first use (r, z, n: as torch).

    Attributes:
        name: `weight_ih`, `bias_hh`, `p_zeta`, ...; a layer adds its number and direction.
        members: `(letter.name, rows)` in order.
        columns: the size of the vector a matrix multiplies; None for vectors.
    """

    name: str
    members: tuple[tuple[str, Size], ...]
    columns: Size | None

    def shape(self, sizes: Mapping[Size, int]) -> tuple[int, ...]:
        """The parameter's shape, with `sizes` giving the units of `"I"` and `"H"`."""
        rows = sum(units(rows, sizes) for _, rows in self.members)
        return (rows,) if self.columns is None else (rows, units(self.columns, sizes))

    def rows(self, sizes: Mapping[Size, int]) -> Iterator[tuple[str, slice]]:
        """Each member's label and its rows within the parameter."""
        start = 0
        for label, size in self.members:
            stop = start + units(size, sizes)
            yield label, slice(start, stop)
            start = stop


def units(size: Size, sizes: Mapping[Size, int]) -> int:
    """The number of units of a symbolic or plain size."""
    return sizes[size] if isinstance(size, str) else size


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell: its equations as a graph, and the function they came from.

    Attributes:
        name: the function's name.
        graph: the traced equations.
        init: initial values of vectors (`"p.nu": -4.0`) and of states (`"m": -inf`); states begin at 0 otherwise.
        cite: the source of the equations.
        doc: the function's docstring.
        function: what the author wrote; None for a cell read back from an artefact, which its graph stands in for.
    """

    name: str
    graph: Graph
    init: dict[str, float] = field(default_factory=dict)
    cite: str = ""
    doc: str = ""
    function: Callable | None = None

    def __call__(self, *args, **constants):
        """Call the equations themselves: with arrays of NumPy or torch, and operands for the groups."""
        if self.function is None:
            raise BadInput(f"{self.name} was read from an artefact and has no function; run it through a layer")
        return self.function(*args, **constants)

    def __repr__(self) -> str:
        return f"<cell {self.name}>"

    def __deepcopy__(self, memo) -> Cell:
        return self

    def __reduce__(self):
        return Cell.from_json, (self.to_json(),)

    @property
    def inputs(self) -> dict[str, Size]:
        """Input names and sizes."""
        return {name: node.size for name, node in self.graph.inputs.items()}

    @property
    def states(self) -> dict[str, Size]:
        """State names and sizes."""
        return {name: node.size for name, node in self.graph.states.items()}

    @property
    def normalisers(self) -> dict[str, Size]:
        """Names of `N` and the size each works on."""
        return {name: node.size for name, node in self.graph.members.get("N", {}).items()}

    @cached_property
    def stages(self) -> int:
        """Number of dependent recurrent products a step; 0 means every product is free of state."""
        return analysis.stages(self.graph)

    @cached_property
    def packs(self) -> tuple[Pack, ...]:
        """The parameters a layer stores: matrices first, then vectors, as torch orders them."""
        packs = [pack for letter in self.graph.members for pack in _packs(letter, self.graph.members[letter])]
        return tuple(sorted(packs, key=lambda pack: pack.columns is None))

    def parameter_count(self, sizes: Mapping[Size, int]) -> int:
        """Number of parameters of one layer in one direction (normalisers hold two for each unit)."""
        stored = sum(int(np.prod(pack.shape(sizes))) for pack in self.packs)
        return stored + sum(2 * units(size, sizes) for size in self.normalisers.values())

    def unpack(self, parameters: Mapping[str, Any], sizes: Mapping[Size, int]) -> dict[str, Any]:
        """Matrices `(H, n)` and vectors `(n,)` by label (`"W.r"`), as views of the stored parameters."""
        return {
            label: parameters[pack.name][rows] for pack in self.packs for label, rows in pack.rows(sizes)
        }  # fmt: skip

    def step(
        self,
        inputs: Sequence[Any],
        states: Sequence[Any],
        operands: Mapping[str, Any],
        normalised: Mapping[str, Any] | None = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """One step by calling the author's function (or the graph, where there is none).

        Args:
            inputs, states: arrays `(batch, size)` in the cell's order.
            operands: matrices and vectors by label, from `unpack`.
            normalised: what `N.name(...)` gives at this step, by label.

        Returns:
            The output and the new states.
        """
        if self.function is None:
            return self.step_graph(inputs, states, operands, normalised)
        returned = self.function(*self._positional(inputs, states, operands, normalised or {}))
        values = returned if isinstance(returned, tuple) else (returned,)
        return values[0], values[-len(self.graph.states) :]

    def step_graph(
        self,
        inputs: Sequence[Any],
        states: Sequence[Any],
        operands: Mapping[str, Any],
        normalised: Mapping[str, Any] | None = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """The same step, by evaluating the graph."""
        values = self.leaf_values(inputs, states, operands, normalised)
        evaluate(topological(self.graph.roots), values, table_for(inputs[0]), operands)
        return values[self.graph.output], tuple(values[node] for node in self.graph.new_states)

    def leaf_values(
        self,
        inputs: Sequence[Any],
        states: Sequence[Any],
        operands: Mapping[str, Any],
        normalised: Mapping[str, Any] | None = None,
    ) -> dict[Node, Any]:
        """Arrays for the graph's leaves, as `evaluate` wants them."""
        graph = self.graph
        values = dict(zip((*graph.inputs.values(), *graph.states.values()), (*inputs, *states), strict=True))
        for letter, members in graph.members.items():
            given = normalised if letter == "N" else operands if not letter.isupper() else None
            values |= {node: given[node.label] for node in members.values()} if given else {}
        return values

    def _positional(self, inputs: Sequence, states: Sequence, operands: Mapping, normalised: Mapping) -> list[Any]:
        groups: dict[str, dict] = {letter: {} for letter in self._arguments.groups}
        for letter, members in self.graph.members.items():
            given = normalised if letter == "N" else operands
            groups[letter] = {name: given[node.label] for name, node in members.items()}
        by_name = dict(zip((*self.graph.inputs, *self.graph.states), (*inputs, *states), strict=True))
        return self._arguments.arrange(**by_name, **{k: group(k, members) for k, members in groups.items()})

    @cached_property
    def _arguments(self) -> Arguments:
        assert self.function is not None
        return read_arguments(self.function)

    @cached_property
    def key(self) -> str:
        """A digest of the equations: equal for cells that compute the same from the same packs, whatever the names."""
        graph = self.graph
        members = {letter: list(group.values()) for letter, group in graph.members.items()}
        names = {node: str(i) for i, node in enumerate((*graph.inputs.values(), *graph.states.values()))}
        names |= {n: f"{letter}{i}" for letter, group in members.items() for i, n in enumerate(group)}
        order = topological((*graph.inputs.values(), *graph.states.values(), *graph.roots))
        number = {node: i for i, node in enumerate(order)}
        described = [
            [[n.op, [number[a] for a in n.args], n.size, names.get(n, ""), n.value] for n in order],
            {letter: [number[n] for n in group] for letter, group in members.items()},
            [number[n] for n in graph.roots],
            sorted((names[n], self.init[n.label]) for n in names if n.label in self.init),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The cell as plain data: an artefact holds this, so that loading a model runs no code of its author."""
        graph = self.graph
        roots = [*graph.inputs.values(), *graph.states.values(), *graph.roots]
        order = topological([*roots, *graph.gates.values()])
        number = {node: i for i, node in enumerate(order)}
        return {
            "name": self.name, "cite": self.cite, "doc": self.doc,
            "init": {k: v if math.isfinite(v) else str(v) for k, v in self.init.items()},
            "nodes": [[n.op, [number[a] for a in n.args], n.size, n.label, n.value] for n in order],
            "inputs": {k: number[v] for k, v in graph.inputs.items()},
            "states": {k: number[v] for k, v in graph.states.items()},
            "members": {k: {m: number[v] for m, v in group.items()} for k, group in graph.members.items()},
            "gates": {k: number[v] for k, v in graph.gates.items()},
            "output": number[graph.output], "new_states": [number[v] for v in graph.new_states],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_json` described.

        Raises:
            CellError: the description is damaged.
        """
        try:
            nodes: list[Node] = []
            for op, args, size, label, value in data["nodes"]:
                if op not in _OPERATIONS or not all(0 <= a < len(nodes) for a in args):
                    raise ValueError(op)
                nodes.append(Node(op, tuple(nodes[a] for a in args), size, label, value))

            def by_name(part: Mapping[str, int]) -> dict[str, Node]:
                return {name: nodes[i] for name, i in part.items()}

            graph = Graph(
                by_name(data["inputs"]), by_name(data["states"]),
                {letter: by_name(part) for letter, part in data["members"].items()}, by_name(data["gates"]),
                nodes[data["output"]], tuple(nodes[i] for i in data["new_states"]),
            )  # fmt: skip
            return cls(data["name"], graph, {k: float(v) for k, v in data["init"].items()}, data["cite"], data["doc"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise CellError(f"the description of a cell is damaged ({error}); save the model again") from None


def _packs(letter: str, members: Mapping[str, Node]) -> list[Pack]:
    if letter == "N":
        return []
    if letter in ("u", "p"):
        return [Pack(f"{letter}_{name}", ((node.label, node.size),), None) for name, node in members.items()]
    name = _PACK_NAMES.get(letter, f"weight_{letter}")
    columns = {node.args[0].size if node.op == "product" else None for node in members.values()}
    if len(columns) == 1:
        return [Pack(name, tuple((node.label, node.size) for node in members.values()), columns.pop())]
    return [Pack(f"{name}_{member}", ((node.label, node.size),), node.args[0].size) for member, node in members.items()]


def cell(
    function: Callable | None = None,
    /,
    *,
    cite: str = "",
    sizes: Mapping[str, Size] | None = None,
    init: Mapping[str, float] | None = None,
) -> Any:
    """Declare a cell from a function that holds its equations.

    Arguments before `/` (or the first) are inputs; one upper-case letter names a group of matrices; `b bi bh u p`
    name groups of vectors; everything else is a state; constants follow `*`. The function returns the new states,
    the first being the output, or the output followed by the new states.

    Args:
        function: the equations, when used without parentheses.
        cite: the source of the equations.
        sizes: sizes of inputs, states and vectors that are not the default (`"I"` for inputs, `"H"` otherwise).
        init: initial values of vectors and states that are not the default.

    Returns:
        A `Cell`, or a decorator that makes one.

    Raises:
        CellError: the function leaves the language; the message holds the line and the remedy.

    Example:
        >>> @cell(cite="Zhou et al. 2016, arXiv:1603.09420")
        ... def mgu(x, h, W, U, b):
        ...     f = sigmoid(W.f(x) + U.f(h) + b.f)
        ...     n = tanh(W.n(x) + U.n(f * h) + b.n)
        ...     return (1 - f) * h + f * n
    """
    if function is None:
        return lambda f: cell(f, cite=cite, sizes=sizes, init=init)
    if not hasattr(function, "__code__"):
        raise CellError(f"@cell stands above {function!r}; it expects a function that holds the equations")
    sizes, init = dict(sizes or {}), {k: _number(k, v) for k, v in (init or {}).items()}
    arguments = read_arguments(function)
    graph = trace(function, arguments, sizes)
    vectors = [n.label for letter in graph.members if not letter.isupper() for n in graph.members[letter].values()]
    _known_names("sizes", sizes, [*graph.inputs, *graph.states, *vectors])
    _known_names("init", init, [*graph.states, *vectors])
    for name, size in sizes.items():
        if size not in ("I", "H") and not (isinstance(size, int) and size > 0):
            raise CellError(f"sizes={{{name!r}: {size!r}}}: expected 'I', 'H' or a positive number of units")
    if "b" in graph.members and "bi" in graph.members:
        raise CellError(f"{function.__name__} uses both b and bi, which share one parameter; use bi and bh, or b alone")
    made = Cell(function.__name__, graph, init, cite, (function.__doc__ or "").strip(), function)
    _probe(made)
    return made


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CellError(f"init={{{name!r}: {value!r}}}: expected a number") from None


def _known_names(what: str, given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
            raise CellError(f"{what} names {name!r}, which the cell does not have; {hint}")


def _probe(made: Cell) -> None:
    """Compare the function with its graph on small read-only arrays: what symbols cannot see shows here."""
    rng = np.random.default_rng(0)
    sizes: dict[Size, int] = {"I": 2, "H": 3}
    assert made.function is not None

    def array(*shape: int) -> np.ndarray:
        values = rng.uniform(0.1, 0.9, shape)
        values.setflags(write=False)
        return values

    inputs = [array(2, units(size, sizes)) for size in made.inputs.values()]
    states = [array(2, units(size, sizes)) for size in made.states.values()]
    operands = made.unpack({pack.name: array(*pack.shape(sizes)) for pack in made.packs}, sizes)
    normalised = {f"N.{name}": array(2, units(size, sizes)) for name, size in made.normalisers.items()}
    with reporting_lines(made.function):
        output, new_states = made.step(inputs, states, operands, normalised)
    expected, expected_states = made.step_graph(inputs, states, operands, normalised)
    for value, wanted in zip((output, *new_states), (expected, *expected_states), strict=True):
        if not np.allclose(value, wanted, rtol=1e-10, atol=1e-12, equal_nan=True):
            raise CellError(
                f"{made.name} computes one thing with numbers and another with symbols; its result may depend on "
                "something other than its arguments (a random number, a global, a changed default): remove it"
            )
