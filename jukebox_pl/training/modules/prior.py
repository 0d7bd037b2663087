"""Training a prior: the top level, from codes, labels and timing."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from jukebox_pl.models.losses import bits, prior_loss
from jukebox_pl.models.prior import Prior, PriorLosses
from jukebox_pl.training.modules.base import StageModule
from jukebox_pl.training.modules.corruption import Corruption
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import CodesBatch


class PriorModule(StageModule):
    """Logs bits per dim (`bpd`) of the codes and, where the prior reads lyrics, of the lyrics.

    In training the codes that the prior reads go through `corruption`, and `kl_weight` times KL(base || prior) is added to
    the loss, the base being the prior as it is given: it may learn, but not forget (Li and Hoiem 2016). What is frozen is
    not saved in checkpoints.
    """

    model: Prior
    fsdp_forward_methods = ("condition", "losses")

    def __init__(
        self,
        model: Prior,
        optim: OptimConfig | None = None,
        lyrics_fraction: float = 0.4,
        corruption: Corruption | None = None,
        kl_weight: float = 0.0,
    ):
        super().__init__(model, optim)
        self.lyrics_fraction, self.corruption = lyrics_fraction, corruption
        self.kl_weight, self.base = kl_weight, FrozenCopy(model) if kl_weight else None

    @property
    def beside(self) -> tuple[nn.Module, ...]:
        return (self.base.prior,) if self.base else ()

    def training_step(self, batch: CodesBatch, index: int) -> Tensor:
        past = None
        if self.corruption:
            seed = self.global_step * self.trainer.world_size + self.trainer.global_rank
            generator = torch.Generator(batch.codes.device).manual_seed(seed)  # the same after a resume
            past = self.corruption(batch.codes, generator)
        return self._loss(batch, "train", past)

    def validation_step(self, batch: CodesBatch, index: int) -> None:
        self._loss(batch, "val")

    def _loss(self, batch: CodesBatch, split: str, past: Tensor | None = None) -> Tensor:
        base = self.base(batch, past) if self.base else None
        cond = self.model.condition(batch.labels, batch.upper)
        losses: PriorLosses = self.model.losses(batch.codes, cond, past, base)
        lengths = batch.codes.shape[1], batch.labels.lyrics.shape[1]
        loss = bits(prior_loss(losses.codes, losses.lyrics, *lengths, self.lyrics_fraction))
        named = {"loss": loss, "bpd": bits(losses.codes)}
        if losses.kl is not None:
            named["kl"] = bits(losses.kl)
            loss = loss + self.kl_weight * named["kl"]
        if losses.lyrics is not None:
            named["lyrics_bpd"] = bits(losses.lyrics)
        self.log_dict({f"{split}/{k}": v for k, v in named.items()}, prog_bar=True, batch_size=len(batch.codes))
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        frozen = self._frozen()
        checkpoint["state_dict"] = {name: x for name, x in checkpoint["state_dict"].items() if name not in frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if "state_dict" in checkpoint:  # not in one of several devices, which the module has read by now
            checkpoint["state_dict"] = self._frozen() | checkpoint["state_dict"]

    def _frozen(self) -> dict[str, Tensor]:
        """What checkpoints leave out; nothing of a network that is spread over devices, whose checkpoints are read whole."""
        parameters = self.model.named_parameters()
        kept_elsewhere = (part for part in parameters if not part[1].requires_grad and not isinstance(part[1], DTensor))
        return {f"model.{name}": x.detach() for name, x in kept_elsewhere}


class FrozenCopy:
    """A prior as it is now, whatever it is trained to: it shares what is frozen there, and copies of a module share it."""

    def __init__(self, prior: Prior):
        shared = {id(parameter): parameter for parameter in prior.parameters() if not parameter.requires_grad}
        self.prior = copy.deepcopy(prior, shared).requires_grad_(False).eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenCopy:
        return self

    @torch.no_grad()
    def __call__(self, batch: CodesBatch, past: Tensor | None = None) -> Tensor:
        """Logits [B, T, bins] after the codes of a batch, or after `past` [B, T] in their place."""
        self.prior.to(batch.codes.device)
        codes = batch.codes if past is None else past
        logits: Tensor = self.prior(codes[:, :-1], self.prior.condition(batch.labels, batch.upper))
        return logits
