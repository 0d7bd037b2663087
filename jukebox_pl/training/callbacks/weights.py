"""The weights a stage keeps: their running average, which is what is validated and saved, and the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed.checkpoint as distributed_checkpoint
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from jukebox_pl.training.checkpoint_io import NEXT, keep_copy, last_path, rotate
from jukebox_pl.training.loggers.files import FilesLogger
from jukebox_pl.training.modules.base import is_log_step

CURRENT = "current_model_state"  # in a checkpoint: the weights beside their average
ROWS = "rows_of_metrics"  # how many metrics.csv has of a checkpoint, which a stage goes on after


class EMA(Callback):
    """Averages the parameters after every step; validations, and whatever else reads the module while one lasts, see the
    average. `decay` None: there is none. Of a network that is spread over devices each averages its own shards.

    Buffers are not averaged: the codebooks live in buffers and are averages themselves. A checkpoint holds the average as
    its `state_dict` and the weights to train on with as `current_model_state`, as Lightning's does.
    """

    def __init__(self, decay: float | None):
        self.decay = decay
        self.average: dict[str, Tensor] = {}  # by name; it begins with the parameters after the first step
        self.latest_step, self.swapped = 0, False

    @property
    def state_key(self) -> str:
        return "EMAWeightAveraging"  # Lightning's, in checkpoints of version 0.1.0

    def apply_to(self, module: pl.LightningModule) -> None:
        """Gives `module` the average for good. From here on there is one set of weights: what is measured is saved."""
        self._swap(module)
        self.average, self.decay = {}, None

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.decay is None or trainer.global_step == self.latest_step:  # gradients accumulate
            return
        self.latest_step = trainer.global_step
        for name, parameter in own_parameters(pl_module):
            if name in self.average:
                average = self.average[name]
                average.copy_(self.decay * average + (1 - self.decay) * parameter)
            else:
                self.average[name] = parameter.clone()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)  # later than on_validation_epoch_end, where callbacks look at the network

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.swapped:  # a validation was stopped, and a checkpoint may be made now
            self._swap(pl_module)

    def _swap(self, module: pl.LightningModule) -> None:
        if self.average:
            self.swapped = not self.swapped
            for name, parameter in own_parameters(module):
                kept = parameter.clone()
                parameter.copy_(self.average[name])
                self.average[name].copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self.latest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.latest_step = state_dict["latest_update_step"]

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the average in the form that the weights have there: whole, gathered on all devices, or in shards.

        Only what is named `state_dict` is written in shards, so there the weights to train on with stand beside.
        """
        if not self.average:
            return
        current, average = checkpoint["state_dict"], self.average
        if any(isinstance(tensor, DTensor) for tensor in current.values()):
            checkpoint["state_dict"] = current | average | {f"{CURRENT}.{name}": current[name] for name in average}
        else:
            whole = {name: gathered(tensor) for name, tensor in average.items()}
            checkpoint |= {CURRENT: current, "state_dict": current | whole}
        checkpoint["averaging_state"] = {"n_averaged": torch.tensor(self.latest_step)}

    @torch.no_grad()
    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """The module has read `state_dict` by now: the average, or the weights themselves where there was none."""
        if self.decay is None:
            return
        self.average = {name: parameter.clone() for name, parameter in own_parameters(pl_module)}
        if CURRENT in checkpoint:
            set_model_state_dict(pl_module, checkpoint[CURRENT], options=StateDictOptions(full_state_dict=True))
        elif "averaging_state" in checkpoint:
            shards = {f"{CURRENT}.{name}": parameter for name, parameter in own_parameters(pl_module)}
            distributed_checkpoint.load({"state_dict": shards}, checkpoint_id=trainer.ckpt_path)


def own_parameters(module: pl.LightningModule) -> Iterator[tuple[str, Tensor]]:
    """The parameters without their gradients; of a network that is spread over devices, the shards that are here."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()  # else those of the last forward are still whole
    return ((name, parameter.detach()) for name, parameter in module.named_parameters())


def gathered(tensor: Tensor) -> Tensor:
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


class LastCheckpoint(Checkpoint):
    """Saves checkpoints/last.ckpt of a stage after every validation, when all that belongs to the step is logged; when the
    stage is stopped; after its last step; and `minutes` after the one before (None: not by the clock).

    `previous`: the one before stays as previous.ckpt, which a stage goes on from where last.ckpt is found broken. `every`
    so many steps one stays for good, as step_0000500.ckpt (None: none does).
    """

    def __init__(self, minutes: float | None = 30.0, previous: bool = True, every: int | None = None):
        self.minutes, self.previous, self.every = minutes, previous, every
        self.step, self.saved_at = 0, time.monotonic()
        self.validation_is_due = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        loop, step = trainer.fit_loop, trainer.global_step
        validates = (loop.epoch_loop.total_batch_idx + 1) % (trainer.val_check_batch or 1) == 0  # and saves then
        # After a log step: then nothing of this one is logged, and the processes may wait for each other.
        if self.minutes is None or validates or loop._should_accumulate() or not is_log_step(trainer, step - 1):
            return
        is_late = time.monotonic() - self.saved_at > 60 * self.minutes
        if step > self.step and trainer.strategy.reduce_boolean_decision(is_late, all=False):
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        is_over = trainer.should_stop or trainer.global_step >= trainer.max_steps
        if is_over and trainer.global_step > self.step:
            self.save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Of a stop alone: all else may have happened in the middle of a step."""
        if (
            isinstance(exception, SIGTERMException)
            and trainer.state.fn == TrainerFn.FITTING
            and trainer.global_step > self.step
        ):
            self.validation_is_due = trainer.validating
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        # A stage goes on from a checkpoint and never comes back to what lies before: those rows have to be on disk first.
        for logger in trainer.loggers:
            logger.save()
        last, step = last_path(Path(trainer.default_root_dir)), trainer.global_step
        trainer.save_checkpoint(last.with_name(NEXT), weights_only=False)
        if trainer.is_global_zero:
            rotate(last, self.previous)
            if self.every and step // self.every > self.step // self.every:
                keep_copy(last, last.with_name(f"step_{step:07d}.ckpt"))
        self.step, self.saved_at = step, time.monotonic()

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["global_step"]
        for logger in trainer.loggers if trainer.is_global_zero and ROWS in checkpoint else ():
            if isinstance(logger, FilesLogger):
                logger.experiment.goes_on_after = checkpoint[ROWS], self.step

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Gives Lightning's counters one form, whichever hook the checkpoint is made in: the step's batch is not quite over,
        nor is the epoch, as in one that Lightning makes after a batch. It counts that batch when it goes on.

        Only where a validation was stopped the batch is over and the validation at its first batch, to be begun again:
        Lightning would else go on by leaving it out.
        """
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, FilesLogger):
                checkpoint[ROWS] = logger.experiment.rows
        loops = checkpoint["loops"]["fit_loop"]
        for counts in (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"]):
            counts["processed"] = counts["completed"] = counts["started"] - 1
        batches = loops["epoch_loop.batch_progress"]
        for counts in (batches["total"], batches["current"]):
            counts["completed"] = counts["processed"] - (not self.validation_is_due)
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] = trainer.global_step - 1
        if self.validation_is_due:
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            loops["epoch_loop.val_loop.batch_progress"] |= {"total": begun, "current": dict.fromkeys(begun, 0)}
