"""How far a stage is, for people, and how fast, for the loggers. Neither waits for the device between two log steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from jukebox_pl.report.runs import PACE, PEAK
from jukebox_pl.training.modules.base import is_log_step
from jukebox_pl.utils.progress import SECONDS_BETWEEN_LINES, SHORTEST, Meter, terminal_meter

SHOWN = {"loss": "train/loss", "val": "val/loss"}  # of the losses: a line has 80 columns


class ProgressMeter(Callback):
    """A bar in a terminal, a line every few seconds elsewhere: stage, step, losses, steps per second and time to go."""

    def __init__(self, every_seconds: float = SECONDS_BETWEEN_LINES):
        self.every_seconds = every_seconds
        self.meter: Meter | None = None
        self.losses = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.meter = terminal_meter("steps", every_seconds=self.every_seconds)
            self.meter.__enter__()
            self._update(trainer)  # a resumed stage begins with what is done already

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.meter:
            if is_log_step(trainer, trainer.global_step):  # reading a loss waits for the device
                losses = trainer.progress_bar_metrics
                shown = ((word, losses.get(name)) for word, name in SHOWN.items())
                self.losses = " ".join(f"{word} {value:.3f}" for word, value in shown if value is not None)
            self._update(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _update(self, trainer: pl.Trainer) -> None:
        assert self.meter
        self.meter.update(Path(trainer.default_root_dir).name, trainer.global_step, trainer.max_steps, self.losses)

    def _close(self) -> None:
        if self.meter:
            self.meter.__exit__(None, None, None)
            self.meter = None


class Throughput(Callback):
    """Logs tokens and seconds of audio per second of training, over the steps since the last log step."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.batches = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)  # of the stage before

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if self.since is None:  # the first batch after a start or a validation only starts the clock
            self.since = time.monotonic()
            return
        self.batches += 1
        if is_log_step(trainer, trainer.global_step):
            now = time.monotonic()
            per_second = trainer.world_size * self.batches / max(now - self.since, SHORTEST)
            sample_rate = trainer.datamodule.catalog.sample_rate  # type: ignore[attr-defined]
            # All batches of a stage are of one size. How much audio codes stand for is read from the device: not every step.
            pl_module.log(PACE, batch.token_count * per_second)
            pl_module.log("speed/audio_seconds_per_second", batch.samples / sample_rate * per_second)
            if pl_module.device.type == "cuda":
                pl_module.log(PEAK, torch.cuda.max_memory_reserved(pl_module.device) / 1e9)
            self.since, self.batches = now, 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.since, self.batches = None, 0
