"""Steps as ids, and what is known of residues."""

import numpy as np
import pytest
from Bio.Align import substitution_matrices

from gruvy.data.residues import residue_vectors, substitutions
from gruvy.data.steps import SymbolInputs, WordInputs, load_inputs, seen
from gruvy.data.symbols import PADDING, UNKNOWN, Alphabet, UnknownSymbols
from gruvy.errors import BadInput

PROTEIN = Alphabet("protein", "ACDEFGHIKLMNPQRSTVWY")


def test_symbols_are_ids_of_the_alphabet():
    inputs = SymbolInputs.fit([list("MKVLAAGGHE"), list("CDEFGHIKLMNPQRSTVWY")])
    assert inputs.alphabet == PROTEIN
    encoded = inputs([list("MKV"), list("a")])
    assert encoded.lengths.tolist() == [3, 1]
    assert encoded[0][:, 0].tolist() == PROTEIN.encode("MKV").tolist()
    assert encoded[1].tolist() == [[PROTEIN.encode("A")[0]]]
    batch = inputs.collate(encoded, [1, 0])
    assert batch["lengths"].tolist() == [1, 3]
    assert batch["ids"][0, :, 0].tolist() == [PROTEIN.encode("A")[0], PADDING, PADDING]


def test_unknown_residues_are_told_once():
    inputs = SymbolInputs(PROTEIN)
    with pytest.warns(UnknownSymbols, match="read as unknown: '1', '9'") as told:
        encoded = inputs([list("M1V"), list("9K1")])
    assert len(told) == 1
    assert encoded[0][1, 0] == UNKNOWN


def test_characters_of_a_text_have_an_alphabet_too():
    inputs = SymbolInputs.fit([[chr(0x4E00 + i) for i in range(300)]])
    assert inputs.alphabet.kind == "symbols"
    assert inputs.ids == 302


def test_words_are_what_is_seen_of_them():
    inputs = WordInputs.fit([["Egbert", "sings"], ["Egbert", "swings"]], 1000)
    ids = inputs([["Egbert", "egbert", "springs"]])[0]
    assert ids.shape == (3, len(seen("")))
    assert ids[0, 0] == ids[1, 0] != UNKNOWN  # the word itself
    assert ids[0, -1] != ids[1, -1]  # its shape
    assert ids[2, 0] == UNKNOWN
    assert ids[2, seen("springs").index("end ings")] != UNKNOWN


def test_few_words_are_kept_where_few_may_be():
    assert WordInputs.fit([["a", "a", "b", "b", "c"]] * 2, 5).ids == 7


@pytest.mark.parametrize("inputs", [SymbolInputs(PROTEIN), WordInputs.fit([["Örtlich", "da"]] * 2, 100)])
def test_inputs_are_read_as_they_were_saved(tmp_path, inputs):
    inputs.save(tmp_path)
    again = load_inputs(tmp_path)
    assert (again.unit, again.ids) == (inputs.unit, inputs.ids)
    sequence = ["Örtlich", "dort"] if inputs.unit == "words" else list("MKV")
    assert (again([sequence])[0] == inputs([sequence])[0]).all()


def test_an_empty_sequence_is_refused():
    with pytest.raises(BadInput, match="sequence 2 of 2 is empty"):
        SymbolInputs(PROTEIN)([["M"], []])
    with pytest.raises(BadInput, match="sequence 1 of 1 is empty"):
        WordInputs([])([[]])


def test_substitutions_are_the_probabilities_the_matrix_was_made_from():
    likely = substitutions(PROTEIN)
    assert likely.shape == (len(PROTEIN), len(PROTEIN))
    assert (likely >= 0).all()
    np.testing.assert_allclose(likely.sum(1), 1, atol=1e-6)
    # Log-odds in half bits, with the frequencies that make the probabilities consistent, give the matrix back.
    matrix, inside = substitution_matrices.load("BLOSUM62"), likely[2:22, 2:22].astype(float)
    values, vectors = np.linalg.eig(inside.T)
    frequencies = np.real(vectors[:, np.argmax(np.real(values))])
    frequencies /= frequencies.sum()
    scores = 2 * np.log2(inside / frequencies)
    wanted = [[matrix[a][b] for b in PROTEIN.letters] for a in PROTEIN.letters]
    np.testing.assert_allclose(scores - np.diag(np.diag(scores)), wanted - np.diag(np.diag(wanted)), atol=0.2)
    assert 0.09 < frequencies[PROTEIN.letters.index("L")] + 0.02 < 0.13


def test_what_may_be_several_residues_lies_between_them():
    vectors = residue_vectors(PROTEIN)
    b, d, n = (PROTEIN.encode(letter)[0] for letter in "BDN")
    np.testing.assert_allclose(vectors[b], (vectors[d] + vectors[n]) / 2, atol=1e-6)
    assert (vectors[PADDING] == 0).all()
