"""DNA from CSV and FASTA: trained, judged, asked and mutated as a user would."""

import functools
import tempfile
from pathlib import Path

import pytest
from tests.cli.run import gruvy, refused
from tests.fixtures.sequence import MOTIF, NAME, sequences, small_recipe, write_fasta
from tests.fixtures.small import write_csv

FOLDER = tempfile.TemporaryDirectory(prefix="gruvy-tests-")
WITH, WITHOUT = "GATCGTACCTAGCATATAATGCATCGGATCCATGCCATGA", "GATCGTACCTAGCAGCATCGGATCCATGCCATGACCGGAT"


@functools.cache
def table() -> Path:
    return write_csv(Path(FOLDER.name) / "rows.csv", sequences())


@functools.cache
def classifier() -> Path:
    out = Path(FOLDER.name) / "classifier"
    with small_recipe():
        done = gruvy("train", "classify", "--data", table(), "--sequence", "dna", "--out", out, "--recipe", NAME)
    assert done.code == 0, done.err
    assert "k-mer logistic regression" in done.out
    return out


def test_a_classifier_is_trained_judged_and_asked():
    out = classifier()
    judged = gruvy("evaluate", out, "--json").json
    assert judged["metrics"]["accuracy"] > judged["baseline"]["accuracy"] - 0.1
    assert judged["metrics"]["accuracy"] > 0.8
    one, other = (gruvy("predict", out, s, "--json").json for s in (WITH, WITHOUT))
    assert (one["label"], other["label"]) == ("motif", "none")


def test_unknown_nucleotides_are_named_once_and_nothing_is_lost():
    done = gruvy("predict", classifier(), WITH.lower(), WITHOUT[:-2] + "!N", "ACGT!", "--json")
    assert len(done.out.splitlines()) == 3
    assert done.err.splitlines() == ["gruvy: no dna symbols, read as unknown: '!'"]


def test_fasta_files_are_a_class_each_and_are_asked_as_one(tmp_path):
    rows = sequences()
    files = []
    for label in ("motif", "none"):
        records = [(f"s{i} chr{i}", row["dna"]) for i, row in enumerate(rows) if row["label"] == label]
        files.append(write_fasta(tmp_path / f"{label}.fa", records))
    with small_recipe():
        done = gruvy("train", "classify", "--data", *files, "--out", tmp_path / "out", "--recipe", NAME)
    assert done.code == 0, done.err
    assert "labels are the files' names: motif, none" in done.err
    asked = gruvy("predict", tmp_path / "out", "--data", files[0], "--json")
    assert len(asked.out.splitlines()) == 60


def test_numbers_of_a_fasta_stand_in_a_table(tmp_path):
    rows = sequences()
    fasta = write_fasta(tmp_path / "all.fa", [(f"s{i}", row["dna"]) for i, row in enumerate(rows)])
    numbers = write_csv(tmp_path / "n.csv", [{"id": f"s{i}", "strength": row["number"]} for i, row in enumerate(rows)])
    with small_recipe():
        done = gruvy(
            "train", "regress", "--data", fasta, "--labels", numbers, "--target", "strength", "--out",
            tmp_path / "out", "--recipe", NAME, "--encoding", "k-mer", "--reverse-complement",
        )  # fmt: skip
    assert done.code == 0, done.err
    assert "k-mer ridge regression" in done.out


def test_a_fasta_without_labels_is_refused(tmp_path):
    fasta = write_fasta(tmp_path / "some.fa", [("a", WITH), ("b", WITHOUT)])
    said = refused("train", "classify", "--data", fasta, "--out", tmp_path / "out")
    assert "is a FASTA without labels to learn" in said


def test_a_column_of_text_is_refused(tmp_path):
    rows = [{"dna": f"this is no sequence at all {i}", "label": "ab"[i % 2]} for i in range(40)]
    said = refused(
        "train", "classify", "--data", write_csv(tmp_path / "t.csv", rows), "--sequence", "dna", "--out", tmp_path / "o"
    )
    assert "look like text" in said


def test_mutations_of_the_motif_change_most(tmp_path):
    out = tmp_path / "map.png"
    done = gruvy("mutate", classifier(), WITH, "--top", 5, "--out", out)
    assert done.code == 0, done.err
    first, _, header, *lines = done.out.splitlines()
    assert first.startswith("log-odds of 'motif': ")
    assert header.split() == ["position", "from", "to", "change"]
    start = WITH.index(MOTIF) + 1
    assert len(lines) == 5
    assert all(start <= int(line.split()[0]) < start + len(MOTIF) for line in lines)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_all_effects_come_as_json_and_the_map_lies_with_the_model(tmp_path):
    fasta = write_fasta(tmp_path / "one.fa", [("one", WITH)])
    found = gruvy("mutate", classifier(), "--data", fasta, "--label", "none", "--json").json
    assert found["sequence"] == WITH
    assert (len(found["effects"]), len(found["effects"][0])) == (len(WITH), 4)
    assert found["what"] == "log-odds of 'none'"
    assert (classifier() / "mutation.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "reads one sequence"),
        (["ACGT", "--top", "0"], "--top is 0"),
        (["ACGT", "--label", "exon"], "the model knows 'motif', 'none'"),
        (["ACGT", "--out", "/nowhere/map.png"], "cannot be written"),
        (["ACGT", "--data", "x.fa"], "reads one sequence"),
        (["--data", "gone.fa"], "no such file"),
    ],
)
def test_mistakes_are_said_in_a_sentence(arguments, said):
    assert said in refused("mutate", classifier(), *arguments)


def test_several_sequences_are_refused(tmp_path):
    fasta = write_fasta(tmp_path / "two.fa", [("a", WITH), ("b", WITHOUT)])
    assert "holds 2 sequences" in refused("mutate", classifier(), "--data", fasta)
