"""Training an upsampler: a prior of a lower level, under the codes of the level above."""

from __future__ import annotations

from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.training.modules.prior import PriorModule
from jukebox_pl.types import CodesBatch


class UpsamplerModule(PriorModule):
    """A PriorModule that insists on codes above. Raises UserError when the data is of the top level."""

    def _loss(self, batch: CodesBatch, split: str, past: Tensor | None = None) -> Tensor:
        if batch.upper is None:
            raise UserError("an upsampler needs the codes above: set its data.level below the top level")
        return super()._loss(batch, split, past)
