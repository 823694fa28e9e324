"""vector.h against NumPy at higher precision, compiled for every instruction set this machine has."""

import functools
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
HEADERS = HERE.parents[2] / "src" / "gruvy" / "engines" / "fused"
OPTIMISE = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
FLAGS = ["-std=c++17", *OPTIMISE, "-Wall", "-Wextra", "-Werror"]

# -march= -> bytes in a vector, and what /proc/cpuinfo must list
X86 = {
    "x86-64-v2": (16, {"sse4_2"}),
    "x86-64-v3": (32, {"avx2", "fma"}),
    "x86-64-v4": (64, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
}
OTHER = {"native": (16, set())}
TARGETS = X86 if platform.machine() in ("x86_64", "AMD64") else OTHER

# What the functions are held to, in eps of the exact value.
ERROR = {"exp": 1.5, "expm1": 2, "sigmoid": 2, "tanh": 2, "log": 1, "softplus": 2}

INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": [(-INF, 0), (-1e4, 0), (-0.0, 1), (0, 1), (1e4, INF), (INF, INF)],
    "expm1": [(-INF, -1), (-1e4, -1), (-0.0, -0.0), (0, 0), (1e4, INF), (INF, INF)],
    "sigmoid": [(-INF, 0), (-1e4, 0), (-0.0, 0.5), (0, 0.5), (1e4, 1), (INF, 1)],
    "tanh": [(-INF, -1), (-1e4, -1), (-0.0, -0.0), (0, 0), (1e4, 1), (INF, 1)],
    "softplus": [(-INF, 0), (-1e4, 0), (1e4, 1e4), (INF, INF)],
    "log": [(-INF, NAN), (-1, NAN), (-1e-40, NAN), (-0.0, -INF), (0, -INF), (1, 0), (INF, INF)],
    "sqrt": [(-INF, NAN), (-1, NAN), (-0.0, -0.0), (0, 0), (4, 2), (INF, INF)],
    "relu": [(-INF, 0), (-1, 0), (0, 0), (2.5, 2.5), (INF, INF)],
    "abs": [(-INF, INF), (-2.5, 2.5), (-0.0, 0), (0, 0), (2.5, 2.5), (INF, INF)],
}
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Program:
    """vector_check, compiled for one target."""

    def __init__(self, path: Path, vector_bytes: int):
        self.path, self.vector_bytes = path, vector_bytes

    def __call__(self, function: str, *operands: np.ndarray) -> np.ndarray:
        dtype = operands[0].dtype
        command = [self.path, "float" if dtype == np.float32 else "double", function]
        done = subprocess.run(command, input=b"".join(map(np.ndarray.tobytes, operands)), stdout=-1, check=True)
        return np.frombuffer(done.stdout, dtype)


@pytest.fixture(scope="session", params=TARGETS)
def check(request, tmp_path_factory) -> Program:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++")
    vector_bytes, needed = TARGETS[request.param]
    if needed:
        cpuinfo = Path("/proc/cpuinfo")
        if not cpuinfo.exists() or not needed <= set(cpuinfo.read_text().split()):
            pytest.skip(f"this machine is no {request.param}")
    program = tmp_path_factory.mktemp("vector") / "vector_check"
    source = HERE / "vector_check.cpp"
    subprocess.run([compiler, *FLAGS, f"-march={request.param}", f"-I{HEADERS}", source, "-o", program], check=True)
    return Program(program, vector_bytes)


def exact(function: str, x: np.ndarray) -> np.ndarray:
    match function:
        case "sigmoid":
            return np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-np.abs(x)))
        case "softplus":
            return np.logaddexp(0, x)
        case _:
            return getattr(np, function)(x)


@functools.cache
def points(function: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Arguments all over the range of the function, and its values there in a wider type."""
    rng = np.random.default_rng(sum(map(ord, function)))
    info = np.finfo(dtype)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    if np.finfo(wide).eps > info.eps / 1000:
        pytest.skip("long double is no wider than double here")

    end = -np.log(info.smallest_normal.astype(np.float64)) + 3
    tiny = info.smallest_subnormal
    exponents = 2.0 ** rng.uniform(info.minexp - info.nmant, np.log2(end), 30_000)
    ties = (np.arange(-2 * info.maxexp, 2 * info.maxexp) + 0.5) * np.log(2) / 2  # where the reduction changes
    x = np.concatenate(
        [
            *(rng.uniform(-limit, limit, 30_000) for limit in (0.5, 3, 25, end)),
            *(exponents, -exponents),
            *(ties * (1 + k * info.eps) for k in range(-3, 4)),
            [-info.smallest_normal, -tiny, tiny, info.smallest_normal],
            np.log(info.max.astype(np.float64)) * np.array([1, 1 - 1e-7, 1 - 1e-6]),
        ]
    ).astype(dtype)
    if function == "log":
        x = np.abs(np.concatenate([x, rng.integers(1, info.max.view(f"i{info.bits // 8}"), 30_000).view(dtype)]))
        x = x[x > 0]
    with np.errstate(all="ignore"):
        y = exact(function, x.astype(wide))
    inside = np.abs(y) <= info.max
    return x[inside], y[inside]


@TYPES
@pytest.mark.parametrize("function", ERROR)
def test_error(check, function, dtype):
    x, y = points(function, dtype)
    info = np.finfo(dtype)
    error = np.abs(check(function, x) - y)
    allowed = ERROR[function] * info.eps * np.abs(y) + info.smallest_subnormal
    if function in ("exp", "sigmoid", "softplus"):
        allowed[y < 2 * info.smallest_normal] += 2 * info.smallest_normal
    worst = np.argmax(error / allowed)
    assert error[worst] <= allowed[worst], f"{function}({x[worst]!r}) misses {y[worst]} by {error[worst]}"


@TYPES
@pytest.mark.parametrize("function", SPECIAL)
def test_special_values(check, function, dtype):
    x, expected = np.array([*SPECIAL[function], (NAN, NAN), (-NAN, NAN)], dtype).T
    y = check(function, x)
    np.testing.assert_array_equal(y, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y[number]), np.signbit(expected[number]))


@TYPES
def test_bounds(check, dtype):
    """1 - tanh(x)^2 and 1 - sigmoid(x) are not negative."""
    x = np.linspace(-40, 40, 100_001, dtype=dtype)
    assert np.abs(check("tanh", x)).max() == 1
    assert check("sigmoid", x).max() == 1


@TYPES
def test_sqrt(check, dtype):
    x = np.random.default_rng(0).uniform(0, 9, 1001).astype(dtype)
    np.testing.assert_array_equal(check("sqrt", x), np.sqrt(x))


@TYPES
@pytest.mark.parametrize(
    ("function", "numpy"),
    [("maximum", np.maximum), ("minimum", np.minimum), ("select", lambda x, y: np.where(x < y, y, x))],
)
def test_two_operands(check, function, numpy, dtype):
    x, y = np.stack(np.meshgrid(*[np.array([-INF, -1, 0, 2.5, INF, NAN], dtype)] * 2)).reshape(2, -1)
    np.testing.assert_array_equal(check(function, x, y), numpy(x, y))


@TYPES
def test_parts_of_vectors(check, dtype):
    """Every length up to two vectors; touching memory beyond an array would crash."""
    lanes = check.vector_bytes // dtype().itemsize
    x = -np.arange(1, 2 * lanes + 1, dtype=dtype)
    for size in range(1, 2 * lanes + 1):
        np.testing.assert_array_equal(check("abs", x[:size]), -x[:size])


@TYPES
def test_sum(check, dtype):
    """Over each vector, in its order: halves are added to one another. The last vector is a partial one."""
    lanes = check.vector_bytes // dtype().itemsize
    x = np.random.default_rng(0).normal(size=51 * lanes - 1).astype(dtype)
    expected = np.append(x, dtype(0)).reshape(-1, lanes)
    while expected.shape[1] > 1:
        expected = sum(np.split(expected, 2, axis=1))
    np.testing.assert_array_equal(check("sum", x), expected.squeeze())
