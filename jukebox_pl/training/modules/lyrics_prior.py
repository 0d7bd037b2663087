"""Teaching a trained top prior to follow lyrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.models.losses import attention_loss
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import graft_lyrics
from jukebox_pl.nn.attention import CrossAttention
from jukebox_pl.training.modules.prior import PriorModule
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import CodesBatch


@dataclass(frozen=True)
class GuidedAttention:
    """A loss of `weight` that makes one head of every X layer look at the character being sung, as its word times say.

    At full weight for `hold` steps, then falling to nothing over `decay` more. Attention to lyrics may never form by
    itself; a guide was first given to text-to-speech, where the diagonal was all that is known (Tachibana et al. 2018).
    """

    weight: float = 0.3
    head: int = 0
    hold: int = 1000
    decay: int = 1000

    def at(self, step: int) -> float:
        """The weight of the loss at a step."""
        return self.weight * min(1.0, max(0.0, 1 - (step - self.hold) / max(self.decay, 1)))


class LyricsPriorModule(PriorModule):
    """A PriorModule that starts as the trained prior in the folder `graft_from`, or with its own weights where that is None.

    The graft happens here, at construction, because callbacks copy the weights before any hook of the module runs.
    """

    def __init__(
        self,
        model: Prior,
        graft_from: str | None = None,
        optim: OptimConfig | None = None,
        guided_attention: GuidedAttention | None = None,
        **loss: Any,
    ):
        super().__init__(model, optim, **loss)
        self.guided_attention = guided_attention
        self._weights: list[Tensor] = []
        if guided_attention:
            for module in model.transformer.modules():
                if isinstance(module, CrossAttention):
                    module.register_forward_hook(self._watch)
        if graft_from:
            graft(graft_from, model)

    def training_step(self, batch: CodesBatch, index: int) -> Tensor:
        self._weights.clear()
        loss = super().training_step(batch, index)
        guide = self.guided_attention.at(self.global_step) if self.guided_attention else 0.0
        if not guide or batch.sung is None:
            return loss
        missed = torch.stack([attention_loss(weights, batch.sung) for weights in self._weights]).mean()
        self.log("train/guided_attention", missed, prog_bar=True, batch_size=len(batch.codes))
        return loss + guide * missed

    def _watch(self, attention: nn.Module, inputs: tuple[Any, ...], _: Tensor) -> None:
        """Keeps what the guided head looks at, within the forward of its layer: outside, its parameters may be spread."""
        guide = self.guided_attention
        if guide and self.training and torch.is_grad_enabled() and guide.at(self.global_step):
            assert isinstance(attention, CrossAttention)
            self._weights.append(attention.weights(*inputs[:2])[:, guide.head])


def graft(folder: str, model: Prior) -> None:
    """Copies the trained prior in `folder` into `model`. Raises UserError when it is none or does not fit."""
    trained = checkpoints.load(folder).model
    if not isinstance(trained, Prior):
        raise UserError(f"{folder} holds a {type(trained).__name__}, lyrics are grafted on a Prior")
    try:
        graft_lyrics(trained, model)
    except ValueError as error:
        raise UserError(f"{folder}: {error}; give size.lyrics_prior the widths of size.top_prior") from None
