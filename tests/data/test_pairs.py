"""Pairs read from files as they stand, or refused with the place; the same ids after saving."""

import gzip

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gruvy.data.pairs import EncodedPairs, LongSource, PairInputs, Pairs, TrainingPairs, in_context, read_pairs
from gruvy.data.text import TokenIds
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput

SOURCES = ["a small dog runs", "a dog", "two small cats sleep here", "cats run, dogs sleep"]
TARGETS = ["ein kleiner Hund läuft", "ein Hund", "zwei kleine Katzen schlafen hier", "Katzen laufen, Hunde schlafen"]
PAIRS = Pairs(SOURCES, TARGETS)


def files(folder, source, target, suffix=""):
    paths = [folder / f"train.en{suffix}", folder / f"train.de{suffix}"]
    for path, content in zip(paths, (source, target), strict=True):
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if suffix else content)
    return paths


# Reading


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_two_files_are_read_line_by_line(tmp_path, suffix, end):
    read = read_pairs(files(tmp_path, "\ufeff" + end.join(SOURCES), end.join(TARGETS) + end, suffix))
    assert read == PAIRS


def test_only_line_feeds_end_a_line(tmp_path):
    """Otherwise a separator of Unicode's in one file would shift all lines after it."""
    read = read_pairs(files(tmp_path, "a\u2028b\x0cc\x85d\ne\tf", "A\nB"))
    assert read.sources == ["a\u2028b c d", "e\tf"]
    assert read.targets == ["A", "B"]
    assert read.notes == ("2 control character(s) became spaces",)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("a\nb\nc", "A\nB", r"train\.en has 3 lines and .*train\.de has 2"),
        ("a\n\nc\n", "A\nB\nC", r"train\.en: empty line 2"),
        ("a\nb\nc", "A\n \nC", r"train\.de: empty line 2"),
        ("a\n\n\n", "A\nB\nC", r"train\.en: empty lines 2, 3"),
        ("a\n\x01\x02\nc", "A\nB\nC", r"train\.en: empty line 2"),
        ("", "A", r"train\.en: the file is empty"),
        (b"a\nb\xff", "A\nB", r"train\.en: line 2 is not UTF-8 \(byte 0xff at place 2\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, source, target, said):
    with pytest.raises(BadInput, match=said):
        read_pairs(files(tmp_path, source, target))


def test_empty_sides_are_dropped_and_counted_when_asked(tmp_path):
    read = read_pairs(files(tmp_path, "a\n\nc\nd", "A\nB\n \nD"), drop_empty=True)
    assert (read.sources, read.targets) == (["a", "d"], ["A", "D"])
    assert read.notes == ("2 pair(s) with an empty side were left out",)
    with pytest.raises(BadInput, match="every pair has an empty side"):
        read_pairs(files(tmp_path, "a\n\n", "\nB"), drop_empty=True)


def test_two_columns_of_a_table_are_read(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text('de,n,en\nein Hund,1,a dog\n"zwei\nKatzen",2,two cats\n,3,nothing\n', encoding="utf-8")
    read = read_pairs([table], ["en", "de"], drop_empty=True)
    assert (read.sources, read.targets) == (["a dog", "two cats"], ["ein Hund", "zwei Katzen"])
    assert read.notes == ("1 pair(s) with an empty side were left out", "1 control character(s) became spaces")
    with pytest.raises(BadInput, match="column 'de' is empty in row 3"):
        read_pairs([table], ["en", "de"])


def test_conversations_are_read_with_their_pairs(tmp_path):
    table = tmp_path / "talks.csv"
    table.write_text("who,q,a\nx,q1,a1\n,q2,a2\ny,q3,\x01\ny,q4,a4\n", encoding="utf-8")
    read = read_pairs([table], ["q", "a"], drop_empty=True, conversation="who")
    assert (read.sources, read.targets, read.conversations) == (["q1", "q4"], ["a1", "a4"], ["x", "y"])
    assert read.take(np.array([1])).conversations == ["y"]


TURNS = st.lists(st.sampled_from("xyz"), max_size=12)


@given(TURNS, st.integers(0, 4))
def test_context_is_the_last_turns_of_the_same_conversation(names, count):
    made = Pairs([f"q{i}" for i in range(len(names))], [f"a{i}" for i in range(len(names))], (), names)
    found = in_context(made, count, "|")
    for i, source in enumerate(found.sources):
        before = [j for j in range(i) if names[j] == names[i]]
        kept = before[len(before) - min(count, len(before)) :]
        assert source == "|".join([*(turn for j in kept for turn in (f"q{j}", f"a{j}")), f"q{i}"])
    assert (found.targets, found.conversations) == (made.targets, names)


@pytest.mark.parametrize(
    ("names", "columns", "said"),
    [
        (["a.en"], None, "came; give two files of text"),
        (["a.csv", "b.csv"], ["en", "de"], "2 file.* and the columns en, de came; give one table"),
        (["a.csv"], ["en"], "give one table and two of its columns"),
        (["a.csv"], ["en", "en"], "give one table and two of its columns"),
        (["a.en", "a.de"], None, "a.en: no such file"),
    ],
)
def test_files_and_columns_must_make_pairs(tmp_path, names, columns, said):
    with pytest.raises(BadInput, match=said):
        read_pairs([tmp_path / name for name in names], columns)


# Token ids


def inputs(shared=True, unit="bpe", max_tokens=50, size=300):
    twice = Pairs(SOURCES * 2, TARGETS * 2)  # a word seen once is unknown
    return PairInputs.fit(twice, unit, size, shared, max_tokens)


def same(one: EncodedPairs, other: EncodedPairs) -> bool:
    return all(
        np.array_equal(a.ids, b.ids) and np.array_equal(a.offsets, b.offsets)
        for a, b in ((one.sources, other.sources), (one.targets, other.targets))
    )


@pytest.mark.parametrize("unit", ["word", "bpe", "char"])
@pytest.mark.parametrize("shared", [True, False])
def test_saving_and_loading_changes_nothing(tmp_path, shared, unit):
    made = inputs(shared, unit)
    made.save(tmp_path)
    again = PairInputs.load(tmp_path)
    assert again.shared == shared
    assert again.max_tokens == 50
    assert same(again(PAIRS), made(PAIRS))
    assert (tmp_path / "target_tokenizer.json").exists() == (not shared)
    texts = [again.target.decode(again(PAIRS).targets[i][:-1]) for i in range(len(PAIRS))]
    assert texts == TARGETS


@pytest.mark.parametrize("content", ["", "{}", "[1]", "null"])
def test_settings_that_cannot_be_read_are_named(tmp_path, content):
    inputs().save(tmp_path)
    (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(BadInput, match=r"inputs\.json cannot be read"):
        PairInputs.load(tmp_path)


def test_every_text_has_its_end_and_no_more_tokens_than_are_read():
    encoded = inputs(max_tokens=3)(PAIRS)
    for side in (encoded.sources, encoded.targets):
        assert all(len(side[i]) <= 4 and side[i][-1] == END and END not in side[i][:-1] for i in range(len(PAIRS)))
    assert encoded.lengths.tolist() == [len(encoded.sources[i]) + len(encoded.targets[i]) for i in range(len(PAIRS))]


def test_of_a_conversation_the_end_is_read(tmp_path):
    made = PairInputs.fit(Pairs(SOURCES * 2, TARGETS * 2), "word", 300, True, 2, from_end=True)
    made.save(tmp_path)
    for held in (made, PairInputs.load(tmp_path)):
        encoded = held(PAIRS)
        assert held.source.decode(encoded.sources[2][:-1]) == "sleep here"
        assert held.target.decode(encoded.targets[2][:-1]) == "zwei kleine"
        with pytest.warns(LongSource, match="more than 2 tokens: the last 2 are read"):
            assert held.encode([SOURCES[2]])[0].tolist() == encoded.sources[2].tolist()


def test_texts_to_translate_are_read_as_those_trained_on(tmp_path):
    made = inputs()
    assert np.array_equal(made.encode(SOURCES).ids, made(PAIRS).sources.ids)
    assert np.array_equal(made.encode(["a\x00dog"]).ids, made.encode(["a dog"]).ids)
    assert made.encode(["", "дом 家 \U0001f600"])[0].tolist() == [END]
    with pytest.warns(LongSource, match=r"1 text\(s\) of more than 50 tokens: the first 50 are read"):
        assert made.encode(["small dogs " * 100]).lengths.tolist() == [51]


@pytest.mark.parametrize(
    ("text", "said"), [(3, "text 2 is a int; expected a str"), ("\ud83d", "text 2 of 2 is not valid Unicode")]
)
def test_what_is_no_text_is_refused(text, said):
    with pytest.raises(BadInput, match=said):
        inputs().encode(["a dog", text])


IDS = st.lists(st.integers(3, 99), max_size=6)


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=6))
def test_a_batch_holds_what_to_read_and_what_to_say(pairs):
    encoded = EncodedPairs(*(TokenIds.join([[*pair[side], END] for pair in pairs]) for side in (0, 1)))
    batch = PairInputs.collate(None, encoded, np.arange(len(pairs)))
    start = 0
    for row, (source, target) in enumerate(pairs):
        assert batch["source"][row, : batch["source_lengths"][row]].tolist() == [*source, END]
        assert batch["target"][row, : batch["target_lengths"][row]].tolist() == [END, *target]
        assert batch["targets"][start : start + len(target) + 1].tolist() == [*target, END]
        start += len(target) + 1
    assert start == len(batch["targets"])
    assert all(tensor.dtype is torch.int64 for tensor in batch.values())


# Training


def tokens_of(batches):
    return sorted(int(batch["targets"].numel()) for batch in batches)


def test_batches_are_cut_anew_in_training_and_not_in_validation():
    training = TrainingPairs(inputs(size=400), PAIRS, dropout=0.5)
    first, again, second = (tokens_of(training.batches(1, seed=0, epoch=epoch)) for epoch in (0, 0, 1))
    assert first == again != second
    assert sum(first) > training.encoded.targets.lengths.sum()
    assert tokens_of(training.batches(1)) == sorted(training.encoded.targets.lengths.tolist())


@pytest.mark.parametrize("unit", ["word", "char"])
def test_words_and_characters_are_not_cut(unit):
    training = TrainingPairs(inputs(unit=unit), PAIRS, dropout=0.5)
    assert tokens_of(training.batches(1, seed=0)) == sorted(training.encoded.targets.lengths.tolist())


def test_every_pair_comes_once_an_epoch_in_another_order():
    training = TrainingPairs(inputs(), PAIRS)
    assert len(training) == len(training.lengths) == 4
    orders = []
    for epoch in range(6):
        batches = training.batches(3, seed=0, epoch=epoch)
        assert len(batches) == len(list(batches)) == 2
        assert sum(len(batch["source"]) for batch in batches) == 4
        orders.append([batch["source"].tolist() for batch in batches])
    assert any(order != orders[0] for order in orders)
    assert [b["source"].tolist() for b in training.batches(3, seed=0, epoch=0)] == orders[0]
    assert len(list(training.batches(1, seed=0, most=2))) == 2
