"""The three limits of the gated recurrent unit, reached through large biases."""

import numpy as np
import pytest

from gruvy.cells import CATALOGUE
from gruvy.engines import reference

SIZES = {"I": 3, "H": 4}
OPEN, SHUT = 1000.0, -1000.0


def run(name, parameters, x, h):
    return reference.forward(reference.Run(CATALOGUE[name], SIZES, [x], [h], parameters))


def with_gates(name, r, z, seed=0):
    """Random parameters of a GRU with its gates forced by `bias_ih`, which packs r, z, n."""
    rng = np.random.default_rng(seed)
    parameters = {p.name: rng.normal(size=p.shape(SIZES)) for p in CATALOGUE[name].packs}
    parameters["bias_ih"][0:4], parameters["bias_ih"][4:8] = r, z
    return parameters, rng.normal(size=(6, 2, 3)), rng.normal(size=(2, 4))


FORMS = pytest.mark.parametrize("name", ["gru", "gru_reset_before"])


@FORMS
def test_z_shut_and_r_open_is_elman(name):
    parameters, x, h = with_gates(name, OPEN, SHUT)
    candidate = {k: v[8:12] for k, v in parameters.items()}
    candidate.setdefault("bias_hh", np.zeros(4))
    for got, wanted in zip(run(name, parameters, x, h), run("elman", candidate, x, h), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-14)


@FORMS
def test_z_shut_and_r_shut_is_a_function_of_x_alone(name):
    parameters, x, h = with_gates(name, SHUT, SHUT)
    output, _ = run(name, parameters, x, h)
    np.testing.assert_allclose(
        output, np.tanh(x @ parameters["weight_ih"][8:12].T + parameters["bias_ih"][8:12]), rtol=1e-14
    )
    np.testing.assert_array_equal(output, run(name, parameters, x, -3 * h)[0])
    again = np.concatenate([x[::-1][:5], x[5:]])  # another past, the same present
    np.testing.assert_array_equal(output[5], run(name, parameters, again, h)[0][5])


@FORMS
def test_z_open_copies_the_state(name):
    parameters, x, h = with_gates(name, 0.0, OPEN)
    output, (final,) = run(name, parameters, x, h)
    np.testing.assert_array_equal(output, np.broadcast_to(h, output.shape))
    np.testing.assert_array_equal(final, h)
