"""Every command and every example of the README and the docs runs as it is written."""

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.run import gruvy
from tests.fixtures import workplace as workplaces

from gruvy.tasks.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/writing-a-cell.md", "docs/speed.md", "docs/series.md", "docs/text.md", "docs/sound.md",
         "docs/sequences.md"]  # fmt: skip


def blocks(page: str, language: str) -> list[str]:
    """What stands between the fences of a language; "" for plain ones."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for named, block in fences if named == language]


def commands(page: str) -> list[str]:
    """The lines a user would type that run gruvy, without their comments; not what a command printed."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines if re.match(r"(cat .*\| )?gruvy ", line)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files the README speaks of, where trainings are short."""
    monkeypatch.chdir(tmp_path)
    for kind, recipe in workplaces.RECIPES.items():
        for name in ("default", "small"):
            monkeypatch.setitem(RECIPES[kind], name, recipe)
    workplaces.fill(tmp_path)
    cells = next(block for block in blocks("README.md", "python") if "# my_cells.py" in block)
    (tmp_path / "my_cells.py").write_text(cells)
    return tmp_path


@pytest.mark.parametrize(("page", "least"), [
    ("README.md", 24), ("docs/series.md", 10), ("docs/text.md", 13), ("docs/sound.md", 13), ("docs/sequences.md", 13),
])  # fmt: skip
def test_the_commands_run(page, least, workplace):
    ran = 0
    for line in commands(page):
        stdin = None
        words = shlex.split(line)
        if words[0] == "cat":
            stdin, words = Path(words[1]).read_bytes(), words[words.index("gruvy") :]
        done = gruvy(*words[1:], stdin=stdin)
        assert done.code == 0, (line, done)
        assert done.out
        ran += 1
    assert ran >= least


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page, workplace):
    gruvy("train", "classify", "--data", "reviews.csv", "--text", "review", "--label", "sentiment", "--out", "my-model")
    if page == "docs/series.md":
        line = "train forecast --data demand.csv --time time --target load --horizon 24 --out my-forecast"
        gruvy(*line.split())
    if page == "docs/text.md":
        gruvy("train", "language", "--data", "letters.txt", "--out", "my-writer")
    if page == "docs/sound.md":
        gruvy("train", "classify", "--audio", "sounds", "--out", "my-sounds")
    if page == "docs/sequences.md":
        line = "train regress --data promoters.csv --sequence dna --target strength --out my-promoters"
        gruvy(*line.split())
    for block in blocks(page, "python"):
        exec(block, {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if target.startswith("https://"):
            continue
        assert ((ROOT / page).parent / target).exists(), target
