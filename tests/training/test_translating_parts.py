"""Pairs of texts in parts: by their shares, from files of their own, and whole conversations together."""

import pytest
from tests.fixtures import small
from tests.fixtures.pairs import (
    QUICK,
    SIDES,
    TALKING,
    figures,
    files,
    pairs,
    parts,
    request,
    small_recipe,
    table,
    talks,
    talks_file,
    unseen,
    write,
)
from tests.fixtures.small import strict_json, train, write_csv

import gruvy
from gruvy.training import report, translating

LENGTHS = {"train": 432, "validation": 24, "test": 24}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def read(folder, name):
    return strict_json((folder / name).read_text())


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    """Without pictures, which take most of the time of the shortest trainings."""
    monkeypatch.setattr(report, "training_curve", lambda history: b"")
    monkeypatch.setattr(translating, "attention_picture", lambda attended: b"")
    with small_recipe(**QUICK):
        yield


# Parts


def test_equal_sources_are_in_one_part_and_every_pair_is_in_one():
    made = [(source.upper() if i % 2 else source, target) for i, (source, target) in enumerate(pairs(40) * 3)]
    found = parts(*write(small._FOLDER, made, "repeated"))
    assert sorted(pair for part in found.values() for pair in part) == sorted(made)
    groups = [{source.lower() for source, _ in part} for part in found.values()]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.9, 0.05, 0.05), LENGTHS), ((0.5, 0.25, 0.25), {"train": 240, "validation": 120, "test": 120}),
     ((0.8, 0.2), {"train": 384, "validation": 96}), ((0.3, 0.1, 0.1), {"train": 144, "validation": 48, "test": 48}),
     ((0.5, 0.1), {"train": 240, "validation": 48})],
)  # fmt: skip
def test_shares_are_of_all_pairs(shares, expected):
    found = parts(*files(), settings={"split": shares})
    assert {name: len(part) for name, part in found.items()} == expected
    every = [pair for part in found.values() for pair in part]
    assert len(set(every)) == len(every)
    assert set(every) <= set(pairs())


def test_the_split_follows_the_seed():
    first, again, other = (parts(*files(), seed=seed)["test"] for seed in (0, 0, 1))
    assert first == again != other


def test_no_pair_is_lost_where_parts_cannot_be_even():
    """Conversations of very different lengths."""
    made = [{**row, "who": f"talk {int(i**0.6)}"} for i, row in enumerate(talks(20))]
    found = parts(write_csv(small._FOLDER / "uneven.csv", made), settings={"context": 1}, columns=TALKING)
    assert sum(map(len, found.values())) == len(made)


def test_files_to_validate_and_to_test_leave_all_pairs_to_train_on(out, tmp_path):
    valid, test = write(tmp_path, unseen()[:10], "valid"), write(tmp_path, unseen()[10:25], "test")
    outcome = train(request(out, settings={"valid": tuple(map(str, valid)), "test": tuple(map(str, test))}))
    assert read(out, "split.json")["parts"] == {"train": 60, "validation": 10, "test": 15}
    assert (outcome.measured["part"], outcome.measured["n"]) == ("test", 15)
    sources, references = map(list, zip(*unseen()[10:25], strict=True))
    said = [one["translation"] for one in gruvy.load(out).predict(sources)]
    assert outcome.measured["metrics"] == figures(said, references)
    assert set(read(out, "config.json")["data"]["files"]) == {"train", "validation", "test"}


def test_files_to_validate_alone_are_judged_on_and_it_is_said(out, tmp_path):
    valid = write(tmp_path, unseen()[:10], "valid")
    outcome = train(request(out, settings={"valid": tuple(map(str, valid))}))
    assert (outcome.measured["part"], outcome.measured["n"]) == ("validation", 10)
    assert "which also chose the epoch that is kept" in outcome.printed


def test_files_to_test_alone_leave_the_rest_to_validate(tmp_path):
    settings = {"test": tuple(map(str, write(tmp_path, unseen()[:10], "test"))), "split": (0.8, 0.1, 0.1)}
    found = parts(*files(60), settings=settings)
    assert {name: len(part) for name, part in found.items()} == {"train": 48, "validation": 12, "test": 10}


def test_the_vocabulary_is_of_the_training_part_alone(out, tmp_path):
    valid = write(tmp_path, [("zither zither", "zitterut zitterut")] * 3 + unseen()[:9], "valid")
    train(request(out, settings={"valid": tuple(map(str, valid))}))
    vocabulary = gruvy.load(out).inputs.source.tokenizer.get_vocab()
    assert {"kettle", "keteli"} <= set(vocabulary)
    assert not {"zither", "zitterut"} & set(vocabulary)


# A table


def test_a_table_and_two_files_give_the_same_model(out, tmp_path):
    train(request(out))
    data = table(tmp_path, pairs(60))
    outcome = train(request(tmp_path / "other", data, columns=SIDES))
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "other" / "model.safetensors").read_bytes()
    assert outcome.measured["metrics"] == read(out, "metrics.json")["metrics"]
    assert read(tmp_path / "other", "config.json")["data"]["columns"] == SIDES


def test_empty_sides_and_names_are_left_out_when_asked_and_conversations_stay_whole(tmp_path):
    rows = talks(30)
    rows[7]["who"], rows[9]["answered"], rows[20]["said"] = "", "", " "
    data = write_csv(tmp_path / "holes.csv", rows)
    found = parts(data, columns=TALKING, settings={"context": 1}, drop_empty=True)
    every = {pair for part in found.values() for pair in part}
    kept = [row for i, row in enumerate(rows) if i not in (7, 9, 20)]
    assert sum(map(len, found.values())) == len(kept)
    expected, before = set(), {}
    for row in kept:
        source = " ⏎ ".join([*before.get(row["who"], ()), row["said"]])
        before[row["who"]] = (row["said"], row["answered"])
        expected.add((source, row["answered"]))
    assert every == expected


# Conversations


def numbered():
    """Conversations in which every text names its conversation."""
    rows = []
    for row in talks(24):
        number = row["who"].split()[1]
        rows.append({**row, "said": f"{row['said']} {number}", "answered": f"{row['answered']} {number}"})
    return rows


@pytest.mark.parametrize("shares", [(0.9, 0.05, 0.05), (0.6, 0.2, 0.2), (0.7, 0.3)])
@pytest.mark.parametrize("context", [1, 2, 20])
def test_context_stays_within_a_conversation_and_conversations_in_a_part(context, shares, tmp_path):
    data = write_csv(tmp_path / "talks.csv", numbered())
    found = parts(data, columns=TALKING, settings={"context": context, "split": shares})
    assert sum(map(len, found.values())) == len(numbered())
    owners = []
    for part in found.values():
        names = [{text.split()[-1] for text in (*source.split(" ⏎ "), target)} for source, target in part]
        assert all(len(name) == 1 for name in names), "a context from another conversation"
        owners.append(set.union(*names))
        turns = [len(source.split(" ⏎ ")) for source, _ in part]
        assert sorted(turns) == sorted([min(2 * i, 2 * context) + 1 for i in range(6)] * len(owners[-1]))
    assert sum(map(len, owners)) == 24, "a conversation in two parts"


def test_two_files_are_one_conversation_and_its_parts_follow_one_another(tmp_path):
    made = [(f"q{i}", f"a{i}") for i in range(40)]
    found = parts(*write(tmp_path, made), settings={"context": 1, "split": (0.5, 0.25, 0.25)})
    sources = ["q0", *(f"q{i - 1} ⏎ a{i - 1} ⏎ q{i}" for i in range(1, 40))]
    assert [source for part in found.values() for source, _ in part] == sources


def test_files_to_test_have_their_context_too(tmp_path):
    test = write_csv(tmp_path / "test.csv", talks(3, seed=7))
    for settings in ({}, {"valid": (str(test),)}):
        wish = {"context": 1, "test": (str(test),), **settings}
        found = parts(talks_file(), columns=TALKING, settings=wish)["test"]
        assert [source.count(" ⏎ ") for source, _ in found] == [0, 2, 2, 2, 2, 2] * 3


def test_without_context_conversations_are_pairs_like_others():
    found = parts(talks_file(), columns=TALKING)
    assert not any("⏎" in source for part in found.values() for source, _ in part)
