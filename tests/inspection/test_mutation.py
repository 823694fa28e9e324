"""In-silico mutation: effects are what the model says of each mutant."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from gruvy.artefact import Trained
from gruvy.cells import CATALOGUE
from gruvy.data.sequences import SequenceInputs
from gruvy.errors import BadInput
from gruvy.inspection.mutation import mutation_map, mutation_picture
from gruvy.tasks.classify import Classify
from gruvy.tasks.modalities import sequence as modality
from gruvy.tasks.recipes.sequence import SequenceRecipe
from gruvy.tasks.regress import Regress


def trained(task) -> Trained:
    torch.manual_seed(0)
    recipe = SequenceRecipe(hidden_size=6, members=2, kmers=False, max_symbols=100)
    inputs = SequenceInputs.fit(["ACGTACGTAC", "CCCGGGTTTA"], recipe.max_symbols)
    model = modality.build_model(inputs, task.output_size, recipe, CATALOGUE["gru"], "auto").eval()
    return Trained(task, "sequence", inputs, model, recipe, CATALOGUE["gru"], "auto", {})


CLASSES = Classify(("coding", "intron", "other"), (0.4, 0.3, 0.3))
NUMBERS = Regress(mean=3.0, scale=5.0)


@pytest.mark.parametrize("task", [CLASSES, NUMBERS], ids=["classify", "regress"])
def test_effects_are_those_of_the_mutants_one_by_one(task):
    model, sequence = trained(task), "ACGNT"
    found = mutation_map(model, sequence.lower(), "intron" if task is CLASSES else None)
    assert found.sequence == sequence

    def score(one):
        answer = model.predict(one)
        if task is NUMBERS:
            return answer["value"]
        p = answer["probabilities"]["intron"]
        return np.log(p / (1 - p))

    assert found.score == pytest.approx(score(sequence), abs=1e-5)
    for at, own in enumerate(sequence):
        for to, letter in enumerate("ACGT"):
            mutant = sequence[:at] + letter + sequence[at + 1 :]
            expected = score(mutant) - score(sequence)
            assert found.effects[at, to] == (0 if letter == own else pytest.approx(expected, abs=1e-4))


def test_the_strongest_come_first_and_none_keeps_its_letter():
    found = mutation_map(trained(CLASSES), "ACGTTGCA")
    rows = found.strongest(100)
    assert len(rows) == 8 * 3
    assert all(row["from"] != row["to"] for row in rows)
    changes = [abs(row["change"]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    best = rows[0]
    assert found.effects[best["position"] - 1, found.letters.index(best["to"])] == best["change"]


def test_importance_is_minus_the_mean_change():
    found = mutation_map(trained(CLASSES), "ACN")
    np.testing.assert_allclose(found.importance, -found.effects.sum(1) / [3, 3, 4])


@pytest.mark.parametrize("length", [1, 60, 61])
def test_the_picture_is_drawn(tmp_path, length):
    file = tmp_path / "map.png"
    file.write_bytes(mutation_picture(mutation_map(trained(NUMBERS), "G" * length)))
    assert imread(file).std() > 0


def test_what_cannot_be_mutated_is_refused():
    model = trained(CLASSES)
    for sequence, label, said in [
        ("", None, "is empty"), ("A" * 101, None, "not read whole"), ("ACGT", "exon", "'coding', 'intron', 'other'"),
    ]:  # fmt: skip
        with pytest.raises(BadInput, match=said), pytest.warns() if len(sequence) > 100 else nullcontext():
            mutation_map(model, sequence, label)
    with pytest.raises(BadInput, match="gives numbers, no labels"):
        mutation_map(trained(NUMBERS), "ACGT", "coding")
    with pytest.raises(BadInput, match="this model is none"):
        mutation_map(SimpleNamespace(kind="text", modality=SimpleNamespace(WHAT="texts")), "ACGT")  # type: ignore[arg-type]
