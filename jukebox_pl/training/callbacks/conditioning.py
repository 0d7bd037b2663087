"""What a trained prior uses of what it is given, told when its stage ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from jukebox_pl.catalog.shards import TRAIN
from jukebox_pl.evaluation.conditioning import PriorUse, in_words
from jukebox_pl.evaluation.windows import evenly, song_windows
from jukebox_pl.models.prior import Prior
from jukebox_pl.utils.files import write_json

FILE = "conditioning.json"


class ConditioningVerdict(Callback):
    """Prints whether a prior uses each of its conditionings, in one line, and writes the figures into the stage's folder.

    Up to `windows` windows of held-out songs are looked at, in the last validation, which follows the last step. Other
    networks than priors are passed over.
    """

    def __init__(self, windows: int = 16):
        self.windows = windows

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        is_last = trainer.state.fn == TrainerFn.VALIDATING and trainer.global_step > 0
        prior, data = pl_module.model, trainer.datamodule  # type: ignore[attr-defined]
        if not (is_last and isinstance(prior, Prior)):
            return
        # On every rank: a network that is spread over devices is asked on all of them or none.
        with torch.inference_mode():
            use = self.ask(prior, data, pl_module.device)
        figures = use.figures()
        if not trainer.is_global_zero:
            return
        write_json(Path(trainer.default_root_dir) / FILE, figures)
        kind = "training songs, for none is held out" if data.held_out_split == TRAIN else "held-out songs"
        if words := in_words(figures["conditioning"]):
            print(f"conditioning: {words}; {kind}: {len(use.bits)}", file=sys.stderr, flush=True)

    def ask(self, prior: Prior, data: Any, device: torch.device) -> PriorUse:
        """Shows it the held-out songs of a `CodesDataModule` that fill a window."""
        use, hops = PriorUse(prior, data.labeller, data.seed), data.catalog.codes["hops"]
        ids = evenly(list(data.held_out.last_start), self.windows)
        count = -(-self.windows // len(ids))
        for song, _, levels, _ in data.held_out.songs(ids):
            codes = [torch.from_numpy(level.astype(np.int64))[None] for level in levels or ()]
            windows = song_windows(song, codes, hops, data.level, data.ctx, data.labeller, count)
            use.add([window.to(device) for window in windows])
        return use
