"""Manifests of recordings, and texts as symbols."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.small import write_csv

from gruvy.data.sound.transcripts import characters_of, plain, read_paths, read_transcripts, to_symbols, to_text
from gruvy.errors import BadInput

ROWS = [
    {"file": "a.wav", "said": "  Zero\tone ", "who": "ada"},
    {"file": "sub/b.wav", "said": "cafe\u0301", "who": "bo"},
    {"file": "a.wav", "said": " ", "who": "bo"},
]


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.wav", "sub/b.wav"):
        soundfile.write(tmp_path / name, np.ones(9), 8000)
    return write_csv(tmp_path / "clips.csv", ROWS)


def test_a_manifest_is_read(manifest):
    found = read_transcripts(manifest, "file", "said", "who", drop_empty=True)
    assert found.paths == [manifest.parent / "a.wav", manifest.parent / "sub/b.wav"]
    assert found.texts == ["Zero one", "caf\u00e9"]  # single spaces, one way to write an accent, capitals as they stand
    assert (found.groups, found.rows.tolist(), found.dropped, len(found)) == (["ada", "bo"], [1, 2], 1, 2)
    second = found.take([1])
    assert (second.texts, second.groups, second.rows.tolist()) == (["caf\u00e9"], ["bo"], [2])
    assert read_transcripts(manifest, "file", "said", drop_empty=True).groups is None
    assert read_paths(manifest, "file").paths == [manifest.parent / row["file"] for row in ROWS]


def test_what_cannot_be_read_is_left_out_on_request(manifest):
    (manifest.parent / "a.wav").write_text("no sound")
    found = read_transcripts(manifest, "file", "said", "who", drop_empty=True)
    assert (found.texts, found.groups, found.rows.tolist()) == (["caf\u00e9"], ["bo"], [2])
    assert (found.dropped, found.unreadable) == (1, [manifest.parent / "a.wav"])
    heard = read_paths(manifest, "file", drop_empty=True)
    assert (heard.paths, heard.rows.tolist()) == ([manifest.parent / "sub/b.wav"], [2])


def test_what_is_wrong_with_a_manifest_is_told(manifest, tmp_path):
    for columns, said in (
        (("file", "said"), "column 'said' is empty in row 3.*--drop-empty"),
        (("path", "said"), "there is no column 'path'"),
        (("file", "file"), "file, file came as names of columns; each needs one of its own"),
        (("file", "who", "who"), "each needs one of its own"),
    ):
        with pytest.raises(BadInput, match=said):
            read_transcripts(manifest, *columns)
    missing = write_csv(tmp_path / "missing.csv", [*ROWS[:2], {**ROWS[0], "file": "x.wav"}, {**ROWS[0], "file": "y"}])
    for read in (lambda: read_transcripts(missing, "file", "said"), lambda: read_paths(missing, "file")):
        with pytest.raises(BadInput, match=r"missing\.csv lists '.*x\.wav' and 1 more, where there is no file"):
            read()
    with pytest.raises(BadInput, match="no such file"):
        read_transcripts(tmp_path / "nowhere.csv", "file", "said")


@given(st.text())
def test_what_characters_spell_is_the_text(text):
    characters = characters_of([plain(text)])
    assert to_text(to_symbols(plain(text), characters), characters) == plain(text)


def test_characters_that_training_never_had_are_left_out():
    characters = characters_of(["one two", "six"])
    assert characters == " einostwx"
    assert to_symbols("two?", characters) == to_symbols("two", characters)
    assert to_symbols("", characters) == []
    assert to_text(to_symbols("  six  one ", characters), characters) == "six one"
