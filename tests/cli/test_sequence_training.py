"""DNA and proteins from a table or FASTA files, as a user types it."""

import json

import numpy as np
import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.small import write_csv

from gruvy.tasks.recipes import RECIPES, SequenceRecipe

NAME = "test-small"
SMALL = SequenceRecipe(hidden_size=8, members=1, steps=20, min_epochs=2, max_epochs=4, learning_rate=1e-2)
MOTIF = "TATAAT"


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    monkeypatch.setitem(RECIPES["sequence"], NAME, SMALL)


def genome(count, seed=0, letters="ACGT"):
    """Sequences, every second of which has the motif, and which have."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        one = "".join(rng.choice(list(letters), 40))
        found.append(one[:10] + MOTIF + one[16:] if number % 2 else one)
    return found, ["promoter" if number % 2 else "other" for number in range(count)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    sequences, labels = genome(90)
    rows = [
        {"sequence": s, "label": y, "strength": str(s.count("G")), "strain": f"s{i % 15}"}
        for i, (s, y) in enumerate(zip(sequences, labels, strict=True))
    ]
    write_csv(folder / "dna.csv", rows)
    for label in ("promoter", "other"):
        chosen = [f">{label}{i}\n{s}" for i, (s, y) in enumerate(zip(sequences, labels, strict=True)) if y == label]
        (folder / f"{label}.fasta").write_text("\n".join(chosen) + "\n")
    (folder / "all.fa").write_text("".join(f">seq{i}\n{s}\n" for i, s in enumerate(sequences)))
    write_csv(folder / "strengths.csv", [{"id": f"seq{i}", "target": r["strength"]} for i, r in enumerate(rows)])
    return folder


def train(task, *given, out):
    return gruvy("train", task, *given, "--recipe", NAME, "--out", out, "--json")


def test_a_column_of_a_table(place, tmp_path):
    out = tmp_path / "model"
    done = train("regress", "--data", place / "dna.csv", "--sequence", "sequence", "--target", "strength", out=out)
    assert done.code == 0, done
    assert "k-mer ridge regression" in done.json["baselines"]
    assert gruvy("evaluate", out, "--json").json["metrics"] == pytest.approx(done.json["metrics"], abs=1e-6)
    assert gruvy("evaluate", out, "--data", place / "dna.csv", "--json").json["n"] == 90
    assert len(gruvy("predict", out, "--data", place / "dna.csv").out.splitlines()) == 90
    assert gruvy("predict", out, "ACGTTTATAAT", "acgt").out.count("\n") == 2


def test_a_fasta_file_a_class(place, tmp_path):
    out = tmp_path / "model"
    files = [place / "promoter.fasta", place / "other.fasta"]
    done = train("classify", "--data", *files, out=out)
    assert done.code == 0, done
    assert "labels are the files' names: promoter, other" in done.err
    assert gruvy("evaluate", out, "--json").json["metrics"] == pytest.approx(done.json["metrics"], abs=1e-6)
    assert gruvy("evaluate", out, "--data", *files, "--json").json["n"] == 90
    assert len(gruvy("predict", out, "--data", place / "all.fa").out.splitlines()) == 90
    assert "changed since" in _after(files[0], lambda: refused("evaluate", out))


def _after(file, do):
    before = file.read_text()
    try:
        file.write_text(before + "\n")
        return do()
    finally:
        file.write_text(before)


def test_a_fasta_file_and_a_table_of_numbers(place, tmp_path):
    out = tmp_path / "model"
    given = ("--data", place / "all.fa", "--labels", place / "strengths.csv")
    done = train("regress", *given, "--fold", "2/5", out=out)
    assert done.code == 0, done
    assert done.json["n"] == 18
    assert gruvy("evaluate", out, "--json").json["metrics"] == pytest.approx(done.json["metrics"], abs=1e-6)


def test_labels_of_other_files_are_named_anew(place, tmp_path):
    out, labels = tmp_path / "model", tmp_path / "labels.csv"
    labels.write_text((place / "strengths.csv").read_text())
    assert train("regress", "--data", place / "all.fa", "--labels", labels, out=out).code == 0
    (tmp_path / "new.fa").write_text(">n1\nACGTTATAAT\n>n2\nGGCATTTACG\n")
    write_csv(tmp_path / "new.csv", [{"id": "n1", "target": "2"}, {"id": "n2", "target": "3"}])
    new = ("evaluate", out, "--data", tmp_path / "new.fa")
    assert gruvy(*new, "--labels", tmp_path / "new.csv", "--json").json["n"] == 2
    assert "without numbers" in refused(*new)
    assert len(gruvy("predict", out, "--data", place / "dna.csv", "--sequence", "sequence").out.splitlines()) == 90
    assert "give it as --data FILE" in refused("predict", out, stdin=b">x\nACGT\n")
    assert "is a table" in refused("mutate", out, "--data", place / "dna.csv")
    assert "--labels is the table of a FASTA" in refused(
        "evaluate", out, "--data", place / "dna.csv", "--sequence", "sequence", "--labels", labels
    )
    assert "changed since" in _after(labels, lambda: refused("evaluate", out))
    labels.unlink()
    assert "is no longer at" in refused("evaluate", out)


def test_numbers_in_the_headers(tmp_path):
    sequences, _ = genome(60)
    records = [f">s{i} kind=none strength={s.count('G')}\n{s}\n" for i, s in enumerate(sequences)]
    (tmp_path / "all.fa").write_text("".join(records))
    done = train("regress", "--data", tmp_path / "all.fa", "--target", "strength", out=tmp_path / "model")
    assert done.code == 0, done
    assert "what follows strength= in the headers" in done.err


def test_groups_are_on_one_side_of_the_test_part(place, tmp_path):
    out = tmp_path / "model"
    done = train("classify", "--data", place / "dna.csv", "--sequence", "sequence", "--group", "strain", out=out)
    assert done.code == 0, done
    rows = json.loads((out / "split.json").read_text())["rows"]
    strains = {part: {(row - 1) % 15 for row in rows[part]} for part in rows}
    assert not strains["test"] & (strains["train"] | strains["validation"])
    assert "15 groups" in done.err


def test_both_strands_say_the_same(place, tmp_path):
    out = tmp_path / "model"
    done = train("classify", "--data", place / "dna.csv", "--sequence", "sequence", "--reverse-complement", out=out)
    assert done.code == 0, done
    one, other = "ACCGTTATAATGG", "CCATTATAACGGT"
    said = [json.loads(line)["probability"] for line in gruvy("predict", out, one, other, "--json").out.splitlines()]
    assert said[0] == pytest.approx(said[1], abs=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--data", "all.fa"], "without labels"),
        (["--data", "all.fa", "other.fasta", "--labels", "strengths.csv"], "no row for"),
        (["--data", "dna.csv", "dna.csv", "--sequence", "sequence"], "one is read at a time, but for FASTA"),
        (["--data", "dna.csv", "--sequence", "sequence", "--labels", "strengths.csv"], "is the table of a FASTA"),
        (["--data", "dna.csv", "--encoding", "one-hot"], "--encoding is for sequences; give --sequence too"),
        (["--data", "dna.csv", "--sequence", "sequence", "--pretrain", "x"], "--pretrain is for texts"),
        (["--data", "dna.csv", "--sequence", "sequence", "--group", "strain", "--fold", "1/16"], "there are 15 groups"),
        (["--data", "dna.csv", "--sequence", "label"], "sequence"),
        (["--data", "dna.csv", "--sequence", "sequence", "--encoding", "two-hot"], "expected one of"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(place, given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    sentence = refused("train", "classify", *given, "--recipe", NAME, "--out", tmp_path / "model")
    assert said in sentence
    assert not (tmp_path / "model").exists()
