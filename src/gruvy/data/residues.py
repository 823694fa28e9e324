"""What is known of amino acids: how alike they are, by how often one takes another's place in related proteins."""

from __future__ import annotations

import numpy as np

from gruvy.data.symbols import Alphabet

_HALF_BITS = 3.0  # of a score; brings the matrix to about the size of a one-hot vector
_ONE_HOT = 2.0


def residue_vectors(alphabet: Alphabet) -> np.ndarray:
    """A vector for each id of a protein alphabet, float32 `(ids, 40)`: which residue it is, beside its row of BLOSUM62
    (Henikoff & Henikoff 1992)."""
    rows = np.concatenate([_ONE_HOT * np.eye(len(alphabet.letters)), _scores(alphabet.letters) / _HALF_BITS], axis=1)
    found: np.ndarray = (alphabet.vectors @ rows).astype(np.float32)
    return found


def substitutions(alphabet: Alphabet) -> np.ndarray:
    """How likely a residue is to stand in another's place, itself included, float32 `(ids, ids)`, rows sum to 1.

    A score of BLOSUM62 is twice the logarithm (to base 2) of how much likelier a pair is in related proteins than by
    chance; with the frequencies of residues, which follow from the scores, that is a probability. Ids that are no
    single residue stay as they are.
    """
    odds = 2 ** (_scores(alphabet.letters) / 2)
    pairs = odds * np.linalg.solve(odds, np.ones(len(odds)))
    likely = np.eye(len(alphabet), dtype=np.float32)
    first = 2  # after padding and unknown
    last = first + len(alphabet.letters)
    likely[first:last, first:last] = pairs / pairs.sum(1, keepdims=True)
    return likely


def _scores(letters: str) -> np.ndarray:
    from Bio.Align import substitution_matrices

    matrix = substitution_matrices.load("BLOSUM62")
    return np.array([[matrix[a][b] for b in letters] for a in letters])
