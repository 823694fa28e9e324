"""How much each branch of a model counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]

_PULL = 0.1  # rows that speak for equal weights, in a sense: few real ones outweigh them


class Weighing(nn.Module):
    """A weighted sum of what branches say, `w[0] * first + w[1] * second + ...`: few rows can tell so few numbers.

    The weights also calibrate: their size is how sure the branches may be together, or one alone.
    """

    def __init__(self, branches: int):
        super().__init__()
        self.weights = nn.Parameter(torch.full((branches,), 1 / branches))

    def forward(self, *outputs: Tensor) -> Tensor:
        """One `(rows, output_size)` a branch -> the same shape."""
        return torch.stack([w * out for w, out in zip(self.weights, outputs, strict=True)]).sum(0)

    @torch.enable_grad()
    def fit(self, outputs: Sequence[Tensor], targets: Tensor, loss: Loss) -> Weighing:
        """Minimise the loss on rows held out from every branch."""
        optimiser = torch.optim.LBFGS(self.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            away = (self.weights - 1 / len(outputs)).square().sum()
            # The pull keeps the answer finite when the branches separate the rows perfectly.
            value = loss(self(*outputs), targets) + _PULL / len(targets) * away
            value.backward()
            return value

        optimiser.step(closure)
        return self


def held_out_loss(outputs: Sequence[Tensor], targets: Tensor, loss: Loss) -> float:
    """What a weighing of `outputs` costs on rows it was not fitted on: two halves, each judged by the other."""
    even = torch.arange(len(targets)) % 2 == 0
    total = 0.0
    for fitted, judged in ((even, ~even), (~even, even)):
        weighing = Weighing(len(outputs)).fit([out[fitted] for out in outputs], targets[fitted], loss)
        with torch.no_grad():
            total += loss(weighing(*(out[judged] for out in outputs)), targets[judged]).item()
    return total / 2
