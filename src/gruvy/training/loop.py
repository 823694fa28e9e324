"""Gradient steps: the one Lightning module and its callbacks."""

from __future__ import annotations

import itertools
import logging
import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.plugins import TorchCheckpointIO
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from gruvy.data.batches import LengthBuckets
from gruvy.errors import RunFailed
from gruvy.tasks.recipes import Recipe

_CALM = "use a recipe with a smaller learning rate, or another cell"


class Batched(Protocol):
    """What a network is trained or validated on: `len` is that of the data, `lengths` of its sequences, in steps."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray: ...

    def batches(self, batch_size: int, seed: int | None = None, epoch: int = 0, most: int = 0) -> Any:
        """Batches for the network, with `targets` along whose first axis the loss is a mean; they have a `len`.

        Args:
            seed: of the order, with `epoch`; None to validate.
            most: batches an epoch; 0 for all.
        """
        ...


@dataclass(frozen=True)
class Rows:
    """Encoded inputs with their targets, in batches.

    Attributes:
        targets: a tensor, or what gives one when indexed by row numbers.
        collate: `(encoded, row numbers) -> batch`.
    """

    encoded: Any
    targets: Any
    collate: Callable[[Any, Any], dict[str, Any]]

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each row."""
        found: np.ndarray = self.encoded.lengths
        return found

    def batches(self, batch_size: int, seed: int | None = None, epoch: int = 0, most: int = 0) -> Batches:
        """(At most `most`) batches, shuffled by `seed` and `epoch`; in order of length without a seed."""
        buckets = LengthBuckets(self.lengths, batch_size, seed)
        buckets.set_epoch(epoch)
        return Batches(self, buckets, min(most, len(buckets)) if most else len(buckets))


@dataclass(frozen=True)
class Batches:
    """See `Rows.batches`."""

    rows: Rows
    buckets: LengthBuckets
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for chosen in itertools.islice(self.buckets, self.count):
            yield {**self.rows.collate(self.rows.encoded, chosen), "targets": self.rows.targets[chosen]}


class Steps(LightningModule):
    """Trains a network: `network(batch) -> outputs`, `loss(outputs, targets)`."""

    def __init__(self, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], train: Batched,
                 validation: Batched | None, recipe: Recipe, seed: int, seconds: float | None):  # fmt: skip
        super().__init__()
        self.network, self.loss = network, loss
        self.rows, self.validation_rows, self.recipe, self.seed, self.seconds = train, validation, recipe, seed, seconds
        self.batch_size = recipe.batch_for(len(train))
        self.total_steps = recipe.epochs(train.lengths) * recipe.batches(len(train))
        self.began = time.monotonic()
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def train_dataloader(self) -> Any:
        """A new shuffle each epoch."""
        return self.rows.batches(self.batch_size, self.seed, self.current_epoch, self.recipe.epoch_steps)

    def val_dataloader(self) -> Any:
        """The validation rows in order of length."""
        return [] if self.validation_rows is None else self.validation_rows.batches(2 * self.batch_size)

    def transfer_batch_to_device(self, batch: dict, device: torch.device, dataloader_idx: int) -> dict:
        """Tensors move, the rest stays."""
        return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        """The loss of a batch; a loss that is not finite stops the run."""
        loss = self.loss(self.network(batch), batch["targets"])
        if not torch.isfinite(loss):
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise RunFailed(
                f"the loss became {loss.item()} at step {self.global_step + 1} (epoch {self.current_epoch + 1}), with "
                f"a learning rate of {rate:.2g}; {_CALM}"
            )
        self._losses.append(loss.detach())
        return loss

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        """The validation loss."""
        loss = self.loss(self.network(batch), batch["targets"])
        self.log("validation_loss", loss, batch_size=len(batch["targets"]))

    def on_train_epoch_start(self) -> None:
        """The same random numbers in an epoch, whether it follows another or a resume."""
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)

    def on_train_epoch_end(self) -> None:
        """Write the epoch into the history, where there is no validation."""
        if self.validation_rows is None:
            self.history.append({"train_loss": torch.stack(self._losses).mean().item()})
            self._losses = []

    def on_validation_epoch_end(self) -> None:
        """Write the epoch into the history."""
        if self._losses:
            train = torch.stack(self._losses).mean().item()
            validation = self.trainer.callback_metrics["validation_loss"].item()
            if not math.isfinite(validation):
                raise RunFailed(f"the validation loss became {validation} in epoch {self.current_epoch + 1}; {_CALM}")
            self.history.append({"train_loss": train, "validation_loss": validation})
            self._losses = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history goes with the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again."""
        self.history = list(checkpoint["history"])

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate warms up and falls along a cosine of the steps or the time, whichever is further."""
        decayed = [p for n, p in self.network.named_parameters() if "embedding" not in n]
        plain = [p for n, p in self.network.named_parameters() if "embedding" in n]
        groups = [
            {"params": decayed, "weight_decay": self.recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.99), fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: self._rate(self.progress(step)))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def progress(self, step: int) -> float:
        """How far the training is, between 0 and 1."""
        by_time = (time.monotonic() - self.began) / self.seconds if self.seconds else 0.0
        return min(1.0, max(step / self.total_steps, by_time))

    def _rate(self, progress: float) -> float:
        warm_up = self.recipe.warm_up
        if progress < warm_up:
            return 0.1 + 0.9 * progress / warm_up
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


class TimeLimit(Callback):
    """Ends the training, with a last validation, when its time is up."""

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        """Stop after the batch that used the time up."""
        assert isinstance(module, Steps)
        if module.seconds and time.monotonic() - module.began >= module.seconds:
            trainer.should_stop = True


class ProgressLine(Callback):
    """A bar of all steps on the terminal, with the losses beside it."""

    def __init__(self, console: Console):
        self.console = console
        self.bar: Progress | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Show the bar, on a terminal only."""
        assert isinstance(module, Steps)
        if self.console.is_terminal and not self.console.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"),
                       TimeRemainingColumn())  # fmt: skip
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.bar.add_task("training", total=1.0)
            self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, *args: Any) -> None:
        """Move the bar."""
        assert isinstance(module, Steps)
        if self.bar is not None:
            text = f"epoch {trainer.current_epoch + 1}  loss {float(outputs['loss']):.3f}"
            self.bar.update(self.bar.task_ids[0], completed=module.progress(trainer.global_step), description=text)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """A line an epoch."""
        assert isinstance(module, Steps)
        if module.history and not trainer.sanity_checking:
            last = module.history[-1]
            self.console.print(
                f"  epoch {len(module.history):2d}  training loss {last['train_loss']:.4f}  "
                f"validation loss {last['validation_loss']:.4f}  ({time.monotonic() - module.began:.0f} s)"
            )

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """A line in all, where there is no validation."""
        assert isinstance(module, Steps)
        if module.history and module.validation_rows is None:
            loss, took = module.history[-1]["train_loss"], time.monotonic() - module.began
            self.console.print(f"  {len(module.history)} epochs, training loss {loss:.4f}  ({took:.0f} s)")

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Take the bar away before the error is told."""
        self.teardown(trainer, module, "fit")


class _WholeFiles(TorchCheckpointIO):
    """A checkpoint is there whole or not at all."""

    def save_checkpoint(self, checkpoint: dict, path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        partial = path.with_suffix(".partial")
        try:
            super().save_checkpoint(checkpoint, partial, storage_options)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def fit(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], train: Batched, validation: Batched | None,
        recipe: Recipe, *, folder: Path, seed: int, seconds: float | None, console: Console,
        ) -> list[dict[str, float]]:  # fmt: skip
    """Train `network` and leave the best validated weights in it; the last ones where there is no validation.

    Args:
        folder: for checkpoints; one that is there is taken up again.
        seconds: end (with the learning rate annealed) after this long; None for no limit.
        console: where progress goes.

    Returns:
        Training loss (and validation loss), an entry an epoch.

    Raises:
        RunFailed: the loss stopped being a number.
        KeyboardInterrupt: after the checkpoint of the last whole epoch is safe.
    """
    steps = Steps(network, loss, train, validation, recipe, seed, seconds)
    best = ModelCheckpoint(folder, "best", monitor="validation_loss", enable_version_counter=False)
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [TimeLimit(), ProgressLine(console), last]
    if validation is not None:
        callbacks += [EarlyStopping("validation_loss", patience=recipe.patience), best]
    if recipe.averaging:
        callbacks.insert(0, WeightAveraging(avg_fn=_averaging(recipe.averaging)))
    _silence_lightning()
    trainer = Trainer(
        accelerator="auto", devices=1, max_epochs=recipe.epochs(train.lengths), callbacks=callbacks,
        plugins=[_WholeFiles()], gradient_clip_val=recipe.clip, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=1,
        limit_val_batches=0 if validation is None else None, default_root_dir=folder,
    )  # fmt: skip
    resume = _readable(folder / "last.ckpt", console)
    if resume is not None:
        console.print("going on from the last whole epoch of the unfinished training")
    handler = signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's advice on data loaders
            trainer.fit(steps, ckpt_path=resume, weights_only=True)
    except SystemExit:  # how Lightning ends on Ctrl-C, with the signal switched off
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    kept = "last.ckpt" if validation is None else "best.ckpt"
    state = torch.load(folder / kept, map_location="cpu", weights_only=True)["state_dict"]
    steps.cpu().load_state_dict(state)
    return steps.history


def _averaging(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The running mean of weights: short at first, so that the initial weights are soon forgotten."""

    def average(mean: Tensor, weight: Tensor, steps: Tensor | int) -> Tensor:
        if not weight.is_floating_point():
            return weight
        return mean + (1 - min(decay, (1 + float(steps)) / (10 + float(steps)))) * (weight - mean)

    return average


def _readable(checkpoint: Path, console: Console) -> Path | None:
    """The checkpoint to take up, if there is one that can be read."""
    if not checkpoint.is_file():
        return None
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
        return checkpoint
    except Exception:  # torch raises many kinds for a damaged file
        console.print(f"{checkpoint} is damaged; the training begins anew")
        checkpoint.unlink()
        return None


def _silence_lightning() -> None:
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
