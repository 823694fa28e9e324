"""Every command and every example of the README and the docs runs as it is written."""

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.run import gruvy
from tests.fixtures import pairs, prose
from tests.fixtures.labelled import SMALL as SMALL_SERIES
from tests.fixtures.labelled import gestures, sensors
from tests.fixtures.pairs import SMALL as SMALL_PAIRS
from tests.fixtures.prose import SMALL as SMALL_PROSE
from tests.fixtures.series import SMALL as SMALL_FORECAST
from tests.fixtures.series import hours, one
from tests.fixtures.small import SMALL, rows, write_csv

from gruvy.tasks.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/writing-a-cell.md", "docs/speed.md", "docs/series.md", "docs/text.md"]


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
    for recipe in ("default", "small"):
        monkeypatch.setitem(RECIPES["text"], recipe, SMALL)
    reviews = [{"review": r["text"], "sentiment": r["label"], "stars": r["number"]} for r in rows()]
    for name in ("reviews.csv", "new.csv", "more.csv"):
        write_csv(tmp_path / name, reviews)
    for kind, recipe in (("panel", SMALL_FORECAST), ("series", SMALL_SERIES)):
        monkeypatch.setitem(RECIPES[kind], "default", recipe)
    demand = [{"time": row["time"], "load": row["y"]} for row in one(240)]
    write_csv(tmp_path / "demand.csv", demand)
    write_csv(tmp_path / "newer.csv", demand[-200:])
    later = [{"time": time, "load": "9.5"} for time in hours(243)[240:]]
    write_csv(tmp_path / "rows.csv", later)
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"gestures_{part}.ts").write_text(gestures())
    write_csv(tmp_path / "sensors.csv", sensors())
    for kind, recipe in (("prose", SMALL_PROSE), ("pairs", SMALL_PAIRS)):
        for name in ("default", "small"):
            monkeypatch.setitem(RECIPES[kind], name, recipe)
    for name in ("letters.txt", "other.txt"):
        (tmp_path / name).write_text(prose.text())
    made = pairs.pairs(60)
    for part in ("train", "valid"):
        for place, language in enumerate(("en", "de")):
            (tmp_path / f"{part}.{language}").write_text("".join(f"{pair[place]}\n" for pair in made))
    write_csv(tmp_path / "pairs.csv", [{"english": s, "german": t} for s, t in made])
    talk = [{"question": s, "answer": t, "talk": str(i // 3)} for i, (s, t) in enumerate(made)]
    write_csv(tmp_path / "talk.csv", talk)
    (tmp_path / "lines.txt").write_text("a splendid lamp\na dreadful train\n")
    cells = next(block for block in blocks("README.md", "python") if "# my_cells.py" in block)
    (tmp_path / "my_cells.py").write_text(cells)
    return tmp_path


@pytest.mark.parametrize(("page", "least"), [("README.md", 15), ("docs/series.md", 10), ("docs/text.md", 13)])
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
    for block in blocks(page, "python"):
        exec(block, {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if target.startswith("https://"):
            continue
        assert ((ROOT / page).parent / target).exists(), target
