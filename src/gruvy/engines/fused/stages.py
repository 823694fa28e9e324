"""The stages of a step: what is computed after which product, kept where, and read again.

A stage is matrix products, then what can be computed from them elementwise. A product of something computed begins
the next stage, because it needs whole rows and threads share the units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gruvy.language.graph import COMPARISONS, Node, Size

PRODUCTS = ("product", "product_t")
REDUCTIONS = ("mean", "sum")
# What is cheaper to compute again than to keep.
CHEAP = {"add", "sub", "mul", "neg", "relu", "abs", "maximum", "minimum", "where", "expand", "share", *COMPARISONS}
STORAGES = ("USER", "STATE_OLD", "STATE_NEW", "CHUNK", "SAVED", "STEP", "SCRATCH", "VECTOR", "SUM")


@dataclass(frozen=True)
class Array:
    """Where values of one kind live; see `abi.h`."""

    storage: str
    index: int
    size: Size
    before: int = -1


@dataclass(frozen=True)
class Product:
    """`result (+)= argument` times a matrix, by array."""

    label: str
    transposed: bool
    argument: Array
    result: Array
    add: bool = False


@dataclass(frozen=True)
class Store:
    """A node that a pointwise function writes; `when` is `saving`, `recording` or nothing."""

    node: Node
    array: Array
    when: str = ""


@dataclass
class Block:
    """The products and the pointwise function of one stage for vectors of one size."""

    size: Size
    products: list[Product] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    loads: dict[Node, Array] = field(default_factory=dict)


@dataclass
class Pass:
    """What runs forward, or backward.

    Attributes:
        before: products of inputs, for many steps at once.
        stages: of a step; each holds a block for every size of vectors.
        after: gradients of inputs through their products, for many steps at once.
        gradients: `(label, adjoint, argument)` of each matrix.
        arrays: everything read or written; the saved ones first, in the order of both passes.
    """

    before: list[Product]
    stages: list[list[Block]]
    after: list[Product] = field(default_factory=list)
    gradients: list[tuple[str, Array, Array]] = field(default_factory=list)
    arrays: list[Array] = field(default_factory=list)
    reduces: bool = False


def operands(node: Node) -> tuple[Node, ...]:
    """The arguments whose values a node is computed from; those behind are there for their size."""
    return node.args[:1] if node.op in ("share", "expand") else node.args


def needed(roots: Iterable[Node], leaves: set[Node] | Mapping[Node, object]) -> list[Node]:
    """As `topological`, not looking below `leaves`."""
    order: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in order:
            for a in () if node in leaves else operands(node):
                visit(a)
            order[node] = None

    for root in roots:
        visit(root)
    return list(order)


class Stages:
    """Sorts what a pass computes into stages and blocks.

    Args:
        leaves: nodes that are read, and where.
        stores: what is to be written.
    """

    def __init__(self, leaves: Mapping[Node, Array], stores: list[Store]):
        self.leaves, self.stores = dict(leaves), list(stores)
        self.kept: dict[Node, Array] = {}  # own arrays that later stages can read
        for store in stores:
            if store.array.storage == "CHUNK":
                self.kept.setdefault(store.node, store.array)
        self.order = needed([s.node for s in stores], self.leaves)
        self.products = [n for n in self.order if n.op in PRODUCTS and n not in self.leaves]
        self.arguments = {p: self._argument(p.args[0]) for p in self.products}
        self.stage: dict[Node, int] = {}
        for node in self.order:
            self.stage[node] = self._stage_of(node)
        self.results: dict[Node, Array] = {}
        self._keep_for_reductions()
        self._keep_across_stages()
        self.blocks = self._blocks()

    @property
    def reduces(self) -> bool:
        """Whether whole rows are summed, or scalars multiplied: one thread has all units of a row then."""
        return any(
            (n.op in REDUCTIONS or (n.op in PRODUCTS and n.size == 1)) for n in self.order if n not in self.leaves
        )

    def _keep(self, node: Node) -> Array:
        if node not in self.kept:
            array = Array("STEP", sum(a.storage == "STEP" for a in self.kept.values()), node.size)
            self.kept[node] = array
            if node.op not in PRODUCTS or node in self.leaves:
                self.stores.append(Store(node, array))
        return self.kept[node]

    def _argument(self, node: Node) -> Array:
        direct = self.leaves.get(node)
        if direct is not None and direct.storage in ("STATE_OLD", "VECTOR"):
            return direct
        return self._keep(node)

    def _stage_of(self, node: Node) -> int:
        if node in self.leaves or not node.args:
            return 0
        if node.op in PRODUCTS:
            direct = self.arguments[node].storage in ("STATE_OLD", "VECTOR")
            return 0 if direct else self.stage[node.args[0]] + 1
        if node.op in REDUCTIONS:
            return max(self._row_stage(a) for a in node.args)
        return max(self.stage[a] for a in operands(node))

    def _row_stage(self, node: Node) -> int:
        """The stage at which a node can be computed for whole rows."""
        if node in self.leaves or not node.args:
            return 0
        if node.op in PRODUCTS:
            return self.stage[node] + 1
        if node.op in REDUCTIONS:
            return self.stage[node]
        return max(self._row_stage(a) for a in operands(node))

    def _keep_for_reductions(self) -> None:
        for node in self.products:
            if node.size == 1:
                self._keep(node)
        for node in self.order:
            if node.op in REDUCTIONS and node not in self.leaves:
                for part in needed(node.args, self.leaves):
                    if part in self.arguments:
                        self._keep(part)

    def _keep_across_stages(self) -> None:
        """Keep what a later stage reads, unless it is cheap to compute again from what is read or kept."""
        users: dict[Node, list[Node]] = {}
        for node in self.order:
            for a in () if node in self.leaves else operands(node):
                users.setdefault(a, []).append(node)
        at_hand: set[Node] = set()
        for node in self.order:
            again = node.op in CHEAP and all(a in at_hand for a in operands(node))
            kept = node in self.leaves or node in self.kept or node.op == "const" or node.size == 1
            if not again and not kept and any(self.stage[u] > self.stage[node] for u in users.get(node, ())):
                self._keep(node)
                kept = True
            if again or kept:
                at_hand.add(node)

    def _blocks(self) -> list[list[Block]]:
        count = 1 + max((self.stage[n] for n in self.order), default=0)
        stages: list[dict[Size, Block]] = [{} for _ in range(count)]
        scratch = 0
        for p in self.products:
            block = stages[self.stage[p]].setdefault(p.size, Block(p.size))
            result = self.kept.get(p)
            if result is None:
                result = Array("SCRATCH", scratch, p.size)
                scratch += 1
            self.results[p] = result
            block.products.append(Product(p.label, p.op == "product_t", self.arguments[p], result))
        for store in self.stores:
            stage = self.stage[store.node]
            stages[stage].setdefault(store.node.size, Block(store.node.size)).stores.append(store)
        for number, blocks in enumerate(stages):
            for block in blocks.values():
                block.loads = self._loads(number)
        return [sorted(blocks.values(), key=lambda block: block.size != 1) for blocks in stages]

    def _loads(self, number: int) -> dict[Node, Array]:
        earlier = {n: a for n, a in self.kept.items() if self.stage[n] < number}
        products = {p: self.results[p] for p in self.products if self.stage[p] == number}
        return {**earlier, **products, **self.leaves}
