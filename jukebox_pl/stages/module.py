"""What the LightningModules of all stages share: the network, the optimizer, the gradient's norm."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from jukebox_pl.errors import UserError
from jukebox_pl.nn.transformer import Block
from jukebox_pl.stages.optim import OptimConfig


class StageModule(pl.LightningModule):
    """Trains `model`, a network that knows nothing of Lightning."""

    def __init__(self, model: nn.Module, optim: OptimConfig | None = None):
        super().__init__()
        self.model = model
        self.optim = optim or OptimConfig()

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = self.optim.build(self.model.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clips by the norm over all parameters and logs it. Raises UserError when it is not finite."""
        norm = clip_grad_norm_(self.model.parameters(), self.optim.clip)
        if not norm.isfinite():
            raise UserError(
                f"the gradient at step {self.global_step} is {norm.item()}; lower the learning rate "
                f"({self.optim.lr}) and run again, the last checkpoint is kept"
            )
        self.log("train/grad_norm", norm)


class ShardedStageModule(StageModule):
    """A stage whose network is large enough to be spread over devices: with trainer=fsdp each block is sharded."""

    def configure_model(self) -> None:
        if self.device_mesh is None:
            return
        for module in self.model.modules():
            if isinstance(module, Block):
                fully_shard(module, mesh=self.device_mesh["data_parallel"])
        fully_shard(self.model, mesh=self.device_mesh["data_parallel"])
