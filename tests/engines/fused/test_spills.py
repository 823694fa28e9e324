"""The inner loops keep their numbers in registers: a vector that goes to the stack and back costs more than its sum."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.engines.fused.disassembly import innermost_loops

from gruvy.cells import gru
from gruvy.engines.fused import compiler
from gruvy.engines.fused.source import source

ROOT = Path(__file__).parents[3]
HEADERS = ROOT / "src" / "gruvy" / "engines" / "fused"
SETS = ["x86-64-v2", "x86-64-v3", "x86-64-v4"]

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the loops are read as those of x86-64"),
    pytest.mark.skipif(not shutil.which("objdump"), reason="there is no objdump"),
    pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++"),
]


# What the sources of cells are compiled with; the runtime has all but the last two, which are theirs alone.
FLAGS = [flag for flag in (*compiler._FLAGS, *compiler._GCC_FLAGS) if flag != "-shared"]
OF_CELLS = {"-fno-tree-loop-im", "-fno-move-loop-invariants"}


def hot_loops(file, instruction_set, folder, flags=FLAGS):
    """The innermost loops with products in them, of a source compiled as in the build."""
    result = folder / f"{file.stem}.o"
    command = ["g++", "-fopenmp", f"-march={instruction_set}", f"-I{HEADERS}", *flags, "-c", file, "-o", result]
    subprocess.run(command, check=True)
    return [loop for loop in innermost_loops(result) if loop.multiplies]


@pytest.mark.parametrize("instruction_set", SETS)
def test_matrix_products_leave_the_stack_alone(instruction_set, tmp_path):
    """Not an address, not a counter: they are the bulk of the work."""
    flags = [flag for flag in FLAGS if flag not in OF_CELLS]
    loops = hot_loops(HEADERS / "runtime.cpp", instruction_set, tmp_path, flags)
    assert len(loops) > 15  # of every height, in two directions, in two types
    assert [(loop.function, loop.of_the_stack()) for loop in loops if loop.of_the_stack()] == []


@pytest.mark.parametrize("instruction_set", SETS)
def test_pointwise_functions_spill_no_vector(instruction_set, tmp_path):
    """The address of an array may be read again: there are more arrays than registers for addresses."""
    file = tmp_path / "gru.cpp"
    file.write_text(source(gru))
    loops = hot_loops(file, instruction_set, tmp_path)
    assert len(loops) >= 4  # forward and backward in two types
    assert [(loop.function, loop.of_the_stack(vectors_only=True)) for loop in loops
            if loop.of_the_stack(vectors_only=True)] == []  # fmt: skip


def test_kernels_built_ahead_of_time_have_the_same_flags():
    """Those that CMake does not give by other means."""
    text = (ROOT / "CMakeLists.txt").read_text()
    others = {"-std=c++17", "-fPIC", "-fvisibility=hidden"}
    assert [flag for flag in FLAGS if flag not in others and flag not in text] == []


def test_a_spill_is_seen(tmp_path):
    """More sums than registers."""
    file = tmp_path / "many.cpp"
    file.write_text(
        """
        typedef float vec __attribute__((vector_size(16)));
        void many(int n, const vec* a, vec x, vec* c) {
            vec sum[24] = {};
            for (int k = 0; k < n; ++k, a += 24)
                for (int i = 0; i < 24; ++i) sum[i] += x * a[i] * sum[(i + 1) % 24];
            for (int i = 0; i < 24; ++i) c[i] = sum[i];
        }
        """
    )
    assert any(loop.of_the_stack(vectors_only=True) for loop in hot_loops(file, "x86-64-v2", tmp_path))
