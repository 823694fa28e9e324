"""Models of several inputs at once: an encoder for each, fused before the head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gruvy.models.ngrams import Loss, NgramText
from gruvy.models.text import Combination, held_out_loss

ALL, NETWORK, NGRAMS = "all inputs", "recurrent network", "n-grams of the text"
_FEWEST = 4  # validation rows that can weigh branches
_CLEARLY = 0.005  # share of the loss the n-grams must save to be kept


class SeveralNetwork(nn.Module):
    """Encoders side by side; what they make of their inputs is normalised, joined, fused by a layer and read by a head.

    In training an input is hidden from the head now and then, so that the others learn to do without it (modality
    dropout, Neverova et al. 2016, arXiv:1501.00102), and so that what each adds can be told afterwards.

    Args:
        encoders: by role; each has `encode(batch) -> (batch, encoded_size)` and `encoded_size`.
        fused_size: units of the layer that fuses; output_size: what the head gives, one value a class or one number.
        hiding: probability of hiding an input, never all of them; dropout: of a unit before the head.
    """

    def __init__(
        self, encoders: Mapping[str, Any], fused_size: int, output_size: int, hiding: float = 0.0, dropout: float = 0.0
    ):  # fmt: skip
        super().__init__()
        sizes = {role: encoder.encoded_size for role, encoder in encoders.items()}
        self.encoders = nn.ModuleDict(encoders)
        self.norms = nn.ModuleDict({role: nn.LayerNorm(size) for role, size in sizes.items()})
        self.hiding, self.dropout = hiding, nn.Dropout(dropout)
        self.fusion = nn.Linear(sum(sizes.values()), fused_size)
        self.head = nn.Linear(fused_size, output_size)

    def forward(self, batch: Mapping[str, Any], shown: Collection[str] | None = None) -> Tensor:
        """A batch of each encoder by role -> `(batch, output_size)`, of the inputs `shown` (all of them)."""
        encoders: Any = self.encoders
        parts = [norm(encoders[role].encode(batch[role])) for role, norm in self.norms.items()]
        seen = self._seen(len(parts[0]), parts[0].device)
        if shown is not None:
            seen = torch.tensor([[role in shown for role in self.norms]], device=parts[0].device).expand_as(seen)
        joined = torch.cat([part * there[:, None] for part, there in zip(parts, seen.unbind(1), strict=True)], 1)
        return self.head(self.dropout(torch.relu(self.fusion(self.dropout(joined)))))

    def _seen(self, rows: int, device: torch.device) -> Tensor:
        """Which inputs the head sees, bool `(rows, inputs)`."""
        if not self.training or not self.hiding:
            return torch.ones(rows, len(self.norms), dtype=torch.bool, device=device)
        seen = torch.rand(rows, len(self.norms), device=device) >= self.hiding
        kept = torch.randint(len(self.norms), (rows, 1), device=device)
        return seen.scatter(1, kept, True)


class SeveralModel(nn.Module):
    """A network of several inputs and, where one is a text and it helps, n-grams of the text beside it.

    Args:
        network: what gradient steps train; ngrams: what `prepare` fits, None for a model without.

    Attributes:
        answer: the branch that speaks for the model; the others tell what it makes of fewer inputs.
    """

    answer = ALL

    def __init__(self, network: SeveralNetwork, ngrams: NgramText | None):
        super().__init__()
        self.network, self.ngrams = network, ngrams
        self.combination = Combination(2, network.head.out_features) if ngrams is not None else None

    def branches(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the model says of all inputs, of each alone and, from three on, without each: `(batch, output_size)`."""
        roles = list(self.network.norms)
        shown = {f"{role} alone": [role] for role in roles}
        if len(roles) > 2:
            shown |= {f"without {role}": [r for r in roles if r != role] for role in roles}
        said = {name: self.network(batch, inputs) for name, inputs in (shown | {NETWORK: roles}).items()}
        if self.ngrams is None or self.combination is None:
            said[ALL] = said.pop(NETWORK)
            return said
        said[NGRAMS] = self.ngrams(batch["text"]["tokens"])
        for name, inputs in shown.items():
            if "text" in inputs:
                said[name] = self.combination(said[name], said[NGRAMS])
        return {**said, ALL: self.combination(said[NETWORK], said[NGRAMS])}

    def prepare(self, train: Any, validation: Any, loss: Loss, seed: int) -> None:
        """What comes before gradient steps: word vectors to start from, and the n-grams of the text."""
        if "text" not in self.network.norms:
            return
        (seen, targets), (held, held_targets) = train, validation
        encoders: Any = self.network.encoders
        encoders["text"].start(seen.parts["text"], seed)
        if self.ngrams is not None:
            self.ngrams.fit((seen.parts["text"], targets), (held.parts["text"], held_targets), loss)

    def finish(self, outputs: Mapping[str, Tensor], targets: Tensor, loss: Loss) -> None:
        """Weigh the n-grams against the network on the validation rows, given what each says of them."""
        if self.combination is None:
            return
        recurrent, ngrams = outputs[NETWORK], outputs[NGRAMS]
        if len(targets) < _FEWEST:
            self.ngrams = self.combination = None
            return
        self.combination.fit([recurrent, ngrams], targets, loss)
        alone, both = (held_out_loss(said, targets, loss) for said in ([recurrent], [recurrent, ngrams]))
        if both >= (1 - _CLEARLY) * alone:
            self.ngrams = self.combination = None

    def prune(self, recipe: Any) -> Any:
        """The recipe of what is left."""
        if self.ngrams is not None or "text" not in self.network.norms:
            return recipe
        return replace(recipe, text=replace(recipe.text, ngram_max_n=0))
