"""A cell by name: from the catalogue, or from a user's file."""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path

from gruvy.cells import CATALOGUE
from gruvy.errors import BadInput, CellError, GruvyError
from gruvy.language.cell import Cell


def find_cell(name: str) -> Cell:
    """The cell called `name`, or `function` in a Python file for `file.py:function`.

    Raises:
        BadInput: there is none.
        CellError: the file cannot be run, or its cell leaves the language.
    """
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _from_file(Path(file), function)
    if name in CATALOGUE:
        return CATALOGUE[name]
    if name.endswith(".py"):
        raise BadInput(f"{name} is a file; name the cell in it, as {name}:my_cell")
    close = difflib.get_close_matches(name, CATALOGUE, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(CATALOGUE)}."
    raise BadInput(f"there is no cell {name!r}; {hint} A cell of your own is named my_cells.py:my_cell")


def _from_file(path: Path, function: str) -> Cell:
    if not path.is_file():
        raise BadInput(f"{path}: no such file; --cell takes a name of `gruvy cells`, or FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(f"_gruvy_cells_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except GruvyError:
        raise
    except SyntaxError as error:
        raise CellError(f"{path}, line {error.lineno}: {error.msg}; correct the Python there") from None
    except (Exception, SystemExit) as error:
        raise CellError(f"{path} could not be run ({type(error).__name__}: {error}); correct it") from None
    found = getattr(module, function, None)
    if isinstance(found, Cell):
        return found
    cells = [n for n, v in vars(module).items() if isinstance(v, Cell) and n not in CATALOGUE]
    if found is not None:
        raise CellError(f"{function} in {path} is no cell; write @cell above it (from gruvy.cells import cell)")
    raise BadInput(f"{path} has no {function!r}; its cells are: {', '.join(cells) or 'none'}")
