"""Calling a cell's function with symbols: from Python source to a checked `Graph`."""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from gruvy.errors import BadInput, CellError
from gruvy.language.graph import Node, Size, as_node, topological

VECTOR_LETTERS = ("b", "bi", "bh", "u", "p")


@dataclass(frozen=True)
class Graph:
    """A cell's equations as nodes.

    Attributes:
        inputs, states: leaf nodes by argument name, in the function's order.
        members: for each group letter, its products, vectors or normalisers by name, in order of first use.
        gates: the function's named locals, in the order they are computed.
        output: what the layer returns at each step.
        new_states: one node for each state.
    """

    inputs: dict[str, Node]
    states: dict[str, Node]
    members: dict[str, dict[str, Node]]
    gates: dict[str, Node]
    output: Node
    new_states: tuple[Node, ...]

    @property
    def roots(self) -> tuple[Node, ...]:
        """The output and the new states: everything a step must compute."""
        return (self.output, *self.new_states)


@dataclass(frozen=True)
class Arguments:
    """A cell function's arguments by role, each in the function's order."""

    order: tuple[str, ...]
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    groups: tuple[str, ...]
    constants: dict[str, float]

    def arrange(self, **values: Any) -> list[Any]:
        """The positional arguments of a call, from values by name."""
        return [values[name] for name in self.order]


def read_arguments(function: Callable) -> Arguments:
    """Sort a function's parameters into inputs, states, groups and constants.

    Raises:
        CellError: `*args`, a constant without a number, no input or no state.
    """
    positional_only: list[str] = []
    rest: list[str] = []
    constants: dict[str, float] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise CellError(f"{function.__name__} takes {parameter}; name each input, state and group")
        if parameter.kind is parameter.KEYWORD_ONLY:
            if isinstance(parameter.default, bool) or not isinstance(parameter.default, (int, float)):
                raise CellError(f"the constant {name} of {function.__name__} has no number; write {name}=1.0 after *")
            constants[name] = parameter.default
        else:
            if parameter.default is not parameter.empty:
                raise CellError(
                    f"the argument {name} of {function.__name__} has a default; only constants, after *, have one"
                )
            (positional_only if parameter.kind is parameter.POSITIONAL_ONLY else rest).append(name)
    inputs = positional_only or rest[:1]
    others = [n for n in rest if n not in inputs]
    groups = [n for n in others if n in VECTOR_LETTERS or (len(n) == 1 and n.isupper())]
    states = [n for n in others if n not in groups]
    if not inputs or not states:
        raise CellError(
            f"{function.__name__}({', '.join(positional_only + rest)}) has no {'state' if inputs else 'input'}; "
            "a cell is written as name(x, h, W, U, ...): inputs, states, then groups of parameters"
        )
    return Arguments((*inputs, *others), tuple(inputs), tuple(states), tuple(groups), constants)


class _Symbols:
    """A group of parameters while tracing: each use of a name is recorded in `_members`."""

    __slots__ = ("_admitted", "_letter", "_members", "_sizes")

    def __init__(self, letter: str, sizes: Mapping[str, Size], admitted: set[Size] | None):
        self._letter, self._sizes, self._admitted = letter, sizes, admitted
        self._members: dict[str, Node] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise CellError(f"{self._letter}.{name}: names of parameters do not start with an underscore")
        label = f"{self._letter}.{name}"
        if not self._letter.isupper():
            return self._members.setdefault(name, Node("vector", (), self._sizes.get(label, "H"), label))

        def apply(value: Any) -> Node:
            argument = as_node(value)
            self._check(label, argument)
            node = Node("norm", (argument,), argument.size, label) if self._letter == "N" else Node(
                "product", (argument,), "H", label
            )  # fmt: skip
            if self._members.setdefault(name, node) is not node:
                raise CellError(f"{label} is used again with another argument; give the second matrix its own name")
            return node

        return apply

    def __call__(self, *args: Any) -> NoReturn:
        raise CellError(f"{self._letter} is a group of parameters; name the one that is meant: {self._letter}.r")

    def _check(self, label: str, argument: Node) -> None:
        if self._admitted is not None and argument.size not in self._admitted:
            kind, other = ("an input", "U") if self._letter == "W" else ("a state", "W")
            raise CellError(
                f"{label} multiplies {kind}-sized vector ({' or '.join(map(str, self._admitted))}), "
                f"but a vector of size {argument.size} came; use {other}, or another letter such as V"
            )


def trace(function: Callable, arguments: Arguments, sizes: Mapping[str, Size]) -> Graph:
    """Call `function` with symbols and check what comes back.

    Raises:
        CellError: naming the line and the remedy.
    """
    inputs = {n: Node("input", (), sizes.get(n, "I"), n) for n in arguments.inputs}
    states = {n: Node("state", (), sizes.get(n, "H"), n) for n in arguments.states}
    admitted = {"W": {n.size for n in inputs.values()}, "U": {n.size for n in states.values()}}
    groups = {n: _Symbols(n, sizes, admitted.get(n)) for n in arguments.groups}
    constants = {n: as_node(v) for n, v in arguments.constants.items()}
    positional = arguments.arrange(**inputs, **states, **groups)
    returned, local_names = _call_recording_locals(function, positional, constants)

    try:
        output, new_states = _sort_returns(function, returned, states)
    except CellError as error:
        code = function.__code__
        raise CellError(f"{function.__name__} (line {code.co_firstlineno} of {code.co_filename}): {error}") from None
    known = {id(n) for n in (*inputs.values(), *states.values(), *constants.values())}
    gates = {n: v for n, v in local_names.items() if isinstance(v, Node) and id(v) not in known and v.op != "const"}
    members = {letter: group._members for letter, group in groups.items() if group._members}
    gates = dict(sorted(gates.items(), key=lambda item: item[0] in arguments.order))  # names given anew come last
    place = {node: i for i, node in enumerate(topological([*gates.values(), output, *new_states]))}
    gates = dict(sorted(gates.items(), key=lambda item: place[item[1]]))
    graph = Graph(inputs, states, members, gates, output, new_states)
    _check_use(function, graph)
    return graph


def _sort_returns(function: Callable, returned: Any, states: Mapping[str, Node]) -> tuple[Node, tuple[Node, ...]]:
    values = returned if isinstance(returned, tuple) else (returned,)
    if len(values) not in (len(states), len(states) + 1):
        raise CellError(
            f"{function.__name__} returns {len(values)} value(s) for {len(states)} state(s) ({', '.join(states)}); "
            "return the new states, or the output followed by the new states"
        )
    if any(v is None for v in values):
        raise CellError(f"{function.__name__} returns None; end it with return and the new state")
    nodes = tuple(as_node(v) for v in values)
    new_states = nodes[-len(states) :]
    for (name, state), node in zip(states.items(), new_states, strict=True):
        if node.size != state.size:
            raise CellError(
                f"{function.__name__} returns a vector of size {node.size} for the state {name} of size {state.size}; "
                f"return one of size {state.size}, or declare sizes={{'{name}': ...}}"
            )
    return nodes[0], new_states


def _check_use(function: Callable, graph: Graph) -> None:
    reached = set(topological(graph.roots))
    for group in graph.members.values():
        for node in group.values():
            if node not in reached:
                raise CellError(
                    f"{node.label} of {function.__name__} contributes to nothing the cell returns, so it would never "
                    "learn; use it or remove it"
                )
    states = set(graph.states.values())
    for node in graph.members.get("N", {}).values():
        if not states.isdisjoint(topological(node.args)):
            raise CellError(f"{node.label}(...) depends on a state; a normaliser takes an expression free of state")


def _call_recording_locals(function: Callable, positional: list, constants: Mapping) -> tuple[Any, dict[str, Any]]:
    """Call `function`; also return its local names as they stood at its return."""
    local_names: dict[str, Any] = {}

    def record(frame, event, _):
        if event == "return" and frame.f_code is function.__code__:
            local_names.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(record)
    try:
        with reporting_lines(function):
            return function(*positional, **constants), local_names
    finally:
        sys.setprofile(before)


@contextmanager
def reporting_lines(function: Callable) -> Iterator[None]:
    """Turn whatever a call of `function` raises into a `CellError` that names the line."""
    try:
        yield
    except Exception as error:
        raise CellError(_with_line(function, error)) from None


def _with_line(function: Callable, error: Exception) -> str:
    frames = [(f, line) for f, line in traceback.walk_tb(error.__traceback__) if f.f_code is function.__code__]
    text = str(error)
    if isinstance(error, NameError):
        text += "; the functions of a cell come from gruvy.cells: from gruvy.cells import sigmoid, tanh, ..."
    if not isinstance(error, BadInput):
        text = f"{type(error).__name__}: {text}"
    if not frames:
        return f"{function.__name__}: {text}"
    frame, line = frames[-1]
    file = frame.f_code.co_filename
    source = linecache.getline(file, line).strip()
    return f"{function.__name__} (line {line} of {file})" + (f", in `{source}`: " if source else ": ") + text
