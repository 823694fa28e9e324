"""Models of sequences: padding, strands and codes; members that read their share; k-mers counted exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gruvy.cells import CATALOGUE, cell, relu
from gruvy.data.sequences import SequenceInputs
from gruvy.data.symbols import Alphabet
from gruvy.errors import BadInput
from gruvy.models import kmers
from gruvy.models.kmers import KmerSequence
from gruvy.models.sequence import BOTH, KMERS, RECURRENT, SequenceModel, SymbolVectors, sequence_model

DNA = Alphabet("dna", "ACGT")
PROTEIN = Alphabet("protein", "ACDEFGHIKLMNPQRSTVWY")
SEQUENCES = ["ACGTTGCANNRY", "G", "ACG", "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTA"]


@cell(cite="invented for the tests", sizes={"x": "H"})
def adding(x, h, U):
    """Adds its input to its state."""
    return 0.5 * h + relu(U.h(h)) + x


@cell(cite="invented for the tests")
def two_inputs(x, a, /, h, W, V, U):
    """Reads two inputs."""
    return relu(W.h(x) + V.h(a) + U.h(h))


def model(alphabet=DNA, steps=60, aligned=False, **changes) -> SequenceModel:
    options = {
        "encoding": "one-hot", "front": "conv", "hidden_size": 6, "num_layers": 1, "bidirectional": True,
        "pooling": ("max", "mean"), "mutation": 0.3, "locked_dropout": 0.3, "dropout": 0.3, "members": 2,
        "reverse_complement": False, "kmers": False, "engine": "auto", **changes,
    }  # fmt: skip
    torch.manual_seed(0)
    return sequence_model(alphabet, steps, aligned, 2, options.pop("cell", CATALOGUE["gru"]), **options).eval()


def batch(sequences, alphabet=DNA):
    inputs = SequenceInputs(alphabet, 0, False, 1000)
    encoded = inputs(sequences)
    return inputs.collate(encoded, range(len(encoded)))


@pytest.mark.parametrize(
    "options",
    [{}, {"encoding": "k-mer"}, {"encoding": "learned"}, {"front": "none"}, {"front": "none", "encoding": "k-mer"},
     {"aligned": True}, {"reverse_complement": True}, {"num_layers": 2, "bidirectional": False},
     {"cell": CATALOGUE["lstm"]}, {"cell": adding}, {"engine": "eager", "cell": CATALOGUE["mgu"]}],
    ids=str,
)  # fmt: skip
def test_a_batch_gives_what_its_sequences_give_alone(options):
    network = model(**options).network
    together = network(batch(SEQUENCES))
    for row, sequence in zip(together, SEQUENCES, strict=True):
        torch.testing.assert_close(row, network(batch([sequence]))[0])


@settings(max_examples=30)
@given(st.text("ACGTRYSWKMBDHVN", min_size=1, max_size=70))
def test_with_both_strands_a_sequence_and_its_reverse_complement_give_the_same(sequence):
    network = model(reverse_complement=True).network
    other = DNA.decode(DNA.complement[DNA.encode(sequence)][::-1])
    torch.testing.assert_close(network(batch([sequence])), network(batch([other])))


def test_with_one_strand_they_differ():
    network = model().network
    assert not torch.allclose(network(batch(["AACCCGTA"])), network(batch(["TACGGGTT"])))


@pytest.mark.parametrize(("alphabet", "k"), [(DNA, 3), (PROTEIN, 2), (Alphabet("symbols", "HE"), 3)])
def test_kmers_are_products_of_the_letters(alphabet, k):
    vectors = SymbolVectors(alphabet, "k-mer")
    letters = alphabet.letters
    sequence = letters[1] * 2 + letters[0] * 3
    found = vectors(torch.from_numpy(alphabet.encode(sequence))[None])[0]
    assert found.shape == (5, len(letters) ** k) == (5, vectors.size)
    for at in range(5 - k + 1):
        place = sum(letters.index(s) * len(letters) ** (k - 1 - i) for i, s in enumerate(sequence[at : at + k]))
        assert found[at].nonzero().tolist() == [[place]]


def test_an_ambiguous_symbol_is_its_letters_in_equal_parts():
    vectors = SymbolVectors(DNA, "learned")
    purine, adenine, guanine = (vectors(torch.from_numpy(DNA.encode(s))[None]) for s in "RAG")
    torch.testing.assert_close(purine, (adenine + guanine) / 2)


def test_each_member_learns_from_its_share_of_a_batch_only():
    network = model(members=3, mutation=0.0).network.train()
    given = batch(["ACGTACGTAC" * 3] * 2)
    network(given).sum().backward()
    trained = [any(p.grad is not None for p in member.parameters()) for member in network.members]
    assert sum(trained) == 2


def test_in_training_every_row_gets_its_own_answer():
    network = model(members=2, mutation=0.0, locked_dropout=0.0, dropout=0.0).network
    for member in network.members[1:]:
        member.load_state_dict(network.members[0].state_dict())
    given = batch(SEQUENCES)
    expected = network(given)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    torch.testing.assert_close(network(given), expected)


def test_mutation_changes_letters_in_training_and_never_padding():
    member = model(mutation=0.5).network.members[0].train()
    ids = batch(["A" * 50, "A"])["ids"]
    changed = member._mutated(ids)
    assert (changed[0] != ids[0]).any()
    assert (changed[1, 1:] == 0).all()
    assert set(changed[0].tolist()) <= {2, 3, 4, 5}
    assert torch.equal(member.eval()._mutated(ids), ids)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alphabet": PROTEIN, "reverse_complement": True}, "needs DNA or RNA"),
        ({"encoding": "words"}, "expected one of one-hot"),
        ({"front": "pool"}, "expected one of conv"),
        ({"cell": two_inputs}, "feeds one input"),
        ({"cell": adding, "front": "none"}, "use --front conv"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, said):
    with pytest.raises(BadInput, match=said):
        model(**changes)


def counted(sequence, longest):
    return {sequence[i : i + k] for k in range(1, longest + 1) for i in range(len(sequence) - k + 1)}


@given(st.lists(st.text("ACGT", min_size=1, max_size=12), min_size=3, max_size=6))
def test_a_kmer_counts_where_two_sequences_hold_it(sequences):
    branch = KmerSequence(len(DNA), 4, 0, 1, None)
    given = batch(sequences)["tokens"]
    held = [counted(s, branch.longest) for s in sequences]
    shared = {kmer for one in held for kmer in one if sum(kmer in other for other in held) >= 2}
    assert len(branch._common_keys(given)) == len(shared)


def test_sequences_are_counted_in_parts_as_they_are_at_once(monkeypatch):
    tokens = batch(SEQUENCES * 3)["tokens"]
    branch = KmerSequence(len(DNA), 4, 20, 1, None)
    branch.keys = torch.from_numpy(branch._common_keys(tokens))
    rows = branch._rows(tokens).toarray()
    monkeypatch.setattr(kmers, "_AT_ONCE", 15)
    np.testing.assert_array_equal(branch._common_keys(tokens), branch.keys.numpy())
    np.testing.assert_array_equal(branch._rows(tokens).toarray(), rows)


def test_both_strands_count_alike():
    branch = KmerSequence(len(DNA), 4, 0, 1, DNA.complement)
    keys = [branch._features(batch([s])["tokens"])[1].tolist() for s in ("AACCCGTA", "TACGGGTT")]
    assert keys[0] == keys[1]


def mse(outputs, targets):
    return F.mse_loss(outputs[:, 0], targets)


def test_places_count_where_sequences_are_aligned_and_that_helps():
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.permutation(list("AACCGGTT"))) for _ in range(200)]
    targets = torch.tensor([float(s[3] == "A") for s in sequences])
    tokens = batch(sequences)["tokens"]
    train, held = (tokens.take(range(150)), targets[:150]), (tokens.take(range(150, 200)), targets[150:])
    errors = {}
    for positions in (0, 8):
        branch = KmerSequence(len(DNA), 4, positions, 1, None)
        branch.fit(train, held, mse)
        errors[positions] = mse(branch(held[0]), held[1]).item()
    assert errors[8] < 0.02 < errors[0]


def test_branches_are_weighed_by_how_right_they_are():
    made = model(kmers=True)
    tokens = batch(SEQUENCES)["tokens"]
    targets = torch.tensor([0.0, 1.0, 0.0, 1.0])
    made.prepare((tokens, targets), (tokens, targets), mse, 0)
    assert set(made.branches(batch(SEQUENCES))) == {RECURRENT, KMERS, BOTH}
    right, noise = (values.repeat(10)[:, None] for values in (targets, torch.tensor([3.0, -2.0, -4.0, 5.0])))
    made.finish({RECURRENT: noise, KMERS: right}, targets.repeat(10), mse)
    torch.testing.assert_close(made.weighing.weights.detach(), torch.tensor([0.0, 1.0]), atol=0.02, rtol=0)
    assert made.answer == BOTH


def test_too_few_rows_weigh_nothing():
    made = model(kmers=True)
    made.finish({RECURRENT: torch.zeros(3, 1), KMERS: torch.ones(3, 1)}, torch.ones(3), mse)
    assert made.weighing.weights.tolist() == [0.5, 0.5]
