"""The functions of the cell language, for arrays and for symbols.

Each function looks at what it is given: symbols make a node of the graph; arrays go to the table of their library
(NumPy's stands here, an engine brings its own with `register`).
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gruvy.errors import CellError
from gruvy.language.graph import Node, as_node, elementwise

# Engines that bring a library's table, imported when an array of that library first comes by.
_BROUGHT_BY = {"torch": "gruvy.engines.eager"}
_tables: dict[str, Mapping[str, Callable]] = {}


def register(library: str, table: Mapping[str, Callable]) -> None:
    """Give the functions of `library`'s arrays: a callable for every elementwise operation, `mean`, `sum`, `expand`."""
    _tables[library] = table


def table_for(array: Any) -> Mapping[str, Callable]:
    """The operations for arrays like `array`, by the library its type comes from; NumPy's for numbers."""
    library = type(array).__module__.partition(".")[0]
    if library not in _tables and library in _BROUGHT_BY:
        importlib.import_module(_BROUGHT_BY[library])
    return _tables.get(library, NUMPY)


def _call(op: str, *args: Any) -> Any:
    for a in args:
        if isinstance(a, (tuple, list)):
            raise CellError(f"{op} was given a {type(a).__name__} of {len(a)}; give it one vector")
    if any(isinstance(a, Node) for a in args):
        return elementwise(op, *args)
    array = next((a for a in args if not isinstance(a, (int, float))), args[0])
    return table_for(array)[op](*args)


def sigmoid(x):
    """Logistic function 1 / (1 + exp(-x)), elementwise."""
    return _call("sigmoid", x)


def tanh(x):
    """Hyperbolic tangent, elementwise."""
    return _call("tanh", x)


def relu(x):
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return _call("relu", x)


def exp(x):
    """Exponential, elementwise."""
    return _call("exp", x)


def expm1(x):
    """exp(x) - 1 without cancellation near 0, elementwise."""
    return _call("expm1", x)


def log(x):
    """Natural logarithm, elementwise."""
    return _call("log", x)


def sqrt(x):
    """Square root, elementwise."""
    return _call("sqrt", x)


def softplus(x):
    """log(1 + exp(x)) without overflow, elementwise."""
    return _call("softplus", x)


def abs(x):
    """Absolute value, elementwise; its derivative at 0 is 0."""
    return _call("abs", x)


def maximum(a, b):
    """The larger of two, elementwise; at a tie each side has half of the derivative."""
    return _call("maximum", a, b)


def minimum(a, b):
    """The smaller of two, elementwise; at a tie each side has half of the derivative."""
    return _call("minimum", a, b)


def where(condition, a, b):
    """`a` where the condition (a comparison such as `z > 0`) holds, `b` elsewhere."""
    if isinstance(condition, bool):
        raise CellError("where takes a comparison such as z > 0 as its condition; == and != are none on values")
    return _call("where", condition, a, b)


def mean(*args):
    """The mean over all units of all arguments, of size 1: the language's one reduction.

    Layer norm, joint layer norm and RMS norm are plain functions of it.
    """
    if not args:
        raise CellError("mean() was given nothing; give it at least one vector")
    if any(isinstance(a, Node) for a in args):
        return Node("mean", tuple(as_node(a) for a in args), 1)
    return table_for(args[0])["mean"](*args)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1.0, e) / (1.0 + e)


def _mean(*args):
    units = sum(np.shape(a)[-1] for a in args)
    return sum(np.sum(a, axis=-1, keepdims=True) for a in args) / units


def _expand(value, units):
    return np.broadcast_to(value, (*np.shape(value)[:-1], units))


ARITHMETIC_TABLE: dict[str, Callable] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip

NUMPY: dict[str, Callable] = ARITHMETIC_TABLE | {
    "sigmoid": _sigmoid, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0), "exp": np.exp, "expm1": np.expm1,
    "log": np.log, "sqrt": np.sqrt, "softplus": lambda x: np.logaddexp(x, 0.0), "abs": np.abs,
    "maximum": np.maximum, "minimum": np.minimum, "where": np.where, "mean": _mean,
    "sum": lambda x: np.sum(x, axis=-1, keepdims=True), "expand": _expand,
}  # fmt: skip
