"""The weights a stage keeps: their running average, which is what is validated and saved, and the checkpoint."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn


class EMA(Callback):
    """Averages the parameters after every step; validations, and whatever else reads the module while one lasts, see the
    average. `decay` None, or a network that is spread over devices, of which no copy can be made: there is no average.

    Buffers are copied, not averaged: the codebooks live in buffers and are averages themselves. A checkpoint holds the
    average as its `state_dict` and the weights to train on with as `current_model_state`, as Lightning's does.
    """

    def __init__(self, decay: float | None):
        self.decay = decay
        self.average: AveragedModel | None = None
        self.latest_step = 0

    @property
    def state_key(self) -> str:
        return "EMAWeightAveraging"  # Lightning's, in checkpoints of version 0.1.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == TrainerFn.FITTING and self.decay and not isinstance(trainer.strategy, ModelParallelStrategy):
            self.average = AveragedModel(pl_module, pl_module.device, get_ema_avg_fn(self.decay), use_buffers=False)

    def apply_to(self, module: pl.LightningModule) -> None:
        """Gives `module` the average for good. From here on there is one set of weights: what is measured is saved."""
        if self.average is not None:
            for mine, averaged in self._pairs(module):
                mine.data.copy_(averaged.data)
            self.average = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.average is not None and trainer.global_step > self.latest_step:  # not while gradients accumulate
            self.average.update_parameters(pl_module)
            self.latest_step = trainer.global_step

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)  # later than on_validation_epoch_end, where callbacks look at the network

    def _swap(self, module: pl.LightningModule) -> None:
        if self.average is not None:
            for mine, averaged in self._pairs(module):
                kept = mine.data.clone()
                mine.data.copy_(averaged.data)
                averaged.data.copy_(kept)

    def _pairs(self, module: pl.LightningModule) -> Any:
        assert self.average is not None
        averaged = self.average.module
        return zip(
            chain(module.parameters(), module.buffers()), chain(averaged.parameters(), averaged.buffers()), strict=True
        )

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self.latest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.latest_step = state_dict["latest_update_step"]

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.average is not None:
            state = self.average.state_dict()
            checkpoint["current_model_state"] = checkpoint["state_dict"]
            checkpoint["state_dict"] = {
                name.removeprefix("module."): value for name, value in state.items() if name.startswith("module.")
            }
            checkpoint["averaging_state"] = {k: v for k, v in state.items() if not k.startswith("module.")}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """The module has read `state_dict` by now: the average, or the weights themselves where there was none."""
        if self.average is None:
            return
        self.average.module.load_state_dict(checkpoint["state_dict"])
        if "current_model_state" in checkpoint:
            state = {f"module.{name}": value for name, value in checkpoint["state_dict"].items()}
            self.average.load_state_dict(state | checkpoint["averaging_state"])
            pl_module.load_state_dict(checkpoint["current_model_state"])


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
