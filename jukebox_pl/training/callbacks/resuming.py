"""What lets a training stop behind any step, and go on as if it never had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from jukebox_pl.utils.stopping import STOP, Request


class StopBehindStep(Callback):
    """Ends a training or a validation that the command was told to stop: behind a whole step, where no gradients wait, and
    on all ranks behind the same one. Lightning then leaves its loops as for SIGTERM, with the step's numbers logged.

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
        if trainer.strategy.reduce_boolean_decision(STOP.request is not None, all=False):
            STOP.request = STOP.request or Request("another process", 0)
            trainer._signal_connector.received_sigterm = True


class StepSeed(Callback):
    """Random numbers of a step, as of dropout, follow from the seed, the batch and the rank: there is no state to keep."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        numbers = self.seed, trainer.fit_loop.epoch_loop.total_batch_idx, trainer.global_rank
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))
