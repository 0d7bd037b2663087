"""The copy curve: whether a prior begins to sing its training songs, while it trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from jukebox_pl.catalog.shards import TRAIN
from jukebox_pl.evaluation.code_index import CodeIndex
from jukebox_pl.evaluation.windows import evenly
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.types import TOP, CodesBatch, SamplingParams


class CopyCurve(Callback):
    """Logs, at validations, the longest run of codes that `samples` samples of `codes` codes share with training songs
    (`val/copied_codes`, the mean over samples) and what windows of held-out songs share (`val/copied_codes_held_out`).

    Up to `songs` training songs are looked at. It begins after `after_seconds` of training and takes at most a `share` of
    the time since training began: for that it leaves validations out. Networks other than top priors are passed over:
    below, the codes above say what to sing.
    """

    def __init__(
        self, samples: int = 4, codes: int = 256, songs: int = 200, share: float = 0.03, after_seconds: float = 30.0
    ):
        self.samples, self.codes, self.songs, self.share = samples, codes, songs, share
        self.after_seconds = after_seconds
        self.begun, self.spent, self.longest = time.monotonic(), 0.0, 0.0
        self.index: CodeIndex | None = None
        self.chance: float | None = None
        self.copied: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = time.monotonic()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or not self.is_affordable(trainer):
            return
        prior: Any = pl_module.model
        batch: Any = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        if not isinstance(prior, Prior) or batch.upper is not None:
            return
        started = time.monotonic()
        if self.index is None:
            self._read(trainer.datamodule, min(self.codes, prior.ctx))  # type: ignore[attr-defined]
        with torch.inference_mode():
            drawn = self.sample(prior, trainer.strategy.batch_to_device(batch, pl_module.device), trainer.global_step)
        self.copied = float(np.mean([self.run(codes) for codes in drawn]))
        pl_module.log("val/copied_codes", self.copied, batch_size=len(drawn))
        if self.chance is not None:
            pl_module.log("val/copied_codes_held_out", self.chance, batch_size=len(drawn))
        self.longest = max(self.longest, time.monotonic() - started)
        self.spent += time.monotonic() - started

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.copied is not None and trainer.is_global_zero:
            beside = "" if self.chance is None else f", of {self.chance:.0f} codes of held-out songs"
            line = f"copies: runs of {self.copied:.0f} codes of samples stand in training songs{beside}"
            print(line, file=sys.stderr, flush=True)

    def is_affordable(self, trainer: pl.Trainer) -> bool:
        """The same on every rank."""
        elapsed = time.monotonic() - self.begun
        affordable = elapsed > self.after_seconds and self.spent + self.longest <= self.share * elapsed
        return trainer.strategy.reduce_boolean_decision(affordable)

    def sample(self, prior: Prior, batch: CodesBatch, seed: int) -> Sequence[np.ndarray]:
        """Codes [T] under the labels of held-out windows."""
        cond, rows = prior.condition(batch.labels, batch.upper), slice(0, self.samples)
        length, level = min(self.codes, prior.ctx), TOP
        known = batch.codes[rows, :0]
        noise = torch.stack([uniforms(seed + row, level, length) for row in range(len(known))]).to(known.device)
        codes = sample_codes(prior, cond.items(rows), known, noise, SamplingParams().at(level))
        return list(codes.cpu().numpy())

    def run(self, codes: np.ndarray) -> int:
        """The length of the longest run that is no held note or loop."""
        assert self.index
        return max((run.length for run in self.index.runs(codes)[:1]), default=0)

    def _read(self, data: Any, length: int) -> None:
        """The index of training songs, and what windows of held-out songs share with it."""
        self.index = CodeIndex(self._songs(data, data.train, self.songs))
        held_out = self._songs(data, data.held_out, self.songs) if data.held_out_split != TRAIN else []
        windows = [song[:length] for song in held_out if len(song) >= length]
        self.chance = float(np.mean([self.run(window) for window in windows])) if windows else None

    def _songs(self, data: Any, source: Any, count: int) -> list[np.ndarray]:
        samples = source.songs(evenly(list(source.last_start), count))
        return [sample.codes[data.level] for sample in samples if sample.codes]
