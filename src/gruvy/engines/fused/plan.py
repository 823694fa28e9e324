"""From a cell's graph to the passes a kernel runs: forward, and backward through its derivative.

Products of the inputs do not wait for the state: they run for many steps at once, before the steps; backward, the
gradients of inputs and matrices for many steps at once, after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gruvy.engines.fused.stages import CHEAP, Array, Pass, Product, Stages, Store, needed, operands
from gruvy.language.cell import Cell
from gruvy.language.derivative import adjoint, pullback
from gruvy.language.graph import Node, Size, topological


@dataclass(frozen=True)
class Plan:
    """A cell as the kernel sees it.

    Attributes:
        inputs: names and sizes; the outcomes of the cell's normalisers stand behind its own inputs.
        matrices: label, and the sizes of rows and columns.
        vectors: label and size.
        saved: sizes of what the forward pass keeps for the backward pass.
        sizes: every size of a vector, 1 first.
        touched: inputs that have a gradient,
        elementwise: and those of them that a step itself writes one for.
    """

    cell: Cell
    inputs: dict[str, Size]
    matrices: dict[str, tuple[Size, Size]]
    vectors: dict[str, Size]
    gates: dict[str, Size]
    saved: tuple[Size, ...]
    sizes: tuple[Size, ...]
    forward: Pass
    backward: Pass
    touched: frozenset[int]
    elementwise: frozenset[int]


@lru_cache(maxsize=256)
def plan(cell: Cell) -> Plan:
    """The passes of a cell."""
    graph = cell.graph
    norms = list(graph.members.get("N", {}).values())
    inputs = {n: i for i, n in enumerate((*graph.inputs.values(), *norms))}
    states = {n: i for i, n in enumerate(graph.states.values())}
    vectors = {n: i for i, n in enumerate(v for k, m in graph.members.items() if not k.isupper() for v in m.values())}
    order = topological([*graph.gates.values(), *graph.roots])
    leaves = set(inputs)
    products = [n for n in needed([*graph.gates.values(), *graph.roots], leaves) if n.op == "product"]
    early = [p for p in products if p.args[0] in inputs]
    needs = _Needs(graph, set(inputs), set(states), set(vectors), early)
    keep = needs.saved
    saved = {node: Array("SAVED", i, node.size) for i, node in enumerate(keep)}
    forward = _forward(cell, inputs, states, vectors, early, saved)
    backward = _backward(cell, needs, inputs, states, vectors, early, saved)
    first = len(inputs) + 2 * len(states) + 2
    written = {s.array.index for stage in backward.stages for b in stage for s in b.stores if s.array.storage == "USER"}
    elementwise = frozenset(u - first for u in written)
    sizes = dict.fromkeys((1, *(n.size for n in order), *(a.size for p in (forward, backward) for a in p.arrays)))
    return Plan(
        cell,
        {n.label: n.size for n in inputs},
        {p.label: (p.size, p.args[0].size) for p in products},
        {v.label: v.size for v in vectors},
        {name: node.size for name, node in graph.gates.items()},
        tuple(n.size for n in keep),
        tuple(sizes),
        forward,
        backward,
        elementwise | {p.result.index - first for p in backward.after},
        elementwise,
    )  # fmt: skip


class _Needs:
    """The derivative of a step, and which values of the forward pass it needs.

    Attributes:
        leaves, products: as in `derivative.Pullback`.
        saved: the nodes the forward pass keeps.
    """

    def __init__(self, graph, inputs: set[Node], states: set[Node], vectors: set[Node], early: list[Node]):
        self.seeds = {graph.output: adjoint("output", graph.output)}
        self.carried = {}
        total = dict(self.seeds)
        for name, node in zip(graph.states, graph.new_states, strict=True):
            seed = self.carried[name] = adjoint(f"state {name}", node)
            total[node] = total[node] + seed if node in total else seed
        flow = pullback(total)
        self.products = flow.products
        self.early = set(early)
        self.leaves = {leaf: self._without_early(g) for leaf, g in flow.leaves.items()}
        self.read = inputs | vectors | {graph.output} | set(self.seeds.values()) | set(self.carried.values())
        self.carried_by_output = {
            leaf
            for leaf, new in zip(graph.states.values(), graph.new_states, strict=True)
            if new is graph.output and leaf.size == graph.output.size
        }
        self.read |= self.carried_by_output
        forward = set(topological([*graph.roots]))
        wanted = [g for g in self.leaves.values() if g is not None]
        wanted += [node for pair in self.products.values() for node in pair]
        boundary = self._boundary(wanted, forward)
        self.saved = self._choose(boundary, forward)

    def _without_early(self, g: Node) -> Node | None:
        """An adjoint without what comes through the products of inputs, which is added for many steps at once."""
        if g.op == "product_t" and any(p.label == g.label for p in self.early):
            return None
        if g.op == "add":
            left, right = (self._without_early(a) for a in g.args)
            if left is None or right is None:
                return right if left is None else left
            return g if (left, right) == g.args else left + right
        return g

    def _boundary(self, wanted: list[Node], forward: set[Node]) -> list[Node]:
        """The nodes of the forward pass that the derivative reads, in their order."""
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        stack = list(wanted)
        while stack:
            node = stack.pop()
            if node in forward:
                found[node] = None
            elif node not in seen:
                seen.add(node)
                stack.extend(operands(node))
        return [n for n in needed(found, {}) if n in found]

    def _choose(self, boundary: list[Node], forward: set[Node]) -> list[Node]:
        """Keep what can be had neither by reading nor by cheap computing from what is read or kept."""
        kept: dict[Node, None] = {}

        def available(node: Node) -> bool:
            if node in self.read or node in kept or node.op == "const":
                return True
            return node.op in CHEAP and bool(node.args) and all(available(a) for a in operands(node))

        for node in boundary:
            if not available(node):
                kept[node] = None
        return list(kept)


def _arrays(built: Pass, saved: Mapping[Node, Array]) -> Pass:
    found: dict[Array, None] = dict.fromkeys(saved.values())
    for product in (*built.before, *built.after):
        found |= dict.fromkeys((product.argument, product.result))
    for stage in built.stages:
        for block in stage:
            found |= dict.fromkeys(a for p in block.products for a in (p.argument, p.result))
            found |= dict.fromkeys(s.array for s in block.stores)
            found |= dict.fromkeys(block.loads.values())
    found |= dict.fromkeys(a for _, *pair in built.gradients for a in pair)
    built.arrays = list(found)
    return built


def _forward(cell: Cell, inputs, states, vectors, early: list[Node], saved: Mapping[Node, Array]) -> Pass:
    graph = cell.graph
    leaves = {n: Array("USER", i, n.size) for n, i in inputs.items()}
    leaves |= {n: Array("STATE_OLD", i, n.size) for n, i in states.items()}
    leaves |= {n: Array("VECTOR", i, n.size) for n, i in vectors.items()}
    chunk = {p: Array("CHUNK", i, p.size) for i, p in enumerate(early)}
    before = [Product(p.label, False, leaves[p.args[0]], chunk[p]) for p in early]
    before.sort(key=lambda product: product.argument.index)
    output = len(inputs) + len(states)
    stores = [Store(graph.output, Array("USER", output, graph.output.size))]
    stores += [Store(n, Array("STATE_NEW", i, n.size)) for i, n in enumerate(graph.new_states)]
    stores += [Store(node, array, "saving") for node, array in saved.items()]
    first_gate = output + 1 + len(states)
    stores += [
        Store(node, Array("USER", first_gate + i, node.size), "recording")
        for i, node in enumerate(graph.gates.values())
    ]
    stages = Stages(leaves | chunk, stores)
    reduces = stages.reduces
    return _arrays(Pass(before, stages.blocks, reduces=reduces), saved)


def _backward(
    cell: Cell, needs: _Needs, inputs, states, vectors, early: list[Node], saved: Mapping[Node, Array]
) -> Pass:  # fmt: skip
    graph = cell.graph
    ni, ns = len(inputs), len(states)
    output, grad_output, d_inputs = ni + ns, ni + ns + 1, ni + 2 * ns + 2
    leaves = {n: Array("USER", i, n.size) for n, i in inputs.items()}
    leaves |= {n: Array("USER", output, n.size, ni + states[n]) for n in needs.carried_by_output}
    leaves |= {n: Array("VECTOR", i, n.size) for n, i in vectors.items()}
    if graph.output not in leaves and graph.output.op != "const":
        leaves[graph.output] = Array("USER", output, graph.output.size)
    leaves |= saved
    leaves[needs.seeds[graph.output]] = Array("USER", grad_output, graph.output.size)
    leaves |= {seed: Array("STATE_OLD", i, seed.size) for i, seed in enumerate(needs.carried.values())}

    stores: list[Store] = []
    chunk: dict[Node, Array] = {}

    def chunked(node: Node) -> Array:
        if node not in chunk:
            chunk[node] = Array("CHUNK", len(chunk), node.size)
            stores.append(Store(node, chunk[node]))
        return chunk[node]

    gradients, after = [], []
    for label, (g, argument) in needs.products.items():
        where = leaves.get(argument)
        if where is None or where.storage not in ("USER", "SAVED", "VECTOR"):
            where = chunked(argument)
        gradients.append((label, chunked(g), where))
        if any(p.label == label for p in early):
            result = Array("USER", d_inputs + inputs[argument], argument.size)
            after.append(Product(label, True, chunked(g), result))
    gradients.sort(key=lambda item: (item[2].storage, item[2].index, item[2].before))
    for leaf, flowing in needs.leaves.items():
        if flowing is None:
            continue
        if leaf in inputs:
            stores.append(Store(flowing, Array("USER", d_inputs + inputs[leaf], leaf.size)))
        elif leaf in vectors:
            stores.append(Store(flowing, Array("SUM", vectors[leaf], leaf.size)))
        else:
            stores.append(Store(flowing, Array("STATE_NEW", states[leaf], leaf.size)))
    reached = {s.array.index for s in stores if s.array.storage == "STATE_NEW"}
    for leaf, i in states.items():
        if i not in reached:
            nothing = Node("expand", (Node("const"), leaf), leaf.size)
            stores.append(Store(nothing, Array("STATE_NEW", i, leaf.size)))
    elementwise = {s.array.index for s in stores if s.array.storage == "USER"}
    started: set[int] = set()
    after.sort(key=lambda product: product.result.index)
    for k, product in enumerate(after):
        add = product.result.index in elementwise or product.result.index in started
        after[k] = Product(product.label, True, product.argument, product.result, add)
        started.add(product.result.index)
    stages = Stages(leaves, stores)
    reduces = stages.reduces
    return _arrays(Pass([], stages.blocks, after, gradients, reduces=reduces), saved)
