"""Equations as text and as LaTeX, in the order the author wrote them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gruvy.language.graph import Node, topological
from gruvy.language.trace import Graph

_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "lambda", "mu", "nu", "rho", "tau")
_BINARY = {
    "add": (" + ", 1),
    "sub": (" - ", 1),
    "gt": (" > ", 0),
    "ge": (" >= ", 0),
    "lt": (" < ", 0),
    "le": (" <= ", 0),
}
_POWER, _ATOM = 8, 9


@dataclass(frozen=True)
class Style:
    """How the pieces of an equation are written."""

    latex: bool
    taken: frozenset[str] = frozenset()  # names of inputs, states and gates

    def symbol(self, name: str) -> str:
        """A variable's name: Greek letters and subscripts after an underscore."""
        head, _, tail = name.partition("_")
        if not self.latex:
            return name
        head = f"\\{head}" if head in _GREEK else head if len(head) == 1 else f"\\mathrm{{{head}}}"
        return f"{head}_{{{tail}}}" if tail else head

    def at(self, name: str, time: str) -> str:
        """A variable at a time: `t` or `t-1`."""
        if not self.latex:
            return name if time == "t" else f"{name}[t-1]"
        head, _, tail = name.partition("_")
        return f"{self.symbol(head)}_{{{tail + ',' if tail else ''}{time}}}"

    def parameter(self, label: str) -> str:
        """`W.r` as W with the subscript r; `p.nu` by its own name."""
        letter, _, name = label.partition(".")
        if letter == "p" and name not in self.taken:
            return self.symbol(name)
        subscript = {"bi": "i", "bh": "h"}.get(letter, "") + name
        if not self.latex:
            return f"{letter[0]}_{subscript}"
        return f"{letter[0]}_{{{subscript if len(subscript) == 1 else subscript if name in subscript else name}}}"

    def function(self, op: str, args: list[str]) -> str:
        if not self.latex:
            return f"{'σ' if op == 'sigmoid' else op}({', '.join(args)})"
        if op == "sqrt":
            return f"\\sqrt{{{args[0]}}}"
        if op == "abs":
            return f"\\left|{args[0]}\\right|"
        name = {"sigmoid": "\\sigma", "tanh": "\\tanh", "exp": "\\exp", "log": "\\log", "maximum": "\\max",
                "minimum": "\\min"}.get(op, f"\\operatorname{{{op}}}")  # fmt: skip
        return f"{name}\\left({', '.join(args)}\\right)"


def equations(graph: Graph, *, latex: bool = False) -> list[tuple[str, str]]:
    """The cell's lines as `(left side, right side)`: named locals, shared parts, new states, a separate output.

    A part used more than once that the author gave no name is written once, as s_1, s_2, ...
    """
    style = Style(latex, frozenset((*graph.inputs, *graph.states, *graph.gates, "y")))
    names = _names(graph, style)
    lines = [(name, _write(node, names, style, top=True)[0]) for node, name in names.items() if node.args]
    for state, node in zip(graph.states, graph.new_states, strict=True):
        left = style.at(state, "t")
        if names.get(node) != left:
            lines.append((left, _write(node, names, style)[0]))
    if graph.output not in graph.new_states and names.get(graph.output) != style.at("y", "t"):
        lines.append((style.at("y", "t"), _write(graph.output, names, style)[0]))
    return lines


def _names(graph: Graph, style: Style) -> dict[Node, str]:
    """Every node that is written by name, in the order its line is to stand."""
    order = topological([*graph.gates.values(), *graph.roots])
    taken = {*graph.inputs, *graph.states}
    own = {node: "y" for node in (graph.output,) if node.args}
    own |= {node: f"{name}'" if name in taken else name for name, node in reversed(graph.gates.items())}
    own |= {node: name for name, node in zip(graph.states, graph.new_states, strict=True) if node.args}
    uses = Counter(a for node in order for a in set(node.args))
    names, shared = {}, 0
    for node in order:
        if node.op in ("input", "state"):
            names[node] = style.at(node.label, "t" if node.op == "input" else "t-1")
        elif node in own:
            names[node] = style.at(own[node], "t")
        elif uses[node] > 1 and node.args and node.op != "product":
            shared += 1
            names[node] = style.at(f"s_{shared}", "t")
    return names


def _write(node: Node, names: dict[Node, str], style: Style, top: bool = False) -> tuple[str, int]:
    """The expression and how tightly it binds (0 comparison, 1 sum, 2 product, 9 atom)."""
    if node in names and not top:
        return names[node], _ATOM
    if node.op == "const":
        return _number(node.value, style), _ATOM if node.value >= 0 else 1
    if node.op == "vector":
        return style.parameter(node.label), _ATOM
    if node.op == "product":
        inner, binding = _write(node.args[0], names, style)
        vector = _wrap(inner, binding, _ATOM, style)
        space = "" if vector.startswith(("(", "\\left(")) else " "
        return style.parameter(node.label) + space + vector, 2
    if node.op in _BINARY:
        sign, binding = _BINARY[node.op]
        (a, left), (b, right) = (_write(n, names, style) for n in node.args)
        return _wrap(a, left, binding, style) + sign + _wrap(b, right, binding + (node.op != "add"), style), binding
    if node.op == "mul" and node.args[0] is node.args[1]:
        return _wrap(*_write(node.args[0], names, style), _ATOM, style) + ("^2" if style.latex else "²"), _POWER
    if node.op == "mul":
        return _multiply(node, names, style), 2
    if node.op == "div":
        (a, left), (b, right) = (_write(n, names, style) for n in node.args)
        if style.latex:
            return f"\\frac{{{a}}}{{{b}}}", _ATOM
        return f"{_wrap(a, left, 2, style)} / {_wrap(b, right, _ATOM, style)}", 2
    if node.op == "neg":
        return "-" + _wrap(*_write(node.args[0], names, style), 2, style), 1
    if node.op == "norm":
        return style.function("N" + node.label[1:].replace(".", "_"), [_write(node.args[0], names, style)[0]]), _ATOM
    return style.function(node.op, [_write(a, names, style)[0] for a in node.args]), _ATOM


def _multiply(node: Node, names: dict[Node, str], style: Style) -> str:
    (a, left), (b, right) = (_write(n, names, style) for n in node.args)
    scalar = any(n.size == 1 for n in node.args)
    sign = " " if scalar else (" \\odot " if style.latex else " ⊙ ")
    return _wrap(a, left, 2, style) + sign + _wrap(b, right, 2, style)


def _wrap(text: str, binding: int, needed: int, style: Style) -> str:
    if binding >= needed:
        return text
    return f"\\left({text}\\right)" if style.latex else f"({text})"


def _number(value: float, style: Style) -> str:
    if value in (float("inf"), float("-inf")):
        return ("-" if value < 0 else "") + ("\\infty" if style.latex else "∞")
    if style.latex and "e" in f"{value:g}":
        digits, exponent = f"{value:g}".split("e")
        return (f"{digits} \\cdot " if digits != "1" else "") + f"10^{{{int(exponent)}}}"
    return f"{value:g}"
