"""Running text: read from files, as one stream of tokens, in batches whose sequences go on from one to the next."""

from __future__ import annotations

import gzip
import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.data.tables import naming, read_table
from gruvy.data.text import PADDING, UNKNOWN
from gruvy.data.vocabulary import END, Vocabulary
from gruvy.errors import BadInput

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_PIECE = 10_000  # characters a line is cut into before it is tokenised, so that none is too long
_KEPT = "\n\t"  # of the control characters


@dataclass(frozen=True)
class Prose:
    """Texts as they were read.

    Attributes:
        texts: one for a file of text, one a row for a table.
        notes: what was changed in reading, for the user.
    """

    texts: list[str]
    notes: list[str]

    @property
    def characters(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.texts))


def is_table(path: str | Path) -> bool:
    """Whether a file is a table by its name."""
    return Path(path).name.lower().removesuffix(".gz").endswith(_TABLES)


def read_prose(path: str | Path, column: str | None = None, drop_empty: bool = False) -> Prose:
    """Read a file of text (UTF-8, also .gz), or the texts of one column of a table.

    Line ends become line feeds; control characters other than those and tabs are left out, and counted in a note.

    Raises:
        BadInput: the file cannot be read, is not text, or holds none.
    """
    path = Path(path)
    tabular = is_table(path)
    if tabular and column is None:
        raise BadInput(f"{path} is a table; which column holds the texts? give --text COLUMN")
    if column is not None:
        if not tabular:
            raise BadInput(f"{path} is no table, so it has no column {column!r}; leave --text out")
        texts = list(read_table(path, {column: "text"}, drop_empty=drop_empty).columns[column])
    else:
        with naming(path):
            texts = [_decoded(path)]
    return clean(texts, str(path))


def clean(texts: Sequence[str], name: str) -> Prose:
    """Texts without control characters; see `read_prose`."""
    cleaned = [_without_controls(text) for text in texts]
    if not any(text.strip() for text, _ in cleaned):
        raise BadInput(f"{name} holds no text; give one with some")
    removed = sum(count for _, count in cleaned)
    notes = [f"{removed} control characters in {name} are left out"] if removed else []
    return Prose([text for text, _ in cleaned], notes)


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        data = gzip.decompress(data)
    if b"\0" in data[: 1 << 20]:
        raise BadInput("this is not a file of text (it has zero bytes); give one in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"this is not UTF-8 (byte {error.start}); convert it to UTF-8") from None


def _without_controls(text: str) -> tuple[str, int]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    strange = {c for c in set(text) if c not in _KEPT and unicodedata.category(c) in ("Cc", "Cs")}
    if not strange:
        return text, 0
    kept = text.translate({ord(c): None for c in strange})
    return kept, len(text) - len(kept)


class ProseInputs:
    """Turns texts into a stream of tokens.

    In words, every line ends with the token of an end; in pieces and characters, line breaks are characters, and an
    end stands after each text of a table.

    Args:
        vocabulary: learned from the training text.
        counts: how often each token stands in the training text, `(vocabulary,)`.
    """

    FILE, _TOKENS = "inputs.json", "tokenizer.json"

    def __init__(self, vocabulary: Vocabulary, counts: np.ndarray):
        self.vocabulary, self.counts = vocabulary, counts

    @classmethod
    def fit(cls, texts: Sequence[str], unit: str, size: int) -> ProseInputs:
        """Learn at most `size` tokens; see `Vocabulary.fit`."""
        pieces = (piece for text in texts for piece in _pieces(text, unit))
        inputs = cls(Vocabulary.fit(pieces, unit, size), np.zeros(0))
        inputs.counts = np.bincount(inputs(texts), minlength=len(inputs.vocabulary))
        return inputs

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The stream of tokens of texts, int32 `(tokens,)`."""
        parts: list[np.ndarray] = []
        for text in texts:
            encoded = self.vocabulary.encode(list(_pieces(text, self.vocabulary.unit)))
            if self.vocabulary.unit == "word":  # an end after each line
                parts.append(np.insert(encoded.ids, encoded.offsets[1:], END).astype(np.int32))
            else:
                parts += [encoded.ids, np.full(int(len(texts) > 1), END, np.int32)]
        return np.concatenate(parts)

    def prompt(self, text: str) -> np.ndarray:
        """The tokens of the beginning of a text, after an end, int32 `(tokens,)`."""
        cleaned, _ = _without_controls(text)
        ids = self([cleaned]) if cleaned else np.zeros(0, np.int32)
        if self.vocabulary.unit == "word" and cleaned and not cleaned.endswith("\n"):
            ids = ids[:-1]
        return np.concatenate([np.array([END], np.int32), ids])

    def unknown(self, ids: np.ndarray) -> int:
        """How many tokens of a stream are unknown, where they are not in the training text."""
        return 0 if self.counts[UNKNOWN] else int((ids == UNKNOWN).sum())

    def frequencies(self, ids: np.ndarray) -> np.ndarray:
        """Log-likelihoods of tokens that follow the frequencies of the training text, plus one each, in nats."""
        counts = self.counts + 1.0
        counts[PADDING] = 0
        found: np.ndarray = np.log(counts[ids] / counts.sum())
        return found

    def save(self, folder: Path) -> None:
        """Write `inputs.json` and `tokenizer.json`."""
        settings = {"unit": self.vocabulary.unit, "counts": self.counts.tolist()}
        (folder / self.FILE).write_text(json.dumps(settings))
        self.vocabulary.save(folder / self._TOKENS)

    @classmethod
    def load(cls, folder: Path) -> ProseInputs:
        """Read what `save` wrote."""
        settings = json.loads((folder / cls.FILE).read_text())
        return cls(Vocabulary.load(folder / cls._TOKENS, settings["unit"]), np.array(settings["counts"]))


def _pieces(text: str, unit: str) -> Iterator[str]:
    """The lines of a text; those without words in pieces of at most 10,000 characters."""
    for line in text.splitlines() if unit == "word" else text.splitlines(keepends=True):
        if unit == "word" or len(line) <= _PIECE:
            yield line
        else:
            yield from (line[i : i + _PIECE] for i in range(0, len(line), _PIECE))


@dataclass(frozen=True)
class Stream:
    """A stream of tokens in batches: rows of the batch are parts of the stream, and go on in the next batch.

    Attributes:
        ids: int32 `(tokens,)`.
        window: steps of a batch, which gradients go back through.
    """

    ids: np.ndarray
    window: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """The one length."""
        return np.array([len(self.ids)])

    def batches(self, batch_size: int, seed: int | None = None, epoch: int = 0, most: int = 0) -> StreamBatches:
        """All of the stream in order; with a seed, each pass begins elsewhere.

        Args:
            most: batches an epoch; a pass over a longer stream then takes several epochs.
        """
        return StreamBatches(self, batch_size, seed, epoch, most)


class StreamBatches:
    """See `Stream.batches`; a batch has `ids` `(rows, steps)`, flat `targets` and `fresh`, whether it begins anew."""

    def __init__(self, stream: Stream, batch_size: int, seed: int | None, epoch: int, most: int):
        self.stream, self.seed, self.epoch = stream, seed, epoch
        self.rows = max(1, min(batch_size, len(stream) // 2))
        self.pass_length = math.ceil(math.ceil(len(stream) / self.rows) / stream.window)
        self.count = min(most, self.pass_length) if most else self.pass_length

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        first = self.epoch * self.count if self.seed is not None else 0
        for place in range(first, first + self.count):
            number, within = divmod(place, self.pass_length)
            if within == 0 or place == first:
                inputs, targets = self._laid_out(number)
            cut = slice(within * self.stream.window, (within + 1) * self.stream.window)
            kept = targets[:, cut]
            yield {
                "ids": torch.from_numpy(inputs[:, cut]).long(), "targets": torch.from_numpy(kept[kept >= 0]).long(),
                "there": torch.from_numpy(kept >= 0), "fresh": within == 0,
            }  # fmt: skip

    def _laid_out(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a pass, `(rows, steps)`; a target of -1 is past the end of the stream."""
        ids = self.stream.ids
        start = 0 if self.seed is None else int(np.random.default_rng((self.seed, number)).integers(len(ids)))
        around = np.concatenate([ids[start:], ids[:start]])
        steps = -(-len(ids) // self.rows)
        before = END if start == 0 else ids[start - 1]
        targets = np.full(steps * self.rows, -1, np.int32)
        targets[: len(ids)] = around
        inputs = np.concatenate([[before], around, np.zeros(steps * self.rows - len(ids), np.int32)])[:-1]
        return inputs.astype(np.int32).reshape(self.rows, steps), targets.reshape(self.rows, steps)
