"""Texts as token ids, the same before and after saving."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data.text import MAX_CHARACTERS, PADDING, UNKNOWN, LongText, TextInputs, TokenIds, crop
from gruvy.errors import BadInput

TEXTS = ["A fine fine day.", "a dull day, it's 7 o'clock", "Fine! fine? it's dull 7", "Δέλτα δέλτα ﬁne"]
DOCUMENTS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), max_size=8)


@pytest.fixture(scope="module")
def inputs():
    return TextInputs.fit(TEXTS, vocabulary_size=50, max_tokens=6)


def words(inputs, text):
    return [inputs.tokenizer.id_to_token(int(i)) for i in inputs([text])[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fine DAY", ["fine", "day"]),
        ("it's", ["it's"]),
        ("fine<br />day<br>dull", ["fine", "day", "dull"]),
        ("fine7 7", ["[UNK]", "7"]),
        ("ΔΈΛΤΑ", ["δέλτα"]),
        ("ﬁne", ["fine"]),  # a ligature, one character
        ("zebra day", ["[UNK]", "day"]),
        ("   fine   \n\t day ", ["fine", "day"]),
        ("NA", ["[UNK]"]),
        ("\u200b", ["[UNK]"]),
    ],
)
def test_tokens_are_lower_cased_words_and_signs(inputs, text, expected):
    assert words(inputs, text) == expected


def test_words_seen_once_are_not_kept_and_the_size_is_a_limit(inputs):
    assert "clock" not in inputs.tokenizer.get_vocab()
    assert TextInputs.fit(TEXTS, vocabulary_size=4, max_tokens=6).vocabulary_size == 4
    assert inputs.tokenizer.token_to_id("[PAD]") == PADDING
    assert inputs.tokenizer.token_to_id("[UNK]") == UNKNOWN


def test_saving_and_loading_changes_no_id(inputs, tmp_path):
    inputs.save(tmp_path)
    again = TextInputs.load(tmp_path, max_tokens=6)
    texts = [*TEXTS, "something <br/> quite NEW; it's fine", "x"]
    assert again.vocabulary_size == inputs.vocabulary_size
    assert np.array_equal(again(texts).ids, inputs(texts).ids)
    assert np.array_equal(again(texts).offsets, inputs(texts).offsets)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xfe", b'{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"tokenizer\.json is not a tokenizer"):
        TextInputs.load(tmp_path, 6)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: t.strip()), max_size=5))
def test_a_text_alone_gives_the_ids_it_gives_among_others(texts):
    inputs = TextInputs.fit(TEXTS, 50, 6)
    together = inputs(texts)
    assert len(together) == len(texts)
    for i, text in enumerate(texts):
        assert np.array_equal(together[i], inputs([text])[0])
        assert len(together[i]) >= 1  # an encoder needs a step


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["fine", ""], "text 2 of 2 is empty"),
        ([" \n\t "], "text 1 of 1 is empty"),
        (["fine", 3], "text 2 is a int; expected a str"),
        ([None], "text 1 is a NoneType"),
        ([b"fine"], "text 1 is a bytes"),
        (["fine", "half a character \ud83d"], "text 2"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(inputs, texts, said):
    with pytest.raises(BadInput, match=said):
        inputs(texts)


def test_a_long_text_is_cut_with_a_warning_and_equals_its_beginning(inputs):
    text = "fine day " * (MAX_CHARACTERS // 9 + 1000)
    with pytest.warns(LongText, match=f"a text has {len(text):,} characters; the first 100,000 are read"):
        tokens = inputs(["fine", text])
    assert np.array_equal(tokens[1], inputs([text[:MAX_CHARACTERS]])[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs([text[:MAX_CHARACTERS]])


# Cropping and batches


@given(st.integers(0, 40), st.integers(1, 30))
def test_crop_keeps_the_first_quarter_and_the_end(length, limit):
    ids = np.arange(length)
    kept = crop(ids, limit)
    assert len(kept) == min(length, limit)
    if length > limit:
        head = limit // 4
        assert kept.tolist() == [*range(head), *range(length - (limit - head), length)]
    else:
        assert np.array_equal(kept, ids)


def test_a_batch_is_cropped_and_padded_and_its_tokens_are_whole(inputs):
    tokens = inputs(["fine day", "fine fine fine fine day day day day dull"])
    batch = inputs.collate(tokens, [1, 0])
    assert batch["ids"].shape == (2, 6)
    assert batch["lengths"].tolist() == [6, 2]
    assert batch["ids"][1, 2:].tolist() == [PADDING] * 4
    assert [len(batch["tokens"][i]) for i in range(2)] == [9, 2]


# TokenIds


@given(DOCUMENTS)
def test_join_keeps_every_document(documents):
    tokens = TokenIds.join(documents)
    assert len(tokens) == len(documents)
    assert [tokens[i].tolist() for i in range(len(tokens))] == documents
    assert tokens.lengths.tolist() == [len(d) for d in documents]
    assert (tokens.ids.dtype, tokens.offsets.dtype) == (np.int32, np.int64)


@given(DOCUMENTS.filter(bool), st.data())
def test_take_gives_the_documents_asked_for_in_their_order(documents, data):
    chosen = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=10))
    taken = TokenIds.join(documents).take(chosen)
    assert [taken[i].tolist() for i in range(len(taken))] == [documents[i] for i in chosen]


@given(DOCUMENTS)
def test_taking_all_changes_nothing_and_taking_twice_composes(documents):
    tokens = TokenIds.join(documents)
    everything = tokens.take(range(len(tokens)))
    assert np.array_equal(everything.ids, tokens.ids)
    assert np.array_equal(everything.offsets, tokens.offsets)
    backwards = list(range(len(tokens)))[::-1]
    assert np.array_equal(tokens.take(backwards).take(backwards).ids, tokens.ids)
