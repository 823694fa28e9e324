"""What is written comes back: texts as tokens and tokens as texts."""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fixtures.prose import UNITS, lines, text

from gruvy.data.text import PADDING, UNKNOWN
from gruvy.data.vocabulary import END, Vocabulary
from gruvy.errors import BadInput

SPECIAL = ("[PAD]", "no token", "<unk>", "end of text", "[UNK]", "</s>")
texts = st.text(st.characters(exclude_categories=["Cs"]))
words = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=2)


@functools.cache
def learned(unit):
    return Vocabulary.fit(lines(), unit, 300)


@given(texts)
@example("\ufffd")
@example("a\ufffd\ufffd")
@example("\x00\r\n\u2028 \t ")
@example("👩‍👩‍👧 ไทย שלום")
def test_pieces_of_any_text_are_the_text_again(content):
    vocabulary = learned("bpe")
    assert vocabulary.decode(vocabulary.encode([content]).ids) == content


@settings(max_examples=50)
@given(texts.filter(lambda t: len(set(t)) > 1))
def test_characters_of_any_text_are_the_text_again(content):
    vocabulary = Vocabulary.fit([content], "char", 1000)
    found = vocabulary.encode([content])
    assert found.lengths.tolist() == [len(content)]
    assert UNKNOWN not in found.ids
    assert vocabulary.decode(found.ids) == content


@settings(max_examples=50)
@given(words.filter(lambda w: len(set(w) - {"<unk>"}) > 1), st.sampled_from([" ", "  ", "\t", "\u3000"]))
def test_words_come_back_with_spaces_between_them(said, space):
    content = space.join(said)
    vocabulary = Vocabulary.fit([content, content], "word", 1000)
    found = vocabulary.encode([content])
    assert found.lengths.tolist() == [len(said)]
    assert vocabulary.decode(found.ids) == " ".join(said)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("content", SPECIAL)
def test_a_text_that_looks_like_a_special_token_is_text(unit, content):
    """Neither learning it nor reading it gives padding or an end; <unk> is what prepared texts call unknown."""
    vocabulary = Vocabulary.fit([f"{content} lamp {content} kettle"] * 2, unit, 1000)
    found = vocabulary.encode([content]).ids
    assert not {PADDING, END} & set(found.tolist())
    assert (UNKNOWN in found) == (unit == "word" and content == "<unk>")
    assert vocabulary.decode(found) == content
    assert len(set(vocabulary.tokenizer.get_vocab().values())) == len(vocabulary)


@pytest.mark.parametrize("unit", UNITS)
def test_the_ids_of_a_vocabulary_run_from_zero(unit):
    assert sorted(learned(unit).tokenizer.get_vocab().values()) == list(range(len(learned(unit))))


def test_no_more_tokens_than_asked_for_and_the_most_frequent_ones():
    counts = {"kettle": 9, "lamp": 7, "boat": 5, "violin": 3}
    said = [word for word, count in counts.items() for _ in range(count)]
    vocabulary = Vocabulary.fit([" ".join(said)], "word", 3 + 2)
    assert len(vocabulary) == 5
    assert vocabulary.decode(vocabulary.encode(["lamp boat kettle violin"]).ids) == "lamp <unk> kettle <unk>"


def test_ids_of_words_are_in_order_of_frequency():
    """The sampled loss draws by it."""
    vocabulary = Vocabulary.fit(["boat lamp lamp lamp kettle kettle boat lamp boat kettle boat boat"], "word", 100)
    found = vocabulary.encode(["boat lamp kettle"]).ids
    assert found.tolist() == sorted(found.tolist())


def test_words_seen_once_are_unknown_but_where_the_text_names_unknown_words_itself():
    plain = Vocabulary.fit(["lamp boat lamp boat kettle"], "word", 100)
    assert plain.decode(plain.encode(["lamp kettle"]).ids) == "lamp <unk>"
    prepared = Vocabulary.fit(["lamp boat lamp boat kettle <unk>"], "word", 100)
    assert prepared.decode(prepared.encode(["lamp kettle violin"]).ids) == "lamp kettle <unk>"


@pytest.mark.parametrize("script", ["שלום עולם", "你好世界", "ᚠᚢᚦ", "Ünïcödé", "🎻🎻"])
def test_an_unknown_script(script):
    """Bytes are never unknown; words and characters are."""
    pieces = learned("bpe")
    assert pieces.decode(pieces.encode([script]).ids) == script
    assert UNKNOWN not in pieces.encode([script]).ids
    for unit in ("word", "char"):
        assert UNKNOWN in learned(unit).encode([script]).ids


def test_an_end_is_a_line_break_and_padding_is_nothing():
    for unit, after in (("word", " "), ("bpe", ""), ("char", "")):
        vocabulary = learned(unit)
        ids = vocabulary.encode([content := "the lamp" if unit != "char" else "lamp"]).ids
        assert vocabulary.decode([*ids, END, *ids]) == f"{content}\n{content}"
        assert vocabulary.decode([*ids, PADDING, *ids]) == f"{content}{after}{content}"


@pytest.mark.parametrize("unit", UNITS)
def test_texts_are_encoded_one_by_one_whatever_is_beside_them(unit):
    many = ["the lamp", "", "zzz", "the boat by the river ."]
    found = learned(unit).encode(many)
    assert len(found) == 4
    for place, content in enumerate(many):
        np.testing.assert_array_equal(found[place], learned(unit).encode([content]).ids)
    assert len(learned(unit).encode([])) == 0


# Piece by piece


@given(st.sampled_from(UNITS), st.lists(st.integers(0, 299), max_size=40))
def test_pieces_one_by_one_are_the_text_at_once(unit, ids):
    """Of any tokens a model may write, also bytes that are no character."""
    vocabulary = learned(unit)
    ids = [i % len(vocabulary) for i in ids]
    pieces = list(vocabulary.written(iter(ids)))
    assert "".join(pieces) == vocabulary.decode(ids)
    if unit == "bpe" and not {PADDING, END} & set(ids):
        assert "".join(pieces) == vocabulary.tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("unit", UNITS)
def test_a_piece_comes_as_soon_as_it_is_whole(unit):
    """Nothing waits for the end of the text, but bytes for the rest of their character."""
    vocabulary = learned(unit)
    said: list[str] = []
    pieces = vocabulary.written(iter(vocabulary.encode(["the lamp at noon"]).ids.tolist()))
    for piece in pieces:
        said.append(piece)
        assert "the lamp at noon".startswith("".join(said))
    assert "".join(said) == "the lamp at noon"
    waiting = iter(learned("bpe").encode(["🎻 "]).ids.tolist())
    assert "\ufffd" not in "".join(learned("bpe").written(waiting))


def test_bytes_that_never_become_a_character_are_written_as_such():
    vocabulary = learned("bpe")
    start = vocabulary.encode(["🎻"]).ids[0]
    lamp = vocabulary.encode(["lamp"]).ids
    assert vocabulary.decode([start, *lamp]) == "\ufffdlamp"
    assert vocabulary.decode([*lamp, start]) == "lamp\ufffd"


def test_a_word_is_set_off_from_the_one_before_the_text():
    ids = learned("word").encode(["the lamp"]).ids
    assert "".join(learned("word").written(ids, after_word=True)) == " the lamp"
    assert "".join(learned("word").written(ids)) == "the lamp"
    assert "".join(learned("word").written([END, *ids, END, END, *ids], after_word=True)) == ("\nthe lamp\n\nthe lamp")


# Saved


@pytest.mark.parametrize("unit", UNITS)
def test_saved_and_loaded_it_is_the_same(unit, tmp_path):
    learned(unit).save(tmp_path / "tokenizer.json")
    again = Vocabulary.load(tmp_path / "tokenizer.json", unit)
    assert len(again) == len(learned(unit))
    many = [text(20), *SPECIAL, "שלום", "\ufffdz"]
    found, expected = again.encode(many), learned(unit).encode(many)
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert again.decode(found.ids) == learned(unit).decode(expected.ids)


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_what_is_no_tokenizer_is_refused(content, tmp_path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BadInput, match=r"tokenizer\.json is not a tokenizer.*train the model again"):
        Vocabulary.load(tmp_path / "tokenizer.json", "word")


def test_the_same_texts_give_the_same_vocabulary():
    for unit in UNITS:
        first, second = (Vocabulary.fit(lines(50), unit, 280).tokenizer.get_vocab() for _ in range(2))
        assert first == second


# Bad input


@pytest.mark.parametrize(
    ("unit", "content"), [("word", "lamp lamp lamp"), ("word", ""), ("word", " \n"), ("bpe", ""), ("char", "aaaa")]
)
def test_one_token_is_no_vocabulary(unit, content):
    with pytest.raises(BadInput, match=r"fewer than two different .*; give more text"):
        Vocabulary.fit([content, content], unit, 1000)
