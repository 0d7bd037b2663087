"""The weights a stage keeps: their running average, which is what is validated and saved, and the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed.checkpoint as distributed_checkpoint
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

CURRENT = "current_model_state"  # in a checkpoint: the weights beside their average


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
    """Saves checkpoints/last.ckpt of the stage after every validation, when all that belongs to the step is logged."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        # A stage goes on from a checkpoint and never comes back to what lies before: those rows have to be on disk first.
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(last_path(Path(trainer.default_root_dir)), weights_only=False)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Says that the step's batch is not quite over, as in a checkpoint made before the validation.

        Lightning would else go on by leaving out a validation where one is due, and count one step too few where none is
        because `every_steps` has changed since.
        """
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts["completed"] = counts["processed"] - 1


def last_path(folder: Path) -> Path:
    """Where the checkpoint of the stage in `folder` is."""
    return folder / "checkpoints" / "last.ckpt"
