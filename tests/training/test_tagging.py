"""Trainings on tagged sequences: what is learned from, validated and judged on, and what is written."""

import json

import numpy as np
import pytest
import torch
from tests.fixtures import small
from tests.fixtures.tagged import QUICK, names, request, sentences, small_recipe, switched, table, trained

import gruvy
from gruvy.data.steps import StepIds, collated
from gruvy.errors import BadInput
from gruvy.tasks.recipes import recipe
from gruvy.training.tagging import TaggedRows, TagStudy

COLUMNS = {"sequence": "made", "tags": "state", "mask": "counts"}


@pytest.fixture(autouse=True)
def quick():
    with small_recipe(**QUICK):
        yield


def study(folder, data=None, **changes):
    return TagStudy(request(folder / "out", data or table(), **{"columns": COLUMNS, **changes}))


def test_what_windows_cannot_see_is_learned():
    outcome = trained("symbols")[1]
    model, windows = outcome.measured["metrics"], outcome.measured["baseline"]
    assert model["accuracy"] > 0.97
    assert model["accuracy"] > windows["accuracy"]
    assert outcome.measured["best_baseline"] == "windowed logistic regression"
    assert set(outcome.measured["baselines"]) == {"windowed logistic regression", "most frequent tag"}
    assert len(outcome.measured["history"]) == 2  # members
    for said in ("test part: 24 sequences", "windowed logistic regression", "paired bootstrap of the sequences"):
        assert said in outcome.printed


def test_an_artefact_is_whole_and_says_which_rows_were_tested():
    out, outcome = trained("symbols")
    assert {p.name for p in out.iterdir()} == {
        "config.json", "model.safetensors", "inputs.json", "split.json", "metrics.json", "training.png", "README.md",
        "hashes.json",
    }  # fmt: skip
    rows = json.loads((out / "split.json").read_text())["rows"]
    assert sorted(rows["train"] + rows["test"]) == list(range(1, 121))
    model = gruvy.load(out)
    part = [switched()[i - 1] for i in rows["test"]]
    right = counted = 0
    for one, said in zip(part, model.predict([one["made"] for one in part]), strict=True):
        for wanted, tag, counts in zip(one["state"], said["tags"], one["counts"], strict=True):
            right, counted = right + (wanted == tag) * (counts == "1"), counted + (counts == "1")
    assert right / counted == pytest.approx(outcome.measured["metrics"]["accuracy"])
    assert counted == outcome.measured["steps"]


def test_the_folds_of_all_commands_together_test_each_row_once(tmp_path):
    tested = [study(tmp_path, settings={"fold": f"{k}/4"}).parts["test"].rows for k in range(1, 5)]
    assert np.sort(np.concatenate(tested)).tolist() == list(range(1, 121))


def test_groups_and_equal_sequences_are_never_in_two_parts(tmp_path):
    records = switched(60)
    records += [{**one, "who": "w99"} for one in records[:10]]
    path = small.write_csv(tmp_path / "a.csv", records)
    made = study(tmp_path, path, columns={**COLUMNS, "group": "who"})
    train, test = made.parts["train"], made.parts["test"]
    assert not set(train.groups) & set(test.groups)
    assert not {"".join(one) for one in train.sequences} & {"".join(one) for one in test.sequences}


def test_members_are_each_validated_on_other_sequences(tmp_path):
    with small_recipe(members=3):
        made = study(tmp_path)
        made.learn()
        fits = made.fits(made.build())
    parts = [{one.tobytes() for one in fit.validation.encoded.sequences} for fit in fits]
    assert len(fits) == 3
    assert not (parts[0] & parts[1])
    assert not (parts[1] & parts[2])
    assert not (parts[0] & parts[2])
    for fit, part in zip(fits, parts, strict=True):
        assert not {one.tobytes() for one in fit.train.encoded.sequences} & part
        assert len(fit.train) + len(fit.validation) == len(made.parts["train"])


def test_many_sequences_need_one_member(tmp_path):
    with small_recipe(members=3, few=50):
        assert study(tmp_path).recipe.members == 1


def test_files_to_validate_and_to_judge_on(tmp_path):
    paths = {}
    for seed, name in enumerate(("valid", "test")):
        paths[name] = small.write_csv(tmp_path / f"{name}.csv", switched(20, seed + 5))
    made = study(tmp_path, settings={name: str(path) for name, path in paths.items()})
    assert {name: len(part) for name, part in made.parts.items()} == {"train": 120, "validation": 20, "test": 20}
    assert made.recipe.members == 1
    one = study(tmp_path, settings={"test": str(paths["test"])})
    assert {name: len(part) for name, part in one.parts.items()} == {"train": 120, "test": 20}


def test_sequences_of_which_no_step_counts_are_left_out_of_the_training(tmp_path):
    records = [{**one, "counts": "0" * len(one["made"])} if i % 3 == 0 else one for i, one in enumerate(switched(60))]
    made = study(tmp_path, small.write_csv(tmp_path / "a.csv", records))
    assert all(one.any() for one in made.parts["train"].counted)
    assert len(made.parts["test"]) == 12


def test_batches_hold_every_row_once_and_the_tags_that_count():
    rng = np.random.default_rng(0)
    tags = [rng.integers(-1, 3, n) for n in rng.integers(1, 30, 50)]
    encoded = StepIds([np.full((len(one), 1), i) for i, one in enumerate(tags)])
    rows = TaggedRows(encoded, tags, collated)
    for seed, epoch in ((None, 0), (1, 0), (1, 1)):
        batches = list(rows.batches(8, seed, epoch))
        assert sorted(torch.cat([batch["ids"][:, 0, 0] for batch in batches]).tolist()) == list(range(50))
        for batch in batches:
            for row, i in enumerate(batch["ids"][:, 0, 0].tolist()):
                assert batch["tags"][row, : len(tags[i])].tolist() == tags[i].tolist()
                assert (batch["tags"][row, len(tags[i]) :] == -1).all()
            assert batch["targets"].tolist() == batch["tags"][batch["tags"] >= 0].tolist()
    assert len(rows.batches(8, 1, 0, most=3)) == 3


def test_the_same_request_gives_the_same_model(tmp_path):
    weights = []
    for name in ("a", "b"):
        small.train(request(tmp_path / name, table(), columns=COLUMNS))
        weights.append(gruvy.load(tmp_path / name).model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


@pytest.mark.parametrize("name", ["default", "small"])
def test_recipes_stay_within_their_bounds(name):
    made = recipe("steps", name)
    for rows in (1, 10, 300, 20_000):
        lengths = np.full(rows, 200)
        assert made.min_epochs <= made.epochs(lengths) <= made.max_epochs
        assert 4 <= made.batch_for(rows) <= made.batch_size


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"fold": "1/500"}}, "500 folds were asked for, and there are"),
        ({"settings": {"fold": "0/5"}}, "K-th of N folds"),
        ({"settings": {"fold": "1/5", "test": "x"}}, "--fold and --test are both given"),
        ({"data": None}, "gruvy train tag needs data"),
        ({"columns": {"sequence": "made"}}, "holds the tags. give --tags COLUMN"),
        ({"columns": {**COLUMNS, "tags": "stat"}}, "did you mean 'state'"),
        ({"columns": {**COLUMNS, "tags": "who"}}, "steps and 2 in the tags"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, changes, said):
    from dataclasses import replace

    wanted = replace(request(tmp_path / "out", table(), columns=COLUMNS), **changes)
    with pytest.raises(BadInput, match=said):
        small.train(wanted)
    assert not (tmp_path / "out").exists()


def test_too_few_sequences_are_refused(tmp_path):
    path = small.write_csv(tmp_path / "a.csv", switched(2))
    with pytest.raises(BadInput, match="at least 3 different inputs"):
        study(tmp_path, path)
    one = small.write_csv(tmp_path / "b.csv", switched(1))
    with pytest.raises(BadInput, match=r"too few different sequences with a step that counts \(1\)"):
        study(tmp_path, one, settings={"test": str(table())})


def test_a_mask_that_leaves_nothing_is_refused(tmp_path):
    records = [{**one, "counts": "0" * len(one["made"])} for one in switched(20)]
    path = small.write_csv(tmp_path / "a.csv", records)
    with pytest.raises(BadInput, match="no step of the test part counts"):
        study(tmp_path, path)
    with pytest.raises(BadInput, match=r"too few different sequences with a step that counts \(0\)"):
        study(tmp_path, path, settings={"test": str(table())})


def test_a_file_to_validate_on_with_other_tags_is_refused(tmp_path):
    strange = [{**one, "state": one["state"].replace("U", "Q").replace("D", "P")} for one in switched(5)]
    valid = small.write_csv(tmp_path / "v.csv", [*strange])
    with pytest.raises(BadInput, match="has a tag of the training"):
        study(tmp_path, settings={"valid": str(valid)})
    some = small.write_csv(tmp_path / "w.csv", [*strange, *switched(3, 4)])
    made = study(tmp_path, settings={"valid": str(some)})
    made.learn()
    (fit,) = made.fits(made.build())
    assert len(fit.validation) == 3


@pytest.mark.parametrize("letters", ["ACGT", "ACDEFGHIKLMNPQRSTVWY", "xyz"])
def test_nucleotides_residues_and_any_symbols_are_read(tmp_path, letters):
    rng = np.random.default_rng(0)
    made = ["".join(rng.choice(list(letters), 30)) for _ in range(20)]
    records = [{"made": one, "state": "".join("U" if c in letters[::2] else "D" for c in one)} for one in made]
    path = small.write_csv(tmp_path / "a.csv", records)
    small.train(request(tmp_path / "out", path, columns={"sequence": "made", "tags": "state"}))
    model = gruvy.load(tmp_path / "out")
    assert model.inputs.alphabet.kind == {4: "dna", 20: "protein", 3: "symbols"}[len(letters)]
    assert len(model.predict(made[0])["tags"]) == 30


def test_sentences_are_learned_with_and_without_a_random_field():
    for kind in ("words", "field"):
        measured = trained(kind)[1].measured["metrics"]
        assert measured["entity_f1"] > 0.95, kind
    assert len(sentences()) == json.loads((trained("words")[0] / "metrics.json").read_text())["n"] * 5
    assert names().is_file()
