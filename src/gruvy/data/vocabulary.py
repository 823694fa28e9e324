"""Texts as tokens and back: the vocabulary of models that write."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from gruvy.data.text import PADDING, UNKNOWN, TokenIds
from gruvy.errors import BadInput

UNITS = ("word", "bpe", "char")
END = 2  # ends a text, and begins one
# At the places PADDING, UNKNOWN and END: <unk> as prepared corpora write it, the others as no text gives a token.
_SPECIAL = ("no token", "<unk>", "end of text")
_EVERY_BYTE = 256


class Vocabulary:
    """The tokens of a model that writes; text becomes ids and ids become the same text again.

    Args:
        tokenizer: from `Vocabulary.fit` or `Vocabulary.load`.
        unit: `"word"`, what stands between spaces, as it stands; `"bpe"`, pieces of bytes, so that no text is unknown
            (Sennrich et al. 2016, arXiv:1508.07909); `"char"`, single characters.
    """

    def __init__(self, tokenizer: Tokenizer, unit: str):
        self.tokenizer, self.unit = tokenizer, unit
        tokenizer.encode_special_tokens = True  # what a text says is text

    @classmethod
    def fit(cls, texts: Iterable[str], unit: str, size: int) -> Vocabulary:
        """Learn at most `size` tokens; of words and characters the most frequent, the rest is unknown.

        Words seen once are unknown too, so that there is something to learn about unknown words, unless the texts
        have `<unk>` for them already.

        Raises:
            BadInput: the size has no place for two tokens, or the texts have fewer.
        """
        least = len(_SPECIAL) + 2 + (_EVERY_BYTE if unit == "bpe" else 0)
        if size < least:
            raise BadInput(f"a vocabulary of {size} {_NAMES[unit]}s is too small; expected at least {least}")
        if unit == "word":
            texts = list(texts)
            prepared = any(_SPECIAL[UNKNOWN] in text.split() for text in texts)
            tokenizer, trainer = _untrained(unit, size, min_frequency=1 if prepared else 2)
            texts = (" ".join(word for word in text.split() if word != _SPECIAL[UNKNOWN]) for text in texts)
        else:
            tokenizer, trainer = _untrained(unit, size)
        tokenizer.train_from_iterator(texts, trainer)
        if len(tokenizer.get_vocab()) < least:
            twice = " that stand there twice" if unit == "word" else ""
            raise BadInput(f"the training texts have fewer than two different {_NAMES[unit]}s{twice}; give more text")
        return cls(tokenizer, unit)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """The ids of each text, without an end."""
        return TokenIds.join([e.ids for e in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)])

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids: words with spaces between them, an end as a line break, the unknown token as `<unk>`."""
        return "".join(self.written(int(i) for i in ids))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each token as it reads on its own."""
        return ["<end>" if i == END else self.decode([i]) for i in ids]

    def written(self, ids: Iterable[int], after_word: bool = False) -> Iterator[str]:
        """The text of ids in pieces, as the ids come; bytes that make no whole character wait for the rest of it.

        Args:
            after_word: the text goes on after a word, so that another word is set off from it.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for i in ids:
            if i == PADDING:
                continue
            if i == END:
                yield decoder.decode(b"", final=True) + "\n"
            elif self.unit == "bpe":
                yield decoder.decode(bytes(_BYTES[c] for c in self.tokenizer.id_to_token(i) or ""))
            else:
                yield (" " if after_word else "") + (self.tokenizer.id_to_token(i) or "")
            after_word = self.unit == "word" and i != END
        yield decoder.decode(b"", final=True)

    def save(self, file: Path) -> None:
        """Write the tokenizer as JSON."""
        file.write_text(self.tokenizer.to_str(), encoding="utf-8")

    @classmethod
    def load(cls, file: Path, unit: str) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            BadInput: the file is not a tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(file)), unit)
        except Exception as error:  # the library raises a bare Exception
            raise BadInput(f"{file} is not a tokenizer ({error}); train the model again") from None


def _bytes() -> dict[str, int]:
    """The byte of each letter of byte-level BPE: printable bytes stand for themselves, others for letters above 255."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(_EVERY_BYTE) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(_EVERY_BYTE + n): byte for n, byte in enumerate(others)}


_BYTES = _bytes()
_NAMES = {"word": "word", "bpe": "piece", "char": "character"}


def _untrained(unit: str, size: int, min_frequency: int = 1) -> tuple[Tokenizer, trainers.Trainer]:
    special = list(_SPECIAL)
    if unit == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return tokenizer, trainers.BpeTrainer(
            vocab_size=max(size, len(special) + _EVERY_BYTE), min_frequency=2, special_tokens=special,
            initial_alphabet=alphabet, show_progress=False,
        )  # fmt: skip
    tokenizer = Tokenizer(models.WordLevel(unk_token=_SPECIAL[UNKNOWN]))
    if unit == "word":
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    trainer = trainers.WordLevelTrainer(
        vocab_size=size, min_frequency=min_frequency, special_tokens=special, show_progress=False
    )  # fmt: skip
    return tokenizer, trainer
