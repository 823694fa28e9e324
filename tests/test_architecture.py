"""The shape of the package: imports run one way, start-up loads little, files stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
PACKAGE = SRC / "gruvy"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the design: a part imports from those before it, never from those after. Parts in one line are side by
# side; they may use each other only as SIDEWAYS says.
ORDER = [
    ["errors"],
    ["language"],
    ["cells"],
    ["engines"],
    ["layers"],
    ["models", "data"],
    ["tasks"],
    ["training", "inspection", "exchange", "serving", "artefact", "benchmarking"],
    ["estimators"],
    ["cli"],
]
LEVEL = {part: level for level, parts in enumerate(ORDER) for part in parts}
SIDEWAYS = {("models", "data"), ("serving", "artefact"), ("training", "artefact"), ("inspection", "artefact")}

WRAPPED = {
    "torch", "numpy", "sympy", "lightning", "torchmetrics", "tokenizers", "pyarrow", "safetensors", "sklearn",
    "typer", "rich", "matplotlib", "onnx", "onnxruntime", "keras", "flax", "jax", "tensorflow", "fastapi",
    "uvicorn", "pandas", "dtaidistance", "mido", "scipy", "Bio", "torchcrf",
    "sacrebleu", "soundfile", "optuna", "captum", "datasets", "huggingface_hub", "triton", "nanobind",
}  # fmt: skip


def part_of(module: str) -> str:
    """`gruvy.engines.eager` -> `engines`; "" for gruvy itself and its `__version__`."""
    part = [*module.split("."), ""][1]
    return "" if part.startswith("__") else part


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[tuple[int, str]]:
    """Every imported module with its line, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, m if node.module == "gruvy" else node.module) for m in inside]
    return found


def ids(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_run_one_way(path):
    own = part_of(module_of(path))
    if not own:  # gruvy/__init__ imports lazily, and nothing of gruvy when it is imported itself
        assert not [m for _, m in imports(path) if m.startswith("gruvy")]
        return
    assert own in LEVEL, f"{own} has no place in the design's order"
    for line, module in imports(path):
        if module.split(".")[0] == "gruvy":
            other = part_of(module)
            fine = other in ("", own) or LEVEL.get(other, 99) < LEVEL[own] or (own, other) in SIDEWAYS
            assert fine, f"{ids(path)}:{line}: {own} imports {module}"


def test_no_circle_between_modules():
    graph = {module_of(p): {m for _, m in imports(p) if m.startswith("gruvy")} for p in FILES}
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in graph and module not in done:
            path.append(module)
            for other in sorted(graph[module]):
                # what __init__ gathers from its own package is not a circle
                if not (other in path and module.startswith(other + ".")):
                    visit(other)
            path.pop()
            done.add(module)

    for module in sorted(graph):
        visit(module)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_only_training_imports_lightning(path):
    if part_of(module_of(path)) != "training":
        assert not [m for _, m in imports(path) if m.split(".")[0] in ("lightning", "pytorch_lightning")]


@pytest.mark.parametrize(
    "path", [p for p in FILES if part_of(module_of(p)) in ("language", "cells", "errors")], ids=ids
)
def test_language_and_cells_know_no_torch(path):
    assert not [m for _, m in imports(path) if m.split(".")[0] == "torch"]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SRC)}
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import gruvy", {"torch", "numpy", "lightning", "sympy"}),
        ("import gruvy.cells", {"torch", "lightning"}),
        (
            "from gruvy.cells import gru; from gruvy.language.printing import equations as e; e(gru.graph)",
            {"torch"},
        ),
        ("import gruvy; gruvy.GRU", {"lightning", "sklearn", "matplotlib"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement, without):
    assert not loaded_by(statement) & without


def test_a_cell_computes_without_torch():
    run = (
        "import numpy as np; from gruvy.cells import gru; from gruvy.language.operands import group; "
        "g = lambda k, v: group(k, dict.fromkeys('rzn', v)); z, eye = np.zeros((2, 3)), np.eye(3); "
        "assert gru(z, z, g('W', eye), g('U', eye), g('bi', z[0]), g('bh', z[0])).shape == (2, 3)"
    )
    assert "torch" not in loaded_by(run)


def test_the_reference_knows_no_torch():
    assert not [m for _, m in imports(PACKAGE / "engines" / "reference.py") if m.split(".")[0] == "torch"]


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_module_is_named_like_a_library_it_wraps(path):
    assert path.stem not in WRAPPED
    assert path.parent.name not in WRAPPED


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_files_are_short(path):
    """Mostly below 300 lines; above 400 a file holds two things."""
    assert len(path.read_text().splitlines()) <= 400


def test_files_are_mostly_below_300_lines():
    long = [ids(p) for p in FILES if len(p.read_text().splitlines()) > 300]
    assert len(long) <= len(FILES) / 5, long
