"""The engines that run a cell over a sequence, and the choice between them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded when first used: generating the kernels, when the package is built, needs no torch.
_WHERE = dict.fromkeys(("Call", "Engine", "Options", "Result"), "call")
_WHERE |= dict.fromkeys(("real_steps", "reverse", "without_padding"), "padding")
_WHERE |= dict.fromkeys(("ENGINES", "check_name", "choose", "explain"), "contract")

__all__ = [
    "ENGINES", "Call", "Engine", "Options", "Result", "check_name", "choose", "explain", "real_steps", "reverse",
    "without_padding",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
