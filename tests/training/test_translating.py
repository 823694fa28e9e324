"""A training on pairs of texts, from files to an artefact; stopped, it goes on as if it had not been."""

import functools
import hashlib
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from tests.fixtures import pairs as fixture
from tests.fixtures import small
from tests.fixtures.my_cells import my_gru
from tests.fixtures.pairs import (
    FILES,
    QUICK,
    SIDES,
    TALKING,
    files,
    pairs,
    request,
    small_recipe,
    table,
    talks,
    talks_file,
    trained,
    unseen,
    write,
)
from tests.fixtures.small import snapshot, strict_json, train, write_csv

import gruvy
from gruvy.cells import CATALOGUE
from gruvy.data.pairs import LongSource
from gruvy.data.splits import duplicate_groups
from gruvy.errors import BadInput, Interrupted
from gruvy.models.attention import KINDS
from gruvy.models.dictionary import Dictionary
from gruvy.models.encoders import ENCODERS
from gruvy.training import loop
from gruvy.training.pictures import attention_picture
from gruvy.training.translating import COPY, DICTIONARY, TranslationStudy

METRICS = {"bleu", "bleu_lowercase", "chrf"}
COMPARED = ("metrics", "baselines", "history", "bootstrap")
LENGTHS = {"train": 432, "validation": 24, "test": 24}


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe(**QUICK):
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(params=["words", "pieces", "talks"])
def finished(request):
    return trained(request.param)


def read(folder, name):
    return strict_json((folder / name).read_text())


def parts(*data, **changes):
    """The parts of a training, by name, as pairs of texts."""
    found = TranslationStudy(request(Path("nowhere"), *data, **changes)).parts
    return {name: list(zip(part.sources, part.targets, strict=True)) for name, part in found.items()}


def assert_whole(folder, more=()):
    assert {p.name for p in folder.iterdir()} == FILES | set(more)
    assert isinstance(gruvy.load(folder).predict("pilot buys old lamp")["translation"], str)


def figures(said, references):
    return {
        "bleu": sacrebleu.corpus_bleu(said, [references]).score,
        "bleu_lowercase": sacrebleu.corpus_bleu(said, [references], lowercase=True).score,
        "chrf": sacrebleu.corpus_chrf(said, [references]).score,
    }


# The artefact and its figures


def test_the_artefact_s_files_are_there_and_no_others():
    for kind, more in (("words", set()), ("pieces", {"target_tokenizer.json"}), ("talks", set())):
        assert {p.name for p in trained(kind)[0].iterdir()} == FILES | more


def test_metrics_json_is_what_was_measured_in_the_contract_s_form(finished):
    folder, outcome = finished
    measured = read(folder, "metrics.json")
    assert measured == outcome.measured
    assert (measured["task"], measured["part"]) == ("translate", "test")
    assert set(measured["metrics"]) == set(measured["baseline"]) == METRICS
    assert measured["n"] == read(folder, "split.json")["parts"]["test"]
    assert set(measured["baselines"]) == {COPY, DICTIONARY}
    assert measured["baseline"] == measured["baselines"][measured["best_baseline"]]
    assert measured["baseline"]["chrf"] == max(one["chrf"] for one in measured["baselines"].values())
    assert all(math.isfinite(value) for epoch in measured["history"] for value in epoch.values())


def test_it_learned_the_rule():
    assert trained("words")[1].measured["metrics"]["chrf"] > 95
    history = trained("pieces")[1].measured["history"]
    assert history[-1]["validation_loss"] < 0.6 * history[0]["validation_loss"]


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_the_figures_are_sacrebleu_s_of_what_predict_says(kind):
    folder, outcome = trained(kind)
    sources, references = zip(*parts(*files(), **fixture._KINDS[kind])["test"], strict=True)
    said = [one["translation"] for one in gruvy.load(folder).predict(sources)]
    assert outcome.measured["metrics"] == figures(said, list(references))


def test_the_baselines_are_a_copy_and_the_training_part_s_dictionary():
    outcome = trained("words")[1]
    known = parts(*files())
    sources, references = map(list, zip(*known["test"], strict=True))
    dictionary = Dictionary.fit(*map(list, zip(*known["train"], strict=True)))
    assert outcome.measured["baselines"] == {
        COPY: figures(sources, references), DICTIONARY: figures(dictionary.translate(sources), references),
    }  # fmt: skip
    assert outcome.measured["best_baseline"] == DICTIONARY


def test_what_is_printed_has_figures_signatures_baselines_and_examples(finished):
    _, outcome = finished
    for said in ("test part: ", COPY, DICTIONARY, "95 % interval", "texts a second", "reference", "version:"):
        assert said in outcome.printed
    assert all(signature in outcome.printed for signature in outcome.measured["signatures"])
    assert all("nrefs:1" in signature for signature in outcome.measured["signatures"])
    assert outcome.measured["sentences_a_second"] > 0
    assert outcome.measured["cut_at_the_limit"] == 0


def test_config_card_and_hashes(finished):
    folder, outcome = finished
    config, card = read(folder, "config.json"), (folder / "README.md").read_text()
    assert (config["task"], config["kind"], config["seed"]) == ("translate", "pairs", 0)
    named = [Path(file["path"]) for file in config["data"]["files"]["train"]]
    for path, file in zip(named, config["data"]["files"]["train"], strict=True):
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert outcome.printed in card
    for said in ('gruvy predict DIR "..."', "gruvy evaluate DIR", "test part: ", "version:"):
        assert said in card
    hashes = read(folder, "hashes.json")
    assert set(hashes) == {p.name for p in folder.iterdir()} - {"hashes.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_a_copy_of_the_directory_translates_alike(kind, tmp_path):
    shutil.copytree(trained(kind)[0], tmp_path / "elsewhere")
    sources = [source for source, _ in unseen()[:8]]
    assert gruvy.load(tmp_path / "elsewhere").predict(sources) == gruvy.load(trained(kind)[0]).predict(sources)


def test_separate_vocabularies_know_their_own_side_only():
    inputs = gruvy.load(trained("pieces")[0]).inputs
    source, target = (set(side.tokenizer.get_vocab()) for side in (inputs.source, inputs.target))
    assert not inputs.shared
    assert "Ġlamp" in source - target and "Ġlampi" in target - source


# The picture

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_picture_of_attention_is_written(finished):
    assert (finished[0] / "attention.png").read_bytes().startswith(PNG)


def drawn(*tokens):
    one = {"source": list(tokens), "target": list(tokens), "weights": np.eye(len(tokens)).tolist()}
    return attention_picture([one])


@pytest.mark.parametrize("tokens", [("$$", "a$b$"), ("$x_{$", r"\frac"), ("\x07", "\n", ""), ("家", "дом"), ("_^", "%")])
def test_tokens_are_drawn_as_they_stand_whatever_they_are(tokens):
    assert drawn(*tokens).startswith(PNG)


def test_a_model_that_writes_nothing_still_gives_a_picture():
    assert attention_picture([{"source": ["a"], "target": [], "weights": []}]).startswith(PNG)


def test_the_picture_shows_where_attention_is():
    one = {"source": ["a", "b"], "target": ["c", "d"], "weights": [[1.0, 0.0], [0.0, 1.0]]}
    assert attention_picture([one]) != attention_picture([{**one, "weights": [[0.0, 1.0], [1.0, 0.0]]}])


# Parts


def test_equal_sources_are_in_one_part_and_every_pair_is_in_one():
    made = [(source.upper() if i % 2 else source, target) for i, (source, target) in enumerate(pairs(40) * 3)]
    found = parts(*write(small._FOLDER, made, "repeated"))
    assert sorted(pair for part in found.values() for pair in part) == sorted(made)
    groups = [set(duplicate_groups([source for source, _ in made[:1]]))]
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
    assert "kettle" in vocabulary and "keteli" in vocabulary
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


def conversation_of(pair, rows):
    """The conversations that a pair with its context may be from."""
    said = pair[0].split(" ⏎ ")
    return {
        row["who"] for before, row in zip([None, *rows], rows, strict=False)
        if (row["said"], row["answered"]) == (said[-1], pair[1])
        and (len(said) == 1 or (before and before["who"] == row["who"] and said[:-1] == [before["said"], before["answered"]]))
    }  # fmt: skip


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


def test_a_conversation_s_figures_are_of_answers_in_context():
    folder, outcome = trained("talks")
    sources, references = map(list, zip(*parts(talks_file(), **fixture._KINDS["talks"])["test"], strict=True))
    said = [one["translation"] for one in gruvy.load(folder).predict(sources)]
    assert outcome.measured["metrics"] == figures(said, references)
    assert outcome.measured["metrics"]["chrf"] > 90, "it needs the turn before"
    last = [source.split(" ⏎ ")[-1] for source in sources]
    assert outcome.measured["baselines"][COPY] == figures(last, references)


# What is trained


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        *(({"encoder": encoder}, {}) for encoder in ENCODERS[1:]),
        *(({"attention": kind}, {}) for kind in KINDS[1:]),
        ({"unit": "char", "vocabularies": "separate"}, {}),
        ({"beam": 1, "unit": "bpe"}, {}),
        ({}, {"cell": CATALOGUE["lstm"]}),
        ({}, {"cell": my_gru}),
        ({}, {"engine": "eager"}),
        ({}, {"recipe": "small", "max_minutes": 1e-6}),
    ],
    ids=lambda value: "-".join(str(getattr(v, "name", v)) for v in value.values()),
)
def test_everything_on_offer_trains_judges_and_is_read_back(settings, changes, out):
    outcome = train(request(out, settings=settings, **changes))
    model = gruvy.load(out)
    assert outcome.measured["history"]
    assert_whole(out, {"target_tokenizer.json"} if "vocabularies" in settings else ())
    assert model.recipe.encoder == settings.get("encoder", "gru")
    assert model.recipe.attention == settings.get("attention", "additive")
    assert model.task.beam == settings.get("beam", 5)
    assert model.inputs.source.unit == settings.get("unit", "word")
    assert model.cell.name == changes.get("cell", CATALOGUE["gru"]).name
    sources, references = map(list, zip(*parts(settings=settings)["test"], strict=True))
    said = [one["translation"] for one in model.predict(sources)]
    assert outcome.measured["metrics"] == figures(said, references)


def test_the_sizes_asked_for_are_those_of_the_vocabularies(out):
    train(request(out, settings={"vocabulary": 9}))
    assert len(gruvy.load(out).inputs.source) == 9


@pytest.mark.parametrize("unit", ["word", "bpe"])
def test_the_same_seed_gives_the_same_numbers_and_weights(unit, out, tmp_path):
    torch.manual_seed(123)
    np.random.seed(123)
    first, again = (train(request(folder, settings={"unit": unit})) for folder in (out, tmp_path / "again"))
    for key in COMPARED:
        assert again.measured[key] == first.measured[key], key
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()
    other = train(request(tmp_path / "other", seed=1, settings={"unit": unit}))
    assert other.measured["history"] != first.measured["history"]


def test_pairs_longer_than_is_read_are_cut_and_counted(out, tmp_path):
    made = [(" ".join([source] * 3), target) for source, target in pairs(40)] + pairs(60)[40:]
    with small_recipe(**QUICK, max_tokens=8), pytest.warns(LongSource, match="the first 8 are read"):
        outcome = train(request(out, *write(tmp_path, made)))
    assert "training pairs have a side of more than 8 tokens" in outcome.printed


def test_trained_directories_differ_where_the_target_tokenizer_was(out, tmp_path):
    """Overwriting a model of two vocabularies by one of one leaves nothing of the first."""
    train(request(out, settings={"vocabularies": "separate"}))
    train(request(out, overwrite=True))
    assert_whole(out)


# What cannot be


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": (2.0,)}, r"--split 2: expected two or three shares that sum to at most 1"),
        ({"split": (0.5,)}, r"--split 0\.5"),
        ({"split": (0.9, 0.9)}, "sum to at most 1"),
        ({"split": (0.5, -0.1, 0.5)}, "--split"),
        ({"split": (math.nan, 0.1)}, "--split nan"),
        ({"split": (0.3, 0.3, 0.2, 0.2)}, "--split"),
        ({"split": (0.5, 0.5), "context": 1, "test": ("nowhere.en", "nowhere.xx")}, r"nowhere\.en: no such file"),
        ({"unit": "words"}, "--unit is 'words'; expected one of word, bpe, char"),
        ({"vocabulary": 3}, "a vocabulary of 3 words is too small"),
        ({"vocabulary": 3, "unit": "bpe"}, "a vocabulary of 3 pieces is too small; expected at least 261"),
        ({"vocabulary": 1}, "--vocabulary 1"),
        ({"vocabularies": "one"}, "--vocabularies is 'one'; expected one of shared, separate"),
        ({"encoder": "nonsense"}, r"--encoder is 'nonsense'; expected one of gru, transformer, gru\+attention"),
        ({"attention": "local"}, "--attention is 'local'; expected one of additive, dot"),
        ({"beam": 0}, "--beam 0: expected a number of hypotheses"),
        ({"length_penalty": -1.0}, "--length-penalty -1"),
        ({"context": -1}, "--context -1"),
        ({"valid": ("nowhere.en", "nowhere.xx")}, r"nowhere\.en: no such file"),
        ({"valid": ("nowhere.en",)}, r"nowhere\.en is one file; give two"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(settings, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        train(request(tmp_path / "out", settings=settings))
    assert list(tmp_path.iterdir()) == []


def test_shares_beside_files_to_validate_are_refused(tmp_path):
    valid = tuple(map(str, write(tmp_path, unseen()[:5])))
    with pytest.raises(BadInput, match="--split and --valid are both given"):
        train(request(tmp_path / "out", settings={"valid": valid, "split": (0.5, 0.5)}))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (pairs(1), "1|3"),
        (pairs(2), "3 different texts"),
        ([("hello there", target) for _, target in pairs(30)], "3 different texts|3 different sources"),
        ([("hello " * (i + 1), "hello") for i in range(30)], "fewer than two different words"),
        ([(f"a{i}", f"b{i}") for i in range(30)], "fewer than two different words that stand there twice"),
    ],
    ids=["one pair", "two pairs", "one source", "a vocabulary of one", "each word once"],
)
def test_too_little_is_refused_and_leaves_nothing(made, said, tmp_path, out):
    data = write(tmp_path, made)
    with pytest.raises(BadInput, match=said):
        train(request(out, *data))
    assert not out.exists()


def test_too_few_conversations_are_counted_as_such(tmp_path, out):
    data = write_csv(tmp_path / "talks.csv", talks(2))
    with pytest.raises(BadInput, match="2 conversations are too few"):
        train(request(out, data, columns=TALKING, settings={"context": 1}))


def test_sources_that_are_all_the_same_can_be_learned_where_validation_is_given(out, tmp_path):
    data = write(tmp_path, [("hello there", target) for _, target in pairs(30)])
    train(request(out, *data, settings={"valid": tuple(map(str, data))}))
    assert_whole(out)


def test_a_cell_of_two_inputs_is_refused_and_leaves_nothing(tmp_path):
    from gruvy.cells import cell, tanh

    @cell(cite="invented for the tests", sizes={"m": "I"})
    def two(x, m, /, h, W, U):
        """Reads two inputs."""
        return tanh(W.x(x) + W.m(m) + U.h(h))

    with pytest.raises(BadInput, match="feeds one input; two reads x, m"):
        train(request(tmp_path / "out", cell=two))
    assert list(tmp_path.iterdir()) == []


# Stopped and taken up again


def interrupted(out, *data, epoch=2, **changes):
    """Leave in `out` what Ctrl-C in the second batch of an epoch leaves."""
    step = loop.Steps.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == epoch - 1 and batch_idx == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Steps, "training_step", training_step)
        with pytest.raises(Interrupted, match="goes on from the last whole epoch"):
            train(request(out, *data, **changes))


@functools.cache
def uninterrupted(unit):
    out = small._FOLDER / f"translate-whole-{unit}"
    with small_recipe(**{**QUICK, "max_epochs": 3, "piece_dropout": 0.3}):
        outcome = train(request(out, settings={"unit": unit}))
    return outcome.measured, (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("unit", "epochs"), [("word", [2]), ("bpe", [3]), ("bpe", [2, 3])])
def test_the_same_request_goes_on_and_ends_as_if_never_stopped(unit, epochs, out):
    expected, weights = uninterrupted(unit)
    with small_recipe(**{**QUICK, "max_epochs": 3, "piece_dropout": 0.3}):
        for epoch in epochs:
            interrupted(out, epoch=epoch, settings={"unit": unit})
        outcome = train(request(out, settings={"unit": unit}))
    assert_whole(out)
    for key in COMPARED:
        assert outcome.measured[key] == expected[key], key
    assert (out / "model.safetensors").read_bytes() == weights


def test_another_request_on_an_unfinished_training_is_refused_and_changes_nothing(out, tmp_path):
    interrupted(out)
    before = snapshot(out)
    other = write(tmp_path, pairs(90)[30:])
    valid = tuple(map(str, other))
    wishes = [((), changes) for changes in (
        {"seed": 1}, {"cell": CATALOGUE["lstm"]}, {"settings": {"unit": "char"}}, {"settings": {"vocabulary": 20}},
        {"settings": {"split": (0.8, 0.1, 0.1)}}, {"settings": {"valid": valid}}, {"settings": {"context": 1}},
        {"settings": {"encoder": "transformer"}}, {"settings": {"vocabularies": "separate"}},
    )] + [(other, {})]  # fmt: skip
    for data, changes in wishes:
        with pytest.raises(BadInput, match="unfinished training with other settings"):
            train(request(out, *data, **changes))
        assert snapshot(out) == before, changes


def test_a_file_that_has_changed_is_another_training(out, tmp_path):
    data = write(tmp_path, pairs(60))
    interrupted(out, *data)
    data[1].write_text(data[1].read_text().upper())
    with pytest.raises(BadInput, match="unfinished training with other settings"):
        train(request(out, *data))
