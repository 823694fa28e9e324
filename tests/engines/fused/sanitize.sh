#!/usr/bin/env bash
# The tests of the compiled engine under the address and undefined-behaviour sanitizers.
#
#   tests/engines/fused/sanitize.sh                    everything (some minutes)
#   tests/engines/fused/sanitize.sh -k one_unit        arguments go to pytest
#   TESTS=tests/layers tests/engines/fused/sanitize.sh     some of the tests only
#   SET=x86-64-v3 tests/engines/fused/sanitize.sh      another instruction set than the best there is
#   KEEP=folder tests/engines/fused/sanitize.sh        keeps the build there, and uses it again
#
# Each finding is printed after the tests, and any is a failure; the tests go on after one.
#
# Builds a copy of the package whose memory is not pooled: each block ends where its size says, and begins as NaN, so
# that a read or write beyond it is seen, and a number that was never written. Kernels built just in time have the
# sanitizers too.
set -euo pipefail

root=$(cd "$(dirname "$0")/../../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
set=${SET:-$("$python" -c "import gruvy.engines.fused._fused as f; print(f.instruction_sets()[0])")}
if [ -n "${KEEP:-}" ]; then
    mkdir -p "$KEEP"
    folder=$(cd "$KEEP" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi

# A compiler that has the last word about flags.
cat > "$folder/c++" <<'END'
#!/bin/sh
exec env -u LD_PRELOAD g++ "$@" -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fsanitize-recover=all
END
chmod +x "$folder/c++"

if [ ! -d "$folder/site/gruvy" ]; then
    mkdir -p "$folder/source"
    cp -r "$root"/{src,CMakeLists.txt,pyproject.toml,README.md,LICENSE} "$folder/source"
    cat > "$folder/source/src/gruvy/engines/fused/memory.h" <<'END'
#pragma once
#include <cstdlib>
#include <cstring>
#include <new>
namespace gruvy {
namespace {
inline void* take(std::size_t bytes) {
    void* block = nullptr;
    if (posix_memalign(&block, 64, bytes ? bytes : 1)) throw std::bad_alloc();
    return std::memset(block, 0xff, bytes);
}
inline void give(void* block) { std::free(block); }
}  // namespace
}  // namespace gruvy
END
    others=()
    for other in x86-64-v2 x86-64-v3 x86-64-v4; do
        [ "$other" = "$set" ] || others+=("--config-settings=cmake.define.has_$other=OFF")
    done
    CXX="$folder/c++" PIP_CONSTRAINT=$root/constraints.txt PIP_BUILD_CONSTRAINT=$root/constraints.txt \
        "$python" -m pip wheel --quiet --no-deps "${others[@]}" --config-settings=install.strip=false \
        --wheel-dir "$folder/wheel" "$folder/source"
    "$python" -m zipfile --extract "$folder"/wheel/gruvy-*.whl "$folder/site"
    # An editable install finds its package before any folder does.
    echo "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in type(f).__name__ and \
'ScikitBuild' not in type(f).__name__]" > "$folder/site/sitecustomize.py"
fi

library() { g++ -print-file-name="$1"; }
export LD_PRELOAD="$(library libasan.so) $(library libubsan.so) $(library libstdc++.so.6)"
export ASAN_OPTIONS=halt_on_error=0:detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1:log_path="$folder/report"
export UBSAN_OPTIONS=print_stacktrace=1:log_path="$folder/report"
export PYTHONPATH="$folder/site" PYTHONMALLOC=malloc CXX="$folder/c++" GRUVY_CACHE="$folder/cache" OMP_NUM_THREADS=1
rm -f "$folder"/report*
mkdir -p -m 700 "$GRUVY_CACHE"

cd "$root"
"$python" -c "
import gruvy.engines.fused._fused as f
from gruvy.engines.fused.kernel import runtime
assert f.__file__.startswith('$folder'), f.__file__
print('sanitized:', runtime().instruction_set)"
status=0
# Left out: what counts memory or threads, reads machine code, has the compiler itself as its subject, or runs torch's.
"$python" -m pytest -q -p no:cacheprovider ${TESTS:-tests/engines tests/layers tests/properties} \
    --ignore=tests/engines/fused/test_compiler.py --ignore=tests/engines/fused/test_vector.py \
    --ignore=tests/engines/fused/test_spills.py \
    --deselect=tests/engines/fused/test_runs.py::test_memory_does_not_grow_over_training_steps \
    --deselect=tests/engines/fused/test_runs.py::test_a_training_step_holds_few_numbers \
    --deselect=tests/engines/fused/test_runs.py::test_a_call_without_gradients_keeps_nothing \
    --deselect=tests/engines/fused/test_runs.py::test_threads_are_as_many_as_torch_says \
    --deselect=tests/engines/fused/test_runs.py::test_little_work_stays_on_one_thread \
    --deselect=tests/engines/fused/test_operator.py::test_compilation_breaks_no_graph "$@" || status=$?
cat "$folder"/report* 2> /dev/null && status=1
exit "$status"
