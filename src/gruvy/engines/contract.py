"""The engines there are, and the choice between them."""

from __future__ import annotations

import torch

from gruvy.engines.call import Engine, Options
from gruvy.engines.eager import EagerEngine
from gruvy.engines.framework import FrameworkEngine
from gruvy.engines.fused.engine import FusedEngine
from gruvy.engines.reference_engine import ReferenceEngine
from gruvy.errors import EngineError
from gruvy.language.cell import Cell

# In the order `auto` tries them; the reference is for checking and is never chosen for its speed.
ENGINES: dict[str, Engine] = {e.name: e for e in (FusedEngine(), FrameworkEngine(), EagerEngine(), ReferenceEngine())}
_AUTO = ("fused", "framework", "eager")


def choose(name: str, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> Engine:
    """The engine for a call: the fastest that supports it for `"auto"`, the named one otherwise.

    Raises:
        EngineError: no such engine, or the named one does not support the call; a named engine never falls back.
    """
    if name == "auto":
        refusals = []
        for engine in map(ENGINES.__getitem__, _AUTO):
            supported, reason = engine.supports(cell, device, dtype, options)
            if supported:
                return engine
            refusals.append(f"{engine.name}: {reason}")
        raise EngineError(f"no engine runs {cell.name} here ({'; '.join(refusals)})")
    check_name(name)
    supported, reason = ENGINES[name].supports(cell, device, dtype, options)
    if not supported:
        raise EngineError(f"engine {name!r} cannot run {cell.name}: {reason}; use engine='auto' or engine='eager'")
    return ENGINES[name]


def check_name(name: str) -> None:
    """Refuse a name that is no engine."""
    if name != "auto" and name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; expected auto, {', '.join(ENGINES)}")


def explain(name: str, cell: Cell, device: torch.device, dtype: torch.dtype, options: Options) -> str:
    """A line for each engine: what runs, and why the others do not."""
    chosen = choose(name, cell, device, dtype, options)
    lines = [f"{cell.name} on {device}, {str(dtype).removeprefix('torch.')}: engine {chosen.name} ({chosen.purpose})"]
    for engine in ENGINES.values():
        if engine is not chosen:
            supported, reason = engine.supports(cell, device, dtype, options)
            why = reason if not supported else "not named" if name != "auto" else _why_not_auto(engine)
            lines.append(f"  not {engine.name}: {why}")
    return "\n".join(lines)


def _why_not_auto(engine: Engine) -> str:
    return "slower" if engine.name in _AUTO else "for checking, not for speed"
