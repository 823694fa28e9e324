"""Equations as text and as LaTeX: the author's order, exactly."""

import pytest
from tests.cells.user_cells import USER_CELLS

from gruvy.cells import CATALOGUE, cell, gru, mean, relu, sigmoid, sqrt, tanh, where
from gruvy.language.printing import equations


def lines(made, latex=False):
    return [" = ".join(line) for line in equations(made.graph, latex=latex)]


def test_gru_as_text():
    assert lines(gru) == [
        "r = σ(W_r x + b_ir + U_r h[t-1] + b_hr)",
        "z = σ(W_z x + b_iz + U_z h[t-1] + b_hz)",
        "n = tanh(W_n x + b_in + r ⊙ (U_n h[t-1] + b_hn))",
        "h = z ⊙ h[t-1] + (1 - z) ⊙ n",
    ]


def test_gru_as_latex():
    assert lines(gru, latex=True) == [
        r"r_{t} = \sigma\left(W_{r} x_{t} + b_{ir} + U_{r} h_{t-1} + b_{hr}\right)",
        r"z_{t} = \sigma\left(W_{z} x_{t} + b_{iz} + U_{z} h_{t-1} + b_{hz}\right)",
        r"n_{t} = \tanh\left(W_{n} x_{t} + b_{in} + r_{t} \odot \left(U_{n} h_{t-1} + b_{hn}\right)\right)",
        r"h_{t} = z_{t} \odot h_{t-1} + \left(1 - z_{t}\right) \odot n_{t}",
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("elman", ["h = tanh(W_h x + b_ih + U_h h[t-1] + b_hh)"]),
        ("mgu", ["f = σ(W_f x + U_f h[t-1] + b_f)", "n = tanh(W_n x + U_n(f ⊙ h[t-1]) + b_n)",
                 "h = (1 - f) ⊙ h[t-1] + f ⊙ n"]),
        ("gru_carry", ["r = σ(W_r x + U_r h[t-1] + b_r)", "z = σ(W_z x + U_z h[t-1] + b_z)",
                       "c = r ⊙ c[t-1] + (1 - r) ⊙ tanh(W_c x + U_c h[t-1] + b_c)",
                       "h = z ⊙ c + (1 - z) ⊙ h[t-1]"]),
        ("gru_output_gate", ["r = σ(W_r x + U_r h[t-1])", "z = σ(W_z x + U_z h[t-1])",
                             "n = tanh(W_n x + U_n(r ⊙ h[t-1]))", "h = (1 - z) ⊙ h[t-1] + z ⊙ r ⊙ n",
                             "o = σ(W_o x + U_o h[t-1])", "y = o ⊙ h"]),
    ],
)  # fmt: skip
def test_catalogue_as_text(name, written):
    assert sorted(lines(CATALOGUE[name])) == sorted(written)


def one(expression, latex=False, signature="x, h, W, U, b, p"):
    names = dict(cell=cell, tanh=tanh, sigmoid=sigmoid, sqrt=sqrt, mean=mean, where=where, relu=relu)
    exec(f"def f({signature}):\n    return {expression}", names)
    return lines(cell(names["f"]), latex)[-1].split(" = ", 1)[1]


@pytest.mark.parametrize(
    ("expression", "text", "latex"),
    [
        ("U.a(h) + W.a(x)", "U_a h[t-1] + W_a x", r"U_{a} h_{t-1} + W_{a} x_{t}"),
        ("W.a(x) + U.a(h)", "W_a x + U_a h[t-1]", r"W_{a} x_{t} + U_{a} h_{t-1}"),
        ("h * h", "h[t-1]²", "h_{t-1}^2"),
        ("(h + 1) * (h + 1)", "(h[t-1] + 1)²", r"\left(h_{t-1} + 1\right)^2"),
        ("h - (h - b.a)", "h[t-1] - (h[t-1] - b_a)", r"h_{t-1} - \left(h_{t-1} - b_{a}\right)"),
        ("-(h + b.a)", "-(h[t-1] + b_a)", r"-\left(h_{t-1} + b_{a}\right)"),
        ("h / (1 + b.a)", "h[t-1] / (1 + b_a)", r"\frac{h_{t-1}}{1 + b_{a}}"),
        ("2 * h", "2 h[t-1]", "2 h_{t-1}"),
        ("h * -0.5", "h[t-1] (-0.5)", r"h_{t-1} \left(-0.5\right)"),
        ("p.nu * h", "nu ⊙ h[t-1]", r"\nu \odot h_{t-1}"),
        ("sqrt(1e-5 + b.a) * h", "sqrt(1e-05 + b_a) ⊙ h[t-1]", r"\sqrt{10^{-5} + b_{a}} \odot h_{t-1}"),
        ("where(h > 0, h, b.a)", "where(h[t-1] > 0, h[t-1], b_a)",
         r"\operatorname{where}\left(h_{t-1} > 0, h_{t-1}, b_{a}\right)"),
        ("relu(U.a(h * p.g))", "relu(U_a(h[t-1] ⊙ g))",
         r"\operatorname{relu}\left(U_{a}\left(h_{t-1} \odot g\right)\right)"),
        ("h * (b.a * b.c)", "h[t-1] ⊙ b_a ⊙ b_c", r"h_{t-1} \odot b_{a} \odot b_{c}"),
        ("h / b.a / b.c", "h[t-1] / b_a / b_c", r"\frac{\frac{h_{t-1}}{b_{a}}}{b_{c}}"),
        ("h / (b.a * b.c)", "h[t-1] / (b_a ⊙ b_c)", r"\frac{h_{t-1}}{b_{a} \odot b_{c}}"),
        ("h * (-b.a)", "h[t-1] ⊙ (-b_a)", r"h_{t-1} \odot \left(-b_{a}\right)"),
        ("h - (-b.a)", "h[t-1] - (-b_a)", r"h_{t-1} - \left(-b_{a}\right)"),
        ("h * h * h * h", "h[t-1]² ⊙ h[t-1] ⊙ h[t-1]", r"h_{t-1}^2 \odot h_{t-1} \odot h_{t-1}"),
    ],
)  # fmt: skip
def test_expressions(expression, text, latex):
    assert one(expression) == text
    assert one(expression, latex=True) == latex


def test_a_square_of_a_square_is_not_two_exponents():
    squared = one("tanh((h * h) * (h * h))", latex=True)
    assert "^2^2" not in squared


def test_a_shared_part_without_a_name_is_written_once():
    @cell
    def shared(x, h, W, U):
        return sigmoid(W.a(x) + U.a(h)) * h + (1 - sigmoid(W.a(x) + U.a(h))) * tanh(W.c(x))

    assert lines(shared) == [
        "s_1 = σ(W_a x + U_a h[t-1])",
        "h = s_1 ⊙ h[t-1] + (1 - s_1) ⊙ tanh(W_c x)",
    ]


@pytest.mark.parametrize("latex", [False, True])
@pytest.mark.parametrize("name", CATALOGUE | USER_CELLS)
def test_every_cell_prints_with_balanced_brackets_and_unique_left_sides(name, latex):
    made = (CATALOGUE | USER_CELLS)[name]
    written = equations(made.graph, latex=latex)
    lefts = [left for left, _ in written]
    assert len(set(lefts)) == len(lefts)
    for _, right in written:
        assert right.count("(") == right.count(")")
        assert right.count("{") == right.count("}")
        assert right.count("\\left") == right.count("\\right")


@pytest.mark.parametrize("name", ["slstm", "gru_d", "lstm", "gru_output_gate"])
def test_every_new_state_has_a_line(name):
    made = (CATALOGUE | USER_CELLS)[name]
    lefts = [left for left, _ in equations(made.graph)]
    assert set(made.states) <= set(lefts)


def test_lines_use_only_what_stands_above_them():
    """A reader can compute line after line."""
    for made in (CATALOGUE | USER_CELLS).values():
        written = equations(made.graph)
        lefts = [left for left, _ in written]
        for i, (_, right) in enumerate(written):
            words = right.replace("(", " ").replace(")", " ").replace(",", " ").split()
            later = set(lefts[i:]) & set(words) - set(made.inputs)
            assert not later, f"{made.name}: line {i} uses {later} before its line"
