"""Computing the values of nodes with arrays of any library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from gruvy.language.graph import ELEMENTWISE, Node


def evaluate(
    nodes: Iterable[Node],
    values: MutableMapping[Node, Any],
    table: Mapping[str, Callable],
    products: Mapping[str, Any],
) -> MutableMapping[Node, Any]:
    """Fill `values` for `nodes`, which stand in topological order; nodes already there are left as they are.

    Args:
        nodes: from `graph.topological`.
        values: arrays of shape `(..., size)` for the leaves (and normalisers) the nodes need.
        table: the operations of the arrays' library (`functions.table_for`).
        products: matrices of shape `(rows, columns)` by label, for `product` and `product_t`.
    """
    for node in nodes:
        if node not in values:
            values[node] = _apply(node, [values.get(a) for a in node.args], values, table, products)
    return values


def _apply(node: Node, args: list, values: Mapping, table: Mapping[str, Callable], products: Mapping[str, Any]) -> Any:
    if node.op in ELEMENTWISE or node.op in ("mean", "sum"):
        return table[node.op](*args)
    if node.op == "const":
        return node.value
    if node.op == "product":
        return args[0] @ products[node.label].T
    if node.op == "product_t":
        return args[0] @ products[node.label]
    if node.op == "share":
        return args[0] / sum(a.shape[-1] for a in args[1:])
    if node.op == "expand":
        return table["expand"](args[0], args[1].shape[-1])
    raise KeyError(f"no value was given for {node!r}")
