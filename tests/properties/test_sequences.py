"""What must hold of any cell over any batch."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.engines.harness import CELLS
from tests.layers.compare import as_tuple, inputs_for, near, random_weights

import gruvy
from gruvy.engines import reverse
from gruvy.errors import BadInput
from gruvy.layers import lengths_from_mask, right_padded

TO_ROUNDING = 1e-12


@st.composite
def layers(draw, **fixed):
    """Any cell in a layer (float64, evaluation), with inputs and lengths."""
    made = CELLS[draw(st.sampled_from(sorted(CELLS)))]
    hidden = draw(st.integers(1, 5))
    size = hidden if next(iter(made.inputs.values())) == "H" else draw(st.integers(1, 4))
    how = {"num_layers": draw(st.integers(1, 2)), "bidirectional": draw(st.booleans())} | fixed
    try:
        net = gruvy.Recurrent(made, size, hidden, dtype=torch.float64, **how)
    except BadInput:
        assume(False)
    wide = how["bidirectional"] or size != hidden
    assume(how["num_layers"] == 1 or not wide or made.name not in ("qrnn", "rglru"))  # widths: see TestStacking
    random_weights(net, seed=draw(st.integers(0, 99)))
    steps, batch = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    inputs = inputs_for(net, steps, batch, seed=draw(st.integers(0, 99)), dtype=torch.float64)
    lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    return net.eval(), inputs, lengths


def run(net, inputs, states=None, lengths=None):
    output, states = net(inputs, states, lengths=lengths)
    return output, as_tuple(states)


def given_states(states):
    return states if len(states) > 1 else states[0]


def same(a, b):
    near(a[0], b[0], TO_ROUNDING)
    for x, y in zip(a[1], b[1], strict=True):
        near(torch.nan_to_num(x), torch.nan_to_num(y), TO_ROUNDING)  # -inf is a state too


@settings(max_examples=60)
@given(layers(), st.integers(1, 4), st.sampled_from([0.0, 1e9, float("nan"), float("-inf")]))
def test_padding_changes_nothing(case, more, fill):
    net, inputs, lengths = case
    longer = [torch.cat([x, x.new_full((more, *x.shape[1:]), fill)]) for x in inputs]
    output, states = run(net, longer, lengths=lengths)
    assert output[len(inputs[0]) :].abs().sum() == 0
    same((output[: len(inputs[0])], states), run(net, inputs, lengths=lengths))


@settings(max_examples=60)
@given(layers(bidirectional=False), st.data())
def test_chunks_equal_the_whole(case, data):
    net, inputs, _ = case
    steps = len(inputs[0])
    cuts = sorted(data.draw(st.lists(st.integers(0, steps), max_size=4)))
    states, outputs = None, []
    for start, stop in zip([0, *cuts], [*cuts, steps], strict=True):
        output, states = net([x[start:stop] for x in inputs], states)
        outputs.append(output)
    same((torch.cat(outputs), as_tuple(states)), run(net, inputs))


@settings(max_examples=60)
@given(layers(bidirectional=False), st.data())
def test_chunks_of_a_ragged_batch_equal_the_whole(case, data):
    """Each chunk has its own lengths; a sequence that has ended waits."""
    net, inputs, lengths = case
    cut = data.draw(st.integers(0, len(inputs[0])))
    first = [min(n, cut) for n in lengths]
    rest = [n - k for n, k in zip(lengths, first, strict=True)]
    before, states = run(net, [x[:cut] for x in inputs], lengths=first)
    after, states = run(net, [x[cut:] for x in inputs], given_states(states), lengths=rest)
    same((torch.cat([before, after]), states), run(net, inputs, lengths=lengths))


@settings(max_examples=60)
@given(layers(), st.randoms(use_true_random=False))
def test_permuting_a_batch_permutes_the_result(case, random):
    net, inputs, lengths = case
    order = list(range(len(lengths)))
    random.shuffle(order)
    output, states = run(net, inputs, lengths=lengths)
    permuted = run(net, [x[:, order] for x in inputs], lengths=[lengths[i] for i in order])
    same(permuted, (output[:, order], [s[:, order] for s in states]))


@settings(max_examples=60)
@given(layers())
def test_a_batch_gives_what_batches_of_one_give(case):
    net, inputs, lengths = case
    output, states = run(net, inputs, lengths=lengths)
    for b, n in enumerate(lengths):
        alone = run(net, [x[:n, b : b + 1] for x in inputs])
        same((output[:n, b : b + 1], [s[:, b : b + 1] for s in states]), alone)
        assert output[n:, b].abs().sum() == 0


@settings(max_examples=40)
@given(layers(num_layers=1, bidirectional=True))
def test_two_directions_of_a_reversed_batch_change_places(case):
    net, inputs, lengths = case
    weights = {k: v.clone() for k, v in net.state_dict().items()}
    swapped = {
        k.replace("_reverse", "") if "_reverse" in k else k.replace("_l0", "_l0_reverse"): v for k, v in weights.items()
    }
    output, states = run(net, inputs, lengths=lengths)
    net.load_state_dict(swapped)
    n = torch.tensor(lengths)
    backwards, flipped = run(net, [reverse(x, n) for x in inputs], lengths=lengths)
    half = output.shape[-1] // 2
    same((torch.cat([reverse(backwards[..., half:], n), reverse(backwards[..., :half], n)], -1), flipped),
         (output, [s.flip(0) for s in states]))  # fmt: skip


ragged = st.integers(0, 6).flatmap(
    lambda steps: st.tuples(st.just(steps), st.none() | st.lists(st.integers(0, steps), min_size=1, max_size=4))
)


@given(ragged)
def test_reverse_of_reverse_is_the_identity(case):
    steps, lengths = case
    x = torch.randn(steps, len(lengths or [1, 2]), 2)
    n = None if lengths is None else torch.tensor(lengths)
    assert torch.equal(reverse(reverse(x, n), n), x)


@given(ragged)
def test_reverse_turns_each_sequence_around_and_leaves_its_padding(case):
    steps, lengths = case
    lengths = lengths or []
    x = torch.randn(steps, len(lengths), 2)
    turned = reverse(x, torch.tensor(lengths, dtype=torch.int64))
    for b, n in enumerate(lengths):
        assert torch.equal(turned[:n, b], x[:n, b].flip(0))
        assert torch.equal(turned[n:, b], x[n:, b])


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
def test_right_padded_keeps_every_real_step_in_order(rows):
    mask = torch.tensor(rows)
    x = torch.arange(mask.numel()).view(mask.shape) + 1
    moved, lengths = right_padded(x, mask)
    for b in range(len(rows)):
        assert moved[b, : lengths[b]].tolist() == x[b][mask[b]].tolist()
        assert moved[b, lengths[b] :].tolist() == [0] * (5 - int(lengths[b]))
    assert torch.equal(lengths_from_mask(moved > 0), lengths)


@pytest.mark.parametrize("name", CELLS)
def test_graph_and_function_are_one(name):
    """What a cell read back from an artefact computes is what its author's function computes."""
    made = CELLS[name]
    again = type(made).from_json(made.to_json())
    size = 4 if next(iter(made.inputs.values())) == "H" else 3
    net = gruvy.Recurrent(made, size, 4, dtype=torch.float64, engine="reference").eval()
    other = gruvy.Recurrent(again, size, 4, dtype=torch.float64, engine="reference").eval()
    other.load_state_dict(net.state_dict())
    inputs = inputs_for(net, 4, 2, dtype=torch.float64)
    same(run(net, inputs, lengths=[4, 1]), run(other, inputs, lengths=[4, 1]))
