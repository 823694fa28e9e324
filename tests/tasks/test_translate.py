"""What a translation model says of texts, how it is judged, and what it remembers of a conversation."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.pairs import small_recipe, trained, unseen

import gruvy
from gruvy.data.pairs import LongSource
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput
from gruvy.tasks.modalities.pairs import Conversation
from gruvy.tasks.translate import Translate

DEFAULTS = {name: setting.default for name, setting in Translate.settings.items()}
SOURCES, TARGETS = zip(*unseen()[:20], strict=True)


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def model():
    return gruvy.load(trained("words")[0])


@pytest.fixture(params=["words", "pieces"])
def either(request):
    return gruvy.load(trained(request.param)[0])


@pytest.fixture
def talk():
    return Conversation(gruvy.load(trained("talks")[0]))


# Figures

TEXT = st.text("ab Äß,.'", max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_bleu_and_chrf_are_those_of_sacrebleu(pairs):
    said, references = map(list, zip(*pairs, strict=True))
    found = Translate().metrics(said, references)
    assert found == {
        "bleu": sacrebleu.corpus_bleu(said, [references]).score,
        "bleu_lowercase": sacrebleu.corpus_bleu(said, [references], lowercase=True).score,
        "chrf": sacrebleu.corpus_chrf(said, [references]).score,
    }
    each = [sacrebleu.sentence_chrf(one, [reference]).score for one, reference in pairs]
    assert Translate().scores(said, references) == each


def test_case_counts_in_one_bleu_and_not_in_the_other():
    found = Translate().metrics(["The Old Red Boat Sails"], ["the old red boat sails"])
    assert (found["bleu"], found["bleu_lowercase"]) == (0, pytest.approx(100))


def test_signatures_say_how_the_figures_were_computed():
    cased, lowered, chrf = Translate().signatures()
    for signature in (cased, lowered, chrf):
        assert "nrefs:1" in signature
        assert f"version:{sacrebleu.__version__}" in signature
    assert [signature.split(": ")[0] for signature in (cased, lowered, chrf)] == ["BLEU", "BLEU, lower case", "chrF"]
    assert "case:mixed|eff:no|tok:13a" in cased
    assert "case:lc|eff:no|tok:13a" in lowered
    assert "nc:6|nw:0" in chrf


def test_json_brings_the_task_back():
    task = Translate.fit({**DEFAULTS, "beam": 3, "length_penalty": 0.5, "context": 2})
    assert task == Translate(3, 0.5, 2) == Translate.from_json(json.loads(json.dumps(task.to_json())))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("beam", 0), ("beam", -1), ("beam", 101), ("length_penalty", -0.1), ("length_penalty", 11.0),
     ("length_penalty", float("nan")), ("context", -1), ("context", 21), ("vocabulary", 1), ("vocabulary", -5)],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(setting, value):
    with pytest.raises(BadInput, match=f"--{setting.replace('_', '-')} .*: expected"):
        Translate.fit({**DEFAULTS, setting: value})


# Translations


def test_it_translates_sentences_it_never_saw(model):
    said = [one["translation"] for one in model.predict(SOURCES)]
    assert sum(one == target for one, target in zip(said, TARGETS, strict=True)) >= 18


def test_a_batch_gives_what_each_text_gives_alone(either):
    lengths = [" ".join(SOURCES[i : i + n]) for i, n in enumerate([1, 3, 1, 2, 4])]
    for text, together in zip(lengths, either.predict(lengths), strict=True):
        alone = either.predict(text)
        assert alone["translation"] == together["translation"]
        np.testing.assert_allclose(alone["attention"]["weights"], together["attention"]["weights"], atol=2e-4)


def test_attention_fits_the_tokens_and_is_shares(either):
    for text, said in zip(SOURCES, either.predict(SOURCES), strict=True):
        attended = said["attention"]
        assert set(attended) == {"source", "target", "weights", "score"}
        weights = np.array(attended["weights"])
        assert weights.shape == (len(attended["target"]), len(attended["source"]))
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4 * weights.shape[1])
        assert attended["source"][-1] == attended["target"][-1] == "<end>"
        space = " " if either.inputs.source.unit == "word" else ""
        assert space.join(attended["source"][:-1]) == text
        assert space.join(attended["target"][:-1]) == said["translation"]
        json.dumps(said, allow_nan=False)


def test_attention_looks_at_the_word_that_is_translated(model):
    """Agent, thing, colour, deed from agent, deed, colour, thing."""
    found = [np.array(said["attention"]["weights"])[:4].argmax(1).tolist() for said in model.predict(SOURCES)]
    assert sum(places == [0, 3, 2, 1] for places in found) >= 15


def test_a_beam_of_one_takes_the_likeliest_token_each_time(model):
    model.task = replace(model.task, beam=1)
    network, inputs = model.model.eval(), model.inputs
    for source in SOURCES[:5]:
        ids = torch.from_numpy(inputs.encode([source])[0]).long()
        written, token = [], END
        with torch.no_grad():
            state = network.decode_start(ids[None], torch.tensor([len(ids)]))
            while len(written) < 20:
                scores, state, _ = network.decode_step(torch.tensor([token]), state)
                scores[:, :2] = -torch.inf  # padding and the unknown token
                token = int(scores.argmax())
                if token == END:
                    break
                written.append(token)
        assert model.predict(source)["translation"] == inputs.target.decode(written)


def test_a_larger_beam_finds_nothing_less_probable(either):
    scores = {}
    for beam in (1, 2, 5):
        either.task = replace(either.task, beam=beam, length_penalty=0.0)
        scores[beam] = np.array([said["attention"]["score"] for said in either.predict(SOURCES)])
    assert scores[5].sum() >= scores[1].sum() - 1e-4
    assert scores[1].max() < 0


def test_a_blank_text_stays_blank_in_its_place(either):
    found = either.predict(["", SOURCES[0], " \t\n", SOURCES[1], ""])
    assert [bool(one["translation"]) for one in found] == [False, True, False, True, False]
    assert found[1]["translation"] == either.predict(SOURCES[0])["translation"]
    assert either.predict("") == {"translation": ""}
    assert either.predict([]) == []


def test_control_characters_are_read_as_spaces(either):
    plain, marked = either.predict(SOURCES[0]), either.predict(SOURCES[0].replace(" ", "\x07"))
    assert marked == plain


def test_nothing_but_control_characters_is_a_blank_text(either):
    assert either.predict("\x00\x01")["translation"] == ""


@pytest.mark.parametrize(
    "text", ["дом 家 \U0001f600", "ᚠᛇᚻ", "\u202eabc", "￿", "e\u0301", "<unk> end of text no token"]
)
def test_unknown_scripts_get_a_finite_answer(either, text):
    said = either.predict(text)
    assert np.isfinite(said["attention"]["score"])
    assert "<unk>" not in said["translation"]


def test_a_source_longer_than_any_in_training_is_read_to_the_end(model):
    text = " ".join(SOURCES[:9])  # 36 words; those of training have 4
    said = model.predict(text)
    assert len(said["attention"]["source"]) == 37
    assert len(said["attention"]["target"]) <= 2 * 37 + 10


def test_of_a_longer_source_the_first_tokens_are_read_and_it_is_said_once(model):
    text = " ".join(SOURCES[:12])
    with pytest.warns(
        LongSource, match="of more than 40 tokens: the first 40 are read; split them into sentences"
    ) as said:
        found = model.predict([text, SOURCES[0]])
    assert len(said) == 1
    assert found == model.predict([" ".join(SOURCES[:10]), SOURCES[0]])


def test_the_end_of_writing_is_certain(model):
    """A model that cannot end stops at the limit."""
    with torch.no_grad():
        model.model.bias[END] = -1e9
    said = model.predict(SOURCES[0])
    assert len(said["translation"].split()) == 2 * 5 + 10
    assert said["attention"]["target"][-1] != "<end>"
    assert len(said["attention"]["weights"]) == len(said["attention"]["target"])


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["a", 3], "text 2 is a int; expected a str"), ([None], "text 1 is a NoneType"), ([b"a"], "text 1 is a bytes"),
     (["a", "\ud83d"], "text 2 of 2 is not valid Unicode")],
)  # fmt: skip
def test_what_is_no_text_is_refused(model, texts, said):
    with pytest.raises(BadInput, match=said):
        model.predict(texts)


@pytest.mark.parametrize("raw", [3, None])
def test_what_is_no_list_of_texts_is_refused(model, raw):
    with pytest.raises(BadInput):
        model.predict(raw)


def test_a_translation_model_does_not_go_on_with_texts(model):
    with pytest.raises(BadInput, match="does not write"):
        model.generate("pilot")


# Conversations


@pytest.mark.parametrize("colour", ["red", "blue", "white"])
def test_an_answer_depends_on_the_turn_before(talk, colour):
    assert talk.answer(f"my boat is {colour}") == "I see"
    assert talk.answer("which colour") == colour


def test_only_as_many_turns_as_were_learned_are_read(talk):
    expected = talk.trained.predict("my lamp is red ⏎ I see ⏎ which colour")["translation"]
    for text in ("my boat is blue", "which colour", "my lamp is red"):
        talk.answer(text)
    assert talk.answer("which colour") == expected == "red"


def test_to_begin_anew_forgets_what_was_said(talk):
    fresh = talk.answer("which colour")
    talk.answer("my boat is green" if fresh != "green" else "my boat is blue")
    talk.begin()
    assert talk.answer("which colour") == fresh


def test_two_conversations_do_not_hear_each_other(talk):
    other = Conversation(talk.trained)
    talk.answer("my boat is red")
    other.answer("my boat is blue")
    assert (talk.answer("which colour"), other.answer("which colour")) == ("red", "blue")


def test_a_model_without_context_answers_each_line_alone(model):
    said = Conversation(model)
    for source in (SOURCES[0], SOURCES[1], SOURCES[0]):
        assert said.answer(source) == model.predict(source)["translation"]


@pytest.mark.filterwarnings("ignore::gruvy.data.pairs.LongSource")
def test_a_long_turn_does_not_hide_the_question_after_it(talk):
    """The end of what is read is what is asked."""
    talk.answer("my boat is red " * 20)
    assert talk.answer("which colour") == "red"


@pytest.mark.filterwarnings("ignore::gruvy.data.pairs.LongSource")
def test_of_what_is_too_long_the_end_is_read(talk):
    text = "my boat is blue " * 20 + "⏎ I see ⏎ which colour"
    assert talk.trained.predict(text)["attention"]["source"] == [*text.split()[-40:], "<end>"]
