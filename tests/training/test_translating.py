"""A training on pairs of texts, from files to an artefact; stopped, it goes on as if it had not been."""

import functools
import hashlib
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures import small
from tests.fixtures.my_cells import my_gru
from tests.fixtures.pairs import (
    FILES,
    KINDS,
    QUICK,
    TALKING,
    figures,
    files,
    pairs,
    parts,
    request,
    small_recipe,
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
from gruvy.errors import BadInput, Interrupted
from gruvy.models.attention import KINDS as ATTENTIONS
from gruvy.models.dictionary import Dictionary
from gruvy.models.encoders import ENCODERS
from gruvy.training import loop, report, translating
from gruvy.training.pairs import COPY
from gruvy.training.pictures import attention_picture
from gruvy.training.translating import DICTIONARY

METRICS = {"bleu", "bleu_lowercase", "chrf"}
PNG = b"\x89PNG\r\n\x1a\n"
COMPARED = ("metrics", "baselines", "history", "bootstrap")


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe(**QUICK):
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def unpainted(monkeypatch):
    """Pictures take most of the time of the shortest trainings."""
    monkeypatch.setattr(report, "training_curve", lambda history: PNG)
    monkeypatch.setattr(translating, "attention_picture", lambda attended: PNG)


@pytest.fixture(params=["words", "pieces", "talks"])
def finished(request):
    return trained(request.param)


def read(folder, name):
    return strict_json((folder / name).read_text())


def assert_whole(folder, more=()):
    assert {p.name for p in folder.iterdir()} == FILES | set(more)
    assert isinstance(gruvy.load(folder).predict("pilot buys old lamp")["translation"], str)


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
    sources, references = zip(*parts(*files(), **KINDS[kind])["test"], strict=True)
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


def test_a_conversation_s_figures_are_of_answers_in_context():
    folder, outcome = trained("talks")
    sources, references = map(list, zip(*parts(talks_file(), **KINDS["talks"])["test"], strict=True))
    said = [one["translation"] for one in gruvy.load(folder).predict(sources)]
    assert outcome.measured["metrics"] == figures(said, references)
    assert outcome.measured["metrics"]["chrf"] > 90, "it needs the turn before"
    last = [source.split(" ⏎ ")[-1] for source in sources]
    assert outcome.measured["baselines"][COPY] == figures(last, references)


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
    assert "Ġlamp" in source - target
    assert "Ġlampi" in target - source


# The picture


def test_the_picture_of_attention_is_written(finished):
    assert (finished[0] / "attention.png").read_bytes().startswith(PNG)


def drawn(*tokens):
    one = {"source": list(tokens), "target": list(tokens), "weights": np.eye(len(tokens)).tolist()}
    return attention_picture([one])


@pytest.mark.parametrize(
    "tokens", [("$$", "a$b$"), ("$x_{$", r"\frac"), ("\x07", "\n", ""), ("家", "дом"), ("_^", "%")]
)
def test_tokens_are_drawn_as_they_stand_whatever_they_are(tokens):
    assert drawn(*tokens).startswith(PNG)


def test_a_model_that_writes_nothing_still_gives_a_picture():
    assert attention_picture([{"source": ["a"], "target": [], "weights": []}]).startswith(PNG)


def test_the_picture_shows_where_attention_is():
    one = {"source": ["a", "b"], "target": ["c", "d"], "weights": [[1.0, 0.0], [0.0, 1.0]]}
    assert attention_picture([one]) != attention_picture([{**one, "weights": [[0.0, 1.0], [1.0, 0.0]]}])


# What is trained


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        *(({"encoder": encoder}, {}) for encoder in ENCODERS[1:]),
        *(({"attention": kind}, {}) for kind in ATTENTIONS[1:]),
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


def test_the_sizes_asked_for_are_those_of_the_vocabularies(out, unpainted):
    train(request(out, settings={"vocabulary": 9}))
    assert len(gruvy.load(out).inputs.source) == 9


@pytest.mark.parametrize("unit", ["word", "bpe"])
def test_the_same_seed_gives_the_same_numbers_and_weights(unit, out, tmp_path, unpainted):
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


def test_trained_directories_differ_where_the_target_tokenizer_was(out, unpainted):
    """Overwriting a model of two vocabularies by one of one leaves nothing of the first."""
    train(request(out, settings={"vocabularies": "separate"}))
    train(request(out, overwrite=True))
    assert_whole(out)


# What cannot be


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": (0.5,)}, r"--split 0\.5"),
        ({"split": (0.9, 0.9)}, "sum to at most 1"),
        ({"split": (0.5, -0.1, 0.5)}, "--split"),
        ({"split": (math.nan, 0.1)}, "--split nan"),
        ({"split": (0.3, 0.3, 0.2, 0.2)}, "--split"),
        ({"split": (0.5, 0.5), "context": 1, "test": ("nowhere.en", "nowhere.xx")}, r"nowhere\.en: no such file"),
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
        (pairs(2), "3 different inputs"),
        ([("hello there", target) for _, target in pairs(30)], "3 different inputs|3 different sources"),
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


def test_sources_that_are_all_the_same_can_be_learned_where_validation_is_given(out, tmp_path, unpainted):
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
def test_the_same_request_goes_on_and_ends_as_if_never_stopped(unit, epochs, out, unpainted):
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
