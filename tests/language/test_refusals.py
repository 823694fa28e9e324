"""What the cell language leaves out is refused at declaration, with the line and the remedy."""

import re
import textwrap
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest

from gruvy.cells import Cell, cell, gru, tanh
from gruvy.errors import BadInput, CellError, GruvyError
from gruvy.language.operands import group

IMPORTS = """\
import math
import random
import numpy as np
import torch
from gruvy.cells import abs, cell, exp, log, maximum, mean, minimum, relu, sigmoid, tanh, where
"""


@pytest.fixture
def declare(tmp_path):
    """Import a file that declares a cell, as a user's own file is."""

    def declare(source):
        file = tmp_path / "my_cells.py"
        file.write_text(IMPORTS + source)
        spec = spec_from_file_location("my_cells", file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return next(v for v in vars(module).values() if isinstance(v, Cell))

    return declare


def cell_source(body, signature="x, h, W, U, b", decorator="@cell"):
    return f"{decorator}\ndef mine({signature}):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"


FOREIGN = r"foreign function.*import them from gruvy\.cells"

# (the line that is refused, what the message says)
LINES = [
    ("h += W.h(x)", r"in-place update.*write h = h \+"),
    ("h -= 1", "in-place update"),
    ("h *= 2", "in-place update"),
    ("h /= 2", "in-place update"),
    ("h[0] = 1.0", r"assigning to a part of a value.*use where\("),
    ("h = h[0] * h", "indexing a value.*matrix product"),
    ("h = -h if h > 0 else h", "control flow on a value.*use where"),
    ("if h > 0: h = -h", "control flow on a value.*use where"),
    ("while h > 0: h = h - 1", "control flow on a value.*use where"),
    ("h = (h > 0) and h", "control flow on a value.*where, maximum or minimum"),
    ("h = h or x", "control flow on a value.*where, maximum or minimum"),
    ("h = not h", "control flow on a value"),
    ("h = max(h, 0.0)", "control flow on a value.*maximum"),
    ("h = where(0 < h < 1, h, 0.0)", "control flow on a value.*use where"),
    ("h = sum(h) * h", "looping over or unpacking"),
    ("a, c = h", "looping over or unpacking"),
    ("h = h * len(h)", r"len\(\) of a value.*mean"),
    ("h = np.tanh(h)", r"np\.tanh is a " + FOREIGN),
    ("h = np.where(h > 0, h, 0.0)", r"np\.where is a " + FOREIGN),
    ("h = torch.tanh(h)", r"torch\.tanh is a " + FOREIGN),
    ("h = math.tanh(h)", r"function from math.*use those of gruvy\.cells"),
    ("h = h * float(h)", r"function from math.*use those of gruvy\.cells"),
    ("h = h.tanh()", r"\.tanh on a value.*use the functions of gruvy\.cells"),
    ("h = np.ones(3) * h", "foreign function"),
    ("h = h + np.ones(3)", "ndarray.*where a vector or a number is expected"),
    ("h = W @ x", r"the @ operator.*write W\.name\(v\)"),
    ("h = h @ h", r"the @ operator.*write W\.name\(v\)"),
    ("h = h ** 2", r"the \*\* operator.*write v \* v"),
    ("h = 2 ** h", r"the \*\* operator.*write v \* v"),
    ("h = h % 2", "the % or // operator"),
    ("h = tanh(x + h)", r"size I meets one of size H.*sizes must match.*matrix product"),
    (
        "h = tanh(W.h(h))",
        r"W\.h multiplies an input-sized vector.*size H came; use U, or another letter such as V",
    ),
    (
        "h = tanh(U.h(x))",
        r"U\.h multiplies a state-sized vector.*size I came; use W, or another letter such as V",
    ),
    ("h = tanh(W.h(x)) + W.h(2 * x)", r"W\.h is used again with another argument.*its own name"),
    ("h = W.r * h", r"write W\.r\(x\)"),
    ("h = b * h", r"or b\.r"),
    ("h = W._r(x) + h", "do not start with an underscore"),
    ("h = sigmoidal(h)", r"NameError.*'sigmoidal'.*from gruvy\.cells import sigmoid, tanh"),
    ("h = mean() + h", "mean.. was given nothing; give it at least one vector"),
    ("h.gate = x", "setting .gate on a value"),
]


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_a_line_is_refused_with_its_number_its_source_and_the_remedy(declare, line, says):
    with pytest.raises(CellError) as error:
        declare("\n\n" + cell_source(f"h = tanh(h)\n{line}\nreturn h"))
    message = str(error.value)
    assert re.search(says, message), message
    first_shown = line.split(":")[0]
    number = len(IMPORTS.splitlines()) + 6
    assert f"mine (line {number} of " in message
    assert "my_cells.py" in message
    assert f"in `{first_shown}" in message


# (the body, what the message says): found after the last line has run
RETURNS = [
    ("h = tanh(W.h(x))", "returns None; end it with return"),
    ("return None", "returns None; end it with return"),
    ("return h, h, h", r"returns 3 value\(s\) for 1 state\(s\) \(h\); return the new states, or the output"),
    (
        "return x",
        r"returns a vector of size I for the state h of size H; return one of size H, or declare sizes",
    ),
    ("return mean(h)", r"returns a vector of size 1 for the state h of size H"),
    ("return [h]", "list .* stands where a vector or a number is expected"),
    ("return 'h'", "str .* stands where a vector or a number is expected"),
]


@pytest.mark.parametrize(("body", "says"), RETURNS, ids=[body for body, _ in RETURNS])
def test_what_a_cell_returns_is_checked(body, says):
    with pytest.raises(CellError, match=says):
        _declare_here(cell_source(body))


@pytest.mark.parametrize("body", [body for body, _ in RETURNS])
def test_what_a_cell_returns_is_refused_with_the_cell_and_its_line(declare, body):
    """The design: refused at declaration, with the line and the remedy, a wrong number of returns too."""
    with pytest.raises(CellError) as error:
        declare(cell_source(body))
    assert "mine" in str(error.value)
    assert re.search(r"line \d+ of .*my_cells\.py", str(error.value)), str(error.value)


def _declare_here(source):
    names = {}
    exec(IMPORTS + source, names)
    return names["mine"]


SIGNATURES = [
    ("x, h=1.0, W=None", "argument h of mine has a default; only constants, after \\*, have one"),
    ("x, h, W, *more", r"takes \*more; name each input, state and group"),
    ("x, h, W, **more", r"takes \*\*more; name each"),
    ("x, h, W, *, c", r"constant c of mine has no number; write c=1\.0 after \*"),
    ("x, h, W, *, c='one'", r"constant c of mine has no number; write c=1\.0 after \*"),
    ("x, h, W, *, c=True", r"constant c of mine has no number"),
    ("x, W", r"mine\(x, W\) has no state; a cell is written as name\(x, h, W, U"),
    ("", "has no input"),
]


@pytest.mark.parametrize(("signature", "says"), SIGNATURES)
def test_a_signature_is_checked(signature, says):
    with pytest.raises(CellError, match=says):
        _declare_here(cell_source("return tanh(W.h(x))", signature))


DECLARATIONS = [
    # a whole declaration; what the message says
    (
        "@cell\ndef mine(x, h, W, U, b):\n    unused = W.q(x)\n    return tanh(U.h(h))",
        r"W\.q of mine contributes to nothing the cell returns.*use it or remove it",
    ),
    (
        "@cell\ndef mine(x, h, W, U, b):\n    b.r\n    return tanh(W.h(x) + U.h(h))",
        r"b\.r of mine contributes to nothing",
    ),
    (
        "@cell\ndef mine(x, h, W, b, bi):\n    return tanh(W.h(x) + b.r + bi.r) * h",
        "uses both b and bi.*use bi and bh, or b alone",
    ),
    (
        "@cell\ndef mine(x, h, U, N):\n    return N.h(U.h(h))",
        r"N\.h\(...\) depends on a state.*free of state",
    ),
    (
        "@cell(init={'p.mu': 1.0})\ndef mine(x, h, W, p):\n    return p.nu * h + W.h(x)",
        r"init names 'p\.mu', which the cell does not have; did you mean 'p\.nu'\?",
    ),
    (
        "@cell(sizes={'p.mu': 1})\ndef mine(x, h, W, p):\n    return p.nu * h + W.h(x)",
        r"sizes names 'p\.mu', which the cell does not have; did you mean 'p\.nu'\?",
    ),
    (
        "@cell(sizes={'state': 1})\ndef mine(x, h, W):\n    return tanh(W.h(x)) * h",
        r"sizes names 'state', which the cell does not have; it has x, h",
    ),
    (
        "@cell(sizes={'h': 'J'})\ndef mine(x, h, W):\n    return 2 * h",
        r"sizes=\{'h': 'J'\}: expected 'I', 'H' or a positive number",
    ),
    ("@cell(sizes={'h': 0})\ndef mine(x, h, W):\n    return 2 * h", "expected 'I', 'H' or a positive number"),
    (
        "@cell(sizes={'h': 1.5})\ndef mine(x, h, W):\n    return 2 * h",
        "expected 'I', 'H' or a positive number",
    ),
    ("@cell(init={'h': 'zero'})\ndef mine(x, h, W):\n    return tanh(W.h(x)) * h", "init.*'h'.*number"),
    (
        "@cell\ndef mine(x, h, W):\n    return random.random() * h",
        "one thing with numbers and another with symbols.*random number.*remove it",
    ),
    ("@cell\ndef mine(x, h, W):\n    return np.random.default_rng().normal() * h", "random number"),
    (
        "seen = []\n@cell\ndef mine(x, h, W):\n    seen.append(1)\n    return len(seen) * h",
        "something other than its arguments",
    ),
    ("@cell\ndef mine(x, h, W):\n    raise KeyError('gone')", "KeyError: 'gone'"),
    ("@cell\nclass mine:\n    pass", "expects a function that holds the equations"),
    (
        "@cell\ndef mine(x, h, W, U):\n    return tanh(W.h(x) + U.h(h)) * where(h, h, 0.0)",
        "where.*comparison",
    ),
    (
        "@cell\ndef mine(x, h, W, U):\n    return tanh(W.h(x) + U.h(h)) * where(h == 0, h, 0.0)",
        "comparison|==|control flow",
    ),
]


@pytest.mark.parametrize(("source", "says"), DECLARATIONS)
def test_a_declaration_is_checked(source, says):
    with pytest.raises(CellError, match=says):
        _declare_here(source)


def test_a_refusal_is_bad_input_and_a_value_error():
    assert issubclass(CellError, BadInput)
    assert issubclass(CellError, ValueError)
    assert issubclass(CellError, GruvyError)
    assert CellError("").exit_code == 2


def test_a_mistake_in_a_helper_names_the_line_of_the_cell(declare):
    helper = "def helper(v):\n    return np.exp(v)\n\n\n"
    with pytest.raises(CellError) as error:
        declare(helper + cell_source("h = tanh(h)\nreturn helper(h)"))
    number = len(IMPORTS.splitlines()) + 8
    assert f"mine (line {number} of" in str(error.value)
    assert "in `return helper(h)`" in str(error.value)


ROOT = np.sqrt(2)  # a NumPy float


@pytest.mark.parametrize("expression", ["tanh(W.h(x)) * ROOT", "ROOT * tanh(W.h(x))", "tanh(W.h(x)) + ROOT - ROOT"])
def test_numbers_of_numpy_are_numbers_on_either_side(expression):
    names = {"cell": cell, "tanh": tanh, "ROOT": ROOT}
    exec(f"@cell\ndef mine(x, h, W):\n    return {expression}", names)
    assert names["mine"].states == {"h": "H"}


def test_reading_a_name_a_group_does_not_hold_says_what_it_holds():
    with pytest.raises(BadInput, match=r"W\.q was used, but W holds r, z"):
        getattr(group("W", {"r": 1, "z": 2}), "q" + "")


def test_a_cell_read_back_has_no_function_to_call():
    with pytest.raises(BadInput, match="run it through a layer"):
        Cell.from_json(gru.to_json())(1, 2)


DAMAGE = {
    "an operation there is not": lambda d: d["nodes"][-1].__setitem__(0, "eval"),
    "an argument that comes later": lambda d: d["nodes"][0].__setitem__(1, [5]),
    "an argument that is not there": lambda d: d["nodes"][-1].__setitem__(1, [10_000]),
    "no output": lambda d: d.pop("output"),
    "an output that is not there": lambda d: d.__setitem__("output", 10_000),
    "no nodes": lambda d: d.__setitem__("nodes", None),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_description_is_refused(damage):
    described = gru.to_json()
    damage(described)
    with pytest.raises(CellError, match=r"description of a cell is damaged.*save the model again"):
        Cell.from_json(described)
