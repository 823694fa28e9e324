"""Sequences as a modality: groups, inputs, settings, baselines."""

import numpy as np
import pytest
from tests.fixtures.sequence import SMALL, sequences

from gruvy.data.sequences import LongSequence, SequenceInputs
from gruvy.errors import BadInput
from gruvy.tasks.classify import Classify
from gruvy.tasks.modalities import sequence as modality
from gruvy.tasks.regress import Regress


def test_the_two_strands_of_one_sequence_are_a_group_and_proteins_have_one():
    assert modality.groups(["AACG", "aa cg", "CGTT", "AACC", "AACGA"]).tolist() == [0, 0, 0, 1, 2]
    protein = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    assert modality.groups([protein, protein[::-1]]).tolist() == [0, 1]


@pytest.mark.parametrize(("given", "said"), [(["AC", ""], "sequence 2 of 2 is empty"), (["AC", 3], "is a int")])
def test_what_is_no_sequence_is_refused(given, said):
    inputs = SequenceInputs.fit(["ACGT"], 100)
    for read in (inputs, modality.groups):
        with pytest.raises(BadInput, match=said):
            read(given)


def test_sequences_of_one_length_are_aligned():
    assert SequenceInputs.fit(["ACGT", "AC\nGT"], 100).positions == 4
    assert SequenceInputs.fit(["ACGT", "ACG"], 100).positions == 0
    assert SequenceInputs.fit(["ACGT"], 100).positions == 0


def test_inputs_are_saved_whole(tmp_path):
    inputs = SequenceInputs.fit(["ACGU", "NNGU"], 100)
    inputs.save(tmp_path)
    again = modality.load_inputs(tmp_path, SMALL)
    assert (again.alphabet, again.steps, again.aligned) == (inputs.alphabet, 4, True)
    (tmp_path / "inputs.json").write_text('{"alphabet": {"kind": "runes", "letters": "x"}}')
    with pytest.raises(BadInput, match="damaged"):
        modality.load_inputs(tmp_path, SMALL)


def test_of_a_long_sequence_the_network_reads_both_ends_and_the_kmers_all():
    inputs = SequenceInputs.fit(["ACGT"], 10)
    with pytest.warns(LongSequence, match="has 30 symbols; the network reads the first and the last 5"):
        encoded = inputs(["A" * 10 + "C" * 10 + "G" * 10])
    batch = inputs.collate(encoded, [0])
    assert inputs.alphabet.decode(batch["ids"][0].numpy()) == "AAAAAGGGGG"
    assert batch["tokens"].lengths.tolist() == [30]


def test_settings_change_the_recipe():
    settings = {"encoding": "k-mer", "front": "none", "reverse_complement": True}
    recipe = modality.with_settings(SMALL, settings)
    assert (recipe.encoding, recipe.front, recipe.reverse_complement) == ("k-mer", "none", True)
    assert modality.with_settings(SMALL, {"encoding": None, "reverse_complement": False}) == SMALL


@pytest.mark.parametrize(("task", "role"), [(Classify, "label"), (Regress, "number")])
def test_the_baseline_tells_which_kmers_go_with_which_target(task, role):
    rows = sequences(200)
    targets = [row[role] if task is Classify else float(row[role]) for row in rows]
    made = task.fit(targets, {})
    encoded = made.encode(targets, range(200))
    given = [row["dna"] for row in rows]
    ((name, estimator),) = modality.baselines(modality.fit_inputs(given, SMALL), made).items()
    estimator.fit(given[:150], encoded[:150].numpy())
    outputs = made.estimator_outputs(estimator, given[150:])
    chance = made.scores(made.constant_outputs(50), encoded[150:]).mean()
    assert name == f"k-mer {made.estimator_name}"
    assert made.scores(outputs, encoded[150:]).mean() > chance + 0.1 * abs(chance)


def test_epochs_count_what_a_member_reads():
    lengths = np.full(6400, 100)
    assert SMALL.batch_for(6400) == 2 * 16
    assert SMALL.batch_for(20) == 2 * 8
    assert SMALL.epochs(lengths) == 3
