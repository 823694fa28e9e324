"""The directory a trained model lives in, and the model read back from it.

    config.json         task, targets, recipe, the cell's graph, columns, data, seed
    model.safetensors   the weights
    tokenizer.json      how texts become tokens (target_tokenizer.json where targets have tokens of their own), or
    inputs.json         how series become numbers
    split.json          which rows were trained on, validated on and tested on
    metrics.json        what was measured, for every branch and the baseline
    training.png        the training curve
    forecast.png        forecasts, intervals and what came, where it forecasts
    attention.png       what translations attended to
    roll.png            a piece, and one the model wrote
    residuals.png       predictions and residuals, where it gives numbers
    README.md           the model card
    hashes.json         the SHA-256 of every file above

Nothing in it is code and nothing is pickled: loading a model runs no code of its author.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from safetensors.torch import save as serialise
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy import __version__
from gruvy.cells import Cell
from gruvy.data.batches import LengthBuckets
from gruvy.errors import BadInput
from gruvy.models.sampling import Sampling
from gruvy.tasks import MODALITIES, TASKS
from gruvy.tasks.contract import Modality
from gruvy.tasks.recipes import Recipe, recipe_from_json

FORMAT = 1
CONFIG, _WEIGHTS, _HASHES = "config.json", "model.safetensors", "hashes.json"
FILES = (
    CONFIG, _WEIGHTS, _HASHES, "tokenizer.json", "inputs.json", "split.json", "metrics.json", "training.png",
    "forecast.png", "residuals.png", "target_tokenizer.json", "attention.png", "roll.png", "README.md",
)  # fmt: skip
_DOCUMENTS = {
    "split.json",
    "metrics.json",
    "training.png",
    "forecast.png",
    "residuals.png",
    "attention.png",
    "roll.png",
    "README.md",
}  # a model predicts without them
UNFINISHED = ".gruvy-training"  # the folder of a training under way, within the artefact
_BATCH = 128


@dataclass
class Trained:
    """A trained model.

    Attributes:
        task: a `gruvy.tasks.contract.Task` that has seen the training targets; kind: of input, a key of `MODALITIES`.
        inputs: how raw inputs are prepared; model: the network.
        recipe, cell, engine: what the model was built from.
        about: the rest of `config.json`: columns, data, seed, version.
    """

    task: Any
    kind: str
    inputs: Any
    model: Any
    recipe: Recipe
    cell: Cell
    engine: str
    about: Mapping[str, Any]

    @property
    def modality(self) -> Modality:
        """What the model shares with others about the same kind of input."""
        return MODALITIES[self.kind]

    def predict(self, raw: Any = None) -> Any:
        """What the model makes of what a user has.

        A classifier or a regression gives a dict for one input, a list of them for several. A forecast gives a list of
        rows, from a file or columns by name, or from the end of the training data when there is neither.

        Raises:
            BadInput: an input is empty or of another kind.
        """
        return self.modality.predict(self, raw)

    def generate(
        self, prompt: Any = "", length: int = 100, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
        seed: int | None = None,
    ) -> Any:  # fmt: skip
        """What a model writes after a prompt: text, in pieces as they come, or a roll of music `(length, 88)`.

        Args:
            prompt: a text, or a roll; "" for none. length: tokens, or steps.
            temperature, top_k, top_p: see `gruvy.models.sampling.Sampling`.
            seed: for the same text again.

        Raises:
            BadInput: the model does not write.
        """
        if seed is not None and seed < 0:
            raise BadInput(f"the seed is {seed}; expected a whole number of at least 0")
        if not hasattr(self.modality, "generate"):
            raise BadInput(f"a {self.task.name} model does not write; train one with gruvy train language, or music")
        return self.modality.generate(self, prompt, length, Sampling(temperature, top_k, top_p), seed)

    def branches(self, encoded: Any) -> dict[str, Tensor]:
        """The outputs of each branch for encoded inputs, `(rows, output_size)`; `model.answer` names the model's."""
        return self.answers_of(self.model.branches, encoded)

    @torch.no_grad()
    def outputs_of(self, network: nn.Module, encoded: Any) -> Tensor:
        """The outputs of one of the model's networks for encoded inputs, `(rows, output_size)`."""
        network.eval()
        return self._in_batches(lambda batch: {"": network(batch)}, encoded)[""]

    @torch.no_grad()
    def answers_of(self, say: Callable[[Any], dict[str, Tensor]], encoded: Any) -> dict[str, Tensor]:
        """What `say`, a method of the model, says of each batch, by name."""
        self.model.eval()
        return self._in_batches(say, encoded)

    def _in_batches(self, say: Callable[[Any], dict[str, Tensor]], encoded: Any) -> dict[str, Tensor]:
        collected: dict[str, list[Tensor]] = {}
        order = list(LengthBuckets(encoded.lengths, _BATCH))
        for rows in order:
            for name, outputs in say(self.inputs.collate(encoded, rows)).items():
                collected.setdefault(name, []).append(outputs)
        place = torch.from_numpy(np.argsort(np.concatenate(order)))
        return {name: _joined(parts)[place] for name, parts in collected.items()}

    def save(self, folder: Path, documents: Mapping[str, str | bytes]) -> None:
        """Write the artefact's files to an existing `folder`; `documents` are further files by name."""
        config = {
            "format": FORMAT, "gruvy": __version__, "task": self.task.name, "kind": self.kind,
            "target": self.task.to_json(), "recipe": asdict(self.recipe), "cell": self.cell.to_json(),
            "engine": self.engine, **self.about,
        }  # fmt: skip
        (folder / _WEIGHTS).write_bytes(serialise(_once(self.model.state_dict())))
        self.inputs.save(folder)
        for name, content in documents.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / CONFIG).write_text(json.dumps(config, indent=1))
        files = [folder / name for name in FILES if (folder / name).is_file()]
        (folder / _HASHES).write_text(json.dumps({p.name: _sha256(p) for p in files}, indent=1))


def _once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict, shared ones under the first of their names."""
    seen: set[tuple[int, torch.Size]] = set()
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        place = tensor.data_ptr(), tensor.shape
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        found[name] = tensor.contiguous()
    return found


def _joined(parts: list[Tensor]) -> Tensor:
    """Batches one after the other, with NaN past the end of shorter ones."""
    longest = max(part.shape[1] for part in parts)
    if all(part.shape[1] == longest for part in parts):
        return torch.cat(parts)
    return torch.cat([F.pad(part, (0, longest - part.shape[1]), value=float("nan")) for part in parts])


def load(folder: str | Path) -> Trained:
    """Read a trained model; `gruvy.load(DIR).predict(x)`.

    Args:
        folder: what `gruvy train ... --out DIR` wrote.

    Raises:
        BadInput: it is no artefact, is unfinished, of a newer gruvy, truncated or changed.
    """
    folder = Path(folder)
    config = read_config(folder)
    _check_hashes(folder)
    try:
        task, kind = TASKS[config["task"]].from_json(config["target"]), config.get("kind", "text")
        recipe, modality = recipe_from_json(kind, config["recipe"]), MODALITIES[kind]
        cell, engine = Cell.from_json(config["cell"]), config["engine"]
        inputs = modality.load_inputs(folder, recipe)
        model = modality.build_model(inputs, task.output_size, recipe, cell, engine)
        load_model(model, folder / _WEIGHTS)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{folder} is damaged ({type(error).__name__}: {reason}); train the model again") from None
    known = ("format", "gruvy", "task", "kind", "target", "recipe", "cell", "engine")
    about = {k: v for k, v in config.items() if k not in known}
    return Trained(task, kind, inputs, model.eval(), recipe, cell, engine, about)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of an artefact.

    Raises:
        BadInput: there is none, or it is not one this version reads.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such directory; give the directory that gruvy train wrote with --out")
    if not (folder / CONFIG).is_file():
        if (folder / UNFINISHED).is_dir():
            raise BadInput(
                f"{folder} holds an unfinished training; run the same gruvy train command again to resume it"
            )
        raise BadInput(
            f"{folder} has no {CONFIG}, so it is not a trained model; give what gruvy train wrote with --out"
        )
    try:
        config = json.loads((folder / CONFIG).read_text())
        version = config["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{folder / CONFIG} is damaged; train the model again, or restore the file") from None
    if version != FORMAT:
        raise BadInput(
            f"{folder} has format {version}, this gruvy reads format {FORMAT}; install the gruvy that wrote it"
        )
    return config


def read_json(folder: Path, name: str) -> Any:
    """Another JSON file of an artefact, as it was saved."""
    try:
        if name != _HASHES and _sha256(folder / name) != json.loads((folder / _HASHES).read_text())[name]:
            raise ValueError
        return json.loads((folder / name).read_text())
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{folder / name} is missing or damaged; restore it, or train the model again") from None


def _check_hashes(folder: Path) -> None:
    hashes = read_json(folder, _HASHES)
    if not isinstance(hashes, dict) or not {CONFIG, _WEIGHTS} <= hashes.keys():
        raise BadInput(f"{folder / _HASHES} is damaged; train the model again, or restore the file")
    for name, expected in hashes.items():
        if name in _DOCUMENTS:
            continue
        file = folder / name
        if name not in FILES:
            raise BadInput(f"{folder / _HASHES} names {name!r}, no file of a model; restore it, or train again")
        if not file.is_file():
            raise BadInput(f"{file} is missing; restore it, or train the model again")
        if _sha256(file) != expected:
            raise BadInput(f"{file} is not as it was saved (its SHA-256 differs); restore it, or train the model again")


def is_artefact(folder: Path) -> bool:
    """Whether `folder` holds a model gruvy wrote."""
    try:
        return {"format", "gruvy"} <= json.loads((folder / CONFIG).read_text()).keys()
    except (OSError, ValueError, AttributeError):
        return False


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with null for numbers that are none, such as the correlation with a constant."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
