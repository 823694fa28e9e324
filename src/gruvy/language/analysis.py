"""What can be known of a cell from its graph alone."""

from __future__ import annotations

from gruvy.language.graph import Node, topological
from gruvy.language.trace import Graph


def delays(graph: Graph) -> dict[str, Node]:
    """The states whose update is free of state (of any but earlier delays), with that update.

    A delay is known for all steps at once: it is its update, one step later. The order is that of dependence.
    """
    found: dict[str, Node] = {}
    updates = dict(zip(graph.states, graph.new_states, strict=True))
    while True:
        carried = {leaf for name, leaf in graph.states.items() if name not in found}
        more = {
            name: update
            for name, update in updates.items()
            if name not in found and carried.isdisjoint(topological([update]))
        }
        if not more:
            return found
        found |= more


def carried_states(graph: Graph) -> set[Node]:
    """The states that are not delays: the ones that make the recurrence sequential."""
    return {leaf for name, leaf in graph.states.items() if name not in delays(graph)}


def depends_on(order: list[Node], leaves: set[Node]) -> set[Node]:
    """The nodes of a topological `order` that depend on any of `leaves`."""
    found = set(leaves)
    for node in order:
        if not found.isdisjoint(node.args):
            found.add(node)
    return found


def stages(graph: Graph) -> int:
    """Number of dependent products of the state in one step; 0 when no product sees a carried state."""
    order = topological(graph.roots)
    sequential = depends_on(order, carried_states(graph))
    depth: dict[Node, int] = {}
    for node in order:
        below = max((depth[a] for a in node.args), default=0)
        depth[node] = below + (node.op == "product" and node.args[0] in sequential)
    return max(depth.values(), default=0)
