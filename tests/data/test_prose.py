"""Running text: read from files, one stream of tokens, in batches that go on from one to the next."""

import functools
import gzip
import json

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.fixtures.prose import UNITS, lines, text
from tests.fixtures.small import write_csv

from gruvy.data import prose
from gruvy.data.prose import ProseInputs, Stream, clean, read_prose
from gruvy.data.text import UNKNOWN
from gruvy.data.vocabulary import END
from gruvy.errors import BadInput

# Batches

streams = st.builds(Stream, st.integers(1, 150).map(lambda n: np.arange(100, 100 + n, dtype=np.int32)),
                    st.integers(1, 20))  # fmt: skip
batch_sizes = st.integers(1, 12)
seeds = st.none() | st.integers(0, 5)


def flat(batches):
    """Pairs of an input and its target, of all batches, row after row within a pass."""
    passes, now = [], []
    for batch in batches:
        if batch["fresh"] and now:
            passes.append(now)
            now = []
        now.append(batch)
    return [_of_a_pass(one) for one in [*passes, now] if one]


def _of_a_pass(batches):
    found = []
    for row in range(len(batches[0]["ids"])):
        for batch in batches:
            before = batch["there"][:row].sum()
            there = batch["there"][row]
            targets = batch["targets"][before : before + there.sum()]
            found += zip(batch["ids"][row][there].tolist(), targets.tolist(), strict=True)
    return found


@given(streams, batch_sizes, seeds, st.integers(0, 3))
def test_every_token_is_a_target_once_a_pass_and_comes_after_its_input(stream, batch_size, seed, epoch):
    (pairs,) = flat(stream.batches(batch_size, seed, epoch))
    assert sorted(target for _, target in pairs) == stream.ids.tolist()
    before = {after: b for b, after in zip(stream.ids[:-1].tolist(), stream.ids[1:].tolist(), strict=True)}
    around = {END, int(stream.ids[-1])}  # before the first token of the stream
    assert all(given == before[target] if target in before else given in around for given, target in pairs)
    targets = [target for _, target in pairs]
    start = stream.ids.tolist().index(targets[0])
    assert targets == np.roll(stream.ids, -start).tolist(), "the rows of a pass, end to end, are the stream"


@given(streams, batch_sizes)
def test_without_a_seed_the_stream_begins_with_an_end_and_is_in_order(stream, batch_size):
    (pairs,) = flat(stream.batches(batch_size))
    assert pairs == list(zip([END, *stream.ids[:-1].tolist()], stream.ids.tolist(), strict=True))


@given(streams, batch_sizes, st.integers(0, 5), st.integers(1, 9), st.integers(1, 12))
def test_epochs_that_are_parts_of_passes_are_the_passes_cut_elsewhere(stream, batch_size, seed, most, epochs):
    parts = [b for epoch in range(epochs) for b in stream.batches(batch_size, seed, epoch, most)]
    whole = [b for epoch in range(1 + len(parts)) for b in stream.batches(batch_size, seed, epoch)][: len(parts)]
    for part, expected in zip(parts, whole, strict=True):
        assert part["fresh"] == expected["fresh"]
        for name in ("ids", "targets", "there"):
            np.testing.assert_array_equal(part[name], expected[name])


@given(streams, batch_sizes, seeds, st.integers(0, 4), st.integers(0, 9))
def test_batches_have_a_length_targets_and_no_more_than_the_window(stream, batch_size, seed, epoch, most):
    batches = stream.batches(batch_size, seed, epoch, most)
    made = list(batches)
    assert len(made) == len(batches)
    if most:
        assert len(made) <= most
    for batch in made:
        rows, steps = batch["ids"].shape
        assert 1 <= rows <= batch_size
        assert 1 <= steps <= stream.window
        assert len(batch["targets"]) == batch["there"].sum() > 0
        assert batch["there"].shape == batch["ids"].shape
        assert len({len(other["ids"]) for other in made}) == 1, "states are carried from row to row"


def test_a_row_goes_on_in_the_next_batch():
    first, second, third = Stream(np.arange(100, 120, dtype=np.int32), 4).batches(2)
    assert first["ids"].tolist() == [[END, 100, 101, 102], [109, 110, 111, 112]]
    assert second["ids"].tolist() == [[103, 104, 105, 106], [113, 114, 115, 116]]
    assert third["ids"].tolist() == [[107, 108], [117, 118]]
    assert [batch["fresh"] for batch in (first, second, third)] == [True, False, False]


def test_passes_with_a_seed_begin_elsewhere_and_the_same_ones_again():
    stream = Stream(np.arange(100, 1100, dtype=np.int32), 10)

    def starts(seed):
        return [int(next(iter(stream.batches(4, seed, epoch)))["targets"][0]) for epoch in range(6)]

    assert len(set(starts(0))) == 6
    assert starts(0) == starts(0)
    assert starts(0) != starts(1)


def test_an_epoch_of_one_pass_begins_anew_and_one_within_a_pass_does_not():
    stream = Stream(np.arange(100, 300, dtype=np.int32), 10)  # 5 batches of 4 rows

    def fresh(most):
        return [[batch["fresh"] for batch in stream.batches(4, 0, epoch, most)] for epoch in range(3)]

    assert fresh(0) == fresh(5) == fresh(9) == [[True] + 4 * [False]] * 3
    assert fresh(3) == [[True, False, False], [False, False, True], [False, False, False]]


# As tokens


@functools.cache
def fitted(unit, *, more=""):
    return ProseInputs.fit([2 * text(30) + more], unit, 300)


def test_a_line_of_words_ends_with_an_end():
    inputs = fitted("word")
    assert inputs.vocabulary.decode(inputs(["the lamp\n\nat noon ."])) == "the lamp\n\nat noon .\n"
    assert (inputs(["the lamp\n\nat noon ."]) == END).sum() == 3
    np.testing.assert_array_equal(inputs(["the lamp\n"]), inputs(["the lamp"]))


@pytest.mark.parametrize("unit", ["bpe", "char"])
def test_pieces_and_characters_of_a_text_are_the_text_and_those_of_a_table_end(unit):
    inputs = fitted(unit)
    assert inputs.vocabulary.decode(inputs([text(30)])) == text(30)
    assert END not in inputs([text(30)])
    found = inputs(["at noon", "", "the lamp"])
    assert (found == END).sum() == 3
    assert inputs.vocabulary.decode(found) == "at noon\n\nthe lamp\n"


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["C"]) | st.sampled_from("\n\t"), min_size=1), st.integers(1, 5))
@example("a\u2028b\u2029c", 2)
def test_long_lines_lose_nothing(content, piece):
    inputs = fitted("bpe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prose, "_PIECE", piece)
        assert inputs.vocabulary.decode(inputs([content])) == content
        if len(set(content)) > 1:
            characters = ProseInputs.fit([content], "char", 1000)
            assert len(characters([content])) == len(content)


@pytest.mark.parametrize("unit", UNITS)
def test_counts_are_those_of_the_training_text(unit):
    inputs = fitted(unit)
    ids = inputs([2 * text(30)])
    assert inputs.counts.sum() == len(ids)
    assert len(inputs.counts) == len(inputs.vocabulary)
    token = int(ids[5])
    assert inputs.counts[token] == (ids == token).sum()


@pytest.mark.parametrize("unit", UNITS)
def test_frequencies_are_of_counts_plus_one_and_sum_to_one(unit):
    inputs = fitted(unit)
    every = np.exp(inputs.frequencies(np.arange(1, len(inputs.vocabulary))))
    assert every.sum() == pytest.approx(1)
    np.testing.assert_allclose(every / every.min(), (inputs.counts[1:] + 1) / (inputs.counts[1:].min() + 1))


def test_unknown_tokens_are_counted_where_the_training_text_has_none():
    inputs = fitted("word")
    assert inputs.counts[UNKNOWN] == 0
    assert inputs.unknown(inputs(["zzz qqq the lamp"])) == 2
    for more in ("the <unk>\n", "the zither\n"):
        prepared = fitted("word", more=more)
        assert prepared.counts[UNKNOWN] == 1
        assert prepared.unknown(prepared(["zzz qqq the lamp"])) == 0


# A prompt


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("content", ["", "the lamp", "the lamp\n", "the lamp ", "\n", "at noon .\n\nthe", "  "])
def test_a_prompt_is_the_beginning_of_a_text_after_an_end(unit, content):
    inputs = fitted(unit)
    found = inputs.prompt(content)
    assert found[0] == END
    assert found.dtype == np.int32
    expected = "\n".join(" ".join(line.split()) for line in content.split("\n")) if unit == "word" else content
    assert inputs.vocabulary.decode(found[1:]) == expected


@pytest.mark.parametrize("unit", UNITS)
def test_a_prompt_is_cleaned_as_a_file_is(unit):
    inputs = fitted(unit)
    np.testing.assert_array_equal(inputs.prompt("the \x07lamp\r\n\udcff"), inputs.prompt("the lamp\n"))
    assert inputs.prompt("\x00\udcff").tolist() == [END]


# Saved


@pytest.mark.parametrize("unit", UNITS)
def test_saved_and_loaded_it_is_the_same(unit, tmp_path):
    inputs = fitted(unit)
    inputs.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"inputs.json", "tokenizer.json"}
    again = ProseInputs.load(tmp_path)
    content = [text(5, seed=3), "zzz"]
    np.testing.assert_array_equal(again(content), inputs(content))
    np.testing.assert_array_equal(again.counts, inputs.counts)
    assert again.vocabulary.unit == unit


# Read


def test_a_file_of_text_is_one_text_and_a_column_is_one_text_a_row(tmp_path):
    (tmp_path / "a.txt").write_text(text(30), encoding="utf-8")
    assert read_prose(tmp_path / "a.txt").texts == [text(30)]
    assert read_prose(tmp_path / "a.txt").characters == len(text(30))
    made = lines(4)
    table = write_csv(tmp_path / "a.csv", [{"n": str(i), "line": line} for i, line in enumerate(made)])
    assert read_prose(table, "line").texts == made
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"line": line}) for line in made))
    assert read_prose(tmp_path / "a.jsonl", "line").texts == made


def test_compressed_text_and_one_with_a_byte_order_mark_read_the_same(tmp_path):
    (tmp_path / "a.TXT.GZ").write_bytes(gzip.compress(text(30).encode()))
    (tmp_path / "b").write_bytes(text(30).encode("utf-8-sig"))
    assert read_prose(tmp_path / "a.TXT.GZ") == read_prose(tmp_path / "b") == clean([text(30)], "")


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems_are_line_ends(end, tmp_path):
    (tmp_path / "a.txt").write_bytes(text(30).replace("\n", end).encode())
    read = read_prose(tmp_path / "a.txt")
    assert read.texts == [text(30)]
    assert not read.notes


def test_control_characters_are_left_out_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"the\x07 la\x1bmp\t\x7f at\n" + "noon\x85 é\u200d\u00a0".encode())
    read = read_prose(tmp_path / "a.txt")
    assert read.texts == ["the lamp\t at\nnoon é\u200d\u00a0"]
    assert read.notes == [f"4 control characters in {tmp_path / 'a.txt'} are left out"]


@given(st.text())
def test_cleaning_twice_changes_no_more(content):
    assume(content.strip())
    try:
        once = clean([content], "x")
    except BadInput:  # nothing but control characters
        return
    again = clean(once.texts, "x")
    assert again.texts == once.texts
    assert not again.notes
    once.texts[0].encode()


BAD = {
    "nothing": (b"", "holds no text; give one with some"),
    "blank lines": (b"\n \n\t\r\n\n", "holds no text"),
    "control characters only": (b"\x07\x1b", "holds no text"),
    "zero bytes": (bytes(range(256)), "is not a file of text"),
    "UTF-16": (text(3).encode("utf-16"), "is not a file of text"),
    "Latin-1": ("in the café".encode("latin-1"), r"is not UTF-8 \(byte 10\); convert it"),
    "half a character": ("in the café".encode()[:-1], "is not UTF-8"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_is_no_text_is_refused_by_name(what, compressed, tmp_path):
    content, said = BAD[what]
    path = tmp_path / ("a.txt.gz" if compressed else "a.txt")
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(BadInput, match=f"{path}.*{said}"):
        read_prose(path)


def test_places_that_cannot_be_read_are_refused(tmp_path):
    for path, said in ((tmp_path / "none.txt", "no such file"), (tmp_path, "folder")):
        with pytest.raises(BadInput, match=said):
            read_prose(path)
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(text(30).encode())[:50])
    with pytest.raises(BadInput, match="not a complete gzip file"):
        read_prose(tmp_path / "cut.txt.gz")


def test_a_table_needs_a_column_and_a_text_has_none(tmp_path):
    table = write_csv(tmp_path / "a.csv", [{"line": "the lamp"}, {"line": ""}])
    with pytest.raises(BadInput, match="give --text COLUMN"):
        read_prose(table)
    with pytest.raises(BadInput, match="there is no column 'lines'"):
        read_prose(table, "lines")
    with pytest.raises(BadInput, match="empty in row 2"):
        read_prose(table, "line")
    assert read_prose(table, "line", drop_empty=True).texts == ["the lamp"]
    (tmp_path / "a.txt").write_text("the lamp")
    with pytest.raises(BadInput, match="leave --text out"):
        read_prose(tmp_path / "a.txt", "line")
