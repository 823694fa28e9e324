"""What a layer around any cell offers beyond torch's."""

import copy
import io

import pytest
import torch
from tests.engines.harness import CELLS
from tests.engines.test_parity import PAIRS
from tests.layers.compare import as_tuple, inputs_for, near, random_weights
from torch.nn.utils import prune

import gruvy
from gruvy.cells import CATALOGUE, cell, gru, gru_reset_before, lstm, mean, mgu, sqrt, tanh
from gruvy.errors import BadInput


def layer(made, input_size=3, hidden_size=4, seed=0, **how):
    if next(iter(made.inputs.values())) == "H":
        input_size = hidden_size
    torch.manual_seed(seed)
    return gruvy.Recurrent(made, input_size, hidden_size, **how)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_runs_in_a_layer_and_learns(name):
    net = layer(CELLS[name])
    output, states = net(inputs_for(net, 5, 3), lengths=[5, 0, 2])
    assert output.shape[:2] == (5, 3)
    assert torch.isfinite(output).all()
    assert [s.shape[:2] for s in as_tuple(states)] == [(1, 3)] * len(CELLS[name].states)
    output.sum().backward()
    for k, p in net.named_parameters():
        assert p.grad is not None, k
        assert torch.isfinite(p.grad).all(), k


@pytest.mark.parametrize("name", CELLS)
def test_parameter_count_is_the_layers(name):
    net = layer(CELLS[name])
    wanted = CELLS[name].parameter_count({"I": net.input_size, "H": 4})
    assert sum(p.numel() for p in net.parameters()) == wanted


def test_bias_false_leaves_biases_out():
    net = layer(gru_reset_before, bias=False)
    assert list(net.state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    with_zeros = layer(gru_reset_before)
    with torch.no_grad():
        with_zeros.bias_ih_l0.zero_()
        with_zeros.weight_ih_l0.copy_(net.weight_ih_l0)
        with_zeros.weight_hh_l0.copy_(net.weight_hh_l0)
    x = torch.randn(5, 2, 3)
    near(net(x)[0], with_zeros(x)[0], 1e-6)


class TestInitialStates:
    @pytest.mark.parametrize("name", ["gru", "lstm", "mgu", "gru_d", "slstm"])
    def test_learned_ones_have_gradients_and_are_used(self, name):
        net = layer(CELLS[name], learn_initial_state=True)
        x = inputs_for(net, 4, 3)
        output, _ = net(x)
        output.square().sum().backward()
        with_default = layer(CELLS[name])
        with_default.load_state_dict(net.state_dict(), strict=False)
        near(net(x)[0], with_default(x)[0], 1e-6)
        for state in CELLS[name].states:
            assert net.get_parameter(f"initial_{state}_l0").grad is not None
        assert net.initial_h_l0.grad.abs().sum() > 0
        with torch.no_grad():
            net.initial_h_l0.add_(1.0)
        assert not torch.allclose(net(x)[0], output)

    def test_gradient_sums_over_the_batch(self):
        net = layer(gru, learn_initial_state=True, dtype=torch.float64, num_layers=2, bidirectional=True)
        x = torch.randn(4, 3, 3, dtype=torch.float64)
        names = [n for n, _ in net.named_parameters() if n.startswith("initial")]
        assert names == ["initial_h_l0", "initial_h_l0_reverse", "initial_h_l1", "initial_h_l1_reverse"]
        given = torch.zeros(4, 3, 4, dtype=torch.float64, requires_grad=True)
        (wanted,) = torch.autograd.grad(net(x, given)[0].square().sum(), given)
        got = torch.autograd.grad(net(x)[0].square().sum(), [net.get_parameter(n) for n in names])
        near(torch.stack(got), wanted.sum(1), 1e-12)

    def test_given_states_stand_in_for_learned_ones(self):
        net = layer(gru, learn_initial_state=True)
        x, h = torch.randn(4, 3, 3), torch.randn(1, 3, 4)
        before = net(x, h)[0]
        with torch.no_grad():
            net.initial_h_l0.add_(1.0)
        near(net(x, h)[0], before, 0.0)

    def test_a_sequence_without_steps_keeps_its_own(self):
        net = layer(CELLS["slstm"])
        _, states = net(torch.randn(3, 2, 3), lengths=[0, 3])
        assert [s[0, 0].tolist() for s in states] == [[0.0] * 4, [0.0] * 4, [0.0] * 4, [float("-inf")] * 4]

    def test_the_cells_initial_value_is_where_a_run_begins(self):
        net = layer(CELLS["slstm"])
        x = torch.randn(3, 2, 3)
        zero = torch.zeros(1, 2, 4)
        stabiliser = net(x)[1][3]
        near(stabiliser, net(x, (zero, zero, zero, zero - torch.inf))[1][3], 0.0)
        assert not torch.allclose(stabiliser, net(x, (zero, zero, zero, zero + 9))[1][3])

    def test_initial_values_of_vectors(self):
        net = layer(CELLS["fastgrnn"])
        assert net.p_zeta_l0.tolist() == [1.0]
        assert net.p_nu_l0.tolist() == [-4.0]
        norm = layer(CATALOGUE["gru_layernorm"])
        assert norm.p_g_xr_l0.tolist() == [1.0] * 4
        assert norm.bias_ih_l0.abs().sum() == 0


class TestInitialWeights:
    @pytest.mark.parametrize("name", ["gru", "mgu", "lstm", "gru_d"])
    def test_orthogonal_recurrent_matrices(self, name):
        net = layer(CELLS[name], recurrent_init="orthogonal")
        for matrix in net.weight_hh_l0.split(4):
            near(matrix @ matrix.T, torch.eye(4), 1e-6)
        bound = 0.5
        assert net.weight_ih_l0.abs().max() <= bound
        assert net.weight_ih_l0.std() > 0.1

    def test_reset_parameters_draws_anew(self):
        net = layer(CELLS["ligru"])
        before = {k: v.clone() for k, v in net.state_dict().items()}
        with torch.no_grad():
            net.N_z_l0.weight.fill_(3.0)
        net.reset_parameters()
        assert not torch.equal(net.weight_ih_l0, before["weight_ih_l0"])
        assert torch.equal(net.N_z_l0.weight, torch.ones(4))

    @pytest.mark.parametrize("name", CELLS)
    def test_the_same_seed_gives_the_same_weights(self, name):
        a, b, c = (layer(CELLS[name], seed=s).state_dict() for s in (0, 0, 1))
        assert all(torch.equal(a[k], b[k]) for k in a)
        assert not all(torch.equal(a[k], c[k]) for k in a)


class TestDropout:
    def test_acts_between_layers_in_training_only(self):
        net = layer(mgu, num_layers=2, dropout=0.5)
        x = torch.randn(6, 3, 3)
        assert not torch.equal(net(x)[0], net(x)[0])
        net.eval()
        near(net(x)[0], net(x)[0], 0.0)
        plain = layer(mgu, num_layers=2)
        plain.load_state_dict(net.state_dict())
        near(net(x)[0], plain(x)[0], 0.0)

    def test_leaves_the_last_layer_and_the_first_layers_state_alone(self):
        net = layer(mgu, num_layers=2, dropout=0.5)
        x = torch.randn(6, 3, 3)
        (_, a), (_, b) = net(x), net(x)
        near(a[0], b[0], 0.0)
        one = layer(mgu, dropout=0.5)
        near(one(x)[0], one(x)[0], 0.0)

    def test_zeroes_units_and_scales_the_rest(self):
        @cell(sizes={"x": "H"})
        def copy_input(x, h, p):
            return x + 0 * p.nothing * h

        net = layer(copy_input, hidden_size=50, num_layers=2, dropout=0.25)
        x = torch.ones(20, 4, 50)
        output, _ = net(x)
        kept = output != 0
        near(output[kept], torch.full_like(output[kept], 1 / 0.75), 1e-6)
        assert 0.7 < kept.float().mean() < 0.8


class TestProjection:
    @pytest.mark.parametrize("how", [{}, {"bidirectional": True}, {"batch_first": True, "num_layers": 2}], ids=str)
    def test_is_y_equals_v_h_plus_c_at_real_steps(self, how):
        net = layer(mgu, output_size=2, **how)
        plain = layer(mgu, **how)
        plain.load_state_dict({k: v for k, v in net.state_dict().items() if "projection" not in k})
        x = torch.randn(3, 3, 3)
        output, states = net(x, lengths=[3, 0, 1])
        hidden, plain_states = plain(x, lengths=[3, 0, 1])
        wanted = hidden @ net.projection.weight.T + net.projection.bias
        wanted = wanted if net.batch_first else wanted.transpose(0, 1)
        output = output if net.batch_first else output.transpose(0, 1)
        for b, n in enumerate([3, 0, 1]):
            near(output[b, :n], wanted[b, :n], 1e-6)
            assert output[b, n:].abs().sum() == 0
        near(states, plain_states, 0.0)
        assert net.output_units == 2

    def test_output_units(self):
        assert layer(mgu).output_units == 4
        assert layer(mgu, bidirectional=True).output_units == 8


class TestGates:
    @pytest.mark.parametrize("lengths", [None, [5, 0, 2]], ids=["full", "ragged"])
    def test_those_of_a_gru_give_its_states(self, lengths):
        net = random_weights(gruvy.GRU(3, 4, dtype=torch.float64))
        x, h = torch.randn(5, 3, 3, dtype=torch.float64), torch.randn(1, 3, 4, dtype=torch.float64)
        output, final, gates = net(x, h, lengths=lengths, record_gates=True)
        plain, plain_final = net(x, h, lengths=lengths)
        near(output, plain, 1e-12)
        near(final, plain_final, 1e-12)
        assert [list(g) for g in gates] == [["r", "z", "n"]]
        r, z, n = gates[0].values()
        state = h[0]
        w, u, bi, bh = (p.split(4) for p in net.parameters())
        for t in range(5):
            real = torch.tensor(lengths or [5, 5, 5])[:, None] > t
            near(
                r[t],
                torch.where(real, torch.sigmoid(x[t] @ w[0].T + bi[0] + state @ u[0].T + bh[0]), 0.0),
                1e-12,
            )
            near(
                n[t],
                torch.where(real, torch.tanh(x[t] @ w[2].T + bi[2] + r[t] * (state @ u[2].T + bh[2])), 0.0),
                1e-12,
            )
            state = torch.where(real, z[t] * state + (1 - z[t]) * n[t], state)
            near(output[t], torch.where(real, state, 0.0), 1e-12)

    @pytest.mark.parametrize("name", CELLS)
    def test_every_cell_records_its_named_values(self, name):
        net = layer(CELLS[name])
        output, _, gates = net(inputs_for(net, 5, 3), lengths=[5, 0, 2], record_gates=True)
        assert list(gates[0]) == list(CELLS[name].graph.gates)
        for gate in gates[0].values():
            assert gate.shape[:2] == (5, 3)
            assert gate[:, 1].abs().sum() == 0
            assert gate[2:, 2].abs().sum() == 0
        near(output, net(inputs_for(net, 5, 3), lengths=[5, 0, 2])[0], 1e-6)

    @pytest.mark.parametrize("name", ["lstm", "gru_carry", "gru_output_gate"])
    def test_a_gate_that_is_the_output_equals_it(self, name):
        net = layer(CELLS[name])
        output, _, gates = net(torch.randn(5, 3, 3), record_gates=True)
        near(gates[0]["y" if name == "gru_output_gate" else "h"], output, 0.0)

    def test_one_set_for_each_layer_and_direction_in_the_inputs_order(self):
        net = layer(gru, num_layers=2, bidirectional=True)
        x = torch.randn(5, 2, 3)
        *_, gates = net(x, lengths=[5, 3], record_gates=True)
        assert len(gates) == 4
        backward = layer(gru)
        backward.load_state_dict({k.removesuffix("_reverse"): v for k, v in net.state_dict().items() if "l0_r" in k})
        flipped = torch.stack([x[:, 0].flip(0), torch.cat([x[:3, 1].flip(0), x[3:, 1]])], 1)
        *_, (alone,) = backward(flipped, lengths=[5, 3], record_gates=True)
        near(gates[1]["z"][:, 0], alone["z"][:, 0].flip(0), 1e-6)
        near(gates[1]["z"][:3, 1], alone["z"][:3, 1].flip(0), 1e-6)

    def test_no_steps(self):
        *_, gates = layer(gru)(torch.zeros(0, 2, 3), record_gates=True)
        assert {k: v.shape for k, v in gates[0].items()} == dict.fromkeys("rzn", (0, 2, 4))

    def test_gates_carry_gradients(self):
        net = layer(gru)
        *_, gates = net(torch.randn(5, 2, 3), record_gates=True)
        gates[0]["z"].sum().backward()
        assert net.weight_ih_l0.grad[4:8].abs().sum() > 0


class TestNormalisers:
    def test_running_statistics_ignore_padding(self):
        torch.manual_seed(0)
        x = torch.randn(6, 3, 3, dtype=torch.float64)
        lengths = [6, 2, 0]
        padded, real = layer(CELLS["ligru"], dtype=torch.float64), layer(CELLS["ligru"], dtype=torch.float64)
        garbage = x.clone()
        for b, n in enumerate(lengths):
            garbage[n:, b] = 1e6
        padded(garbage, lengths=lengths)
        steps = torch.cat([x[:n, b] for b, n in enumerate(lengths)])
        products = steps @ real.weight_ih_l0[:4].T
        near(padded.N_z_l0.running_mean, 0.1 * products.mean(0), 1e-12)
        near(padded.N_z_l0.running_var, 0.9 + 0.1 * products.var(0), 1e-12)

    def test_evaluation_uses_and_keeps_the_running_statistics(self):
        net = layer(CELLS["ligru"])
        net(torch.randn(6, 3, 3))
        net.eval()
        before = {k: v.clone() for k, v in net.state_dict().items()}
        x = torch.randn(6, 3, 3)
        together = net(x)[0]
        near(torch.cat([net(x[:, b : b + 1])[0] for b in range(3)], 1), together, 1e-6)
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())

    def test_both_directions_and_every_layer_have_their_own(self):
        net = layer(CELLS["ligru"], num_layers=2, bidirectional=True)
        net(torch.randn(6, 3, 3))
        means = [v for k, v in net.state_dict().items() if "N_z" in k and "running_mean" in k]
        assert len(means) == 4
        assert all(m.abs().sum() > 0 for m in means)

    @pytest.mark.parametrize(
        "shape",
        [{"steps": 0, "batch": 2}, {"steps": 3, "batch": 0}, {"steps": 3, "batch": 2, "lengths": [0, 0]}],
    )
    def test_a_batch_without_a_real_step_changes_nothing(self, shape):
        net = layer(CELLS["ligru"])
        before = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
        output, state = net(torch.randn(shape["steps"], shape["batch"], 3), lengths=shape.get("lengths"))
        assert output.abs().sum() == 0
        assert state.abs().sum() == 0
        assert all(torch.equal(before[k], net.state_dict()[k]) for k in before)


class TestSeveralInputs:
    def test_are_given_as_a_sequence_of_tensors(self):
        net = layer(CELLS["gru_d"], dtype=torch.float64)
        inputs = inputs_for(net, 4, 2, dtype=torch.float64)
        a, _ = net(inputs)
        b, _ = net(tuple(inputs))
        near(a, b, 0.0)
        swapped, _ = net([inputs[0], inputs[2], inputs[1]])
        assert not torch.allclose(a, swapped)

    def test_bidirectional_reads_all_of_them_backwards(self):
        net = layer(CELLS["augru"], bidirectional=True)
        inputs = inputs_for(net, 4, 2)
        output, _ = net(inputs)
        backward = layer(CELLS["augru"])
        backward.load_state_dict(
            {k.removesuffix("_reverse"): v for k, v in net.state_dict().items() if "_reverse" in k}
        )
        near(output[..., 4:], backward([x.flip(0) for x in inputs])[0].flip(0), 1e-6)

    def test_layers_above_read_the_others_again(self):
        net = layer(CELLS["augru"], num_layers=2)
        output, h = net(inputs_for(net, 4, 2))
        assert output.shape == (4, 2, 4)
        assert h.shape == (2, 2, 4)

    def test_batch_first_and_unbatched(self):
        net = layer(CELLS["gru_d"])
        first = layer(CELLS["gru_d"], batch_first=True)
        first.load_state_dict(net.state_dict())
        inputs = inputs_for(net, 4, 2)
        output, (h, seen) = net(inputs)
        near(first([x.transpose(0, 1) for x in inputs])[0].transpose(0, 1), output, 0.0)
        alone, (one_h, one_seen) = net([x[:, 1] for x in inputs])
        near(alone, output[:, 1], 1e-6)
        near(one_h, h[:, 1], 1e-6)
        near(one_seen, seen[:, 1], 1e-6)


class TestPadding:
    @pytest.mark.parametrize("fill", [float("nan"), float("inf"), 1e30], ids=str)
    @pytest.mark.parametrize(("name", "engine"), PAIRS)
    def test_what_it_holds_changes_neither_outputs_nor_gradients(self, name, fill, engine):
        net = layer(CELLS[name], engine=engine).eval()
        clean = inputs_for(net, 4, 3)
        dirty = [x.clone() for x in clean]
        lengths = [4, 0, 2]
        for x in dirty:
            x[:, 1], x[2:, 2] = fill, fill
        results = []
        for inputs in (clean, dirty):
            leaves = [x.clone().requires_grad_() for x in inputs]
            output, states = net(leaves, lengths=lengths)
            finite = [s for s in as_tuple(states) if torch.isfinite(s).all()]
            loss = output.square().sum() + sum(s.square().sum() for s in finite)
            grads = torch.autograd.grad(loss, [*leaves, *net.parameters()], allow_unused=True)
            results.append([output, *as_tuple(states), *(g for g in grads if g is not None)])
        for a, b in zip(*results, strict=True):
            assert torch.equal(a, b)
        assert results[0][0][:, 1].abs().sum() == 0
        assert results[0][0][2:, 2].abs().sum() == 0

    @pytest.mark.parametrize("engine", ["eager", "reference"])
    def test_a_cell_that_is_undefined_at_zero_trains_on_a_padded_batch(self, engine):
        """RMS norm without an epsilon: 0/0 where the input is all zeros, as padding is when nobody looks."""

        @cell
        def rms(x, h, W, U):
            a = W.h(x)
            return tanh(a / sqrt(mean(a * a)) + U.h(h))

        net = layer(rms, engine=engine, dtype=torch.float64)
        x = torch.randn(4, 3, 3, dtype=torch.float64)
        lengths = [4, 0, 2]
        padded = torch.autograd.grad(net(x, lengths=lengths)[0].square().sum(), list(net.parameters()))
        alone = [torch.zeros_like(p) for p in net.parameters()]
        for b, n in enumerate(lengths):
            if n:
                grads = torch.autograd.grad(net(x[:n, b : b + 1])[0].square().sum(), list(net.parameters()))
                alone = [a + g for a, g in zip(alone, grads, strict=True)]
        for got, wanted in zip(padded, alone, strict=True):
            near(got, wanted, 1e-12)
            assert torch.isfinite(got).all()


class TestStacking:
    def test_a_cell_whose_input_is_of_the_hidden_size(self):
        net = layer(CELLS["rglru"], num_layers=3)
        assert net(torch.randn(5, 2, 4))[0].shape == (5, 2, 4)

    def test_a_state_of_the_input_size_in_layers_of_unequal_width(self):
        """A delay keeps the layer's input, of another width above the first layer: run it, or say no."""
        try:
            net = layer(CELLS["qrnn"], num_layers=2)
        except BadInput as refusal:
            assert "num_layers" in str(refusal)  # noqa: PT017
            return
        output, _ = net(torch.randn(5, 2, 3))
        assert output.shape == (5, 2, 4)

    def test_a_hidden_sized_input_above_two_directions(self):
        """The layer above gets 2H units where the cell declares H: run it, or say no at construction."""
        try:
            net = layer(CELLS["rglru"], num_layers=2, bidirectional=True)
        except BadInput as refusal:
            assert "bidirectional" in str(refusal)  # noqa: PT017
            return
        assert net(torch.randn(5, 2, 4))[0].shape == (5, 2, 8)


def test_a_cell_without_parameters_runs():
    @cell(sizes={"x": "H"})
    def total(x, h):
        return h + x

    x = torch.randn(5, 2, 3)
    output, _ = gruvy.Recurrent(total, 3, 3)(x)
    near(output, x.cumsum(0), 1e-6)


@pytest.mark.parametrize("name", ["gru", "slstm", "gru_d", "ligru"])
def test_copies_and_saved_layers_give_the_same(name):
    net = layer(CELLS[name]).eval()
    x = inputs_for(net, 4, 2)
    wanted, _ = net(x)
    near(copy.deepcopy(net)(x)[0], wanted, 0.0)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    near(torch.load(file, weights_only=False)(x)[0], wanted, 1e-6)


def test_repr_names_the_cell_and_what_differs_from_the_defaults():
    assert repr(layer(mgu, num_layers=2, engine="eager")) == "Recurrent(mgu, 3, 4, num_layers=2, engine='eager')"
    assert repr(gruvy.GRU(3, 4)) == "GRU(3, 4)"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept(dtype):
    output, h = layer(mgu, dtype=dtype)(torch.randn(3, 2, 3, dtype=dtype), lengths=[3, 1])
    assert output.dtype == h.dtype == dtype


def test_gradient_flows_to_a_given_initial_state_through_a_sequence_without_steps():
    net = layer(lstm)
    h, c = (torch.randn(1, 2, 4, requires_grad=True) for _ in range(2))
    _, (last_h, _) = net(torch.randn(3, 2, 3), (h, c), lengths=[0, 3])
    last_h[:, 0].sum().backward()
    near(h.grad[:, 0], torch.ones(1, 4), 0.0)


class TestAmongOtherTorch:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("made", [gru, mgu, lstm], ids=lambda c: c.name)
    def test_runs_under_autocast_as_torchs_own_does(self, made, dtype):
        """A Linear under autocast hands on bfloat16 while the parameters stay float32."""
        net = layer(made)
        x = torch.randn(5, 2, 3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output, _ = net(x.to(dtype), lengths=[5, 2])
        near(output.float(), net(x, lengths=[5, 2])[0], 0.05)
        output.float().sum().backward()
        assert net.weight_ih_l0.grad is not None

    @pytest.mark.parametrize("made", [gru, mgu], ids=lambda c: c.name)
    def test_a_parametrized_weight_is_used(self, made):
        net = layer(made)
        x = torch.randn(5, 2, 3)
        before, _ = net(x)
        torch.nn.utils.parametrizations.spectral_norm(net, "weight_hh_l0")
        after, _ = net(x)
        assert not torch.allclose(before, after)
        after.sum().backward()
        assert net.parametrizations.weight_hh_l0.original.grad is not None

    def test_a_pruned_weight_is_used(self):
        net = layer(mgu)
        prune.random_unstructured(net, "weight_hh_l0", 1.0)
        one_step = [net(torch.ones(1, 1, 3), h)[0] for h in (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))]
        near(one_step[0], one_step[1], 0.0)
        assert net(torch.ones(3, 1, 3))[0].shape == (3, 1, 4)

    @pytest.mark.parametrize("made", [gru, mgu], ids=lambda c: c.name)
    def test_functional_call_and_vmap_make_an_ensemble(self, made):
        members = [layer(made, seed=s, engine="eager") for s in range(3)]
        parameters, _ = torch.func.stack_module_state(members)
        x = torch.randn(5, 2, 3)
        together = torch.func.vmap(lambda p: torch.func.functional_call(members[0], p, (x,))[0])(parameters)
        for got, member in zip(together, members, strict=True):
            near(got, member(x)[0], 1e-6)

    def test_functional_call_takes_plain_tensors(self):
        net = layer(mgu, learn_initial_state=True)
        x = torch.randn(5, 2, 3)
        doubled = {k: 2 * p.detach() for k, p in net.named_parameters()}
        got = torch.func.functional_call(net, doubled, (x,))[0]
        net.load_state_dict(doubled)
        near(got, net(x)[0], 0.0)

    def test_a_frozen_layer_builds_no_graph(self):
        net = layer(gru).requires_grad_(False)
        assert not net(torch.randn(5, 2, 3), lengths=[5, 2])[0].requires_grad

    def test_runs_in_inference_mode(self):
        net = layer(lstm)
        with torch.inference_mode():
            output, _ = net(torch.randn(5, 2, 3), lengths=[5, 0])
        assert output.shape == (5, 2, 4)
