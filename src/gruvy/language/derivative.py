"""Reverse-mode derivative of a graph, as a graph.

Outputs of activations are used again (the derivative of `s = sigmoid(a)` is `s * (1 - s)`), so a kernel that keeps
them recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gruvy.language.functions import expm1, where
from gruvy.language.graph import Node, topological


@dataclass(frozen=True)
class Pullback:
    """Where the adjoints of some nodes flow.

    Attributes:
        leaves: the adjoint of each input, state, vector and normaliser that is reached. A vector's still has to be
            summed over the batch.
        products: for each matrix label, the adjoint of the product and the vector it was applied to: the matrix's
            gradient is their outer product, summed over the batch.
    """

    leaves: dict[Node, Node]
    products: dict[str, tuple[Node, Node]]


def pullback(seeds: Mapping[Node, Node]) -> Pullback:
    """Reverse-mode derivative from `seeds` (a node -> its adjoint) down to the leaves.

    A `norm` node ends the walk like a leaf: its derivative mixes all steps, which is the engine's to do.
    """
    adjoints: dict[Node, Node] = dict(seeds)
    leaves: dict[Node, Node] = {}
    products: dict[str, tuple[Node, Node]] = {}
    for node in reversed(topological(seeds)):
        adjoint = adjoints.get(node)
        if adjoint is None or node.op == "const":
            continue
        if node.op in ("input", "state", "vector", "norm"):
            leaves[node] = adjoint
            continue
        if node.op == "product":
            products[node.label] = (adjoint, node.args[0])
        for argument, contribution in zip(node.args, _RULES[node.op](node, adjoint), strict=True):
            if contribution is not None and argument.op != "const":
                contribution = _fit(contribution, argument)
                before = adjoints.get(argument)
                adjoints[argument] = contribution if before is None else before + contribution
    return Pullback(leaves, products)


def adjoint(name: str, like: Node) -> Node:
    """A seed: the symbol of an adjoint that comes from outside, of the size of `like`."""
    return Node("adjoint", (), like.size, name)


def _fit(contribution: Node, argument: Node) -> Node:
    """Undo broadcasting: sum over units where the argument has one, spread where the contribution has one."""
    if contribution.size == argument.size:
        return contribution
    return Node("sum", (contribution,), 1) if argument.size == 1 else Node(
        "expand", (contribution, argument), argument.size
    )  # fmt: skip


def _half_at_ties(node: Node, g: Node, first_wins: Node, second_wins: Node) -> tuple[Node, Node]:
    first = where(first_wins, g, where(second_wins, 0.0, 0.5 * g))
    return first, g - first


def _mean(node: Node, g: Node) -> tuple[Node, ...]:
    return (Node("share", (g, *node.args), 1),) * len(node.args)


def _div(node: Node, g: Node) -> tuple[Node, Node]:
    a = g / node.args[1]
    return a, -(a * node)


def _product(node: Node, g: Node) -> tuple[Node]:
    return (Node("product_t", (g,), node.args[0].size, node.label),)


_RULES: dict[str, Callable[[Node, Node], tuple[Node | None, ...]]] = {
    "add": lambda n, g: (g, g),
    "sub": lambda n, g: (g, -g),
    "mul": lambda n, g: (g * n.args[1], g * n.args[0]),
    "div": _div,
    "neg": lambda n, g: (-g,),
    "sigmoid": lambda n, g: (g * (n * (1 - n)),),
    "tanh": lambda n, g: (g * (1 - n * n),),
    "relu": lambda n, g: (where(n > 0, g, 0.0),),
    "exp": lambda n, g: (g * n,),
    "expm1": lambda n, g: (g * (n + 1),),
    "log": lambda n, g: (g / n.args[0],),
    "sqrt": lambda n, g: (g / (2 * n),),
    "softplus": lambda n, g: (g * -expm1(-n),),
    "abs": lambda n, g: (where(n.args[0] > 0, g, where(n.args[0] < 0, -g, 0.0)),),
    "maximum": lambda n, g: _half_at_ties(n, g, n.args[0] > n.args[1], n.args[0] < n.args[1]),
    "minimum": lambda n, g: _half_at_ties(n, g, n.args[0] < n.args[1], n.args[0] > n.args[1]),
    "where": lambda n, g: (None, where(n.args[0], g, 0.0), where(n.args[0], 0.0, g)),
    "mean": _mean,
    "product": _product,
    **dict.fromkeys(("gt", "ge", "lt", "le"), lambda n, g: (None, None)),
}
