"""`gruvy cells`, and the page of equations made from it."""

from __future__ import annotations

import json as json_module
from typing import Any

import torch

from gruvy.cells import CATALOGUE, Cell
from gruvy.cells.lookup import find_cell
from gruvy.engines import ENGINES, Options
from gruvy.language.graph import Size
from gruvy.language.printing import equations

_SIZES: dict[Size, int] = {"I": 128, "H": 128}


def show(names: list[str], as_json: bool, markdown: bool) -> None:
    """Print the cells called `names`, or the catalogue."""
    chosen = [find_cell(name) for name in names] or list(CATALOGUE.values())
    if as_json:
        print(json_module.dumps([describe(cell) for cell in chosen], indent=1))
    elif markdown:
        print(page(chosen), end="")
    else:
        print("\n\n".join(plain(cell) for cell in chosen))


def describe(cell: Cell) -> dict[str, Any]:
    """Everything known of a cell."""
    support = {
        name: engine.supports(cell, torch.device("cpu"), torch.float32, Options()) for name, engine in ENGINES.items()
    }
    return {
        "name": cell.name, "summary": cell.doc.partition("\n")[0], "cite": cell.cite,
        "equations": [f"{left} = {right}" for left, right in equations(cell.graph)],
        "inputs": cell.inputs, "states": cell.states, "gates": list(cell.graph.gates), "stages": cell.stages,
        "parameters": cell.parameter_count(_SIZES),
        "engines": {name: {"runs": ok, "reason": reason} for name, (ok, reason) in support.items()},
    }  # fmt: skip


def plain(cell: Cell) -> str:
    """A cell for the terminal."""
    facts = describe(cell)
    lines = [" - ".join(filter(None, (facts["name"], facts["summary"])))]
    lines += [f"    {equation}" for equation in facts["equations"]]
    lines.append(f"  source      {facts['cite'] or 'not given'}")
    lines.append(f"  parameters  {facts['parameters']:,} with input and hidden size 128")
    lines.append(f"  stages      {_stages(cell)}")
    runs = [name for name, engine in facts["engines"].items() if engine["runs"]]
    lines.append(f"  engines     {', '.join(runs)}")
    lines += [
        f"              not {name}: {engine['reason']}"
        for name, engine in facts["engines"].items()
        if not engine["runs"]
    ]
    return "\n".join(lines)


def page(chosen: list[Cell]) -> str:
    """`docs/equations.md`."""
    parts = [
        "# The cells\n\n"
        "Written by `make docs` from the functions in `src/gruvy/cells`; a test keeps it current.\n\n"
        "σ is the logistic function, ⊙ the elementwise product, W an input matrix, U a recurrent matrix, b a bias, "
        "s_1, s_2, ... parts used more than once. Parameters are counted for an input and a hidden size of 128.\n"
    ]
    for cell in chosen:
        facts = describe(cell)
        lines = " \\\\\n".join(f"{left} &= {right}" for left, right in equations(cell.graph, latex=True))
        runs = ", ".join(name for name, engine in facts["engines"].items() if engine["runs"])
        doc = " ".join(cell.doc.split())
        parts.append(
            f"## `{cell.name}`\n\n{doc}\n\n```math\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n```\n\n"
            f"- source: {cell.cite or 'not given'}\n- parameters: {facts['parameters']:,}\n- stages: {_stages(cell)}\n"
            f"- engines: {runs}\n"
        )
    return "\n".join(parts)


def _stages(cell: Cell) -> str:
    if cell.stages == 0:
        return "0: every product is free of the state, and is computed for all steps at once"
    return f"{cell.stages} dependent recurrent product{'s' if cell.stages > 1 else ''} a step"
