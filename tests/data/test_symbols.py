"""Alphabets: what kind of symbols a column holds, their ids, and what ambiguous ones stand for."""

import numpy as np
import pytest
from Bio.Data.IUPACData import ambiguous_dna_complement, ambiguous_dna_values
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data.symbols import UNKNOWN, Alphabet, UnknownSymbols
from gruvy.errors import BadInput

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"


@pytest.mark.parametrize(
    ("sequences", "kind"),
    [
        (["ACGTTGCA", "ggcctaNNNn"], "dna"),
        (["ACGUUGCA", "GGCCUA"], "rna"),
        ([PROTEIN, "GSHMXX"], "protein"),
        (["CCHHHHTTEEBGIS"], "symbols"),
        (["((..))", "(())"], "symbols"),
        (["abab", "ba"], "symbols"),
        (["AC\nGT  AC\r\nGT"], "dna"),
    ],
)
def test_the_kind_is_told_from_the_sequences(sequences, kind):
    assert Alphabet.fit(sequences).kind == kind


def test_codes_mean_what_biopython_says():
    alphabet = Alphabet("dna", "ACGT")
    for code, letters in ambiguous_dna_values.items():
        if code in alphabet.symbols:
            vector = alphabet.vectors[alphabet.encode(code)[0]]
            expected = [(letter in letters) / len(letters) for letter in "ACGT"]
            np.testing.assert_allclose(vector, expected, rtol=1e-6)
            other = alphabet.decode(alphabet.complement[alphabet.encode(code)])
            assert other in ("A" if code == "U" else ambiguous_dna_complement[code], "N")


@given(st.text("ACGTRYSWKMBDHVN-.", max_size=30), st.sampled_from(["dna", "rna"]))
def test_the_complement_of_the_complement_is_the_sequence(sequence, kind):
    alphabet = Alphabet.fit(["A"], kind)
    ids = alphabet.encode(sequence)
    vectors = alphabet.vectors[ids]
    np.testing.assert_array_equal(alphabet.vectors[alphabet.complement[alphabet.complement[ids]]], vectors)
    np.testing.assert_array_equal(alphabet.vectors[alphabet.complement[ids]], vectors[:, ::-1])


def test_case_and_white_space_do_not_count_in_biological_sequences_and_case_does_elsewhere():
    dna = Alphabet.fit(["ACGT"])
    np.testing.assert_array_equal(dna.encode(" ac\ngT\t"), dna.encode("ACGT"))
    other = Alphabet.fit(["aAbB"])
    assert len(set(other.encode("aAbB"))) == 4


def test_gaps_stand_for_nothing_and_unknown_symbols_for_anything():
    alphabet = Alphabet.fit([PROTEIN])
    assert alphabet.vectors[alphabet.encode("-")].sum() == 0
    np.testing.assert_allclose(alphabet.vectors[[UNKNOWN]].sum(1), 1)
    np.testing.assert_allclose(alphabet.vectors[alphabet.encode("BZJXUO")].sum(1), 1, rtol=1e-6)


def test_one_warning_names_all_unknown_symbols():
    with pytest.warns(UnknownSymbols) as caught:
        first, second = Alphabet.fit(["ACGT"]).encode_all(["AC!T", "é?"])
    assert [str(w.message) for w in caught] == ["no dna symbols, read as unknown: '!', '?', 'é'"]
    assert first.tolist() == [2, 3, UNKNOWN, 5]
    assert second.tolist() == [UNKNOWN, UNKNOWN]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Zs", "Cc"]), min_size=1, max_size=8), min_size=1, max_size=5)
)
def test_any_letters_are_learned_as_they_stand(sequences):
    alphabet = Alphabet.fit(sequences, "symbols")
    again = Alphabet.from_json(alphabet.to_json())
    for sequence in sequences:
        expected = "".join(sequence.split())
        assert alphabet.decode(alphabet.encode(sequence)) == expected == again.decode(again.encode(sequence))


@pytest.mark.parametrize("sequences", [["the quick brown fox jumps", "over the lazy dog"], [" ", "\n"], []])
def test_what_is_no_sequence_is_refused(sequences):
    with pytest.raises(BadInput, match=r"look like text|are empty"):
        Alphabet.fit(sequences)
