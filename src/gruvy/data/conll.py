"""Sentences in CoNLL's manner: a token a line, its tag in a column of the line, a blank line between sentences."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from gruvy.data.tables import naming
from gruvy.errors import BadInput

Sentence = tuple[list[str], list[str], int]  # tokens, tags, and the line it begins in
_FORM, _UPOS = 2, 4  # columns of CoNLL-U


def read_conll(path: str | Path, token: str | None = None, tag: str | None = None) -> list[Sentence]:
    """The sentences of a file (.gz too), with columns apart by tabs, or by spaces where there is no tab.

    `-DOCSTART-` lines and comments are left out: in CoNLL-U every line that begins with `#`, elsewhere those that have
    not as many columns as the others. Of CoNLL-U, so are empty nodes and words that stand for several others.

    Args:
        token, tag: numbers of columns, from 1, as users write them; by default the first and the last, and FORM and
            UPOS in a `.conllu` file.

    Raises:
        BadInput: a line with too few columns, columns that are none, a file that cannot be read or has no sentence.
    """
    path = Path(path)
    universal = _universal(path)
    with naming(path):
        try:
            lines = _text(path).splitlines()
        except UnicodeDecodeError as error:
            raise BadInput(f"not UTF-8 (byte {error.start}); save the file as UTF-8") from None
        rows = list(_rows(lines, universal))
        first = next((fields for _, fields in rows if fields), None)
        if first is None:
            raise BadInput("there is no token; expected a token and its tag on each line")
        places = _place(token, _FORM if universal else 1), _place(tag, _UPOS if universal else max(2, len(first)))
        return list(_sentences(rows, places))


def read_tokens(path: str | Path, token: str | None = None) -> list[list[str]]:
    """The tokens of each sentence of a file whose lines need no tag; see `read_conll`."""
    place = token or str(_FORM if _universal(Path(path)) else 1)
    return [tokens for tokens, _, _ in read_conll(path, place, place)]


def _universal(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".conllu")


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def _rows(lines: Sequence[str], universal: bool) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of the lines with a token, and no fields for the blank ones."""
    tabs = any("\t" in line for line in lines)
    split = [[f.strip() for f in line.split("\t")] if tabs and line.strip() else line.split() for line in lines]
    columns = next((len(fields) for fields in split if fields and not fields[0].startswith(("#", "-DOCSTART-"))), 0)
    for number, fields in enumerate(split, 1):
        if not fields:
            yield number, []
        elif fields[0] == "-DOCSTART-" or (universal and not fields[0].isdecimal()):
            continue
        elif not fields[0].startswith("#") or len(fields) == columns:
            yield number, fields


def _sentences(rows: Sequence[tuple[int, list[str]]], places: tuple[int, int]) -> Iterator[Sentence]:
    tokens: list[str] = []
    tags: list[str] = []
    begins = 0
    for number, fields in (*rows, (0, [])):
        if fields and len(fields) < max(places):
            came = f"{len(fields)} column{'s' if len(fields) > 1 else ''}"
            raise BadInput(
                f"line {number} has {came} ({' '.join(fields)!r:.60}); expected at least {max(places)}, with the "
                f"token in column {places[0]} and its tag in column {places[1]}"
            )
        if fields:
            begins = begins if tokens else number
            tokens.append(fields[places[0] - 1])
            tags.append(fields[places[1] - 1])
        elif tokens:
            yield tokens, tags, begins
            tokens, tags = [], []


def _place(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or int(given) < 1:
        raise BadInput(f"the column is {given!r}; columns of a CoNLL file are named by their number, from 1")
    return int(given)
