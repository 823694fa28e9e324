"""The drop-ins give what torch.nn gives: shapes, numbers, gradients, checkpoints, initial weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.layers.compare import GRAD, VALUE, as_tuple, near
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gruvy
from gruvy.cells import elman, lstm

KINDS = {
    "gru": (lambda *a, **k: gruvy.GRU(*a, **k), nn.GRU),
    "elman": (lambda *a, **k: gruvy.Recurrent(elman, *a, **k), nn.RNN),
    "lstm": (lambda *a, **k: gruvy.Recurrent(lstm, *a, **k), nn.LSTM),
}


def settings_of(draw):
    return {
        "input_size": draw(st.integers(1, 5)), "hidden_size": draw(st.integers(1, 6)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()), "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()), "dtype": draw(st.sampled_from([torch.float32, torch.float64])),
    }  # fmt: skip


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    how = settings_of(draw)
    ours, theirs = KINDS[kind]
    torch.manual_seed(draw(st.integers(0, 99)))
    theirs = theirs(**how)
    ours = ours(**how, engine=draw(st.sampled_from(["auto", "eager"])))
    ours.load_state_dict(theirs.state_dict())
    steps, batch = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    shape = (batch, steps) if how["batch_first"] else (steps, batch)
    x = torch.randn(*shape, how["input_size"], dtype=how["dtype"])
    hx = None
    if draw(st.booleans()):
        depth = how["num_layers"] * (2 if how["bidirectional"] else 1)
        hx = tuple(torch.randn(depth, batch, how["hidden_size"], dtype=how["dtype"]) for _ in ours.cell.states)
    lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    return ours, theirs, x, hx, lengths


def given_state(hx):
    return hx if hx is None or len(hx) > 1 else hx[0]


def compare(ours, theirs, run_ours, run_theirs, x, hx):
    """Outputs, states and gradients of inputs, initial states and parameters of two runs."""
    dtype, results = x.dtype, []
    for layer, run in ((ours, run_ours), (theirs, run_theirs)):
        leaves = [t.clone().requires_grad_() for t in (x, *(hx or ()))]
        output, states = run(leaves[0], given_state(tuple(leaves[1:]) or None))
        values = [output, *as_tuple(states)]
        torch.manual_seed(7)
        leaves += layer.parameters()
        loss = sum((v * torch.randn(v.shape, dtype=dtype)).sum() for v in values) + 0 * sum(p.sum() for p in leaves)
        results.append((values, torch.autograd.grad(loss, leaves)))
    for got, wanted in zip(results[0][0], results[1][0], strict=True):
        near(got, wanted, VALUE[dtype])
    for got, wanted in zip(results[0][1], results[1][1], strict=True):
        near(got, wanted, GRAD[dtype])


@settings(max_examples=60)
@given(cases())
def test_equals_torch(case):
    ours, theirs, x, hx, _ = case
    compare(ours, theirs, ours, theirs, x, hx)


@settings(max_examples=30)
@given(cases())
def test_unbatched_equals_torch(case):
    ours, theirs, x, hx, _ = case
    x = x[0] if ours.batch_first else x[:, 0]
    compare(ours, theirs, ours, theirs, x, hx and tuple(s[:, 0] for s in hx))


@settings(max_examples=60)
@given(cases())
def test_lengths_equal_torch_run_on_each_sequence_alone(case):
    ours, theirs, x, hx, lengths = case
    first = ours.batch_first

    def each_alone(x, hx):
        outputs, finals = [], []
        steps = x.shape[1 if first else 0]
        for b, n in enumerate(lengths):
            state = None if hx is None else tuple(s[:, b : b + 1].contiguous() for s in as_tuple(hx))
            depth = theirs.num_layers * (2 if theirs.bidirectional else 1)
            zero = x.new_zeros(depth, 1, theirs.hidden_size)
            began = state or tuple(zero for _ in ours.cell.states)
            if n:
                one = x[b : b + 1, :n] if first else x[:n, b : b + 1]
                output, final = theirs(one, given_state(began))
                final = as_tuple(final)
            else:
                output = x.new_zeros(
                    *((1, 0) if first else (0, 1)), theirs.hidden_size * (2 if theirs.bidirectional else 1)
                )
                final = began
            padding = (0, 0, 0, steps - n) if first else (0, 0, 0, 0, 0, steps - n)
            outputs.append(nn.functional.pad(output, padding))
            finals.append(final)
        return torch.cat(outputs, 0 if first else 1), tuple(torch.cat(f, 1) for f in zip(*finals, strict=True))

    compare(ours, theirs, lambda x, s: ours(x, s, lengths=lengths), each_alone, x, hx)


@settings(max_examples=40)
@given(cases(), st.booleans())
def test_packed_sequences_equal_torch(case, ordered):
    ours, theirs, x, hx, lengths = case
    lengths = [max(1, n) for n in lengths]
    if ordered:
        lengths = sorted(lengths, reverse=True)
    first = ours.batch_first

    def packing(layer):
        def run(x, hx):
            packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=first, enforce_sorted=ordered)
            output, states = layer(packed, hx)
            assert torch.equal(output.batch_sizes, packed.batch_sizes)
            for a, b in (
                (output.sorted_indices, packed.sorted_indices),
                (output.unsorted_indices, packed.unsorted_indices),
            ):
                assert (a is None and b is None) or torch.equal(a, b)
            padded, back = pad_packed_sequence(output, batch_first=first)
            assert back.tolist() == lengths
            return padded, states

        return run

    compare(ours, theirs, packing(ours), packing(theirs), x, hx)


@pytest.mark.parametrize(
    "how", [{}, {"num_layers": 3}, {"bias": False}, {"bidirectional": True, "num_layers": 2}], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
class TestCheckpoints:
    def make(self, kind, how, seed=0):
        torch.manual_seed(seed)
        ours = KINDS[kind][0](3, 4, **how)
        torch.manual_seed(seed)
        return ours, KINDS[kind][1](3, 4, **how)

    def test_same_names_shapes_and_order(self, kind, how):
        ours, theirs = self.make(kind, how)
        assert {k: v.shape for k, v in ours.state_dict().items()} == {
            k: v.shape for k, v in theirs.state_dict().items()
        }
        assert list(ours.state_dict()) == list(theirs.state_dict())

    def test_same_seed_gives_the_same_initial_weights(self, kind, how):
        ours, theirs = self.make(kind, how)
        for k, v in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[k], v), k

    def test_load_strictly_both_ways(self, kind, how):
        ours, theirs = self.make(kind, how)
        _, other = self.make(kind, how, seed=1)
        ours.load_state_dict(other.state_dict(), strict=True)
        theirs.load_state_dict(ours.state_dict(), strict=True)
        x = torch.randn(5, 2, 3)
        near(theirs(x)[0], other(x)[0], 0.0)
        near(ours(x)[0], other(x)[0], 1e-6)

    def test_a_missing_name_is_refused(self, kind, how):
        ours, theirs = self.make(kind, how)
        state = theirs.state_dict()
        state.pop("weight_hh_l0")
        with pytest.raises(RuntimeError, match="weight_hh_l0"):
            ours.load_state_dict(state)


@pytest.mark.parametrize("steps", [1, 63])
def test_long_and_short_sequences(steps):
    theirs = nn.GRU(3, 17, dtype=torch.float64)
    ours = gruvy.GRU(3, 17, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, 2, 3, dtype=torch.float64)
    compare(ours, theirs, ours, theirs, x, None)


def test_dropout_of_everything_leaves_what_torch_leaves():
    how = {"num_layers": 2, "dropout": 1.0}
    theirs, ours = nn.GRU(3, 4, **how), gruvy.GRU(3, 4, **how)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 2, 3)
    for got, wanted in zip(ours(x), theirs(x), strict=True):
        near(got, wanted, 1e-6)


def test_takes_torchs_positional_arguments_and_flatten_parameters():
    ours = gruvy.GRU(3, 4, 2, True, True, 0.1, True)
    assert (ours.num_layers, ours.bias, ours.batch_first, ours.dropout, ours.bidirectional) == (
        2,
        True,
        True,
        0.1,
        True,
    )
    ours.flatten_parameters()
    output, h = ours(torch.zeros(2, 5, 3), hx=torch.zeros(4, 2, 4))
    assert output.shape == (2, 5, 8)
    assert h.shape == (4, 2, 4)
