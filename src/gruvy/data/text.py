"""Texts as token ids: the tokenizer, learned from the training texts and saved with the model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from gruvy.data.batches import pad
from gruvy.errors import BadInput

PADDING, UNKNOWN = 0, 1
MAX_CHARACTERS = 100_000  # a longer text is cut here, so that one text cannot take all memory
_WORD = Regex(r"[\p{L}\p{N}]+(?:'[\p{L}]+)?|[^\s\p{L}\p{N}]")
_CHARACTER = Regex(r"\S")
_SPECIAL = ("[PAD]", "[UNK]")  # at the places PADDING and UNKNOWN
_SAMPLE = 2000  # texts looked at to decide between words and characters
_MOST_UNKNOWN = 0.3
_LINE_BREAK = Regex(r"<br\s*/?>")


@dataclass(frozen=True)
class TokenIds:
    """The token ids of many texts, end to end.

    Attributes:
        ids: int32 `(tokens,)`.
        offsets: int64 `(texts + 1,)`; text i is `ids[offsets[i]:offsets[i + 1]]`.
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.diff(self.offsets)

    def take(self, rows: Iterable[int] | np.ndarray) -> TokenIds:
        """The texts at `rows`, in that order."""
        return TokenIds.join([self[i] for i in rows])

    @classmethod
    def join(cls, parts: Sequence[Sequence[int] | np.ndarray]) -> TokenIds:
        """One array from one sequence of ids a text."""
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(p) for p in parts], out=offsets[1:])
        ids = np.concatenate([np.asarray(p, np.int32) for p in parts]) if parts else np.zeros(0, np.int32)
        return cls(ids.astype(np.int32, copy=False), offsets)


class LongText(UserWarning):
    """A text is longer than is read."""

    def __init__(self, length: int):
        super().__init__(f"a text has {length:,} characters; the first {MAX_CHARACTERS:,} are read")


class TextInputs:
    """Turns texts into token ids: lower-cased words and single signs, or single characters, of the training texts.

    Args:
        tokenizer: from `TextInputs.fit` or `TextInputs.load`.
        max_tokens: how much of a text the recurrent branch reads, see `crop`.
    """

    FILE = "tokenizer.json"

    def __init__(self, tokenizer: Tokenizer, max_tokens: int):
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        tokenizer.encode_special_tokens = True  # what a text says is text

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary_size: int, max_tokens: int) -> TextInputs:
        """Learn the vocabulary: words seen at least twice, the `vocabulary_size` most frequent of them.

        Where too many words would be unknown, as in names, sequences of letters, or languages written without
        spaces, single characters are the tokens instead.
        """
        words = cls(_learn(texts, _WORD, vocabulary_size), max_tokens)
        # The share of words seen once is the share of unseen words to expect (Good 1953, Biometrika 40).
        sample = words._encode(texts[:: -(-len(texts) // _SAMPLE)])
        if (sample.ids == UNKNOWN).mean() <= _MOST_UNKNOWN:
            return words
        return cls(_learn(texts, _CHARACTER, vocabulary_size), max_tokens)

    @cached_property
    def by_character(self) -> bool:
        """Whether the tokens are single characters."""
        special = {token.content for token in self.tokenizer.get_added_tokens_decoder().values()}
        return all(len(token) == 1 for token in self.tokenizer.get_vocab() if token not in special)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, with padding and the unknown token."""
        return self.tokenizer.get_vocab_size()

    def __call__(self, texts: Sequence[str]) -> TokenIds:
        """Token ids of `texts`; a text's characters past `MAX_CHARACTERS` are not read.

        Raises:
            BadInput: something is not a text, or a text holds nothing to read.
        """
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise BadInput(f"text {i + 1} is a {type(text).__name__}; expected a str")
            if not text.strip():
                raise BadInput(f"text {i + 1} of {len(texts)} is empty; give at least one word")
            if not _is_unicode(text):
                raise BadInput(f"text {i + 1} of {len(texts)} is not valid Unicode; give it as UTF-8")
            if len(text) > MAX_CHARACTERS:
                warnings.warn(LongText(len(text)), stacklevel=2)
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> TokenIds:
        encodings = self.tokenizer.encode_batch_fast([text[:MAX_CHARACTERS] for text in texts])
        return TokenIds.join([e.ids or [UNKNOWN] for e in encodings])

    def collate(self, tokens: TokenIds, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """A batch of the texts at `rows`: `ids` `(batch, steps)`, `lengths` `(batch,)`, and `tokens` uncropped."""
        ids, lengths = pad([crop(tokens[i], self.max_tokens) for i in rows], PADDING)
        return {"ids": torch.from_numpy(ids), "lengths": torch.from_numpy(lengths), "tokens": tokens.take(rows)}

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        (folder / self.FILE).write_text(self.tokenizer.to_str(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> TextInputs:
        """Read what `save` wrote.

        Raises:
            BadInput: the file is not a tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(folder / cls.FILE)), max_tokens)
        except Exception as error:  # the library raises a bare Exception
            raise BadInput(f"{folder / cls.FILE} is not a tokenizer ({error}); train the model again") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def _learn(texts: Sequence[str], token: Regex, vocabulary_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=_SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(_LINE_BREAK, " "), normalizers.NFKC(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(token, "removed", invert=True)
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size, min_frequency=2, special_tokens=list(_SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator((text[:MAX_CHARACTERS] for text in texts), trainer)
    return tokenizer


def crop(ids: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` ids: the first quarter and the last three, because a review's verdict stands at its end."""
    if len(ids) <= limit:
        return ids
    head = limit // 4
    return np.concatenate([ids[:head], ids[len(ids) - (limit - head) :]])
