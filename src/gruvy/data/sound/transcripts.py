"""Recordings and what is said in them, as a manifest lists them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gruvy.data.sound.recordings import Recordings, found_files, read_recordings, readable
from gruvy.data.tables import read_table
from gruvy.errors import BadInput


@dataclass(frozen=True)
class Transcripts:
    """What a manifest lists.

    Attributes:
        paths: of the recordings; texts: what is said in each.
        groups: which speaker, or whatever must stay in one part, each is of; None where none was asked for.
        rows: int64, of the manifest, from 1.
        dropped: rows left out because a cell is empty; unreadable: recordings left out because they cannot be read.
    """

    paths: list[Path]
    texts: list[str]
    groups: list[str] | None
    rows: np.ndarray
    dropped: int = 0
    unreadable: Sequence[Path] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Sequence[int] | np.ndarray) -> Transcripts:
        """Those at `rows`, in that order."""
        groups = None if self.groups is None else [self.groups[i] for i in rows]
        return Transcripts([self.paths[i] for i in rows], [self.texts[i] for i in rows], groups, self.rows[rows])


def read_transcripts(
    file: str | os.PathLike[str], audio: str, transcript: str, group: str | None = None, drop_empty: bool = False
) -> Transcripts:
    """Read a CSV, TSV, JSONL or Parquet manifest.

    Args:
        audio: the column of paths, relative to the manifest; transcript: that of what is said; group: of speakers.
        drop_empty: leave out recordings that cannot be read, and rows with an empty cell, instead of refusing them.

    Raises:
        BadInput: see `gruvy.data.tables.read_table`; one column for two things; recordings that are not there.
    """
    names = [name for name in (audio, transcript, group) if name]
    if len(set(names)) < len(names):
        raise BadInput(f"{', '.join(names)} came as names of columns; each needs one of its own")
    kinds: dict[str, Any] = dict.fromkeys(names, "text")
    table = read_table(file, kinds, drop_empty=drop_empty)
    cells: Any = table.columns
    paths = found_files(Path(file), cells[audio], missing_ok=drop_empty)
    texts = [plain(text) for text in cells[transcript]]
    found = Transcripts(paths, texts, list(cells[group]) if group else None, table.rows, table.dropped)
    if not drop_empty:
        return found
    kept, unreadable = readable(paths)
    return replace(found.take(kept), dropped=table.dropped, unreadable=unreadable)


def read_paths(file: str | os.PathLike[str], audio: str, drop_empty: bool = False) -> Recordings:
    """The recordings that a manifest lists.

    Raises:
        BadInput: see `read_transcripts`.
    """
    return read_recordings(audio, data=file, drop_empty=drop_empty, kind=None)


def plain(text: str) -> str:
    """A text with single spaces, none at its ends, and one way to write each accented letter (Unicode NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def characters_of(texts: Sequence[str]) -> str:
    """Every character of the texts, once, in order."""
    return "".join(sorted(set().union(*texts)))


def to_symbols(text: str, characters: str) -> list[int]:
    """The place in `characters` of each character, from 1; those that are not there are left out."""
    return [place for place in (characters.find(c) + 1 for c in text) if place]


def to_text(symbols: Sequence[int], characters: str) -> str:
    """What `symbols` spell, with single spaces."""
    return plain("".join(characters[s - 1] for s in symbols))
