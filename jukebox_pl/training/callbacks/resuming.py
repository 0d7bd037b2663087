"""What lets a training stop after any step, and go on as if it never had."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from jukebox_pl.utils.stopping import STOP


class StopAfterStep(Callback):
    """Ends a training or a validation that the command was told to stop: after a whole step, where no gradients wait, and
    on all ranks after the same one. Lightning then leaves its loops as for SIGTERM, with the step's numbers logged.

    Its own way there is not taken: it ends with any batch, and talks to other ranks out of a signal handler.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        STOP.take_signals()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        STOP.take_signals()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if not trainer.fit_loop._should_accumulate():
            self.agree(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any) -> None:
        self.agree(trainer)

    def agree(self, trainer: pl.Trainer) -> None:
        """Of a signal that others have heard first: the code that a command ends with, and whether SLURM takes the job
        back, are the first rank's to say."""
        strategy = trainer.strategy
        if strategy.reduce_boolean_decision(STOP.request is not None, all=False):
            heard = torch.tensor(STOP.request.signum if STOP.request else 0, device=strategy.root_device)
            signum = int(strategy.reduce(heard, reduce_op="max"))
            STOP.request = STOP.request or STOP.request_of(signum)
            trainer._signal_connector.received_sigterm = True


class StepSeed(Callback):
    """Random numbers of a step, as of dropout, follow from the seed, the batch and the rank: there is no state to keep."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        numbers = self.seed, trainer.fit_loop.epoch_loop.total_batch_idx, trainer.global_rank
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))


class Surroundings(Callback):
    """Says, where a training goes on elsewhere than it was, what is no longer the same to the last bit, and why."""

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["surroundings"] = self.found(trainer)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        now, stage = self.found(trainer), Path(trainer.default_root_dir).name
        before = checkpoint.get("surroundings", now)  # version 0.1.0 noted none
        changes = ", ".join(f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name])
        if changes and trainer.is_global_zero:
            what = "losses from here on are not, to the last bit, those of a run that was never stopped"
            print(f"{stage} goes on with {changes}: {what}", file=sys.stderr, flush=True)

    def found(self, trainer: pl.Trainer) -> dict[str, Any]:
        """What the order of the songs and the rounding of numbers depend on; 0 data workers read as 1 does."""
        workers = max(getattr(trainer.datamodule, "workers", 0), 1)  # type: ignore[attr-defined]
        device = trainer.strategy.root_device.type
        return {"data workers": workers, "processes": trainer.world_size, "device": device, "torch": str(torch.__version__)}
