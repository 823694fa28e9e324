"""What a language model says of texts, and what it writes."""

import json
import math
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from tests.fixtures.prose import UNITS, small_recipe, text, trained
from tests.fixtures.small import trained as trained_otherwise

import gruvy
from gruvy.data.text import PADDING, UNKNOWN
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput
from gruvy.models.cache import Cache
from gruvy.tasks.language import Language
from gruvy.tasks.modalities import prose

METRICS = {"perplexity", "word_perplexity", "bits_per_character", "nll"}
PROMPT = "the baker"


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture(params=UNITS)
def model(request):
    return gruvy.load(trained(request.param)[0])


@torch.no_grad()
def one_by_one(model, ids):
    """Log-likelihoods of a stream, by a loop over single tokens."""
    network, states, found = model.model.network, None, []
    for before, token in zip([END, *ids[:-1].tolist()], ids.tolist(), strict=True):
        known, states = network.step(torch.tensor([before]), states)
        found.append(network.scores(known).log_softmax(-1)[0, token].item())
    return np.array(found)


# Figures


def test_figures_are_of_one_total():
    log_likelihoods = np.log([0.5, 0.25, 0.125, 0.5])
    found = Language("word").metrics(log_likelihoods, characters=14, words=2)
    assert set(found) == METRICS
    assert found["nll"] == pytest.approx(7 * math.log(2) / 4)
    assert found["perplexity"] == pytest.approx(2 ** (7 / 4))
    assert found["word_perplexity"] == pytest.approx(2 ** (7 / 2))
    assert found["bits_per_character"] == pytest.approx(7 / 14)


def test_a_hopeless_text_has_no_finite_perplexity_but_a_loss():
    found = Language("char").metrics(np.array([-1e4]), characters=1, words=1)
    assert (found["perplexity"], found["nll"]) == (math.inf, 1e4)


def test_words_are_what_stands_between_spaces_and_every_line_end():
    assert prose.words(["the  lamp\n\nat noon\n"]) == 4 + 3
    assert prose.words(["the lamp", "at noon"]) == 4 + 2


def test_the_perplexity_of_words_is_that_of_words_whatever_the_tokens():
    """So that models of other tokens compare."""
    model = gruvy.load(trained("word")[0])
    ids = model.inputs([text(20)])
    assert len(ids) == prose.words([text(20)])


@pytest.mark.parametrize("cache", [None, Cache(100, 0.5, 0.1)])
def test_json_brings_the_task_back(cache):
    task = Language("bpe", cache)
    assert Language.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"cache": -1}, "--cache -1: expected a number of tokens, or 0"), ({"vocabulary": 1}, "--vocabulary 1: expected")],
)
def test_sizes_that_cannot_be_are_refused(settings, said):
    with pytest.raises(BadInput, match=said):
        Language.fit({"unit": "word", "cache": 0, "vocabulary": None, **settings})


# How probable a text is


def test_log_likelihoods_are_those_of_single_tokens(model):
    ids = model.inputs([text(20, seed=4)])
    found, hidden = prose.log_likelihoods(model.model.network, ids)
    np.testing.assert_allclose(found, one_by_one(model, ids), atol=1e-4, rtol=1e-4)
    assert not len(hidden)


def test_a_long_stream_is_read_in_rows_and_windows_without_losing_any(model, monkeypatch):
    monkeypatch.setattr(prose, "_AT_LEAST", 60)
    monkeypatch.setattr(prose, "_WINDOW", 7)
    ids = model.inputs([text(40, seed=4)])[:251]
    found, hidden = prose.log_likelihoods(model.model.network, ids, hidden=True)
    assert found.shape == (251,)
    assert found.isfinite().all()
    expected = one_by_one(model, ids)
    first = -(-251 // 4)
    np.testing.assert_allclose(found[:first], expected[:first], atol=1e-4, rtol=1e-4)
    assert (np.abs(found.numpy() - expected) < 1e-4).mean() > 0.4, "a row's past is soon forgotten"
    scores = model.model.network.scores(hidden).log_softmax(-1)
    again = scores[torch.arange(251), torch.from_numpy(ids).long()]
    torch.testing.assert_close(again, found)


def test_what_training_repeats_is_likelier_than_what_it_never_had(model):
    good, odd = model.predict(["the baker lifts the bridge at noon .", "noon the . lifts at at"])
    assert good["bits_per_character"] < odd["bits_per_character"]
    assert good["perplexity"] < odd["perplexity"]


def test_predictions_are_the_figures_of_each_text_alone(model):
    texts = ["the lamp", "the baker lifts the boat\nat noon .\n", "é"]
    found = model.predict(texts)
    for content, said in zip(texts, found, strict=True):
        assert said == model.predict(content)
        ids = model.inputs([content])
        assert said["tokens"] == len(ids)
        assert set(said) == METRICS | {"tokens"}
        total = -one_by_one(model, ids).sum()
        assert said["nll"] == pytest.approx(total / len(ids), rel=1e-4)
        assert said["bits_per_character"] == pytest.approx(total / math.log(2) / len(content), rel=1e-4)
        assert said["word_perplexity"] == pytest.approx(math.exp(total / prose.words([content])), rel=1e-3)


def test_a_text_is_cleaned_before_it_is_judged(model):
    expected = model.predict("the lamp\nat noon")
    for dirty in ("the lamp\r\nat noon", "the\x07 lamp\nat noon\x1b", "the lamp\rat noon\udcff"):
        assert model.predict(dirty) == expected


@pytest.mark.parametrize(
    ("raw", "said"), [("", "text 1 holds no text"), (["the lamp", " \n"], "text 2 holds no text"),
                      (["the lamp", None], "text 2 is a NoneType; expected a str"), ("\x07", "text 1 holds no text")],
)  # fmt: skip
def test_what_is_no_text_is_refused(model, raw, said):
    with pytest.raises(BadInput, match=said):
        model.predict(raw)


# Writing


def written(model, prompt="", length=100, **options):
    return "".join(model.generate(prompt, length, seed=0, **options))


def test_the_likeliest_text_is_the_greedy_one(model):
    """By a loop of its own."""
    network, ids = model.model.network, torch.from_numpy(model.inputs.prompt(PROMPT)).long()
    with torch.no_grad():
        expected = []
        for _ in range(12):
            hidden, _ = network.read(torch.cat([ids, torch.tensor(expected, dtype=torch.long)])[None])
            scores = network.scores(hidden)[0, -1]
            scores[[PADDING, UNKNOWN]] = -math.inf
            expected.append(int(scores.argmax()))
    found = written(model, PROMPT, 12, temperature=0.0)
    assert found == "".join(model.inputs.vocabulary.written(expected, after_word=model.task.unit == "word"))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_draws_follow_the_model(model, temperature):
    """Of the first token, in many texts; tokens that are written alike count as one."""
    with torch.no_grad():
        ids = torch.from_numpy(model.inputs.prompt(PROMPT)).long()
        scores = model.model.network.scores(model.model.network.read(ids[None])[0])[0, -1].double()
    scores[[PADDING, UNKNOWN]] = -math.inf
    expected: Counter[str] = Counter()
    for token, probability in enumerate((scores / temperature).softmax(-1).tolist()):
        expected["".join(model.inputs.vocabulary.written([token], model.task.unit == "word"))] += probability
    draws = 400
    found = Counter("".join(model.generate(PROMPT, 1, seed=s, temperature=temperature)) for s in range(draws))
    assert found.keys() <= expected.keys()
    for said, probability in expected.items():
        spread = math.sqrt(draws * probability * (1 - probability))
        assert abs(found[said] - draws * probability) < 4.5 * spread + 1, said


def test_the_same_seed_writes_the_same_text_and_another_another(model):
    assert written(model) == written(model)
    assert "".join(model.generate("", 100, seed=1)) != written(model)
    assert "".join(model.generate("", 100)) != "".join(model.generate("", 100))


def test_length_counts_tokens(model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(model.inputs.vocabulary, "written", lambda ids, after_word: map(str, ids))
        for length in (1, 2, 37):
            assert len(list(model.generate("", length))) == length
    characters = gruvy.load(trained("char")[0])
    assert len(written(characters, length=37)) == 37
    said = written(gruvy.load(trained("word")[0]), length=37)
    assert len(said.split()) + said.count("\n") == 37


def test_a_longer_text_begins_as_a_shorter_one(model):
    """Bytes that the shorter one leaves unfinished aside."""
    assert written(model, length=60).startswith(written(model, length=20).rstrip("\ufffd"))


def test_a_word_is_set_off_from_a_prompt_that_ends_with_one():
    model = gruvy.load(trained("word")[0])
    first = written(model, "the baker", 1, temperature=0.0)
    assert first.startswith(" ")
    assert written(model, "the baker ", 1, temperature=0.0) == first[1:]
    assert not written(model, "the baker\n", 1, temperature=0.0).startswith(" ")
    assert not written(model, "", 1, temperature=0.0).startswith(" ")
    assert not written(model, "\x07", 1, temperature=0.0).startswith(" "), "what is left out is no word"


def test_one_token_of_all_is_the_likeliest(model):
    greedy = written(model, PROMPT, 20, temperature=0.0)
    assert written(model, PROMPT, 20, top_k=1) == written(model, PROMPT, 20, top_p=1e-9) == greedy


def test_the_unknown_token_and_padding_are_never_written():
    """Not even where the training text has unknown words as a word."""
    model = gruvy.load(trained("word")[0])
    bias = model.model.network.bias
    with torch.no_grad():
        bias[[PADDING, UNKNOWN]] = 50.0
    said = written(model, length=200)
    assert "<unk>" not in said
    assert len(said.split()) + said.count("\n") == 200


@pytest.mark.parametrize(
    "prompt", ["", " ", "\n\n", "zzz", "שלום 你好", "🎻", "\x00", "<unk>", "end of text", "\ufffd"]
)
def test_any_prompt_will_do(model, prompt):
    assert isinstance(written(model, prompt, 5), str)


def test_a_long_prompt_is_read_in_parts_as_if_at_once(model, monkeypatch):
    prompt = "the baker lifts the bridge at noon . " * 10 + "the"
    whole = written(model, prompt, 30)
    monkeypatch.setattr(prose, "_WINDOW", 7)
    assert written(model, prompt, 30) == whole


def test_weights_that_change_change_what_is_written(model):
    """Whatever was made ready for writing before."""
    written(model, length=5)
    with torch.no_grad():
        model.model.network.bias[END] += 100.0
    assert written(model, length=5) == "\n" * 5


def test_of_a_huge_prompt_the_end_is_read_with_a_note(model, monkeypatch):
    beginning, end = "noon " * 50, "the baker lifts the bridge at noon . " * 10
    monkeypatch.setattr(prose, "_MOST_READ", len(model.inputs([end])) - 5)
    with pytest.warns(prose.LongPrompt, match=r"tokens; the last \d+ are read"):
        expected = written(model, end, 30)
    with pytest.warns(prose.LongPrompt):
        assert written(model, beginning + end, 30) == expected


def test_pieces_come_before_the_text_is_over(model):
    pieces = model.generate(PROMPT, 10**9)
    for _ in range(10):
        next(pieces)


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0}], ids=str)
def test_a_way_of_drawing_that_cannot_be_is_refused_before_anything_is_written(model, options):
    with pytest.raises(BadInput, match=next(iter(options)).replace("_", "-")):
        model.generate(PROMPT, 5, **options)


def test_a_classifier_does_not_write():
    from tests.fixtures import small

    with small.small_recipe(), pytest.raises(BadInput, match=r"does not write; train one with gruvy train language"):
        gruvy.load(trained_otherwise("classify")[0]).generate("the lamp")


@pytest.mark.parametrize("name", ["tokenizer.json", "inputs.json"])
def test_a_damaged_model_is_refused(name, tmp_path):
    shutil.copytree(trained("word")[0], tmp_path / "m")
    (tmp_path / "m" / name).write_text("{}")
    with pytest.raises(BadInput, match=f"{name} is not as it was saved"):
        gruvy.load(tmp_path / "m")
