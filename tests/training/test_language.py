"""A training of a language model, from a file of text to an artefact with its figures."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from tests.fixtures.prose import (
    FILES,
    UNITS,
    lines,
    parts,
    request,
    small_recipe,
    table_file,
    text,
    text_file,
    trained,
)
from tests.fixtures.small import strict_json, train

import gruvy
from gruvy.data.prose import Stream
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput, RunFailed
from gruvy.models.cache import fit_cache
from gruvy.models.kneser_ney import KneserNey
from gruvy.models.language import Carrying
from gruvy.tasks.modalities import prose
from gruvy.training.prose import cut

METRICS = {"perplexity", "word_perplexity", "bits_per_character", "nll"}
BASELINE = "3-grams (Kneser-Ney)"


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(params=UNITS)
def finished(request):
    return trained(request.param)


def read(folder, name):
    return strict_json((folder / name).read_text())


def assert_whole(folder):
    assert {p.name for p in folder.iterdir()} == FILES
    assert "".join(gruvy.load(folder).generate("the", 5))


# The artefact and its figures


def test_the_artefact_s_files_are_there_and_no_others(finished):
    assert {p.name for p in finished[0].iterdir()} - {"printed"} == FILES


def test_metrics_json_is_what_was_measured_in_the_contract_s_form(finished):
    folder, outcome = finished
    measured = read(folder, "metrics.json")
    assert measured == outcome.measured
    assert {"task", "metrics", "baseline", "n", "part", "best_baseline", "bootstrap", "history"} <= set(measured)
    assert measured["task"] == "language"
    assert set(measured["metrics"]) == set(measured["baseline"]) == METRICS
    assert measured["part"] == "test"
    assert measured["n"] == read(folder, "split.json")["parts"]["test"]["tokens"]
    assert measured["metrics"] == measured["figures"]["model"]
    assert measured["baseline"] == measured["figures"][measured["best_baseline"]]
    assert all(math.isfinite(value) for epoch in measured["history"] for value in epoch.values())


def test_it_learned_something(finished):
    _, outcome = finished
    history = [epoch["validation_loss"] for epoch in outcome.measured["history"]]
    assert min(history) < 0.8 * history[0]
    folder, _ = finished
    model = gruvy.load(folder)
    ids = model.inputs([parts()["test"]])
    assert outcome.measured["metrics"]["nll"] < -0.9 * model.inputs.frequencies(ids).mean()


def test_the_figures_are_those_of_the_test_part_token_by_token(finished):
    folder, outcome = finished
    model, held = gruvy.load(folder), parts()["test"]
    ids = model.inputs([held])
    states, total = None, 0.0
    with torch.no_grad():
        for before, token in zip([END, *ids[:-1].tolist()], ids.tolist(), strict=True):
            known, states = model.model.network.step(torch.tensor([before]), states)
            total -= model.model.network.scores(known).log_softmax(-1)[0, token].item()
    metrics = outcome.measured["metrics"]
    assert outcome.measured["n"] == len(ids)
    assert metrics["nll"] == pytest.approx(total / len(ids), rel=1e-4)
    assert metrics["perplexity"] == pytest.approx(math.exp(total / len(ids)), rel=1e-3)
    assert metrics["bits_per_character"] == pytest.approx(total / math.log(2) / len(held), rel=1e-4)
    count = len(held.split()) + held.count("\n")
    assert metrics["word_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-2)


def test_perplexities_and_bits_are_of_the_same_total(finished):
    """Of the model and of the baseline; where tokens are words the two perplexities are one."""
    folder, outcome = finished
    held = parts()["test"]
    count = len(held.split()) + held.count("\n")
    for figures in (outcome.measured["metrics"], outcome.measured["baseline"]):
        total = figures["nll"] * outcome.measured["n"]
        assert figures["perplexity"] == pytest.approx(math.exp(figures["nll"]))
        assert figures["word_perplexity"] == pytest.approx(math.exp(total / count))
        assert figures["bits_per_character"] == pytest.approx(total / math.log(2) / len(held))
        if gruvy.load(folder).task.unit == "word":
            assert figures["perplexity"] == pytest.approx(figures["word_perplexity"])


def test_the_baseline_has_learned_from_the_training_part_alone(finished):
    folder, outcome = finished
    model = gruvy.load(folder)
    ids = {name: model.inputs([part]) for name, part in parts().items()}
    size = len(model.inputs.vocabulary)
    losses = {n: -KneserNey.fit(ids["train"], size, n).log_probabilities(ids["validation"]).mean() for n in (2, 3)}
    order = min(losses, key=losses.__getitem__)
    assert outcome.measured["best_baseline"] == f"{order}-grams (Kneser-Ney)"
    expected = -KneserNey.fit(ids["train"], size, order).log_probabilities(ids["test"]).mean()
    assert outcome.measured["baseline"]["nll"] == pytest.approx(expected)


def test_the_vocabulary_is_of_the_training_part_alone(out, tmp_path):
    (tmp_path / "d.txt").write_text("".join(parts().values()) + "the zither sings at noon .\n" * 3)
    train(request(out, "word", data=str(tmp_path / "d.txt")))
    model = gruvy.load(out)
    assert "zither" not in model.inputs.vocabulary.tokenizer.get_vocab()
    assert "never seen in training" in (out / "README.md").read_text()


def test_the_kept_weights_are_those_of_the_best_epoch(finished):
    """By the validation part in as many rows, one after the other, as the training reads it in."""
    folder, outcome = finished
    model = gruvy.load(folder)
    train_part, held = (model.inputs([parts()[name]]) for name in ("train", "validation"))
    rows = 2 * model.recipe.batch_for(len(train_part))
    carrying, losses = Carrying(model.model.network).eval(), []
    with torch.no_grad():
        for batch in Stream(held, model.recipe.window).batches(rows):
            losses.append(carrying(batch))
    best = min(epoch["validation_loss"] for epoch in outcome.measured["history"])
    assert torch.cat(losses).mean().item() == pytest.approx(best, rel=1e-4)


def test_config_card_and_hashes(finished):
    folder, outcome = finished
    config, card = read(folder, "config.json"), (folder / "README.md").read_text()
    assert (config["task"], config["kind"], config["seed"]) == ("language", "prose", 0)
    assert config["data"]["files"]["train"]["sha256"] == hashlib.sha256(text_file().read_bytes()).hexdigest()
    assert outcome.printed in card
    for value in outcome.measured["metrics"].values():
        assert f"{value:.4g}"[:4] in card
    for command in ("gruvy generate DIR", "gruvy evaluate DIR", 'gruvy.load("DIR").generate('):
        assert command in card
    hashes = read(folder, "hashes.json")
    assert set(hashes) == FILES - {"hashes.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_what_is_printed_names_the_baseline_the_speed_and_a_sample(finished):
    _, outcome = finished
    for said in ("test part: ", BASELINE, "95 % interval", "tokens a second", "written by the model"):
        assert said in outcome.printed
    assert outcome.measured["tokens_a_second"]["scoring"] > 0


@pytest.mark.parametrize("unit", UNITS)
def test_the_same_seed_gives_the_same_numbers_and_weights(unit, out):
    torch.manual_seed(123)
    np.random.seed(123)
    folder, outcome = trained(unit)
    again = train(request(out, unit))
    for key in ("metrics", "baseline", "history", "bootstrap"):
        assert again.measured[key] == outcome.measured[key], key
    assert (out / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_another_seed_is_another_training(out):
    assert train(request(out, "word", seed=1)).measured["history"] != trained("word")[1].measured["history"]


# Parts


def test_a_validation_and_a_test_file_leave_the_whole_text_to_train_on(out, tmp_path):
    for name, seed in (("valid", 1), ("test", 2)):
        (tmp_path / name).write_text(text(60, seed), encoding="utf-8")
    settings = {"valid": str(tmp_path / "valid"), "test": str(tmp_path / "test")}
    outcome = train(request(out, "char", settings=settings))
    sizes = {name: part["characters"] for name, part in read(out, "split.json")["parts"].items()}
    assert sizes == {"train": len(text()), "validation": len(text(60, 1)), "test": len(text(60, 2))}
    model = gruvy.load(out)
    found, _ = prose.log_likelihoods(model.model.network, model.inputs([text(60, 2)]))
    assert outcome.measured["metrics"]["nll"] == pytest.approx(-found.double().mean().item())


def test_a_validation_file_alone_is_judged_on_and_it_is_said(out, tmp_path):
    (tmp_path / "valid").write_text(text(60, 1), encoding="utf-8")
    outcome = train(request(out, "char", settings={"valid": str(tmp_path / "valid")}))
    assert outcome.measured["part"] == "validation"
    assert "which also chose the epoch that is kept" in outcome.printed
    assert outcome.measured["n"] == len(text(60, 1))


def test_a_test_file_alone_leaves_the_rest_of_the_text_to_validate(out, tmp_path):
    (tmp_path / "test").write_text(text(60, 1), encoding="utf-8")
    train(request(out, "char", settings={"test": str(tmp_path / "test"), "split": (0.8, 0.1, 0.1)}))
    sizes = {name: part["characters"] for name, part in read(out, "split.json")["parts"].items()}
    expected = parts(shares=(0.8, 0.2))
    assert sizes == {
        "train": len(expected["train"]), "validation": len(expected["validation"]), "test": len(text(60, 1)),
    }  # fmt: skip


@pytest.mark.parametrize("shares", [(0.9, 0.05, 0.05), (0.5, 0.25, 0.25), (0.7, 0.3), (0.4, 0.2, 0.2)])
def test_the_parts_follow_one_another_and_are_cut_between_lines(shares):
    found = {name: part.texts for name, part in cut(prose.clean([text()], "x"), shares).items()}
    assert found == {name: [part] for name, part in parts(shares=shares).items()}
    if sum(shares) > 0.99:
        assert "".join("".join(part) for part in found.values()) == text()


def test_a_text_of_one_line_is_cut_between_characters_and_a_table_between_rows():
    (found,) = cut(prose.clean(["abcdefghij" * 10], "x"), (0.5, 0.3, 0.2))["validation"].texts
    assert found == "abcdefghij" * 3
    rows = lines(50)
    found = [row for part in cut(prose.clean(rows, "x"), (0.6, 0.2, 0.2)).values() for row in part.texts]
    assert found == rows


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": (0.5,)}, r"--split 0\.5: expected two or three shares"),
        ({"split": (0.5, 0.5, 0.5)}, "sum to at most 1"),
        ({"split": (0.5, -0.1, 0.5)}, "--split"),
        ({"split": (math.nan, 0.1)}, "--split nan"),
        ({"split": (0.3, 0.3, 0.2, 0.2)}, "--split"),
        ({"split": (0.999, 0.0005, 0.0005)}, "validation part of the text is empty; give more text, or larger shares"),
        ({"split": (0.99, 0.005, 0.005)}, "expected at least 50: give more text, or a larger share"),
        ({"unit": "words"}, "--unit is 'words'; expected one of word, bpe, char"),
        ({"vocabulary": 1}, "--vocabulary 1: expected at least"),
        ({"vocabulary": 4}, "vocabulary of 4 words is too small; expected at least 5"),
        ({"vocabulary": 200, "unit": "bpe"}, "vocabulary of 200 pieces is too small; expected at least"),
        ({"cache": -5}, "--cache -5"),
        ({"valid": "nowhere.txt"}, r"nowhere\.txt: no such file"),
        ({"valid": "nowhere.txt", "split": (0.5, 0.2, 0.2)}, r"--split|nowhere\.txt"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(settings, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        train(request(tmp_path / "out", settings=settings))
    assert list(tmp_path.iterdir()) == []


# A table, a cache, other cells and engines


def test_a_table_gives_texts_that_end(out):
    outcome = train(request(out, "bpe", data=str(table_file()), columns={"text": "line"}))
    assert_whole(out)
    model = gruvy.load(out)
    assert model.inputs.counts[END] > 50
    assert model.about["data"]["columns"] == {"text": "line"}
    rows = ["\n".join(lines()[i : i + 3]) for i in range(0, 300, 3)]
    held = cut(prose.clean(rows, "x"), (0.9, 0.05, 0.05))["test"].texts
    assert outcome.measured["n"] == len(model.inputs(held))


def test_a_cache_is_scored_beside_the_model_and_kept(out):
    outcome = train(request(out, "word", settings={"cache": 50}))
    figures = outcome.measured["figures"]
    assert list(figures) == ["model", "model with a cache of 50", BASELINE]
    assert outcome.measured["metrics"] == figures["model"]
    assert figures["model"] == trained("word")[1].measured["metrics"], "the model is the same"
    model = gruvy.load(out)
    assert model.task.cache.size == 50
    seen = model.inputs([parts()["validation"]])
    found, hidden = prose.log_likelihoods(model.model.network, seen, hidden=True)
    fitted = fit_cache(hidden, torch.from_numpy(seen).long(), found, 50)
    assert (model.task.cache.theta, model.task.cache.weight) == pytest.approx((fitted.theta, fitted.weight))
    ids = model.inputs([parts()["test"]])
    found, hidden = prose.log_likelihoods(model.model.network, ids, hidden=True)
    cached = model.task.cache.log_probabilities(hidden, torch.from_numpy(ids).long(), found)
    expected = -cached.double().mean().item()
    assert figures["model with a cache of 50"]["nll"] == pytest.approx(expected, rel=1e-5)


def test_a_cell_of_two_inputs_is_refused_and_leaves_nothing(tmp_path):
    from gruvy.cells import cell, tanh

    @cell(cite="invented for the tests", sizes={"m": "I"})
    def two(x, m, /, h, W, U):
        """Reads two inputs."""
        return tanh(W.x(x) + W.m(m) + U.h(h))

    with pytest.raises(BadInput, match="feeds one input; two reads x, m"):
        train(request(tmp_path / "out", cell=two))
    assert list(tmp_path.iterdir()) == []


def test_a_sampled_loss_trains_and_is_judged_exactly(out):
    with small_recipe(sampled=10, samples=15):
        outcome = train(request(out, "word"))
    model = gruvy.load(out)
    assert model.recipe.samples == 15
    assert gruvy.load(trained("word")[0]).recipe.samples == 0, "small vocabularies are not sampled"
    found, _ = prose.log_likelihoods(model.model.network, model.inputs([parts()["test"]]))
    assert outcome.measured["metrics"]["nll"] == pytest.approx(-found.double().mean().item())
    assert outcome.measured["metrics"]["nll"] < 2.0


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_nothing(out):
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0), pytest.raises(RunFailed, match="the loss became"):
        train(request(out, "word"))
    assert not out.exists()


def test_a_time_limit_of_no_time_still_gives_a_model(out):
    with small_recipe(tokens=10**9, max_epochs=1000, patience=1000):
        outcome = train(request(out, "word", max_minutes=1e-6))
    assert outcome.measured["history"]
    assert_whole(out)


def test_metrics_json_is_json_for_the_shortest_text(out, tmp_path):
    (tmp_path / "d.txt").write_text("ab " * 400)
    train(request(out, "char", data=str(tmp_path / "d.txt")))
    json.dumps(read(out, "metrics.json"))
