"""Training the network that lyrics are aligned with, on songs whose words have times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.catalog.aligners.viterbi import word_frames
from jukebox_pl.errors import UserError
from jukebox_pl.models.aligner import NEVER, SILENCE, AcousticModel, alignment_loss, sung_frames
from jukebox_pl.training.modules.base import StageModule
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import AlignedBatch


class AlignerModule(StageModule):
    """Logs the loss and, of held-out clips, how far the words found begin from where they do, in seconds.

    In training each clip has another one in its background, up to `background` times as loud: what the band may play.
    """

    model: AcousticModel
    optim_setting = "stages.{stage}.module.optim"  # as large at any size

    def __init__(self, model: AcousticModel, optim: OptimConfig | None = None, background: float = 0.5):
        super().__init__(model, optim)
        self.background = background

    def training_step(self, batch: AlignedBatch, index: int) -> Tensor:
        torch.manual_seed(self.global_step)  # what is hidden and dropped is the same after a resume
        mixed = batch._replace(audio=add_background(batch.audio, self.background))
        loss = alignment_loss(self.model, mixed)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.audio))
        return loss

    def validation_step(self, batch: AlignedBatch, index: int) -> None:
        self.log("val/loss", alignment_loss(self.model, batch), prog_bar=True, batch_size=len(batch.audio))
        errors = list(onset_errors(self.model, batch))
        if errors:
            self.log("val/onset_error_seconds", float(np.mean(errors)), prog_bar=True, batch_size=len(errors))


def add_background(audio: Tensor, most: float) -> Tensor:
    """Clips [B, 1, N], each with the one before it behind it, up to `most` times as loud as it is itself."""
    loudness = audio.square().mean(-1, keepdim=True).sqrt() + 1e-5
    gain = most * torch.rand(len(audio), 1, 1, device=audio.device)
    return audio + gain * loudness * (audio / loudness).roll(1, 0)


def onset_errors(model: AcousticModel, batch: AlignedBatch) -> Iterator[float]:
    """Seconds between where each whole word of the clips begins and where alignment finds it."""
    log_probs, frames = model(batch.audio[:, 0]), model.frames(batch.spans)
    known = (batch.tokens != SILENCE).any(-1)
    cut = sung_frames(frames.masked_fill(known[..., None], 0), log_probs.shape[1])
    log_probs[..., SILENCE + 1 :][cut] = NEVER
    for clip, spans, letters, whole in zip(log_probs.cpu().numpy(), batch.spans, batch.tokens, known, strict=True):
        starts = spans[whole, 0].tolist()
        words = [word[word != SILENCE].tolist() for word in letters[whole]]
        with suppress(UserError):  # nothing to find, or more letters than frames
            runs = [run for run in word_frames(clip, words) if run]
            for start, (found, _) in zip(starts, runs, strict=True):
                yield abs(found * model.frame_seconds - start / model.sample_rate)
