"""Files in CoNLL's manner, as people have them."""

import gzip

import pytest

from gruvy.data.conll import read_conll, read_tokens
from gruvy.errors import BadInput


def file(folder, text, name="a.conll"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_first_and_last_column_by_default(tmp_path):
    text = "-DOCSTART- -X- -X- O\n\nEgbert NNP B-NP B-PER\nsings VBZ B-VP O\n\n\nBrackburg NNP B-NP B-LOC"
    assert read_conll(file(tmp_path, text)) == [
        (["Egbert", "sings"], ["B-PER", "O"], 3), (["Brackburg"], ["B-LOC"], 7),
    ]  # fmt: skip


def test_columns_by_number(tmp_path):
    text = "1\tEgbert\tNNP\tB-PER\n2\tsings\tVBZ\tO\n"
    assert read_conll(file(tmp_path, text), "2", "3") == [(["Egbert", "sings"], ["NNP", "VBZ"], 1)]


def test_comments_are_left_out_and_a_hash_that_is_a_token_is_not(tmp_path):
    text = "# a comment of several words\nNo O\n# O\n3 B-NUM\n"
    assert read_conll(file(tmp_path, text))[0][:2] == (["No", "#", "3"], ["O", "O", "B-NUM"])


def test_tokens_may_hold_spaces_between_tabs(tmp_path):
    assert read_conll(file(tmp_path, "New Brackburg\tB-LOC\n"))[0][0] == ["New Brackburg"]


def test_conllu_has_form_and_upos_and_leaves_out_what_is_no_word(tmp_path):
    text = (
        "# text = zum Haus\n1-2\tzum\t_\t_\t_\n1\tzu\tzu\tADP\t_\n2\tdem\tder\tDET\t_\n2.1\tdas\t_\tX\t_\n"
        "3\tHaus\tHaus\tNOUN\t_\n"
    )
    (found,) = read_conll(file(tmp_path, text, "a.conllu"))
    assert found[:2] == (["zu", "dem", "Haus"], ["ADP", "DET", "NOUN"])


def test_windows_line_ends_a_mark_of_the_encoding_and_compression(tmp_path):
    path = tmp_path / "a.conll.gz"
    path.write_bytes(gzip.compress("\ufeffÖrtlich O\r\n\r\nda O\r\n".encode()))
    assert [tokens for tokens, _, _ in read_conll(path)] == [["Örtlich"], ["da"]]


def test_tokens_alone_need_no_tag(tmp_path):
    assert read_tokens(file(tmp_path, "Egbert\nsings\n\nLoud\n")) == [["Egbert", "sings"], ["Loud"]]


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("a X O\nb X O\nc O\n", (), r"line 3 has 2 columns \('c O'\); expected at least 3"),
        ("a\nb\n", (), r"line 1 has 1 column \('a'\); expected at least 2"),
        ("a O\n", ("1", "5"), "expected at least 5"),
        ("a O\n", ("word", None), "columns of a CoNLL file are named by their number"),
        ("a O\n", ("0", None), "columns of a CoNLL file are named by their number"),
        ("", (), "there is no token"),
        ("# only a comment here\n\n", (), "there is no token"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, text, columns, said):
    with pytest.raises(BadInput, match=said) as refusal:
        read_conll(file(tmp_path, text), *columns)
    assert str(tmp_path / "a.conll") in str(refusal.value)


def test_a_file_that_is_not_there_or_not_utf8_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_conll(tmp_path / "none.conll")
    path = tmp_path / "a.conll"
    path.write_bytes(b"caf\xe9 O\n")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_conll(path)
