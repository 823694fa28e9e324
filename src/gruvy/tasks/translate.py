"""What a text becomes: its translation, or the answer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from gruvy.data.vocabulary import UNITS
from gruvy.errors import BadInput
from gruvy.models.attention import KINDS
from gruvy.models.encoders import ENCODERS
from gruvy.tasks.contract import Column, Modality, Setting
from gruvy.tasks.modalities import pairs

VOCABULARIES = ("shared", "separate")


@dataclass(frozen=True)
class Translate:
    """Target texts for source texts.

    Attributes:
        beam: hypotheses of the search; length_penalty: see `gruvy.models.beam.beam_search`.
        context: earlier pairs of a conversation that are read with each source.
    """

    beam: int = 5
    length_penalty: float = 1.0
    context: int = 0

    name: ClassVar[str] = "translate"
    summary: ClassVar[str] = "Learn what a text becomes: its translation, or the answer to it."
    study: ClassVar[str] = "translate"
    columns: ClassVar[Mapping[str, Column]] = {
        "source": Column("text", None, "column with the sources, of a table", optional=True),
        "target": Column("text", None, "column with the targets, of a table", optional=True),
        "conversation": Column("label", None, "column that names a row's conversation", optional=True),
    }
    settings: ClassVar[Mapping[str, Setting]] = {
        "valid": Setting(str, (), "files (or the table) to validate on [a part of the data]", many=True),
        "test": Setting(str, (), "files (or the table) to judge on [a part of the data, or those]", many=True),
        "split": Setting(float, (0.9, 0.05, 0.05), "shares of training, validation and test", many=True),
        "unit": Setting(str, "bpe", "tokens", choices=UNITS),
        "vocabulary": Setting(int, None, "tokens at most [the recipe's]"),
        "vocabularies": Setting(str, "shared", "of the two sides", choices=VOCABULARIES),
        "encoder": Setting(str, None, "what reads the source [the recipe's]", choices=ENCODERS),
        "attention": Setting(str, None, "how sources are attended to [the recipe's]", choices=KINDS),
        "beam": Setting(int, 5, "hypotheses of the search; 1 takes the likeliest token each time"),
        "length_penalty": Setting(float, 1.0, "0 favours short translations, more longer ones"),
        "context": Setting(int, 0, "earlier pairs read with each, for conversations in order"),
    }
    modalities: ClassVar[tuple[Modality, ...]] = (pairs,)
    score: ClassVar[str] = "chrF of a text"

    @classmethod
    def fit(cls, settings: Mapping[str, Any]) -> Self:
        """From the user's settings.

        Raises:
            BadInput: numbers that cannot be.
        """
        beam, penalty, context = settings["beam"], settings["length_penalty"], settings["context"]
        if not 1 <= beam <= 100:
            raise BadInput(f"--beam {beam}: expected a number of hypotheses from 1 to 100")
        if not 0 <= penalty <= 10:
            raise BadInput(f"--length-penalty {penalty:g}: expected a number from 0 to 10")
        if not 0 <= context <= 20:
            raise BadInput(f"--context {context}: expected a number of earlier pairs from 0 to 20")
        if settings["vocabulary"] is not None and settings["vocabulary"] < 2:
            raise BadInput(f"--vocabulary {settings['vocabulary']}: expected at least 2 tokens")
        return cls(beam, penalty, context)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)

    @property
    def output_size(self) -> int:
        """One log-likelihood a token; the scores are as many as the target vocabulary."""
        return 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of negative log-likelihoods `(tokens,)`."""
        return outputs.mean()

    def metrics(self, translations: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """BLEU (Papineni et al. 2002) as it stands and in lower case, and chrF (Popović 2015), by sacrebleu."""
        bleu, lower, chrf = _scorers()
        given = list(translations), [list(references)]
        return {
            "bleu": bleu.corpus_score(*given).score, "bleu_lowercase": lower.corpus_score(*given).score,
            "chrf": chrf.corpus_score(*given).score,
        }  # fmt: skip

    def scores(self, translations: Sequence[str], references: Sequence[str]) -> list[float]:
        """chrF of each text."""
        chrf = _scorers()[2]
        return [
            chrf.sentence_score(text, [reference]).score
            for text, reference in zip(translations, references, strict=True)
        ]

    def signatures(self) -> list[str]:
        """What sacrebleu says of how the metrics were computed, one line each."""
        names = ("BLEU", "BLEU, lower case", "chrF")
        for scorer in (scorers := _scorers()):
            scorer.corpus_score(["a"], [["a"]])  # a signature knows the number of references
        return [f"{name}: {scorer.get_signature()}" for name, scorer in zip(names, scorers, strict=True)]


def _scorers() -> tuple[Any, Any, Any]:
    from sacrebleu.metrics import BLEU, CHRF

    return BLEU(), BLEU(lowercase=True), CHRF()
