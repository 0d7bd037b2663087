"""What the LightningModules of all stages share: the network, the optimizer, the gradient's norm."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from jukebox_pl.errors import UserError
from jukebox_pl.nn.transformer import Block
from jukebox_pl.training.optim import OptimConfig


class StageModule(pl.LightningModule):
    """Trains `model`, a plain network. `fsdp_forward_methods`: those of its methods that are called besides `forward`."""

    fsdp_forward_methods: tuple[str, ...] = ()

    def __init__(self, model: nn.Module, optim: OptimConfig | None = None):
        super().__init__()
        self.model = model
        self.optim = optim or OptimConfig()

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = self.optim.build(self.model.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_model(self) -> None:
        """With trainer=fsdp spreads the parameters over the devices, block by block."""
        if self.device_mesh is None or isinstance(self.model, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for module in [*self.model.modules()][::-1]:
            if isinstance(module, Block) or module is self.model:
                fully_shard(module, mesh=mesh)
        for name in self.fsdp_forward_methods:
            register_fsdp_forward_method(self.model, name)

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clips by the norm over all parameters and logs it. Raises UserError when it is not finite."""
        norm = clip_grad_norm_(self.model.parameters(), self.optim.clip)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if not norm.isfinite():
            raise UserError(
                f"the gradient at step {self.global_step} is {norm.item()}; lower the learning rate "
                f"({self.optim.lr}) and run again, the last checkpoint is kept"
            )
        self.log("train/grad_norm", norm)
