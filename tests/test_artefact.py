"""A trained model read back: what it predicts, what it loads, and every way its folder can be wrong."""

import json
import shutil

import numpy as np
import pytest
from tests.fixtures.small import FILES, data_file, python, rows, small_recipe, strict_json, train, trained
from tests.fixtures.small import request as wish

import gruvy
from gruvy.artefact import read_json
from gruvy.cells.lookup import find_cell
from gruvy.errors import BadInput

TEXTS = [row["text"] for row in rows(20, seed=9)]


@pytest.fixture(scope="module")
def model():
    return gruvy.load(trained("classify")[0])


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(trained("classify")[0], tmp_path / "model")


# Predicting


def test_one_text_gives_a_dict_and_several_a_list(model):
    assert set(model.predict(TEXTS[0])) == {"label", "probability", "probabilities"}
    assert [set(p) for p in model.predict(TEXTS)] == [{"label", "probability", "probabilities"}] * len(TEXTS)
    assert model.predict([]) == []


@pytest.mark.parametrize("kind", [list, tuple, np.array, iter], ids=lambda kind: kind.__name__)
def test_several_texts_may_come_as(model, kind):
    assert [p["label"] for p in model.predict(kind(TEXTS))] == [p["label"] for p in model.predict(TEXTS)]


def test_a_text_is_told_the_same_alone_and_among_others(model):
    for text, among in zip(TEXTS, model.predict(TEXTS), strict=True):
        assert model.predict(text)["probability"] == pytest.approx(among["probability"], abs=1e-6)


def test_predictions_come_in_the_order_of_the_texts(model):
    forwards, backwards = model.predict(TEXTS), model.predict(TEXTS[::-1])
    assert [p["label"] for p in forwards] == [p["label"] for p in backwards[::-1]]


def test_more_texts_than_a_batch(model):
    assert len(model.predict(TEXTS * 20)) == 20 * len(TEXTS)


@pytest.mark.parametrize("raw", ["", "  ", ["fine", ""], [3], None, 3, [None], b"bytes", {"text": "fine"}])
def test_what_is_no_text_is_refused(model, raw):
    with pytest.raises(BadInput):
        model.predict(raw)


def test_words_never_seen_still_get_an_answer(model):
    assert model.predict("qwertz 🙂 Ωmega")["label"] in ("good", "bad")


def test_a_number_is_in_the_target_s_units():
    model = gruvy.load(trained("regress")[0])
    values = [p["value"] for p in model.predict([row["text"] for row in rows(200, seed=3)])]
    assert np.corrcoef(values, [float(row["number"]) for row in rows(200, seed=3)])[0, 1] > 0.7


PREDICT = """
import json, sys
import gruvy
print(json.dumps(gruvy.load(sys.argv[1]).predict(sys.argv[2:])))
heavy = {"lightning", "pytorch_lightning", "matplotlib", "torchmetrics", "sklearn", "pyarrow", "pandas"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""


def test_a_fresh_process_predicts_the_same_and_loads_little(model):
    done = python(PREDICT, str(trained("classify")[0]), *TEXTS[:3])
    assert done.returncode == 0, done.stderr
    predicted, loaded = map(strict_json, done.stdout.splitlines())
    assert predicted == [
        {**p, "probability": pytest.approx(p["probability"], abs=1e-6),
         "probabilities": pytest.approx(p["probabilities"], abs=1e-6)}
        for p in model.predict(TEXTS[:3])
    ]  # fmt: skip
    assert loaded == []


def test_a_cell_of_one_s_own_needs_its_file_no_more_once_trained(tmp_path):
    from tests.fixtures import my_cells

    source = shutil.copy(my_cells.__file__, tmp_path / "my_cells.py")
    with small_recipe():
        train(wish("classify", data_file(), tmp_path / "out", cell=find_cell(f"{source}:my_gru")))
    (tmp_path / "my_cells.py").unlink()
    done = python(PREDICT, str(tmp_path / "out"), *TEXTS[:3])
    assert done.returncode == 0, done.stderr
    assert len(strict_json(done.stdout.splitlines()[0])) == 3
    assert gruvy.load(tmp_path / "out").cell.name == "my_gru"


# A folder that is not as it was written


def shortened(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def changed(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def missing(file):
    file.unlink()


def not_text(file):
    file.write_bytes(b"\xff\xfe\x00" * 50)


@pytest.mark.parametrize("harm", [shortened, emptied, changed, missing, not_text], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_was_harmed_is_named(folder, name, harm):
    harm(folder / name)
    with pytest.raises(BadInput, match=name) as caught:
        gruvy.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("harm", [shortened, emptied, missing, not_text], ids=lambda harm: harm.__name__)
def test_hashes_that_were_harmed_are_named(folder, harm):
    harm(folder / "hashes.json")
    with pytest.raises(BadInput, match=r"hashes\.json"):
        gruvy.load(folder)


@pytest.mark.parametrize("harm", [shortened, emptied, changed, missing, not_text], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", ["split.json", "metrics.json"])
def test_a_record_that_was_harmed_is_named_by_what_reads_it(folder, name, harm):
    harm(folder / name)
    with pytest.raises(BadInput, match=name):
        read_json(folder, name)


def test_a_model_card_may_be_edited_and_the_documents_left_out(folder):
    (folder / "README.md").write_text("ours now")
    for name in ("training.png", "split.json", "metrics.json"):
        (folder / name).unlink()
    assert gruvy.load(folder).predict("splendid lamp")


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"format": null}', '"config"'])
def test_a_config_that_is_none_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(BadInput, match=r"config\.json|format"):
        gruvy.load(folder)


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"config.json": 3, "model.safetensors": []}'])
def test_hashes_that_are_none_are_refused(folder, content):
    (folder / "hashes.json").write_text(content)
    with pytest.raises(BadInput, match=r"hashes\.json|config\.json"):
        gruvy.load(folder)


def test_a_newer_format_says_what_to_install(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 2}))
    with pytest.raises(BadInput, match="format 2, this gruvy reads format 1; install"):
        gruvy.load(folder)


def rehash(folder):
    """Hashes that fit what is there now, as whoever changes an artefact on purpose would write."""
    from gruvy.artefact import _sha256

    hashes = {name: _sha256(folder / name) for name in FILES - {"hashes.json"}}
    (folder / "hashes.json").write_text(json.dumps(hashes))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "sing"}, {"target": {}}, {"target": 3}, {"target": {"labels": ["a"], "frequencies": [1]}},
        {"recipe": {"colour": 1}}, {"recipe": 3}, {"cell": {}}, {"cell": None}, {"engine": "steam"},
        {"recipe": {"hidden_size": "six"}}, {"recipe": {"pooling": ["middle"]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_was_changed_with_its_hash_is_refused_in_one_sentence(folder, change):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    rehash(folder)
    with pytest.raises(BadInput) as caught:
        gruvy.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 64])
def test_weights_that_are_none_are_refused_in_one_sentence(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    rehash(folder)
    with pytest.raises(BadInput, match="damaged"):
        gruvy.load(folder)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda p: None, "no such directory"),
        (lambda p: p.mkdir(), "not a trained model"),
        (lambda p: p.write_text("x"), "no such directory|is a file"),
        (
            lambda p: (p / ".gruvy-training").mkdir(parents=True),
            "unfinished training; run the same gruvy train command",
        ),
    ],
    ids=["nothing", "an empty folder", "a file", "an unfinished training"],
)
def test_what_is_no_artefact_is_refused(tmp_path, made, said):
    made(tmp_path / "x")
    with pytest.raises(BadInput, match=said):
        gruvy.load(tmp_path / "x")


def test_files_of_the_user_s_own_beside_the_model_do_no_harm(folder):
    (folder / "notes.txt").write_text("mine")
    assert gruvy.load(str(folder)).predict("splendid")["label"]


def test_loading_writes_nothing(folder):
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    gruvy.load(folder).predict(TEXTS)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
