"""`gruvy bench`: tables, JSON, files, peers that disagree or are not here, and what users get wrong."""

import json
import math
import re

import numpy as np
import pytest
import torch
from tests.cli.run import gruvy, refused
from tests.fixtures import my_cells
from tests.fixtures.small import python

from gruvy.benchmarking import measure, peers
from gruvy.benchmarking.contract import Case, Foreign
from gruvy.benchmarking.measure import Bench
from gruvy.benchmarking.problem import MODES

SHAPES = ("--shape", "5,2,3,4", "--shape", "6,1,3,4")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """No other libraries, whether they are installed or not, and a small product for the rate."""
    monkeypatch.setattr(measure, "_SQUARE", 16)
    monkeypatch.setattr(peers, "FOREIGN", (peers.Torch(),))


def bench(*more, shapes=SHAPES, engines=("eager", "framework")):
    named = [word for engine in engines for word in ("--engine", engine)]
    return ("bench", *shapes, "--repeats", "1", *named, *more)


class Stranger(Foreign):
    """A peer whose outputs are torch's, altered by `change`."""

    name, modes, packages = "stranger", ("infer",), ()

    def __init__(self, change, packages=()):
        self.change, self.packages = change, packages

    def build(self, problem):
        case = peers.Torch().build(problem)
        return Case(case.call, lambda returned: {"output": self.change(case.results(returned)["output"])})


@pytest.fixture
def stranger(monkeypatch):
    def add(change, **options):
        monkeypatch.setattr(peers, "FOREIGN", (peers.Torch(), Stranger(change, **options)))

    return add


# What a good command gives


def test_peers_stand_side_by_side():
    done = gruvy(*bench())
    assert (done.code, done.err) == (0, "")
    for mode in ("train", "infer", "stream"):
        assert f"{mode}: {MODES[mode].title}" in done.out
    for part in ("cell gru", "GFLOP/s", "torch 2.", "gruvy eager", "gruvy framework", "1.00×", "product limit", "mean"):
        assert part in done.out
    assert "ragged" not in done.out


def test_json_alone_is_on_standard_output():
    every = [word for mode in MODES for word in ("--mode", mode)]
    done = gruvy(*bench("--json", *every))
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert (told["cell"], told["base"], told["rounds"], told["interrupted"]) == ("gru", "torch", 1, False)
    assert {"cpu", "cores", "threads", "date", "gflops", "versions"} <= set(told)
    assert len(told["results"]) == 3 * (4 * 2 + 1)  # peers, shapes; a stream is of one size
    for row in told["results"]:
        assert row["ms"] > 0
        assert row["error"] < 1e-5
        assert (row["share"] is None) == (row["shape"][1] == 1)
        assert row["why"] == ""
        assert row["peer"] != "torch" or row["ratio"] == 1
    ratios = [r["ratio"] for r in told["results"] if (r["mode"], r["peer"]) == ("train", "gruvy eager")]
    assert told["means"]["train"]["gruvy eager"] == pytest.approx(math.sqrt(math.prod(ratios)))


def test_files_for_reading_and_for_programs(tmp_path):
    done = gruvy(*bench("--mode", "infer", "--out", tmp_path / "a" / "b", "--json"))
    folder = tmp_path / "a" / "b"
    assert {p.name for p in folder.iterdir()} == {"bench.json", "bench.md", "bench.png"}
    assert json.loads((folder / "bench.json").read_text()) == done.json
    assert (folder / "bench.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "bench.md").read_text()
    assert "| peer | 5×2<br>3×4 | 6×1<br>3×4 | mean | error |\n| --- | --- | --- | --- | --- |\n| gruvy eager |" in page


def test_a_narrow_terminal_gets_several_tables(monkeypatch):
    monkeypatch.setattr("gruvy.cli.bench._WIDE", 44)
    done = gruvy(*bench("--mode", "infer"))
    assert max(map(len, done.out.splitlines())) <= 44
    assert done.out.count("product limit") >= 2
    assert done.out.count("mean ") <= 2  # in the last table, and in the sentences below


def test_threads_are_as_many_as_asked_for():
    before = torch.get_num_threads()
    assert gruvy(*bench("--mode", "infer", "--threads", "2", "--json")).json["threads"] == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("cell", "base"), [("mgu", "gruvy eager"), ("lstm", "torch"), ("own", "gruvy eager")])
def test_other_cells_are_compared_with_what_there_is(cell, base):
    name = f"{my_cells.__file__}:my_gru" if cell == "own" else cell
    done = gruvy(*bench("--cell", name, "--json", engines=["eager"]))
    assert done.code == 0
    assert done.json["base"] == base
    assert all(row["ms"] > 0 for row in done.json["results"])


def test_by_default_every_engine_but_the_reference_takes_part():
    told = gruvy(*bench("--cell", "mgu", "--mode", "infer", "--json", engines=[])).json
    names = {row["peer"] for row in told["results"]}
    assert "gruvy eager" in names
    assert not names & {"gruvy framework", "gruvy reference"}
    assert told["missing"]["gruvy framework"] == "torch has kernels for the equations of gru, elman and lstm only"


# Peers that cannot be shown


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda y: y * 1.03, "disagrees (error 3e-02)"), (lambda y: np.full_like(y, np.nan), "disagrees (error nan)")],
)
def test_a_peer_that_disagrees_has_no_figure(stranger, change, said):
    stranger(change)
    rows = {row["peer"]: row for row in gruvy(*bench("--mode", "infer", "--json", shapes=SHAPES[:2])).json["results"]}
    assert rows["stranger"]["why"] == said
    assert (rows["stranger"]["ms"], rows["stranger"]["ratio"]) == (None, None)
    assert rows["torch"]["ms"] > 0
    done = gruvy(*bench("--mode", "infer"))
    line = next(line for line in done.out.splitlines() if line.startswith(" stranger"))
    assert re.fullmatch(r" stranger +disagrees +disagrees +– +(3e-02|nan) *", line)


def test_another_library_may_err_by_more_than_an_engine(stranger):
    stranger(lambda y: y * (1 + 3e-5))
    rows = gruvy(*bench("--mode", "infer", "--json", engines=["eager"])).json["results"]
    assert [r["error"] > 1e-5 and r["ms"] > 0 for r in rows if r["peer"] == "stranger"] == [True, True]


def test_an_engine_must_agree_more_closely(monkeypatch):
    monkeypatch.setattr(peers.Gruvy, "tolerance", (1e-12, 1e-12))
    rows = gruvy(*bench("--mode", "train", "--json", engines=["eager"])).json["results"]
    assert all(row["why"].startswith("disagrees") for row in rows if row["peer"] == "gruvy eager")


def test_a_peer_that_breaks_is_named_and_the_others_are_measured(stranger):
    stranger(lambda y: y.no_such_thing)
    done = gruvy(*bench("--mode", "infer"))
    assert done.code == 0
    assert "stranger, infer 5,2,3,4: failed: 'numpy.ndarray' object has no attribute 'no_such_thing'" in done.out
    assert "1.00×" in done.out


def test_a_peer_that_is_not_here_is_listed_with_how_to_get_it(stranger, tmp_path):
    stranger(lambda y: y, packages=["no_such_package"])
    done = gruvy(*bench("--mode", "infer", "--out", tmp_path))
    assert done.code == 0
    said = "stranger: not installed: pip install no_such_package"
    assert said in done.out
    assert f"- {said}\n" in (tmp_path / "bench.md").read_text()


# Ctrl-C


@pytest.fixture
def interrupted_at(monkeypatch):
    def set_up(turn):
        turns, whole = iter(range(100)), Bench.measure

        def measured(self, *arguments):
            if next(turns) == turn:
                raise KeyboardInterrupt
            whole(self, *arguments)

        monkeypatch.setattr(Bench, "measure", measured)

    return set_up


def test_an_interrupt_prints_what_was_measured(interrupted_at, tmp_path):
    interrupted_at(1)
    done = gruvy(*bench("--out", tmp_path, "--json"))
    assert done.code == 1
    assert done.err == "gruvy: interrupted; what was measured until then is printed\n"
    assert done.json["interrupted"]
    assert {tuple(row["shape"]) for row in done.json["results"]} == {(5, 2, 3, 4)}
    assert (tmp_path / "bench.png").is_file()


def test_an_interrupt_before_the_first_figure_prints_nothing(interrupted_at):
    interrupted_at(0)
    assert refused(*bench(), code=1) == "interrupted before there was a figure"


# What users get wrong


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "5,2,3"], r"--shape '5,2,3': expected four whole numbers .*200,32,128,128"),
        (["--shape", "5,2,3,0"], "four whole numbers of at least 1"),
        (["--shape", "5,2,x,4"], "four whole numbers"),
        (["--mode", "trian"], "there is no mode 'trian'; expected train, infer, stream"),
        (["--cell", "grv"], "did you mean 'gru'"),
        (["--engine", "turbo"], "there is no engine 'turbo'"),
        (["--engine", "framework", "--cell", "mgu"], "engine 'framework' cannot run mgu: .*; use engine="),
        (["--threads", "0"], "--threads 0: expected a whole number of at least 1"),
        (["--repeats", "0"], "--repeats 0: expected a whole number of at least 1"),
        (["--threads", "two"], "--threads"),
        (["--out", my_cells.__file__], "--out .*; give a directory"),
        (["more"], "more"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(arguments, said):
    assert re.search(said, refused("bench", *arguments))


def test_help_loads_nothing_heavy():
    code = """
import sys
from gruvy.cli import main
try:
    main(["bench", "--help"])
except SystemExit as ended:
    assert not ended.code
assert not {"torch", "numpy", "matplotlib"} & set(sys.modules)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "--shape" in done.stdout
