"""ONNX Runtime, OpenVINO and JAX as peers."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gruvy.benchmarking.contract import Arrays, Case, Foreign
from gruvy.benchmarking.problem import Problem


class OnnxRuntime(Foreign):
    """The GRU of ONNX, run by ONNX Runtime."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    modes = ("infer", "stream")

    def build(self, problem: Problem) -> Case:
        """A session of the problem's model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = problem.threads, 1
        session = onnxruntime.InferenceSession(_onnx_model(problem), options, providers=["CPUExecutionProvider"])
        return _onnx_case(problem, lambda x, h: session.run(None, {"x": x, "h": h}))


class OpenVino(Foreign):
    """The GRU of ONNX, run by OpenVINO."""

    name = "openvino"
    packages = ("openvino", "onnx")
    modes = ("infer", "stream")

    def build(self, problem: Problem) -> Case:
        """A request of the problem's model."""
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report this import
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": problem.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False,
        }  # fmt: skip
        request = core.compile_model(core.read_model(_onnx_model(problem)), "CPU", settings).create_infer_request()

        def run(x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            result = request.infer([x, h], share_inputs=True, share_outputs=True)
            return result[0], result[1].copy()  # the next call writes its outputs in the same place

        return _onnx_case(problem, run)


def _onnx_model(problem: Problem) -> bytes:
    """The GRU of ONNX, which has its gates in the order z, r, n."""
    from onnx import TensorProto, helper, numpy_helper

    T, B, I, H = (1, *problem.shape[1:]) if problem.mode.streams else problem.shape
    gates = {name: a.reshape(3, H, -1)[[1, 0, 2]].reshape(a.shape) for name, a in problem.arrays.items()}
    weights = {
        "W": gates["weight_ih_l0"][None],
        "R": gates["weight_hh_l0"][None],
        "B": np.concatenate([gates["bias_ih_l0"], gates["bias_hh_l0"]])[None],
    }
    node = helper.make_node("GRU", ["x", *weights, "", "h"], ["y", "h_n"], hidden_size=H, linear_before_reset=1)
    shapes = {"x": [T, B, I], "h": [1, B, H], "y": [T, 1, B, H], "h_n": [1, B, H]}
    values = {k: helper.make_tensor_value_info(k, TensorProto.FLOAT, shape) for k, shape in shapes.items()}
    graph = helper.make_graph(
        [node], "gru", [values["x"], values["h"]], [values["y"], values["h_n"]],
        [numpy_helper.from_array(a, name) for name, a in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def _onnx_case(problem: Problem, run: Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]) -> Case:
    """`run(x, h)` gives the outputs `(steps, 1, batch, hidden)` and the state `(1, batch, hidden)`."""
    x, initial = problem.inputs[0].numpy(), np.zeros((1, problem.shape[1], problem.shape[3]), np.float32)
    if not problem.mode.streams:
        return Case(lambda: run(x, initial)[0], lambda y: {"output": y[:, 0]})
    rows = np.split(x, len(x))

    def call() -> np.ndarray:
        h = initial
        for row in rows:
            _, h = run(row, h)
        return h

    return Case(call, lambda h: {"output": h})


class Jax(Foreign):
    """`jax.lax.scan` over the equations, the products of the input before it, weights laid out as JAX multiplies."""

    name = "jax"
    packages = ("jax",)
    modes = ("train", "infer", "stream")

    def build(self, problem: Problem) -> Case:
        """A compiled function of the weights and the input."""
        with _processors(problem.threads):
            import jax

            jax.config.update("jax_platforms", "cpu")
            jax.devices()  # starts its threads
        parameters = {name: jax.numpy.asarray(a.T) for name, a in problem.arrays.items()}
        initial = jax.numpy.zeros((problem.shape[1], problem.shape[3]), np.float32)
        if problem.mode.streams:
            return _jax_stream(jax.jit(_jax_step), parameters, list(problem.inputs[0].numpy()), initial)
        parameters["input"] = jax.numpy.asarray(problem.inputs[0].numpy())
        if not problem.mode.trains:
            forward = jax.jit(_jax_scan)
            return Case(lambda: forward(parameters, initial).block_until_ready(), lambda y: {"output": np.asarray(y)})
        gradients = jax.jit(jax.grad(lambda *given: ((y := _jax_scan(*given)).sum(), y), has_aux=True))

        def results(returned: tuple[dict[str, Any], Any]) -> Arrays:
            found, output = returned
            turned = {name: np.asarray(g if name == "input" else g.T) for name, g in found.items()}
            return {"output": np.asarray(output)} | turned

        return Case(lambda: jax.block_until_ready(gradients(parameters, initial)), results)


@contextlib.contextmanager
def _processors(count: int) -> Iterator[None]:
    """JAX makes as many threads as the variable NPROC says, when it is first used in a process."""
    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(count)
    try:
        yield
    finally:
        del os.environ["NPROC"]
        os.environ.update({"NPROC": before} if before is not None else {})


def _jax_gates(parameters: Mapping[str, Any], x: Any) -> Any:
    return x @ parameters["weight_ih_l0"] + parameters["bias_ih_l0"]


def _jax_cell(parameters: Mapping[str, Any], gates: Any, h: Any) -> Any:
    import jax

    x_r, x_z, x_n = jax.numpy.split(gates, 3, -1)
    h_r, h_z, h_n = jax.numpy.split(h @ parameters["weight_hh_l0"] + parameters["bias_hh_l0"], 3, -1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    return z * h + (1 - z) * jax.numpy.tanh(x_n + r * h_n)


def _jax_step(parameters: Mapping[str, Any], x: Any, h: Any) -> Any:
    return _jax_cell(parameters, _jax_gates(parameters, x), h)


def _jax_scan(parameters: Mapping[str, Any], initial: Any) -> Any:
    import jax

    def step(h: Any, gates: Any) -> tuple[Any, Any]:
        h = _jax_cell(parameters, gates, h)
        return h, h

    return jax.lax.scan(step, initial, _jax_gates(parameters, parameters["input"]))[1]


def _jax_stream(step: Callable[..., Any], parameters: Mapping[str, Any], rows: Sequence[Any], initial: Any) -> Case:
    def call() -> Any:
        h = initial
        for x in rows:
            h = step(parameters, x, h)
        return h.block_until_ready()

    return Case(call, lambda h: {"output": np.asarray(h)})
