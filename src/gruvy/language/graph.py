"""The graph a cell becomes when its function is called with symbols instead of arrays.

A `Node` is an operation on vectors of one *size*: `"I"` (input), `"H"` (hidden) or a number of units; size 1
broadcasts. Nodes are interned: the same operation on the same arguments is the same object, which makes common
sub-expressions shared by construction and keeps the author's order of terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from gruvy.errors import CellError

Size = str | int

ARITHMETIC = ("add", "sub", "mul", "div", "neg")
UNARY = ("sigmoid", "tanh", "relu", "exp", "expm1", "log", "sqrt", "softplus", "abs")
COMPARISONS = ("gt", "ge", "lt", "le")
ELEMENTWISE = frozenset((*ARITHMETIC, *UNARY, *COMPARISONS, "maximum", "minimum", "where"))
LEAVES = frozenset(("input", "state", "vector", "const", "adjoint"))

_interned: WeakValueDictionary[tuple, Node] = WeakValueDictionary()


def _refuse(what: str, remedy: str):
    def method(self, *args, **kwargs) -> NoReturn:
        raise CellError(f"{what} is not part of the cell language; {remedy}")

    return method


class Node:
    """One operation of a cell's graph; built by operators and functions, never changed.

    Attributes:
        op: a member of `LEAVES` or `ELEMENTWISE`, or `product`, `norm`, `mean`; the derivative adds `product_t`
            (transposed product), `sum` (over units), `share` (divided by the units of a mean), `expand`.
        args: the nodes it is computed from.
        size: `"I"`, `"H"` or a number of units.
        label: a leaf's name, or `letter.name` of a product, vector or normaliser.
        value: the number a `const` holds.
    """

    __slots__ = ("__weakref__", "args", "label", "op", "size", "value")
    op: str
    args: tuple[Node, ...]
    size: Size
    label: str
    value: float

    def __new__(cls, op: str, args: tuple[Node, ...] = (), size: Size = 1, label: str = "", value: float = 0.0):
        key = (op, args, size, label, repr(value))
        node = _interned.get(key)
        if node is None:
            node = super().__new__(cls)
            for name, item in zip(
                ("op", "args", "size", "label", "value"), (op, args, size, label, value), strict=True
            ):
                object.__setattr__(node, name, item)
            _interned[key] = node
        return node

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise CellError(f"setting .{name} on a value is not part of the cell language; give the result a new name")

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.args)) or self.label or f"{self.value:g}"
        return f"{self.op}({inner})" if self.op not in LEAVES else inner

    def __add__(self, other):
        return elementwise("add", self, other)

    def __radd__(self, other):
        return elementwise("add", other, self)

    def __sub__(self, other):
        return elementwise("sub", self, other)

    def __rsub__(self, other):
        return elementwise("sub", other, self)

    def __mul__(self, other):
        return elementwise("mul", self, other)

    def __rmul__(self, other):
        return elementwise("mul", other, self)

    def __truediv__(self, other):
        return elementwise("div", self, other)

    def __rtruediv__(self, other):
        return elementwise("div", other, self)

    def __neg__(self):
        return elementwise("neg", self)

    def __abs__(self):
        return elementwise("abs", self)

    def __gt__(self, other):
        return elementwise("gt", self, other)

    def __ge__(self, other):
        return elementwise("ge", self, other)

    def __lt__(self, other):
        return elementwise("lt", self, other)

    def __le__(self, other):
        return elementwise("le", self, other)

    # Everything below exists to refuse, in words, what the language leaves out.
    __iadd__ = __isub__ = __imul__ = __itruediv__ = _refuse(
        "an in-place update (+=, -=, *=, /=)", "write h = h + ... instead"
    )
    __setitem__ = _refuse("assigning to a part of a value", "use where(condition, a, b)")
    __getitem__ = _refuse("indexing a value", "a cell sees whole vectors: use a matrix product to select")
    __iter__ = _refuse("looping over or unpacking a value", "write the equation for the whole vector")
    __len__ = _refuse("len() of a value", "use mean(...), which knows its size")
    __bool__ = _refuse("Python control flow on a value (if, and, or, not, min, max)", "use where, maximum or minimum")
    __float__ = __int__ = __array__ = _refuse(
        "a function from math or another library", "use those of gruvy.cells: sigmoid, tanh, relu, exp, ..."
    )
    __matmul__ = __rmatmul__ = _refuse("the @ operator", "write W.name(v) for a matrix product")
    __pow__ = __rpow__ = _refuse("the ** operator", "write v * v, or exp(k * log(v))")
    __mod__ = __floordiv__ = _refuse("the % or // operator", "use the functions of gruvy.cells")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        op = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div"}.get(ufunc.__name__)
        if op and all(isinstance(v, (Node, float, int)) for v in inputs):
            return elementwise(op, *inputs)  # a number of NumPy's on the left, such as np.sqrt(2)
        _foreign(f"np.{ufunc.__name__}")

    def __array_function__(self, function, types, args, kwargs) -> NoReturn:
        _foreign(f"np.{function.__name__}")

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None) -> NoReturn:
        _foreign(f"torch.{getattr(function, '__name__', function)}")

    __call__ = _refuse(
        "calling a value",
        "a group of matrices is one upper-case letter with names behind it (W.r(x)); other arguments are states",
    )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise CellError(
            f".{name} on a value is not part of the cell language; use the functions of gruvy.cells (groups of "
            "parameters are called by one upper-case letter, or b, bi, bh, u, p)"
        )


def _foreign(name: str) -> NoReturn:
    raise CellError(
        f"{name} is a foreign function; the cell language has sigmoid, tanh, relu, exp, expm1, log, sqrt, softplus, "
        "abs, maximum, minimum, where and mean: import them from gruvy.cells"
    )


def constant(value: float) -> Node:
    """A number as a node of size 1."""
    return Node("const", value=float(value))


def as_node(value: Any) -> Node:
    """`value` itself when it is a node, a constant when it is a number, refused otherwise."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return constant(value)
    if not isinstance(value, (tuple, list)) and callable(value):
        raise CellError("a matrix, or a group, stands where a vector is expected; write W.r(x), or b.r")
    raise CellError(
        f"{type(value).__name__} {str(value)[:40]!r} stands where a vector or a number is expected; "
        "products are called (W.r(x)), vectors are named (b.r)"
    )


def elementwise(op: str, *args: Any) -> Node:
    """The node of an elementwise operation; sizes must agree, 1 broadcasts."""
    nodes = tuple(as_node(a) for a in args)
    if op == "where" and nodes[0].op not in COMPARISONS:
        raise CellError("where takes a comparison such as z > 0 as its condition (there is no == on values)")
    sizes = list(dict.fromkeys(n.size for n in nodes if n.size != 1))
    if len(sizes) > 1:
        raise CellError(
            f"a value of size {sizes[0]} meets one of size {sizes[1]} in {op}: "
            "sizes must match; use a matrix product to go from one size to the other, or declare sizes={...}"
        )
    return Node(op, nodes, sizes[0] if sizes else 1)


def topological(roots: Iterable[Node]) -> list[Node]:
    """Every node the roots need, arguments before their users, each once, in the author's order."""
    order: dict[Node, None] = {}
    stack: list[tuple[Node, Iterator[Node]]] = []
    for root in roots:
        stack.append((root, iter(root.args)))
        while stack:
            node, rest = stack[-1]
            following = next((a for a in rest if a not in order), None)
            if following is None:
                order[node] = None
                stack.pop()
            else:
                stack.append((following, iter(following.args)))
    return list(order)
