"""What is said of a trained model: figures beside a baseline, a curve, a model card."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gruvy import __version__
from gruvy.artefact import Trained
from gruvy.tasks.contract import ExampleTask


def paired_bootstrap(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, samples: int = 10_000) -> dict[str, float]:
    """The difference of two mean scores on the same rows, with its 95 % interval by resampling rows.

    Args:
        ours, theirs: one score a row, higher is better.

    Returns:
        `difference`, `low`, `high`, and `better`: the share of resamples in which ours is ahead (ties count half).
    """
    rng = np.random.default_rng(seed)
    gain = ours - theirs
    means = np.array([gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(samples)])
    low, high = np.quantile(means, [0.025, 0.975])
    better = (means > 0).mean() + 0.5 * (means == 0).mean()
    return {"difference": float(gain.mean()), "low": float(low), "high": float(high), "better": float(better)}


def measure(task: ExampleTask, outputs: Mapping[str, Tensor], targets: Tensor) -> dict[str, dict[str, float]]:
    """The task's metrics of each named set of outputs."""
    return {name: task.metrics(out, targets) for name, out in outputs.items()}


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Names down, metrics across."""
    metrics = list(next(iter(figures.values())))
    width = max(map(len, figures))
    columns = [max(10, len(m) + 2) for m in metrics]
    lines = [" " * width + "".join(f"{m.replace('_', ' '):>{w}}" for m, w in zip(metrics, columns, strict=True))]
    for name, values in figures.items():
        cells = (f"{_shown(values[m]):>{w}}" for m, w in zip(metrics, columns, strict=True))
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def _shown(value: float) -> str:
    if math.isnan(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.5g}"


def comparison(score: str, bootstrap: Mapping[str, float], of: str = "the test rows") -> str:
    """The bootstrap of `score` in a sentence."""
    verdict = "ahead" if bootstrap["low"] > 0 else "behind" if bootstrap["high"] < 0 else "not distinguishable"
    return (
        f"difference in {score}, model - baseline: {bootstrap['difference']:+.4f} "
        f"(95 % interval {bootstrap['low']:+.4f} to {bootstrap['high']:+.4f}, paired bootstrap of {of}): "
        f"{verdict}"
    )


def training_curve(history: Sequence[Any]) -> bytes:
    """Training and validation loss by epoch, as PNG; `history` is of one network, or holds one of each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    networks = [history] if isinstance(history[0], Mapping) else history
    for number, epochs in enumerate(networks):
        name = f", network {number + 1}" if len(networks) > 1 else ""
        _draw(axes, epochs, f"C{number}", name)
    axes.set(xlabel="epoch", ylabel="loss", title="Loss by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150, format="png")
    return picture.getvalue()


def _draw(axes: Any, epochs: Sequence[Mapping[str, float]], colour: str, name: str) -> None:
    """The curves of one network."""
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [e["train_loss"] for e in epochs], color=colour, linestyle="--", label=f"training{name}")
    if "validation_loss" in epochs[0]:
        axes.plot(numbers, [e["validation_loss"] for e in epochs], color=colour, label=f"validation{name}")
        best = min(range(len(epochs)), key=lambda i: epochs[i]["validation_loss"])
        axes.plot(best + 1, epochs[best]["validation_loss"], color=colour, marker="o", label=f"kept{name}")


def model_card(trained: Trained, facts: Mapping[str, Any], printed: str, command: str) -> str:
    """The artefact's README.md."""
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    task, modality = trained.task, trained.modality
    return f"""# A gruvy model: {task.name}

{task.summary} Trained with gruvy {__version__}.

{listed}

## Measured on rows that training never saw

```
{printed}
```

## Use

```
{modality.COMMAND}
gruvy evaluate DIR --data FILE
```

```python
import gruvy
{modality.PYTHON}
```

Trained by `{command}`; `split.json` says what each part of the data is, `metrics.json` holds the figures above.

## Limits

It has learned from the data it was given and repeats what is in it, errors and prejudices included; judge it on
{modality.WHAT} like those it is to read.
"""
