"""FASTA files: records as Biopython reads them, and where labels come from."""

import gzip

import numpy as np
import pytest
from Bio import SeqIO
from tests.fixtures.sequence import write_fasta

from gruvy.data.fasta import is_fasta, read_fasta, read_labelled
from gruvy.errors import BadInput

RECORDS = [("one first record", "ACGT" * 20), ("two", "ggNcca"), ("three x", "T")]


@pytest.fixture
def fasta(tmp_path):
    return write_fasta(tmp_path / "some.fa", RECORDS)


def test_records_are_those_of_biopython(fasta):
    names, sequences = read_fasta(fasta)
    with fasta.open() as stream:
        records = list(SeqIO.parse(stream, "fasta"))
    assert names == [record.id for record in records]
    assert sequences == [str(record.seq) for record in records]


def test_a_compressed_file_and_other_line_ends_read_the_same(fasta, tmp_path):
    text = fasta.read_bytes()
    packed = tmp_path / "some.fasta.gz"
    packed.write_bytes(gzip.compress(b"\n" + text.replace(b"\n", b"\r\n")))
    assert read_fasta(packed) == read_fasta(fasta)


def test_fasta_is_known_by_its_name_or_its_beginning(fasta, tmp_path):
    text = tmp_path / "promoters.txt"
    text.write_bytes(fasta.read_bytes())
    prose = tmp_path / "prose.txt"
    prose.write_text("once > upon")
    assert [is_fasta(p) for p in (fasta, text, "gone.fna", prose, "gone.txt", "rows.csv")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_several_files_are_a_class_each(tmp_path):
    files = [write_fasta(tmp_path / f"{name}.cv.fa", RECORDS) for name in ("promoter", "other")]
    found = read_labelled(files)
    assert found.targets == ["promoter"] * 3 + ["other"] * 3
    assert "promoter, other" in found.note


@pytest.mark.parametrize("header", ["s{i} label={y} and more", "s{i}|x|{y}", "s{i} some {y}", "s{i} [Class = {y}]"])
def test_labels_stand_in_headers(tmp_path, header):
    labels = ["a", "b", "a", "b"]
    file = write_fasta(tmp_path / "s.fa", [(header.format(i=i, y=y), "ACGT") for i, y in enumerate(labels)])
    assert read_labelled([file]).targets == labels


def test_numbers_stand_in_headers(tmp_path):
    file = write_fasta(tmp_path / "s.fa", [(f"s{i} {i / 2}", "ACGT") for i in range(4)])
    np.testing.assert_array_equal(read_labelled([file], kind="number").targets, [0, 0.5, 1, 1.5])


@pytest.mark.parametrize("columns", ["id,label", "name,class", "header,kind"])
def test_labels_stand_in_a_table(fasta, tmp_path, columns):
    table = tmp_path / "labels.csv"
    table.write_text(f"{columns}\nthree,c\none,a\n>two,b\nfour,d\n")
    assert read_labelled([fasta], table).targets == ["a", "b", "c"]


def test_numbers_stand_in_a_table(fasta, tmp_path):
    table = tmp_path / "numbers.tsv"
    table.write_text("strength\tid\tnote\n3\tthree\tx\n1\tone\tx\n2\ttwo\tx\n")
    found = read_labelled([fasta], table, kind="number", target="strength")
    np.testing.assert_array_equal(found.targets, [1, 2, 3])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not begin with >"),
        ("ACGT\n>a\nAC", "does not begin with >"),
        (">a\nAC\n>b\n>c\nGG", "record 2, '>b', has no sequence"),
        (">a\n", "record 1, '>a', has no sequence"),
        (">chr1_17\nAC\n>chr2_19\nGT\n", "FASTA without labels to learn, such as '>chr1_17'"),
        (">sp|P1|X\nAC\n>sp|P2|Y\nGT\n", "FASTA without labels"),
        (">a label=x\nAC\n>b\nGT\n", "'>b' has no label="),
    ],
)
def test_a_fasta_that_cannot_be_learned_from_is_refused(tmp_path, content, said):
    file = tmp_path / "broken.fa"
    file.write_text(content)
    with pytest.raises(BadInput, match=said):
        read_labelled([file])


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "image.fa").write_bytes(b"\x89PNG\xff\xfe")
    (tmp_path / "cut.fa.gz").write_bytes(gzip.compress(b">a\nACGT\n" * 99)[:-9])
    for name, said in [("gone.fa", "no such file"), ("image.fa", "not text"), ("cut.fa.gz", "complete gzip")]:
        with pytest.raises(BadInput, match=said):
            read_fasta(tmp_path / name)


@pytest.mark.parametrize(
    ("rows", "records", "said"),
    [
        ("one,a\ntwo,b\n", RECORDS, "no row for 'three'"),
        ("one,a\none,b\n", RECORDS, "'one' stands in several rows"),
        ("one,a\n", [*RECORDS, ("one again", "AC")], "several sequences are called 'one'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, rows, records, said):
    table = tmp_path / "labels.csv"
    table.write_text("id,label\n" + rows)
    with pytest.raises(BadInput, match=said):
        read_labelled([write_fasta(tmp_path / "some.fa", records)], table)
