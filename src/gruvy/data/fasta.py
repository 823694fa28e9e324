"""Sequences from FASTA files, with their labels or numbers."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gruvy.data.labelled.columns import column_names
from gruvy.data.tables import listed, naming, read_table, shown
from gruvy.errors import BadInput

_SUFFIXES = (".fasta", ".fa", ".fas", ".fna", ".faa", ".ffn", ".frn")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_KEYS = "label|class|target|value|y"
_ID_COLUMNS = ("id", "name", "header", "sequence_id", "accession")
_HOW = {
    "label": "give one file a class, --labels TABLE, or headers like >name label=promoter",
    "number": "give --labels TABLE, or headers like >name target=1.5 (another word than target: --target WORD)",
}


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """Sequences and what is to be learned of each.

    Attributes:
        names: the first word of each header; sequences: as they stand, without white space.
        targets: a label each, or float64 `(sequences,)`; note: where they come from, a sentence.
    """

    names: list[str]
    sequences: list[str]
    targets: list[str] | np.ndarray
    note: str


def is_fasta(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called, or begins, like FASTA (also with .gz)."""
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in (*_SUFFIXES, *_TABLES):
        return suffixes[-1] in _SUFFIXES
    try:
        with _open(path) as stream:
            return stream.read(4096).lstrip().startswith(">")
    except (OSError, EOFError, ValueError):
        return False


def read_fasta(path: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """The first word of each header and each sequence, in the file's order.

    Raises:
        BadInput: no such file, no FASTA, or a record without a sequence.
    """
    headers, sequences = _records(Path(path))
    return [_name(header) for header in headers], sequences


def read_labelled(
    paths: Sequence[str | os.PathLike[str]], labels: str | os.PathLike[str] | None = None, *,
    kind: Literal["label", "number"] = "label", id: str | None = None, target: str | None = None,
) -> LabelledSequences:  # fmt: skip
    """Sequences with a target each.

    Args:
        paths: FASTA files; several, without `labels` and for `kind="label"`, are a class each, called as the file is.
        labels: a table with a column of the headers' first words and one of targets. Without it, a single file has them
            in its headers: after `label=`, or as the last field between `|`, or as the last word.
        id, target: columns of that table, where their names are not the usual ones.

    Raises:
        BadInput: a file cannot be read, or there is no target for each sequence.
    """
    files = [Path(path) for path in paths]
    read = [_records(path) for path in files]
    headers, sequences = ([one for part in read for one in part[i]] for i in (0, 1))
    names = [_name(header) for header in headers]
    if labels is not None:
        targets, note = _from_table(Path(labels), names, kind, id, target)
    elif len(files) > 1 and kind == "label":
        called = _classes(files)
        targets = [name for name, part in zip(called, read, strict=True) for _ in part[0]]
        note = f"labels are the files' names: {', '.join(called)}"
    else:
        targets, note = _from_headers(files[0], headers, kind, target)
    return LabelledSequences(names, sequences, targets, note)


def _open(path: Path) -> io.TextIOBase:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    opener: Callable[..., io.TextIOBase] = gzip.open if zipped else open
    return opener(path, "rt", encoding="utf-8-sig")


def _records(path: Path) -> tuple[list[str], list[str]]:
    """Headers and sequences."""
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    with naming(path):
        try:
            with _open(path) as stream:
                text = stream.read().lstrip()
        except UnicodeDecodeError:
            raise BadInput("this is not text; give a FASTA file, with a > before each header") from None
        if not text.startswith(">"):
            raise BadInput("this is no FASTA: it does not begin with >; put a header like >name before each sequence")
        found = list(SimpleFastaParser(io.StringIO(text)))
        for number, (header, sequence) in enumerate(found, 1):
            if not sequence:
                raise BadInput(f"record {number}, {shown('>' + header)}, has no sequence; add it, or remove the header")
        return [header for header, _ in found], ["".join(sequence.split()) for _, sequence in found]


def _name(header: str) -> str:
    return header.split(maxsplit=1)[0] if header.strip() else ""


def _classes(files: Sequence[Path]) -> list[str]:
    """What the files are called: up to the first dot, where that tells them apart."""
    for names in ([path.name.split(".")[0] for path in files], [path.name for path in files]):
        if len(set(names)) == len(files) and all(names):
            return names
    return [str(path) for path in files]


def _from_headers(
    path: Path, headers: Sequence[str], kind: str, target: str | None
) -> tuple[list[str] | np.ndarray, str]:
    key = re.compile(rf"(?:^|[\s|;,\[])(?:{re.escape(target) if target else _KEYS})\s*=\s*([^\s|;,\]]+)", re.IGNORECASE)
    name = target or ("label" if kind == "label" else "target")

    def keyed(header: str) -> str | None:
        match = key.search(header)
        return match[1] if match else None

    fields: dict[str, Callable[[str], str | None]] = {
        f"what follows {name}= in the headers": keyed,
        "the last field of the headers": lambda header: _last(header, "|"),
        "the last word of the headers": lambda header: _last(header, None),
    }
    for note, field in fields.items():
        found = [field(header) for header in headers]
        texts = [text for text in found if text]
        if len(texts) < len(headers):
            if texts and field is keyed:
                missing = headers[found.index(None)]
                raise BadInput(f"{path}: {shown('>' + missing)} has no {name}=, as other headers do; add it")
            continue
        if kind == "number":
            numbers = [_number(text) for text in texts]
            if np.isfinite(numbers).all():
                return np.array(numbers), f"targets are {note}"
        # Labels are shared; what differs from record to record is a name.
        elif field is keyed or len(set(texts)) <= max(1, len(texts) // 2):
            return texts, f"labels are {note}: {listed(list(dict.fromkeys(texts)))}"
    what = "labels" if kind == "label" else "numbers"
    raise BadInput(f"{path} is a FASTA without {what} to learn, such as {shown('>' + headers[0])}; {_HOW[kind]}")


def _last(header: str, separator: str | None) -> str | None:
    parts = header.split(separator)
    return parts[-1].strip() if len(parts) > 1 else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _from_table(
    path: Path, names: Sequence[str], kind: Literal["label", "number"], id: str | None, target: str | None
) -> tuple[list[str] | np.ndarray, str]:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadInput(
            f"several sequences are called {shown(repeated[0])}, so {path} cannot tell them apart; rename them"
        )
    id, target = _columns(path, kind, id, target)
    table = read_table(path, {id: "label", target: kind})
    ids = [cell.removeprefix(">").strip() for cell in map(str, table.columns[id])]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise BadInput(f"{path}: {shown(twice[0])} stands in several rows of {shown(id)}; keep one")
    place = {name: row for row, name in enumerate(ids)}
    missing = [name for name in names if name not in place]
    if missing:
        raise BadInput(
            f"{path}: {shown(id)} has no row for {shown(missing[0])}"
            + (f" and {len(missing) - 1} other sequences" if len(missing) > 1 else "")
            + "; it must hold the first word of each header"
        )
    cells, rows = table.columns[target], [place[name] for name in names]
    note = f"{'labels' if kind == 'label' else 'targets'} are column {shown(target)} of {path}"
    return (cells[rows] if isinstance(cells, np.ndarray) else [cells[row] for row in rows]), note


def _columns(path: Path, kind: str, id: str | None, target: str | None) -> tuple[str, str]:
    """The columns of ids and of targets: those named, the usual ones, or the first and the only other one."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give the table with the {kind}s of the sequences")
    columns = column_names(path)
    lower = {column.lower(): column for column in reversed(columns)}
    id = id or next((lower[name] for name in _ID_COLUMNS if name in lower and lower[name] != target), columns[0])
    usual = ("label", "class", "target") if kind == "label" else ("target", "value", "label", "y")
    target = target or next((lower[name] for name in usual if name in lower), None)
    others = [column for column in columns if column != id]
    if target is None and len(others) == 1:
        target = others[0]
    if target is None or target == id:
        raise BadInput(f"{path} has the columns {listed(columns)}; name the one with the {kind}s to learn")
    return id, target
