"""What the LightningModules of all stages share: the network, the optimizer, the gradient's norm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from jukebox_pl.errors import UserError
from jukebox_pl.inference.residual import fast_residual_stacks
from jukebox_pl.nn.transformer import Block
from jukebox_pl.training.optim import OptimConfig


class StageModule(pl.LightningModule):
    """Trains `model`, a plain network. `fsdp_forward_methods`: those of its methods that are called besides `forward`;
    `optim_setting`: where the settings of the optimizer of a stage are, for people."""

    fsdp_forward_methods: tuple[str, ...] = ()
    optim_setting = "size.{stage}.optim"
    _grad_norm: Tensor | None = None  # of the last step of this process
    _left_out = 0

    def __init__(self, model: nn.Module, optim: OptimConfig | None = None):
        super().__init__()
        self.model = model
        fast_residual_stacks(model)
        self.optim = optim or OptimConfig()

    @property
    def beside(self) -> tuple[nn.Module, ...]:
        """Networks that are held in memory besides `model`, and never trained."""
        return ()

    def configure_optimizers(self) -> Any:
        optimizer, scheduler = self.optim.build(self.model, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The learning rate is today's, not the checkpoint's: it may be lowered on the way."""
        for state in checkpoint.get("lr_schedulers", ()):
            rates = zip(state["_last_lr"], state["base_lrs"], strict=True)
            state["_last_lr"] = [last * self.optim.lr / base for last, base in rates]
            state["base_lrs"] = [self.optim.lr] * len(state["base_lrs"])

    def on_train_start(self) -> None:
        """Where the schedule stands; the optimizer has that of the checkpoint, which not every strategy lets us see."""
        (optimizer,), (schedule,) = self.trainer.optimizers, self.trainer.lr_scheduler_configs
        for group, rate in zip(optimizer.param_groups, schedule.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate

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
        """Clips by the norm over all parameters and logs it. Raises UserError when it is not finite, at a log step."""
        norm = clip_grad_norm_(self.model.parameters(), self.optim.clip)
        self._grad_norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self.log("train/grad_norm", self._grad_norm)
        if self.optim.skip:
            self._leave_out_unless_finite()
        elif is_log_step(self.trainer, self.global_step + 1):
            self._require_finite(self.global_step)

    def _leave_out_unless_finite(self) -> None:
        """Takes gradients that are not finite away, so that the step changes nothing. Raises UserError where that were too
        many steps."""
        if not self._grad_norm.isfinite():  # type: ignore[union-attr]
            self._left_out += 1
            self.zero_grad(set_to_none=True)
        self.log("train/left_out", float(self._left_out))
        if self._left_out > self.optim.skip:
            raise UserError(
                f"{self._left_out} steps had gradients that are not finite, and optim.skip={self.optim.skip}: "
                f"{self.lower_rate()}"
            )

    def setting(self, name: str) -> str:
        """One of the optimizer's as the command line takes it."""
        return f"{self.optim_setting.format(stage=Path(self.trainer.default_root_dir).name)}.{name}"

    def lower_rate(self) -> str:
        """The way out of a training that goes astray."""
        example = f"{self.setting('lr')}={self.optim.lr / 2:g}"
        return f"run it again with a lower learning rate, such as {example}: it goes on from the last checkpoint"

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._require_finite(self.global_step - 1)  # before a checkpoint is made of what it has done to the weights

    def _require_finite(self, step: int) -> None:
        """Looks at the last norm, which waits for the device: once the weights are not finite, every later norm is not."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        norm = self._grad_norm
        # A loss scaler leaves such a step out, and so does `skip`.
        if scaler is None and not self.optim.skip and norm is not None and not norm.isfinite():
            raise UserError(f"the gradient at step {step} is {norm.item()}; {self.lower_rate()}")


def is_log_step(trainer: pl.Trainer, step: int) -> bool:
    """Whether what is logged in the step that makes it `step` of them is written, or the step is the last: then the device
    may be waited for."""
    return step % trainer.log_every_n_steps == 0 or step == trainer.max_steps  # type: ignore[attr-defined]
