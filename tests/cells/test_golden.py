"""Each cell against a hand-written loop over its paper's equations, and against numbers written down once."""

import numpy as np
import pytest
from tests.cells.golden import GOLDEN
from tests.cells.user_cells import USER_CELLS

from gruvy.cells import CATALOGUE
from gruvy.engines import reference

CELLS = CATALOGUE | USER_CELLS
SIZES = {"I": 3, "H": 4}
EPS = 1e-5

# The last output after the three steps of `written_down`, computed once by the loops of golden.py.
WRITTEN_DOWN: dict[str, list[float]] = {
    "elman": [-0.9757458299, 0.5049856566, 0.9992425032, 0.9600699697],
    "gru_reset_before": [-0.3708627122, 0.6576261272, 0.6764989788, -0.2420445507],
    "gru": [-0.1238207103, 0.01963583535, 0.6227099392, -0.9512950345],
    "gru_carry": [-0.2202062667, 0.6540144786, 0.6042403786, -0.005473389082],
    "gru_output_gate": [0.01938249736, 0.0214569136, -0.194376413, -0.04733096793],
    "gru_projected": [-0.03098790883, 0.07383543436, 0.7022479141, 0.7788702946],
    "lstm": [-0.1147219737, -0.02405166243, 0.2505100171, 0.2345842664],
    "mgu": [0.7007445309, -0.4801417525, -0.01156921673, -0.6356739971],
    "gru_layernorm": [0.6146942585, 0.9106337708, -0.7910696369, 0.06301414964],
    "mingru": [-0.6418124044, -1.077660803, 1.618792292, 1.491769289],
    "gru_d": [-0.3536465055, -0.7862017219, 0.8045867867, 0.8511186237],
    "ligru": [0.6086259061, 0.9622271352, 0.03978953731, 0.7132436982],
    "qrnn": [-0.489763375, -0.09003303675, 0.1377128497, 0.08071214273],
    "rglru": [0.7844051853, -0.4457739567, -0.6919504716, 0.291747287],
    "indrnn": [3.278473449, 0, 0, 1.902352861],
    "mut3": [-0.2175692776, 0.2417516056, 0.4136934328, -0.1044466896],
    "slstm": [-0.04777538657, -0.116084278, -0.06722508932, 0.3929470052],
    "augru": [-0.05594015221, 0.7109123903, 0.7229424112, 0.4146420219],
    "fastgrnn": [1.617101756, 0.03054294764, -0.5270865459, 0.303795643],
    "gru_dreamer": [0.1553012977, 0.1116494387, 0.2529623142, 0.1308382406],
}


def by_hand(golden, labels, inputs, states):
    """Outputs and final states of one sequence after another, `(steps, batch, ...)` and `(batch, ...)`."""
    outputs, finals = [], []
    for b in range(inputs[0].shape[1]):
        s, seen = tuple(state[b] for state in states), []
        for t in range(len(inputs[0])):
            y, s = golden.step(tuple(x[t, b] for x in inputs), s, labels)
            seen.append(y)
        outputs.append(np.stack(seen))
        finals.append(s)
    return np.stack(outputs, 1), [np.stack(f) for f in zip(*finals, strict=True)]


def numbers(golden, draw):
    labels = {
        label: draw(*golden.shape(label, SIZES)) for pack in golden.packs.values() for label in pack.split()
    }  # fmt: skip
    inputs = [draw(3, 2, SIZES.get(size, size)) for size in golden.inputs]
    states = [0.1 + np.abs(draw(2, SIZES.get(size, size))) for size in golden.states]
    norms = {}
    if "ligru" in golden.step.__name__:
        norms = {k: reference.BatchNorm(*(0.5 + np.abs(draw(4)) for _ in range(4)), EPS) for k in ("z", "n")}
        for k, n in norms.items():
            labels[f"N.{k}"] = lambda v, n=n: (v - n.mean) / np.sqrt(n.var + EPS) * n.weight + n.bias
    return labels, inputs, states, norms


def packed(golden, labels):
    return {pack: np.concatenate([labels[k] for k in names.split()]) for pack, names in golden.packs.items()}


def written_down(golden):
    """Numbers without a random generator: a slow wave through every array in turn."""
    count = 0

    def draw(*shape):
        nonlocal count
        size = int(np.prod(shape))
        count += size
        return np.sin(1.7 * np.arange(count - size, count)).reshape(shape)

    return numbers(golden, draw)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("seed", [0, 1])
def test_cell_equals_the_equations_by_hand(name, seed):
    golden = GOLDEN[name]
    rng = np.random.default_rng(seed)
    labels, inputs, states, norms = numbers(golden, lambda *shape: rng.normal(size=shape))
    outputs, finals = by_hand(golden, labels, inputs, states)
    run = reference.Run(CELLS[name], SIZES, inputs, states, packed(golden, labels), norms=norms)
    got, got_finals = reference.forward(run)
    np.testing.assert_allclose(got, outputs, rtol=1e-12, atol=1e-13)
    for a, b in zip(got_finals, finals, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name):
    golden = GOLDEN[name]
    labels, inputs, states, norms = written_down(golden)
    run = reference.Run(CELLS[name], SIZES, inputs, states, packed(golden, labels), norms=norms)
    np.testing.assert_allclose(reference.forward(run)[0][-1, -1], WRITTEN_DOWN[name], rtol=1e-9)


def test_every_catalogue_cell_has_a_golden_loop():
    assert set(CATALOGUE) <= set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_packing(name):
    """Names, order of rows (r, z, n: as torch) and shapes of the stored parameters; matrices first."""
    golden, cell = GOLDEN[name], CELLS[name]
    packs = {pack.name: pack for pack in cell.packs}
    assert {k: " ".join(label for label, _ in p.members) for k, p in packs.items()} == golden.packs
    matrices = [p.columns is not None for p in cell.packs]
    assert matrices == sorted(matrices, reverse=True)
    for k, labels in golden.packs.items():
        shapes = [golden.shape(label, SIZES) for label in labels.split()]
        assert packs[k].shape(SIZES) == (sum(s[0] for s in shapes), *shapes[0][1:])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("elman", 3 * 4 + 4 * 4 + 8), ("gru", 3 * (12 + 16 + 8)), ("gru_reset_before", 3 * (12 + 16 + 4)),
        ("gru_carry", 3 * (12 + 16 + 4)), ("gru_output_gate", 4 * (12 + 16)),
        ("gru_projected", 2 * 12 + 3 * 16 + 2 * 4),
        ("lstm", 4 * (12 + 16 + 8)), ("mgu", 2 * (12 + 16 + 4)), ("mingru", 2 * (12 + 4)),
        ("gru_layernorm", 3 * (12 + 16) + 6 * 4 + 6 * 4), ("ligru", 2 * (12 + 16) + 2 * 2 * 4),
        ("fastgrnn", 12 + 16 + 8 + 2), ("rglru", 2 * (16 + 4) + 4),
        ("gru_d", 3 * (12 + 16 + 12) + 12 + 3 + 3 + (3 + 4 * 4)),
    ],
)  # fmt: skip
def test_parameter_count(name, count):
    assert CELLS[name].parameter_count(SIZES) == count


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("elman", 1), ("gru", 1), ("gru_reset_before", 2), ("gru_carry", 1), ("gru_output_gate", 2),
        ("gru_projected", 2), ("lstm", 1), ("mgu", 2), ("mingru", 0), ("gru_layernorm", 1), ("ligru", 1),
        ("qrnn", 0), ("rglru", 0), ("indrnn", 0), ("mut3", 2), ("slstm", 1), ("augru", 1), ("fastgrnn", 1),
        ("gru_d", 2),
    ],
)  # fmt: skip
def test_stages_of_dependent_products(name, stages):
    assert CELLS[name].stages == stages
