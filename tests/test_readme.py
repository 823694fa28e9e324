"""Every command and every example of the README and the docs runs as it is written."""

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.run import gruvy
from tests.fixtures.small import SMALL, rows, write_csv

from gruvy.tasks.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/writing-a-cell.md", "docs/speed.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines a user would type that run gruvy, without their comments; not what a command printed."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines if re.match(r"(cat .*\| )?gruvy ", line)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files the README speaks of, where trainings are short."""
    monkeypatch.chdir(tmp_path)
    for recipe in ("default", "small"):
        monkeypatch.setitem(RECIPES["text"], recipe, SMALL)
    reviews = [{"review": r["text"], "sentiment": r["label"], "stars": r["number"]} for r in rows()]
    for name in ("reviews.csv", "new.csv", "more.csv"):
        write_csv(tmp_path / name, reviews)
    (tmp_path / "lines.txt").write_text("a splendid lamp\na dreadful train\n")
    cells = next(block for block in blocks("README.md", "python") if "# my_cells.py" in block)
    (tmp_path / "my_cells.py").write_text(cells)
    return tmp_path


def test_the_commands_of_the_readme_run(workplace):
    ran = 0
    for line in commands("README.md"):
        stdin = None
        words = shlex.split(line)
        if words[0] == "cat":
            stdin, words = Path(words[1]).read_bytes(), words[words.index("gruvy") :]
        done = gruvy(*words[1:], stdin=stdin)
        assert done.code == 0, (line, done)
        assert done.out
        ran += 1
    assert ran >= 8


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page, workplace):
    gruvy("train", "classify", "--data", "reviews.csv", "--text", "review", "--label", "sentiment", "--out", "my-model")
    for block in blocks(page, "python"):
        exec(block, {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target
