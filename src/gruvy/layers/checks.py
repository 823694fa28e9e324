"""What a layer's settings must be; all problems are told at once."""

from __future__ import annotations

from gruvy.cells import Cell
from gruvy.errors import BadInput
from gruvy.language.cell import units
from gruvy.language.graph import Size


def check_settings(
    cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: float, recurrent_init: str,
    bidirectional: bool, output_size: int | None,
) -> None:  # fmt: skip
    """Refuse sizes, probabilities and names that cannot be, and stacks the cell's sizes do not allow."""
    problems = []
    if not isinstance(cell, Cell):
        raise BadInput(
            f"cell is {cell!r}; expected a cell such as gruvy.cells.gru, or a function under @cell "
            "(gruvy.cells.lookup.find_cell finds one by name)"
        )
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            problems.append(f"{name} is {value!r}; expected a whole number of at least 1")
    if output_size is not None and (not isinstance(output_size, int) or output_size < 1):
        problems.append(f"output_size is {output_size}; expected a whole number of at least 1")
    if not 0 <= dropout <= 1:
        problems.append(f"dropout is {dropout}; expected a probability between 0 and 1")
    if recurrent_init not in ("uniform", "orthogonal"):
        problems.append(f"recurrent_init is {recurrent_init!r}; expected 'uniform' or 'orthogonal'")
    first, *others = cell.inputs.items()
    if first[1] == "H" and input_size != hidden_size:
        problems.append(
            f"{cell.name} adds its input to its state; give input_size equal to hidden_size, or project first"
        )
    if num_layers > 1 and any(size == "I" for _, size in others):
        names = ", ".join(name for name, size in others if size == "I")
        problems.append(f"{cell.name} reads {names}, which only the first layer has; use num_layers=1 and stack layers")
    if num_layers > 1 and not problems:
        sizes: dict[Size, int] = {"I": input_size, "H": hidden_size}
        above = units(cell.graph.output.size, sizes) * (2 if bidirectional else 1)
        if first[1] != "I" and above != units(first[1], sizes):
            problems.append(
                f"{cell.name} reads {units(first[1], sizes)} units and a layer gives {above} to the one above; use "
                "num_layers=1, or bidirectional=False"
            )
        if above != input_size and "I" in cell.states.values():
            problems.append(
                f"{cell.name} keeps a state of the input's size, which would be {input_size} units in the first layer "
                f"and {above} above; use num_layers=1 and stack layers"
            )
    if problems:
        raise BadInput("; ".join(problems))
