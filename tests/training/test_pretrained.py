"""A classifier or a regression that starts from the encoder of a language model."""

import shutil

import pytest
import torch
from tests.fixtures import prose, small
from tests.fixtures.my_cells import my_gru
from tests.fixtures.small import SMALL, data_file, request, rows, small_recipe, snapshot, strict_json, train
from tests.fixtures.small import trained as without

import gruvy
from gruvy.cells import CATALOGUE
from gruvy.errors import BadInput, Interrupted
from gruvy.models.text import RECURRENT
from gruvy.training import loop
from gruvy.training.pretrained import Pretrained

SIZES = {"embedding_size": 9, "hidden_size": 7, "num_layers": 2}
TEXTS = [row["text"] for row in rows(20, seed=3)]
ODD = ["end of text", "no token", "the <unk> lamp", "Lamp\n\nlamp", "дом 家", "a <pad> [UNK] </s>"]
FROZEN = {"learning_rate": 0.0, "max_epochs": 2, "word_dropout": 0.0, "locked_dropout": 0.0, "dropout": 0.0}


def train_language(out, unit="word", **changes):
    """A model of the language of the invented rows."""
    text = small._FOLDER / "rows.txt"
    text.write_text("".join(f"{row['text']}\n" for row in rows(150)), encoding="utf-8")
    with prose.small_recipe(**SIZES, max_epochs=2, min_epochs=1):
        train(prose.request(out, unit, data=str(text), **changes))


def language_model(unit="word", cell=CATALOGUE["gru"]):
    """The directory of one, made once."""
    out = small._FOLDER / f"language-of-rows-{unit}-{cell.name}"
    if not out.exists():
        train_language(out, unit, cell=cell)
    return out


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def wish(out, folder, task="classify", **changes):
    settings = {"classify": {"class_weights": False}, "regress": {}}[task] | {"pretrain": str(folder)}
    return request(task, data_file(), out, settings=settings, **changes)


def classify(out, folder, **changes):
    train(wish(out, folder, **changes))
    return gruvy.load(out)


@pytest.mark.parametrize("unit", prose.UNITS)
def test_sizes_tokens_and_weights_are_those_of_the_language_model(unit, out):
    """Seen with a learning rate of 0: what is read at the start is what is there at the end."""
    source = gruvy.load(language_model(unit))
    with small_recipe(**FROZEN):
        model = classify(out, language_model(unit))
    assert {name: getattr(model.recipe, name) for name in SIZES} == SIZES
    assert not model.recipe.bidirectional
    assert model.inputs.tokenizer.get_vocab() == source.inputs.vocabulary.tokenizer.get_vocab()
    network, language = model.model.network, source.model.network
    torch.testing.assert_close(network.embedding.weight, language.embedding.weight, rtol=0, atol=0)
    for text in TEXTS[:5]:
        ids = torch.from_numpy(model.inputs([text]).ids).long()[None]
        assert ids[0].tolist() == source.inputs.vocabulary.encode([text]).ids.tolist()
        with torch.no_grad():
            read, _ = network.encoder(network.embedding(ids))
            x = language.embedding(ids)
            for layer in language.layers:
                x, _ = layer(x)
        torch.testing.assert_close(read, x)


@pytest.mark.parametrize("cell", [CATALOGUE["lstm"], CATALOGUE["gru_carry"], my_gru], ids=lambda cell: cell.name)
def test_so_it_is_with_other_cells(cell, out):
    source = gruvy.load(language_model(cell=cell)).model.network
    with small_recipe(**FROZEN):
        network = classify(out, language_model(cell=cell), cell=cell).model.network
    own = dict(network.encoder.named_parameters())
    theirs = {
        n.replace("_l0", f"_l{i}"): w for i, layer in enumerate(source.layers) for n, w in layer.named_parameters()
    }
    assert own.keys() == theirs.keys()
    for name, weight in own.items():
        torch.testing.assert_close(weight, theirs[name], rtol=0, atol=0)


def test_all_weights_learn_on(out):
    source, network = gruvy.load(language_model()).model.network, classify(out, language_model()).model.network
    assert not torch.equal(network.embedding.weight, source.embedding.weight)
    for layer in range(2):
        weight = getattr(network.encoder, f"weight_hh_l{layer}")
        assert not torch.equal(weight, source.layers[layer].weight_hh_l0)


@pytest.mark.parametrize(("task", "unit"), [("classify", "bpe"), ("regress", "char"), ("regress", "word")])
def test_the_model_is_whole_without_the_language_model_s_directory(task, unit, out, tmp_path):
    folder = shutil.copytree(language_model(unit), tmp_path / "language")
    changes = {"columns": {"target": "number"}} if task == "regress" else {}
    before = snapshot(folder)
    outcome = train(wish(out, folder, task, **changes))
    assert snapshot(folder) == before, "the language model is left as it was"
    shutil.rmtree(folder)
    assert {p.name for p in out.iterdir()} - {"residuals.png"} == small.FILES
    found = gruvy.load(out).predict(TEXTS + ODD)
    assert len(found) == len(TEXTS + ODD)
    assert strict_json((out / "metrics.json").read_text())["metrics"] == outcome.measured["metrics"]


@pytest.mark.parametrize("unit", prose.UNITS)
def test_texts_are_read_alike_before_and_after_saving(unit, tmp_path):
    """What looks like a special token is text, in training and when the model is loaded."""
    inputs = Pretrained(str(language_model(unit)), CATALOGUE["gru"]).inputs(SMALL)
    inputs.save(tmp_path)
    loaded = type(inputs).load(tmp_path, SMALL.max_tokens)
    assert [inputs([text]).ids.tolist() for text in ODD] == [loaded([text]).ids.tolist() for text in ODD]
    assert 0 not in loaded(ODD).ids, "padding is no text"
    assert 2 not in loaded(ODD).ids, "nor is the end"


def test_it_is_another_model_than_without_and_says_what_it_is_from(out):
    outcome = train(wish(out, language_model()))
    other = without("classify")[1]
    branches = outcome.measured["branches"], other.measured["branches"]
    assert branches[0][RECURRENT] != branches[1][RECURRENT]
    assert outcome.measured["baseline"] == other.measured["baseline"]
    assert "pretrain" in (out / "config.json").read_text()


def test_the_same_seed_gives_the_same_weights(out, tmp_path):
    classify(out, language_model())
    classify(tmp_path / "again", language_model())
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["classify", "nowhere", "a file", "an empty folder"])
def test_what_is_no_language_model_is_refused_and_nothing_is_written(kind, tmp_path):
    (tmp_path / "empty").mkdir()
    folder, said = {
        "classify": (without("classify")[0], "holds a classify model; give one that gruvy train language wrote"),
        "nowhere": (tmp_path / "nowhere", "no such directory"),
        "a file": (data_file(), "no such directory"),
        "an empty folder": (tmp_path / "empty", "has no config.json"),
    }[kind]  # fmt: skip
    with pytest.raises(BadInput, match=said):
        train(wish(tmp_path / "out", folder))
    assert not (tmp_path / "out").exists()


def test_another_cell_is_refused_with_the_remedy(out):
    with pytest.raises(BadInput, match="has the cell gru; give --cell gru too"):
        train(wish(out, language_model(), cell=CATALOGUE["lstm"]))
    assert not out.exists()


def test_series_do_not_start_from_a_language_model(out):
    with pytest.raises(BadInput, match="--pretrain is for texts"):
        train(wish(out, language_model(), columns={"series": ("number",)}))


# Stopped and taken up again


def interrupted(out, folder):
    """Leave in `out` what Ctrl-C in the second epoch leaves."""
    step = loop.Steps.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Steps, "training_step", training_step)
        with pytest.raises(Interrupted, match="goes on from the last whole epoch"):
            train(wish(out, folder))


def test_the_same_request_goes_on_and_ends_as_if_never_stopped(out, tmp_path):
    classify(tmp_path / "whole", language_model())
    interrupted(out, language_model())
    classify(out, language_model())
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_another_language_model_in_the_same_place_is_another_training(out, tmp_path):
    folder = shutil.copytree(language_model(), tmp_path / "language")
    interrupted(out, folder)
    shutil.rmtree(folder)
    train_language(folder, seed=1)
    with pytest.raises(BadInput, match="unfinished training with other settings"):
        train(wish(out, folder))
