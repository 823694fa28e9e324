"""Pairs of texts, a source and its target: read from parallel files or a table, and as token ids in batches."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gruvy.data.batches import LengthBuckets, pad
from gruvy.data.cuts import RandomCuts
from gruvy.data.prose import is_table
from gruvy.data.tables import named_rows, naming, read_table
from gruvy.data.text import PADDING, TokenIds
from gruvy.data.vocabulary import END, Vocabulary
from gruvy.errors import BadInput

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Pairs:
    """Texts and what they become.

    Attributes:
        sources, targets: of the same length.
        notes: what was changed or left out in reading them, in words.
        conversations: the name of the one each pair belongs to; None where there is one, in order.
    """

    sources: list[str]
    targets: list[str]
    notes: tuple[str, ...] = ()
    conversations: list[str] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: np.ndarray) -> Pairs:
        """The pairs at `rows`."""
        names = None if self.conversations is None else [self.conversations[i] for i in rows]
        return Pairs([self.sources[i] for i in rows], [self.targets[i] for i in rows], self.notes, names)


def read_pairs(
    paths: Sequence[str | Path], columns: Sequence[str] | None = None, drop_empty: bool = False,
    conversation: str | None = None,
) -> Pairs:  # fmt: skip
    """Read pairs from two files with a text a line, or from two columns of one table.

    Control characters other than tabs become spaces, and a note says how many.

    Args:
        paths: source and target in UTF-8 (or that as .gz), line by line; or one table as `read_table` takes it.
        columns: of the table, source and target; conversation: that names the conversation of a pair.
        drop_empty: leave pairs out where a side holds nothing but white space.

    Raises:
        BadInput: files of unequal length, an empty side, or whatever else cannot be read.
    """
    if columns is None:
        if len(paths) != 2 or any(map(is_table, paths)):
            raise BadInput(
                f"{' and '.join(map(str, paths))} came; give two files of text, source and target, line by line, or "
                "one table and two of its columns"
            )
        sources, targets = (read_lines(Path(path)) for path in paths)
        if len(sources) != len(targets):
            raise BadInput(
                f"{paths[0]} has {len(sources):,} lines and {paths[1]} has {len(targets):,}; expected as many in both, "
                "the translation of each line in the same line"
            )
        lines = np.arange(len(sources)) + 1
        return _filled(cleaned(sources, targets), lines, "line", [f"{path}:" for path in paths], drop_empty)
    if len(paths) != 1 or len(set(columns)) != 2 or conversation in columns:
        raise BadInput(
            f"{len(paths)} file(s) and the columns {', '.join(columns)} came; give one table and two of its "
            "columns, source and target"
        )
    kinds: dict[str, Any] = dict.fromkeys(columns, "text") | ({conversation: "label"} if conversation else {})
    table = read_table(paths[0], kinds, drop_empty=drop_empty)
    sources, targets = (list(table.columns[name]) for name in columns)
    names = list(table.columns[conversation]) if conversation else None
    notes = (f"{table.dropped:,} pair(s) with an empty side were left out",) if table.dropped else ()
    read = cleaned(sources, targets)
    places = [f"{paths[0]}: column {name!r} has" for name in columns]
    read = replace(read, notes=notes + read.notes, conversations=names)
    return _filled(read, table.rows, "row", places, drop_empty)


def cleaned(sources: Sequence[str], targets: Sequence[str]) -> Pairs:
    """Pairs without control characters, and a note that says how many there were."""
    texts, counts = zip(*map(_without_control, itertools.chain(sources, targets)), strict=True)
    found = sum(counts)
    notes = (f"{found:,} control character(s) became spaces",) if found else ()
    return Pairs(list(texts[: len(sources)]), list(texts[len(sources) :]), notes)


def in_context(pairs: Pairs, count: int, turn: str) -> Pairs:
    """Pairs whose sources begin with up to `count` earlier pairs of their conversation, with `turn` between texts."""
    if not count:
        return pairs
    before: dict[str, list[str]] = {}
    sources = []
    for i in range(len(pairs)):
        turns = before.setdefault(pairs.conversations[i] if pairs.conversations is not None else "", [])
        sources.append(turn.join([*turns[-2 * count :], pairs.sources[i]]))
        turns += [pairs.sources[i], pairs.targets[i]]
    return replace(pairs, sources=sources)


def read_lines(path: Path) -> list[str]:
    """A file of text in UTF-8 (or that as .gz), a text a line.

    What else Unicode calls a line break stays in its line, because files are aligned by newlines.
    """
    with naming(path):
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            lines = stream.read().removesuffix(b"\n").split(b"\n")
        texts = []
        for number, line in enumerate(lines, 1):
            try:
                texts.append(line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                place = f"byte 0x{line[error.start]:02x} at place {error.start + 1}"
                raise BadInput(f"line {number} is not UTF-8 ({place}); save the file as UTF-8") from None
        if texts == [""]:
            raise BadInput("the file is empty; expected a text a line")
        return texts


def _filled(pairs: Pairs, rows: np.ndarray, kind: str, places: Sequence[str], drop_empty: bool) -> Pairs:
    """The pairs that have two sides.

    Args:
        rows: their numbers in the file; kind: of them, line or row; places: where each side stands, for an error.
    """
    empty = [np.array([not text.strip() for text in side]) for side in (pairs.sources, pairs.targets)]
    kept = np.flatnonzero(~(empty[0] | empty[1]))
    if len(kept) == len(pairs):
        return pairs
    if not drop_empty:
        place, holes = next((place, holes) for place, holes in zip(places, empty, strict=True) if holes.any())
        numbers = named_rows(rows[holes]).replace("row", kind)
        raise BadInput(f"{place} empty {numbers}; write the missing text, or pass --drop-empty")
    if not len(kept):
        raise BadInput(f"{places[0].split(':')[0]}: every pair has an empty side; give at least some texts")
    note = f"{len(pairs) - len(kept):,} pair(s) with an empty side were left out"
    return replace(pairs.take(kept), notes=(note, *pairs.notes))


def plain(text: str) -> str:
    """A text with spaces for control characters."""
    return _without_control(text)[0]


def _without_control(text: str) -> tuple[str, int]:
    return _CONTROL.subn(" ", text)


# As token ids


@dataclass(frozen=True)
class EncodedPairs:
    """Token ids of pairs, each text with its end."""

    sources: TokenIds
    targets: TokenIds

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each pair, both sides together."""
        return self.sources.lengths + self.targets.lengths


class LongSource(UserWarning):
    """Texts are longer than is read."""

    def __init__(self, texts: int, most: int, from_end: bool):
        which = "last" if from_end else "first"
        super().__init__(
            f"{texts} text(s) of more than {most:,} tokens: the {which} {most:,} are read; split them into sentences"
        )


class PairInputs:
    """Turns pairs of texts into token ids and batches.

    Args:
        source, target: the vocabularies; one and the same when shared.
        max_tokens: how much of a text is read.
        from_end: of a source, the last tokens are read, not the first: for conversations, whose question stands there.
    """

    FILE, SOURCE, TARGET = "inputs.json", "tokenizer.json", "target_tokenizer.json"

    def __init__(self, source: Vocabulary, target: Vocabulary, max_tokens: int, from_end: bool = False):
        self.source, self.target, self.max_tokens, self.from_end = source, target, max_tokens, from_end

    @classmethod
    def fit(
        cls, pairs: Pairs, unit: str, size: int, shared: bool, max_tokens: int, from_end: bool = False
    ) -> PairInputs:
        """Learn one vocabulary of both sides, or one of each.

        Args:
            unit: see `Vocabulary`; size: of each vocabulary.
        """
        if shared:
            both = Vocabulary.fit([*pairs.sources, *pairs.targets], unit, size)
            return cls(both, both, max_tokens, from_end)
        source, target = (Vocabulary.fit(side, unit, size) for side in (pairs.sources, pairs.targets))
        return cls(source, target, max_tokens, from_end)

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return self.source is self.target

    def __call__(self, pairs: Pairs) -> EncodedPairs:
        """Ids of both sides, each text at most `max_tokens` and its end."""
        return self.ended(self.source.encode(pairs.sources), self.target.encode(pairs.targets))

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """Ids of texts to translate; what is past `max_tokens` is left out with a warning.

        Raises:
            BadInput: something is not a text.
        """
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise BadInput(f"text {i + 1} is a {type(text).__name__}; expected a str")
            try:
                text.encode()
            except UnicodeEncodeError:
                raise BadInput(f"text {i + 1} of {len(texts)} is not valid Unicode; give it as UTF-8") from None
        tokens = self.source.encode([plain(text) for text in texts])
        long = int((tokens.lengths > self.max_tokens).sum())
        if long:
            warnings.warn(LongSource(long, self.max_tokens, self.from_end), stacklevel=2)
        return self._cut(tokens, self.from_end)

    def ended(self, sources: TokenIds, targets: TokenIds) -> EncodedPairs:
        """At most `max_tokens` of each text, and its end."""
        return EncodedPairs(self._cut(sources, self.from_end), self._cut(targets, False))

    def _cut(self, tokens: TokenIds, from_end: bool) -> TokenIds:
        kept = slice(-self.max_tokens, None) if from_end else slice(self.max_tokens)
        return TokenIds.join([np.append(tokens[i][kept], END) for i in range(len(tokens))])

    def collate(self, encoded: EncodedPairs, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """A batch as `gruvy.models.translation.TranslationModel` reads it."""
        source, source_lengths = pad([encoded.sources[i] for i in rows], PADDING)
        ended = [encoded.targets[i] for i in rows]
        target, target_lengths = pad([np.insert(ids[:-1], 0, END) for ids in ended], PADDING)
        arrays = {
            "source": source, "source_lengths": source_lengths, "target": target, "target_lengths": target_lengths,
            "targets": np.concatenate(ended).astype(np.int64),
        }  # fmt: skip
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, `target_tokenizer.json` where there are two, and `inputs.json`."""
        self.source.save(folder / self.SOURCE)
        if not self.shared:
            self.target.save(folder / self.TARGET)
        settings = {"unit": self.source.unit, "shared": self.shared, "max_tokens": self.max_tokens,
                    "from_end": self.from_end}  # fmt: skip
        (folder / self.FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> PairInputs:
        """Read what `save` wrote.

        Raises:
            BadInput: a file is not what it should be.
        """
        try:
            settings = json.loads((folder / cls.FILE).read_text(encoding="utf-8"))
            unit, shared, kept = settings["unit"], settings["shared"], (settings["max_tokens"], settings["from_end"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{folder / cls.FILE} cannot be read ({error}); train the model again") from None
        source = Vocabulary.load(folder / cls.SOURCE, unit)
        return cls(source, source if shared else Vocabulary.load(folder / cls.TARGET, unit), *kept)


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs in batches, cut into tokens anew each epoch where they are byte pairs.

    Attributes:
        dropout: of merges, see `RandomCuts`; 0 for the same tokens in all epochs.
    """

    inputs: PairInputs
    pairs: Pairs
    dropout: float = 0.0

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def encoded(self) -> EncodedPairs:
        """Without dropout."""
        return self.inputs(self.pairs)

    @cached_property
    def _cuts(self) -> tuple[RandomCuts, RandomCuts]:
        source, target = self.inputs.source.tokenizer, self.inputs.target.tokenizer
        return RandomCuts(source, self.pairs.sources), RandomCuts(target, self.pairs.targets)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each pair, without dropout."""
        return self.encoded.lengths

    def batches(self, batch_size: int, seed: int | None = None, epoch: int = 0, most: int = 0) -> PairBatches:
        """(At most `most`) batches, shuffled and cut by `seed` and `epoch`; in order of length without a seed."""
        encoded = self.encoded
        if seed is not None and self.dropout and self.inputs.source.unit == "bpe":
            rng = np.random.default_rng((seed, epoch))
            encoded = self.inputs.ended(*(cuts(self.dropout, rng) for cuts in self._cuts))
        buckets = LengthBuckets(encoded.lengths, batch_size, seed)
        buckets.set_epoch(epoch)
        return PairBatches(self.inputs, encoded, buckets, min(most, len(buckets)) if most else len(buckets))


@dataclass(frozen=True)
class PairBatches:
    """See `TrainingPairs.batches`."""

    inputs: PairInputs
    encoded: EncodedPairs
    buckets: LengthBuckets
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for rows in itertools.islice(self.buckets, self.count):
            yield self.inputs.collate(self.encoded, rows)
