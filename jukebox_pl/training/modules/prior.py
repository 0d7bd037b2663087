"""Training a prior: the top level, from codes, labels and timing."""

from __future__ import annotations

from torch import Tensor

from jukebox_pl.models.losses import bits, prior_loss
from jukebox_pl.models.prior import Prior, PriorLosses
from jukebox_pl.training.modules.base import StageModule
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import CodesBatch


class PriorModule(StageModule):
    """Logs bits per dim (`bpd`) of the codes and, where the prior reads lyrics, of the lyrics."""

    model: Prior
    fsdp_forward_methods = ("condition", "losses")

    def __init__(self, model: Prior, optim: OptimConfig | None = None, lyrics_fraction: float = 0.4):
        super().__init__(model, optim)
        self.lyrics_fraction = lyrics_fraction

    def training_step(self, batch: CodesBatch, index: int) -> Tensor:
        return self._loss(batch, "train")

    def validation_step(self, batch: CodesBatch, index: int) -> None:
        self._loss(batch, "val")

    def _loss(self, batch: CodesBatch, split: str) -> Tensor:
        losses: PriorLosses = self.model.losses(batch.codes, self.model.condition(batch.labels, batch.upper))
        loss = bits(prior_loss(*losses, batch.codes.shape[1], batch.labels.lyrics.shape[1], self.lyrics_fraction))
        named = {"loss": loss, "bpd": bits(losses.codes)}
        if losses.lyrics is not None:
            named["lyrics_bpd"] = bits(losses.lyrics)
        self.log_dict({f"{split}/{k}": v for k, v in named.items()}, prog_bar=True, batch_size=len(batch.codes))
        return loss
