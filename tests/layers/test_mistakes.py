"""Mistakes are refused in words: what came, what was expected, what to do."""

import numpy as np
import pytest
import torch
from tests.cells.user_cells import USER_CELLS
from tests.layers.compare import near
from torch.nn.utils.rnn import pack_padded_sequence

import gruvy
from gruvy.cells import CATALOGUE, gru
from gruvy.errors import BadInput
from gruvy.layers import lengths_from_mask, right_padded

X = torch.zeros(5, 2, 3)
NET = gruvy.GRU(3, 4)
FIRST = gruvy.GRU(3, 4, batch_first=True)
LSTM = gruvy.Recurrent(CATALOGUE["lstm"], 3, 4)
GRU_D = gruvy.Recurrent(USER_CELLS["gru_d"], 3, 4)

CALLS = {
    "input of the wrong width": (
        lambda: NET(torch.zeros(5, 2, 7)),
        r"input x has shape \(5, 2, 7\); expected .*3 units",
    ),
    "input of one dimension": (
        lambda: NET(torch.zeros(3)),
        r"input x has shape \(3,\); expected \(steps, batch, units\)",
    ),
    "input of four dimensions": (lambda: NET(torch.zeros(1, 5, 2, 3)), "expected .steps, batch, units."),
    "layout of batch_first": (lambda: FIRST(torch.zeros(5, 2, 7)), r"expected \(batch, steps, units\)"),
    "input of another dtype": (
        lambda: NET(X.double()),
        r"torch\.float64 .* the parameters are torch\.float32.*\.to\(",
    ),
    "input of whole numbers": (lambda: NET(X.long()), r"input x is torch\.int64"),
    "a NumPy input": (lambda: NET(np.zeros((5, 2, 3), np.float32)), "ndarray.*tensor|tensor.*ndarray"),
    "a NumPy input of one step": (
        lambda: NET(np.zeros((1, 2, 3), np.float32)),
        "ndarray.*tensor|tensor.*ndarray",
    ),
    "too few inputs": (lambda: GRU_D([X, X]), r"2 input\(s\) came for the cell gru_d.*reads x, m, d"),
    "one tensor for three inputs": (
        lambda: GRU_D(X),
        r"1 input\(s\) came for the cell gru_d.*reads x, m, d",
    ),
    "inputs of unequal length": (lambda: GRU_D([X, X[:4], X]), r"input m has shape \(4, 2, 3\)"),
    "state of the wrong batch": (
        lambda: NET(X, torch.zeros(1, 3, 4)),
        r"state h has shape \(1, 3, 4\); expected .*\(1, 2, 4\)",
    ),
    "state of the wrong depth": (
        lambda: NET(X, torch.zeros(2, 2, 4)),
        r"\(layers x directions, batch, units\) = \(1, 2, 4\)",
    ),
    "state of another dtype": (lambda: NET(X, torch.zeros(1, 2, 4).double()), r"state h is torch\.float64"),
    "one state for two": (lambda: LSTM(X, torch.zeros(1, 2, 4)), r"1 state\(s\) came; lstm has 2: h, c"),
    "lengths too many": (
        lambda: NET(X, lengths=[1, 2, 3]),
        r"shape \(3,\); expected 2 whole numbers, one for each sequence",
    ),
    "lengths too long": (
        lambda: NET(X, lengths=[6, 2]),
        "lengths run from 2 to 6, but the input has 5 steps; .*batch_first",
    ),
    "lengths below 0": (
        lambda: NET(X, lengths=[-1, 2]),
        "lengths run from -1 to 2.*give lengths between 0 and 5",
    ),
    "lengths not whole": (lambda: NET(X, lengths=[1.0, 2.0]), r"lengths is torch\.float32.*whole numbers"),
    "lengths not whole in NumPy": (
        lambda: NET(X, lengths=np.array([1.0, 2.0])),
        "lengths is .*whole numbers",
    ),
    "lengths true or false": (
        lambda: NET(X, lengths=[True, False]),
        r"lengths is torch\.bool.*whole numbers",
    ),
    "lengths one number": (lambda: NET(X, lengths=3), r"shape \(\); expected 2 whole numbers"),
    "lengths of two dimensions": (
        lambda: NET(X, lengths=[[1], [2]]),
        r"shape \(2, 1\); expected 2 whole numbers",
    ),
    "lengths words": (lambda: NET(X, lengths=["a", "b"]), "lengths"),
    "lengths beside a packed sequence": (
        lambda: NET(pack_padded_sequence(X, torch.tensor([5, 2])), lengths=[5, 2]),
        "brings its own lengths; leave lengths out",
    ),
}


@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_a_call_is_refused(call, says):
    with pytest.raises(BadInput, match=says):
        call()


SETTINGS = {
    "no input": ({"input_size": 0}, "input_size is 0; expected a whole number of at least 1"),
    "half a unit": ({"hidden_size": 2.5}, r"hidden_size is 2\.5; expected a whole number"),
    "no layer": ({"num_layers": 0}, "num_layers is 0; expected a whole number"),
    "true as a number": ({"num_layers": True}, "num_layers is True"),
    "dropout above 1": ({"dropout": 1.5}, r"dropout is 1\.5; expected a probability"),
    "dropout below 0": ({"dropout": -0.1}, "dropout is -0.1; expected a probability"),
    "an unknown init": (
        {"recurrent_init": "zeros"},
        "recurrent_init is 'zeros'; expected 'uniform' or 'orthogonal'",
    ),
    "a name for a cell": ({"cell": "gru"}, r"cell is 'gru'; expected a cell such as gruvy\.cells\.gru"),
    "a function for a cell": (
        {"cell": lambda x, h: h},
        "expected a cell such as gruvy.cells.gru, or a function under @cell",
    ),
    "an output of no units": ({"output_size": 0}, "output_size is 0; expected a whole number of at least 1"),
    "an output of less": ({"output_size": -2}, "output_size is -2; expected a whole number of at least 1"),
    "an input not of the state's size": ({"cell": USER_CELLS["rglru"]}, "input_size equal to hidden_size"),
    "layers above without their inputs": (
        {"cell": USER_CELLS["gru_d"], "num_layers": 2},
        "gru_d reads m, d, which only the first layer has",
    ),
}


@pytest.mark.parametrize(("how", "says"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_is_refused(how, says):
    with pytest.raises(BadInput, match=says):
        gruvy.Recurrent(**({"cell": gru, "input_size": 3, "hidden_size": 4} | how))


def test_all_mistakes_of_the_settings_are_named_at_once():
    with pytest.raises(BadInput) as error:
        gruvy.GRU(0, -1, dropout=2.0, recurrent_init="no")
    assert all(part in str(error.value) for part in ("input_size", "hidden_size", "dropout", "recurrent_init"))


GOOD_LENGTHS = {
    "a list": [5, 2],
    "a tuple": (5, 2),
    "NumPy": np.array([5, 2]),
    "NumPy, 32 bits": np.array([5, 2], np.int32),
    "a tensor": torch.tensor([5, 2]),
    "a tensor, 8 bits": torch.tensor([5, 2], dtype=torch.uint8),
}


@pytest.mark.parametrize("lengths", GOOD_LENGTHS.values(), ids=GOOD_LENGTHS)
def test_lengths_come_in_any_form(lengths):
    x = torch.randn(5, 2, 3)
    output, h = NET(x, lengths=lengths)
    near(h[0, 1], output[1, 1], 0.0)
    assert output[2:, 1].abs().sum() == 0


@pytest.mark.parametrize(
    "lengths", [[], np.array([], int), torch.tensor([], dtype=torch.int64)], ids=["list", "NumPy", "tensor"]
)
def test_lengths_of_an_empty_batch(lengths):
    output, h = NET(torch.zeros(5, 0, 3), lengths=lengths)
    assert (output.shape, h.shape) == ((5, 0, 4), (1, 0, 4))


class TestMasks:
    MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [False, False, False, False]])
    LEFT = MASK.flip(1)

    @pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8, torch.float32], ids=str)
    def test_lengths_from_a_mask_padded_on_the_right(self, kind):
        lengths = lengths_from_mask(self.MASK.to(kind))
        assert lengths.tolist() == [4, 2, 0]
        gruvy.GRU(3, 4)(torch.zeros(4, 3, 3), lengths=lengths)

    @pytest.mark.parametrize("mask", [LEFT, torch.tensor([[True, False, True, False]])], ids=["left", "between"])
    def test_other_padding_is_refused_with_the_remedy(self, mask):
        with pytest.raises(
            BadInput, match=r"sequence \d of the batch has padding before or between.*right_padded\(x, mask\)"
        ):
            lengths_from_mask(mask)

    @pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32], ids=str)
    def test_right_padded_moves_real_steps_to_the_front(self, kind):
        x = torch.randn(3, 4, 2)
        left = x.flip(1)
        moved, lengths = right_padded(left, self.LEFT.to(kind))
        assert lengths.tolist() == [4, 2, 0]
        near(moved[0], left[0], 0.0)
        near(moved[1, :2], left[1, 2:], 0.0)
        assert moved[1, 2:].abs().sum() == 0
        assert moved[2].abs().sum() == 0
        assert lengths_from_mask(torch.arange(4) < lengths[:, None]).tolist() == [4, 2, 0]

    def test_left_padded_through_right_padded_equals_right_padded(self):
        net = gruvy.GRU(2, 4, batch_first=True)
        x = torch.randn(3, 4, 2)
        left = torch.zeros(3, 4, 2)
        for b, n in enumerate([4, 2, 0]):
            left[b, 4 - n :] = x[b, :n]
        moved, lengths = right_padded(left, self.LEFT)
        for a, b in zip(net(moved, lengths=lengths), net(x, lengths=[4, 2, 0]), strict=True):
            near(a, b, 0.0)

    def test_right_padded_takes_tokens(self):
        moved, lengths = right_padded(
            torch.tensor([[0, 0, 7, 8], [5, 0, 6, 0]]), torch.tensor([[0, 0, 1, 1], [1, 0, 1, 0]])
        )
        assert moved.tolist() == [[7, 8, 0, 0], [5, 6, 0, 0]]
        assert lengths.tolist() == [2, 2]
