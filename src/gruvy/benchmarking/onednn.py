"""oneDNN as a peer: its lbr_gru primitive, by way of a small C++ library compiled at first use."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.benchmarking.contract import Arrays, Case, Foreign
from gruvy.benchmarking.problem import Problem
from gruvy.errors import RunFailed

_SOURCE = Path(__file__).with_name("onednn_peer.cc")
_PREFIX = Path(sys.prefix)
_FIELDS = ("x", "weight_ih", "weight_hh", "bias", "output", "d_x", "d_weight_ih", "d_weight_hh", "d_bias")


class _Addresses(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in _FIELDS]


class OneDnn(Foreign):
    """oneDNN's GRU; in training, packing the weights and unpacking their gradients are part of a step."""

    name = "oneDNN"
    packages = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
    modes = ("train", "infer", "stream")

    def available(self) -> str | None:
        """None, or what is missing of headers, library and compiler."""
        if not (_PREFIX / "include" / "dnnl.hpp").is_file() or not list((_PREFIX / "lib").glob("libdnnl.*")):
            return f"not installed: pip install {' '.join(self.packages)}"
        return None if _compiler() else "not installed: it needs a C++ compiler"

    def build(self, problem: Problem) -> Case:
        """The primitive over arrays of NumPy."""
        T, B, I, H = (1, *problem.shape[1:]) if problem.mode.streams else problem.shape
        library, trains = _library(), problem.mode.trains
        arrays = _arrays(problem, T) | (_gradients(problem) if trains else {})
        addresses = _Addresses(**{name: array.ctypes.data for name, array in arrays.items()})
        made = library.gru_new(T, B, I, H, trains, problem.threads, ctypes.byref(addresses))
        if not made:
            raise RunFailed(f"oneDNN refuses: {library.gru_problem().decode()}")
        gru = ctypes.c_void_p(made)
        if problem.mode.streams:
            case = _streaming(problem, functools.partial(library.gru_step, gru))
        else:
            case = Case(functools.partial(library.gru_run, gru), lambda _: _results(arrays, trains))
        weakref.finalize(case, _delete, library, gru, arrays)
        return case


def _delete(library: ctypes.CDLL, gru: ctypes.c_void_p, arrays: Arrays) -> None:
    """Called with the arrays, so that they outlive what points into them."""
    library.gru_delete(gru)


def _arrays(problem: Problem, steps: int) -> dict[str, np.ndarray]:
    """Inputs and weights as oneDNN has them: update, reset, candidate; the biases of the first two in one."""
    given, (_, B, _, H) = problem.arrays, problem.shape
    weights = {name: given[f"{name}_l0"].reshape(3, H, -1)[[1, 0, 2]] for name in ("weight_ih", "weight_hh")}
    bi, bh = given["bias_ih_l0"].reshape(3, H), given["bias_hh_l0"].reshape(3, H)
    arrays = {name: weight.transpose(2, 0, 1) for name, weight in weights.items()}
    arrays["x"] = problem.inputs[0].numpy()
    arrays["bias"] = np.stack([bi[1] + bh[1], bi[0] + bh[0], bi[2], bh[2]])
    arrays["output"] = np.empty((steps, B, H), np.float32)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _gradients(problem: Problem) -> dict[str, np.ndarray]:
    _, _, I, H = problem.shape
    shapes = {"d_x": problem.inputs[0].shape, "d_weight_ih": (I, 3, H), "d_weight_hh": (H, 3, H), "d_bias": (4, H)}
    return {name: np.empty(shape, np.float32) for name, shape in shapes.items()}


def _results(arrays: Arrays, trains: bool) -> Arrays:
    """What was computed, as torch lays it out."""
    if not trains:
        return {"output": arrays["output"]}
    z, r, n_x, n_h = arrays["d_bias"]
    turned = {name: arrays[f"d_{name}"].transpose(1, 2, 0)[[1, 0, 2]] for name in ("weight_ih", "weight_hh")}
    return {
        "output": arrays["output"], "input": arrays["d_x"],
        **{f"{name}_l0": a.reshape(-1, a.shape[-1]) for name, a in turned.items()},
        "bias_ih_l0": np.concatenate([r, z, n_x]), "bias_hh_l0": np.concatenate([r, z, n_h]),
    }  # fmt: skip


def _streaming(problem: Problem, step: Any) -> Case:
    """The state goes back and forth between two arrays."""
    x = np.ascontiguousarray(problem.inputs[0].numpy())
    states = np.zeros((2, problem.shape[1], problem.shape[3]), np.float32)
    rows = [ctypes.c_void_p(row.ctypes.data) for row in x]
    ends = [ctypes.c_void_p(state.ctypes.data) for state in states]

    def call() -> np.ndarray:
        states[0] = 0
        for t, row in enumerate(rows):
            step(row, ends[t % 2], ends[1 - t % 2])
        return states[len(x) % 2]

    return Case(call, lambda h: {"output": h})


def _compiler() -> str | None:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@functools.cache
def _library() -> ctypes.CDLL:
    """The compiled library.

    Raises:
        RunFailed: the compiler's last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "onednn_peer.so"
        command = [
            _compiler() or "c++", "-O2", "-std=c++17", "-shared", "-fPIC", "-fopenmp", str(_SOURCE), "-o", str(made),
            f"-I{_PREFIX / 'include'}", f"-L{_PREFIX / 'lib'}", f"-Wl,-rpath,{_PREFIX / 'lib'}", "-ldnnl",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RunFailed(f"the C++ part does not compile: {done.stderr.strip().splitlines()[-1]}")
        library = ctypes.CDLL(str(made))
    library.gru_new.restype, library.gru_problem.restype = ctypes.c_void_p, ctypes.c_char_p
    return library
