"""Every cell once more, by hand: NumPy loops taken from the papers' equations, and nothing of gruvy.

A step is `(inputs, states, P) -> (output, states)` for one sequence, where `P["W.r"]` is an array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


def sig(v):
    return 1 / (1 + np.exp(-v))


def relu(v):
    return np.where(v > 0, v, 0.0)


def softplus(v):
    return np.log1p(np.exp(v))


@dataclass(frozen=True)
class Golden:
    """A cell's step by hand and how its parameters are packed: pack name -> labels in order.

    Sizes of what is not usual: letters beside W and U, vectors not of the hidden size, inputs, states.
    """

    step: Callable
    packs: dict[str, str]
    columns: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, str | int] = field(default_factory=dict)
    inputs: tuple[str | int, ...] = ("I",)
    states: tuple[str | int, ...] = ("H",)

    def shape(self, label: str, sizes: dict) -> tuple[int, ...]:
        letter = label.split(".")[0]
        if letter.islower():
            size = self.vectors.get(label, "H")
            return (sizes.get(size, size),)
        columns = {"W": "I", "U": "H"} | self.columns
        return sizes["H"], sizes[columns[letter]]


def elman(x, s, P):
    (x,), (h,) = x, s
    h = np.tanh(P["W.h"] @ x + P["bi.h"] + P["U.h"] @ h + P["bh.h"])
    return h, (h,)


def gru_reset_before(x, s, P):
    (x,), (h,) = x, s
    r = sig(P["W.r"] @ x + P["U.r"] @ h + P["b.r"])
    z = sig(P["W.z"] @ x + P["U.z"] @ h + P["b.z"])
    n = np.tanh(P["W.n"] @ x + P["U.n"] @ (r * h) + P["b.n"])
    h = z * h + (1 - z) * n
    return h, (h,)


def gru(x, s, P):
    (x,), (h,) = x, s
    r = sig(P["W.r"] @ x + P["bi.r"] + P["U.r"] @ h + P["bh.r"])
    z = sig(P["W.z"] @ x + P["bi.z"] + P["U.z"] @ h + P["bh.z"])
    n = np.tanh(P["W.n"] @ x + P["bi.n"] + r * (P["U.n"] @ h + P["bh.n"]))
    h = z * h + (1 - z) * n
    return h, (h,)


def gru_carry(x, s, P):
    (x,), (h, c) = x, s
    r = sig(P["W.r"] @ x + P["U.r"] @ h + P["b.r"])
    z = sig(P["W.z"] @ x + P["U.z"] @ h + P["b.z"])
    c = r * c + (1 - r) * np.tanh(P["W.c"] @ x + P["U.c"] @ h + P["b.c"])
    h = z * c + (1 - z) * h
    return h, (h, c)


def gru_output_gate(x, s, P):
    (x,), (h,) = x, s
    r = sig(P["W.r"] @ x + P["U.r"] @ h)
    z = sig(P["W.z"] @ x + P["U.z"] @ h)
    n = np.tanh(P["W.n"] @ x + P["U.n"] @ (r * h))
    new = (1 - z) * h + z * r * n
    o = sig(P["W.o"] @ x + P["U.o"] @ h)
    return o * new, (new,)


def gru_projected(x, s, P):
    (x,), (h,) = x, s
    r = sig(P["W.r"] @ x + P["U.r"] @ h + P["b.r"])
    c = sig(P["W.c"] @ x + P["U.c"] @ (r * h) + P["b.c"])
    h = np.tanh(c + P["U.h"] @ h)
    return h, (h,)


def lstm(x, s, P):
    (x,), (h, c) = x, s
    i, f, o = (sig(P[f"W.{k}"] @ x + P[f"bi.{k}"] + P[f"U.{k}"] @ h + P[f"bh.{k}"]) for k in "ifo")
    g = np.tanh(P["W.g"] @ x + P["bi.g"] + P["U.g"] @ h + P["bh.g"])
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, (h, c)


def mgu(x, s, P):
    (x,), (h,) = x, s
    f = sig(P["W.f"] @ x + P["U.f"] @ h + P["b.f"])
    n = np.tanh(P["W.n"] @ x + P["U.n"] @ (f * h) + P["b.n"])
    h = (1 - f) * h + f * n
    return h, (h,)


def mingru(x, s, P):
    (x,), (h,) = x, s
    z = sig(P["W.z"] @ x + P["b.z"])
    h = (1 - z) * h + z * (P["W.n"] @ x + P["b.n"])
    return h, (h,)


def _standard(v):
    return (v - v.mean()) / np.sqrt(v.var() + 1e-5)


def gru_layernorm(x, s, P):
    (x,), (h,) = x, s
    units = len(h)
    of_x = _standard(np.concatenate([P["W.r"] @ x, P["W.z"] @ x]))
    of_h = _standard(np.concatenate([P["U.r"] @ h, P["U.z"] @ h]))
    r = sig(P["p.g_xr"] * of_x[:units] + P["b.xr"] + P["p.g_hr"] * of_h[:units] + P["b.hr"])
    z = sig(P["p.g_xz"] * of_x[units:] + P["b.xz"] + P["p.g_hz"] * of_h[units:] + P["b.hz"])
    memory = P["p.g_hn"] * _standard(P["U.n"] @ h) + P["b.hn"]
    n = np.tanh(P["p.g_xn"] * _standard(P["W.n"] @ x) + P["b.xn"] + r * memory)
    h = (1 - z) * h + z * n
    return h, (h,)


def gru_d(x, s, P):
    (x, m, d), (h, seen) = x, s
    gamma_x = np.exp(-relu(P["u.x"] * d + P["b.x"]))
    gamma_h = np.exp(-relu(P["D.h"] @ d + P["b.h"]))
    x_hat = m * x + (1 - m) * (gamma_x * (m * x + (1 - m) * seen) + (1 - gamma_x) * P["p.mean"])
    h = gamma_h * h
    r = sig(P["W.r"] @ x_hat + P["U.r"] @ h + P["V.r"] @ m + P["b.r"])
    z = sig(P["W.z"] @ x_hat + P["U.z"] @ h + P["V.z"] @ m + P["b.z"])
    n = np.tanh(P["W.n"] @ x_hat + P["U.n"] @ (r * h) + P["V.n"] @ m + P["b.n"])
    h = (1 - z) * h + z * n
    return h, (h, m * x + (1 - m) * seen)


def ligru(x, s, P):
    (x,), (h,) = x, s
    z = sig(P["N.z"](P["W.z"] @ x) + P["U.z"] @ h)
    n = relu(P["N.n"](P["W.n"] @ x) + P["U.n"] @ h)
    h = z * h + (1 - z) * n
    return h, (h,)


def qrnn(x, s, P):
    (x,), (c, before) = x, s
    z = np.tanh(P["W.z"] @ x + P["V.z"] @ before + P["b.z"])
    f, o = (sig(P[f"W.{k}"] @ x + P[f"V.{k}"] @ before + P[f"b.{k}"]) for k in "fo")
    c = f * c + (1 - f) * z
    return o * c, (c, x)


def rglru(x, s, P):
    (x,), (h,) = x, s
    r, i = sig(P["W.r"] @ x + P["b.r"]), sig(P["W.i"] @ x + P["b.i"])
    a = sig(-P["p.a"]) ** (8 * r)
    h = a * h + np.sqrt(1 - a**2) * (i * x)
    return h, (h,)


def indrnn(x, s, P):
    (x,), (h,) = x, s
    h = relu(P["W.h"] @ x + P["u.h"] * h + P["b.h"])
    return h, (h,)


def mut3(x, s, P):
    (x,), (h,) = x, s
    z = sig(P["W.z"] @ x + P["U.z"] @ np.tanh(h) + P["b.z"])
    r = sig(P["W.r"] @ x + P["U.r"] @ h + P["b.r"])
    h = np.tanh(P["U.h"] @ (r * h) + P["W.h"] @ x + P["b.h"]) * z + h * (1 - z)
    return h, (h,)


def slstm(x, s, P):
    (x,), (h, c, n, m) = x, s
    i, f, o, z = (P[f"W.{k}"] @ x + P[f"U.{k}"] @ h + P[f"b.{k}"] for k in "ifoz")
    log_f = np.log(sig(f))
    stable = np.maximum(log_f + m, i)
    i, f = np.exp(i - stable), np.exp(log_f + m - stable)
    c, n = f * c + i * np.tanh(z), f * n + i
    h = sig(o) * c / n
    return h, (h, c, n, stable)


def augru(x, s, P):
    (x, a), (h,) = x, s
    r = sig(P["W.r"] @ x + P["U.r"] @ h + P["b.r"])
    z = a * sig(P["W.z"] @ x + P["U.z"] @ h + P["b.z"])
    n = np.tanh(P["W.n"] @ x + r * (P["U.n"] @ h) + P["b.n"])
    h = (1 - z) * h + z * n
    return h, (h,)


def fastgrnn(x, s, P):
    (x,), (h,) = x, s
    a = P["W.a"] @ x + P["U.a"] @ h
    z = sig(a + P["b.z"])
    h = z * h + (sig(P["p.zeta"]) * (1 - z) + sig(P["p.nu"])) * np.tanh(a + P["b.h"])
    return h, (h,)


def gru_dreamer(x, s, P):
    (x,), (h,) = x, s
    together = _standard(np.concatenate([P[f"W.{k}"] @ x + P[f"U.{k}"] @ h for k in "rcu"]))
    r, c, u = np.split(together, 3)
    n, z = np.tanh(sig(r) * c), sig(u - 1)
    h = z * n + (1 - z) * h
    return h, (h,)


def _each(letters: str, names: str) -> str:
    return " ".join(f"{letters}.{name}" for name in names.split())


GRU_PACKS = {"weight_ih": _each("W", "r z n"), "weight_hh": _each("U", "r z n")}
ONE_BIAS = {"bias_ih": _each("b", "r z n")}
IFGO = "i f g o"

GOLDEN: dict[str, Golden] = {
    "elman": Golden(elman, {"weight_ih": "W.h", "weight_hh": "U.h", "bias_ih": "bi.h", "bias_hh": "bh.h"}),
    "gru_reset_before": Golden(gru_reset_before, GRU_PACKS | ONE_BIAS),
    "gru": Golden(gru, GRU_PACKS | {"bias_ih": _each("bi", "r z n"), "bias_hh": _each("bh", "r z n")}),
    "gru_carry": Golden(
        gru_carry,
        {"weight_ih": _each("W", "r z c"), "weight_hh": _each("U", "r z c"), "bias_ih": _each("b", "r z c")},
        states=("H", "H"),
    ),
    "gru_output_gate": Golden(
        gru_output_gate, {"weight_ih": _each("W", "r z n o"), "weight_hh": _each("U", "r z n o")}
    ),
    "gru_projected": Golden(
        gru_projected,
        {"weight_ih": _each("W", "r c"), "weight_hh": _each("U", "r c h"), "bias_ih": _each("b", "r c")},
    ),
    "lstm": Golden(
        lstm,
        {
            "weight_ih": _each("W", IFGO),
            "weight_hh": _each("U", IFGO),
            "bias_ih": _each("bi", IFGO),
            "bias_hh": _each("bh", IFGO),
        },
        states=("H", "H"),
    ),
    "mgu": Golden(mgu, {"weight_ih": _each("W", "f n"), "weight_hh": _each("U", "f n"), "bias_ih": _each("b", "f n")}),
    "gru_layernorm": Golden(
        gru_layernorm,
        GRU_PACKS
        | {"bias_ih": _each("b", "xr hr xz hz xn hn")}
        | {f"p_g_{k}": f"p.g_{k}" for k in ("xr", "hr", "xz", "hz", "xn", "hn")},
    ),
    "mingru": Golden(mingru, {"weight_ih": _each("W", "z n"), "bias_ih": _each("b", "z n")}),
    "gru_d": Golden(
        gru_d,
        GRU_PACKS
        | {
            "weight_V": _each("V", "r z n"),
            "weight_D": "D.h",
            "u_x": "u.x",
            "p_mean": "p.mean",
            "bias_ih": _each("b", "x h r z n"),
        },
        columns={"V": "I", "D": "I"},
        vectors={"u.x": "I", "b.x": "I", "p.mean": "I"},
        inputs=("I", "I", "I"),
        states=("H", "I"),
    ),
    "ligru": Golden(ligru, {"weight_ih": _each("W", "z n"), "weight_hh": _each("U", "z n")}),
    "qrnn": Golden(
        qrnn,
        {"weight_ih": _each("W", "z f o"), "weight_V": _each("V", "z f o"), "bias_ih": _each("b", "z f o")},
        columns={"V": "I"},
        states=("H", "I"),
    ),
    "rglru": Golden(
        rglru,
        {"weight_ih": _each("W", "r i"), "bias_ih": _each("b", "r i"), "p_a": "p.a"},
        columns={"W": "H"},
        inputs=("H",),
    ),
    "indrnn": Golden(indrnn, {"weight_ih": "W.h", "u_h": "u.h", "bias_ih": "b.h"}),
    "mut3": Golden(
        mut3,
        {"weight_ih": _each("W", "z r h"), "weight_hh": _each("U", "z r h"), "bias_ih": _each("b", "z r h")},
    ),
    "slstm": Golden(
        slstm,
        {
            "weight_ih": _each("W", "i f o z"),
            "weight_hh": _each("U", "i f o z"),
            "bias_ih": _each("b", "i f o z"),
        },
        states=("H", "H", "H", "H"),
    ),
    "augru": Golden(augru, GRU_PACKS | ONE_BIAS, inputs=("I", 1)),
    "fastgrnn": Golden(
        fastgrnn,
        {
            "weight_ih": "W.a",
            "weight_hh": "U.a",
            "p_zeta": "p.zeta",
            "p_nu": "p.nu",
            "bias_ih": _each("b", "z h"),
        },
        vectors={"p.zeta": 1, "p.nu": 1},
    ),
    "gru_dreamer": Golden(gru_dreamer, {"weight_ih": _each("W", "r c u"), "weight_hh": _each("U", "r c u")}),
}
