"""Kernels: the compiled passes of cells, ahead of time or just in time, and how tensors are handed to them."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import threading
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from gruvy.engines.fused import compiler
from gruvy.engines.fused.plan import Plan, plan
from gruvy.engines.fused.source import SYMBOL, source, symbol
from gruvy.errors import EngineError
from gruvy.language.cell import Cell, units
from gruvy.language.graph import Size

DTYPES = {torch.float32: "float", torch.float64: "double"}
_ALIGNED = 64  # bytes; rows of saved values are padded to the widest vector


def _constant(function: Callable) -> Callable:
    """What torch.compile calls instead of tracing it; `assume_constant_result`, which would load the compiler."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


class Runtime:
    """The compiled extension with the library for this processor: the best it runs, or GRUVY_INSTRUCTION_SET.

    Raises:
        EngineError: there is none; the message says why.
    """

    def __init__(self) -> None:
        try:
            self.module: Any = importlib.import_module("gruvy.engines.fused._fused")
        except ImportError as error:
            raise EngineError(
                f"gruvy was installed without its compiled kernels ({error}); install it where a C++ compiler is"
            ) from None
        folder = Path(str(self.module.__file__)).parent
        runs = self.module.instruction_sets()
        wanted = os.environ.get("GRUVY_INSTRUCTION_SET")
        found = [
            (s, path) for s in runs if wanted in (None, s) and (path := folder / f"libgruvy_{s}.so").is_file()
        ]  # fmt: skip
        if not found:
            asked = f"GRUVY_INSTRUCTION_SET asks for {wanted}; " if wanted else ""
            raise EngineError(
                f"{asked}gruvy has no kernels for this processor (it runs {', '.join(runs) or 'none known'})"
            )
        self.instruction_set, path = found[0]
        self.library = ctypes.CDLL(str(path))
        self.module.load(str(path))


@lru_cache(maxsize=1)
def runtime() -> Runtime:
    """The one `Runtime`."""
    return Runtime()


class Kernel:
    """The compiled passes of one cell.

    Args:
        cell: any cell.

    Raises:
        EngineError: there is neither a kernel built ahead of time nor a way to build one; the message says why.
    """

    def __init__(self, cell: Cell):
        self.cell: Cell = cell
        self.plan: Plan = plan(cell)
        self.key = identity(cell)
        self._library, self._symbol = self._find()

    def _find(self) -> tuple[ctypes.CDLL, str]:
        found = runtime()
        name = symbol(self.cell)
        if hasattr(found.library, f"{name}_float"):
            return found.library, name
        flags = [f"-march={found.instruction_set}"]
        return ctypes.CDLL(str(compiler.library(self.cell.name, source(self.cell), flags))), SYMBOL

    @cached_property
    def address(self) -> dict[torch.dtype, int]:
        """Where the tables of the passes stand, by type."""
        found = {}
        for dtype, name in DTYPES.items():
            function = getattr(self._library, f"{self._symbol}_{name}")
            function.restype = ctypes.c_void_p
            found[dtype] = function()
        return found

    @lru_cache(maxsize=64)  # noqa: B019 - kernels live as long as the process
    def units(self, input_size: int, hidden_size: int) -> tuple[int, ...]:
        """The units of every size in the plan."""
        sizes: dict[Size, int] = {"I": input_size, "H": hidden_size}
        return tuple(units(size, sizes) for size in self.plan.sizes)

    @lru_cache(maxsize=64)  # noqa: B019
    def parameter_shapes(self, input_size: int, hidden_size: int) -> list[tuple[int, ...]]:
        """Of the cell's packs."""
        return [pack.shape({"I": input_size, "H": hidden_size}) for pack in self.cell.packs]

    @lru_cache(maxsize=64)  # noqa: B019
    def places(self, input_size: int, hidden_size: int, itemsize: int) -> list[tuple[int, int]]:
        """For each matrix, then each vector of the plan: the number of its pack, and where it begins there in bytes."""
        sizes: dict[Size, int] = {"I": input_size, "H": hidden_size}
        found: dict[str, tuple[int, int]] = {}
        for number, pack in enumerate(self.cell.packs):
            row = itemsize * (1 if pack.columns is None else units(pack.columns, sizes))
            found |= {label: (number, rows.start * row) for label, rows in pack.rows(sizes)}
        return [found[label] for label in (*self.plan.matrices, *self.plan.vectors)]

    def saved_elements(self, rows: int, input_size: int, hidden_size: int, itemsize: int) -> int:
        """Elements of what the forward pass keeps for `rows` (steps times sequences)."""
        lanes = _ALIGNED // itemsize
        sizes: dict[Size, int] = {"I": input_size, "H": hidden_size}
        total = 0
        for size in self.plan.saved:
            n = units(size, sizes)
            total += -(-rows * (1 if size == 1 else -(-n // lanes) * lanes) // 16) * 16
        return total


@lru_cache(maxsize=256)
def identity(cell: Cell) -> str:
    """Equal for cells that one kernel can run: the same computation, with parameters and gates in the same places."""
    order = {label: i for i, label in enumerate((*plan(cell).matrices, *plan(cell).vectors))}
    packs = [([(order.get(label), rows) for label, rows in pack.members], pack.columns) for pack in cell.packs]
    return hashlib.sha256(f"{source(cell)}{packs}".encode()).hexdigest()


_kernels: dict[str, Kernel | EngineError] = {}
_lock = threading.Lock()


@_constant
def key_of(cell: Cell) -> str:
    """What the operators call the kernel of a cell; it is there from now on.

    Raises:
        EngineError: as `Kernel`.
    """
    return kernel(cell).key


@_constant
def kernel(cell: Cell) -> Kernel:
    """The kernel of a cell; cells of one `identity` share it, and a failure is remembered.

    Raises:
        EngineError: as `Kernel`.
    """
    key = identity(cell)
    found = _kernels.get(key)
    if found is None:
        with _lock:
            found = _kernels.get(key)
            if found is None:
                try:
                    found = Kernel(cell)
                except EngineError as error:
                    found = error
                _kernels[key] = found
    if isinstance(found, EngineError):
        raise found
    return found


def by_key(key: str) -> Kernel:
    """A kernel that `kernel` has given out before."""
    found = _kernels[key]
    assert isinstance(found, Kernel)
    return found
