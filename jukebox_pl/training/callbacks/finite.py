"""Numbers that are none: a training stops at the first, names the songs it came from, and saves nothing of what it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.distributed.tensor import DTensor

from jukebox_pl.errors import UserError
from jukebox_pl.training.checkpoint_io import GIVE_UP
from jukebox_pl.training.modules.base import StageModule, is_log_step

BATCH = "not_finite.pt"
SONGS_NAMED = 8


class FiniteLoss(Callback):
    """Raises UserError at a log step, or before a validation, where the loss of a batch since the last one was not finite
    though the weights were sound. The batch and the ids of its songs are kept as not_finite.pt in the stage's folder.

    The number of the batch stays on the device until then: to look at every loss would wait for every step. A loss scaler
    leaves such steps out, and so does `optim.skip`. Nothing that is not finite is ever saved.
    """

    first: Tensor | None = None  # number of the first such batch, -1 while there is none

    def on_before_backward(self, trainer: pl.Trainer, pl_module: StageModule, loss: Tensor) -> None:  # type: ignore[override]
        if pl_module.optim.skip or getattr(trainer.precision_plugin, "scaler", None):
            return
        first = torch.full((), -1, device=loss.device) if self.first is None else self.first
        is_first = (first < 0) & ~loss.detach().isfinite()
        if pl_module._grad_norm is not None:  # else the step before has spoilt the weights, whatever songs come now
            is_first &= pl_module._grad_norm.isfinite()
        self.first = torch.where(is_first, trainer.fit_loop.epoch_loop.total_batch_idx, first)
        if is_log_step(trainer, trainer.global_step + 1):
            self.require_finite(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.require_finite(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.require_finite(trainer)
        if name := not_finite_in(checkpoint["state_dict"]):
            module: Any = pl_module
            raise UserError(f"{name} is not finite at step {trainer.global_step}, and is not saved: {module.lower_rate()}")

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Else the first songs would be blamed; of a checkpoint of several devices it is theirs to see."""
        if name := not_finite_in(checkpoint.get("state_dict", {})):
            raise UserError(f"{trainer.ckpt_path}: {name} is not finite; {GIVE_UP}")

    def require_finite(self, trainer: pl.Trainer) -> None:
        number = -1 if self.first is None else int(self.first)
        if number < 0:
            return
        songs, batch = trainer.datamodule.batch(number)  # type: ignore[attr-defined]  # a ShardDataModule's
        folder = Path(trainer.default_root_dir)
        torch.save({"number": number, "songs": [song.id for song in songs], "batch": plain(batch)}, folder / BATCH)
        names = list(dict.fromkeys(f"{song.artist}: {song.title}" if song.title else song.id for song in songs))
        named = "; ".join(names[:SONGS_NAMED]) + " ..." * (len(names) > SONGS_NAMED)
        module: Any = trainer.lightning_module
        raise UserError(
            f"the loss of batch {number} of {folder.name} is not finite. Its songs, which are in {folder / BATCH}: {named}. "
            f"Leave out what is wrong with them, let 10 such steps pass with +{module.setting('skip')}=10, or "
            f"{module.lower_rate()}"
        )


def not_finite_in(state: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a number that is none, of the shards that are here."""
    for name, tensor in state.items():
        mine = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        if mine.is_floating_point() and mine.numel() and not torch.stack(mine.aminmax()).isfinite().all():
            return name
    return None


def plain(batch: Any) -> Any:
    """A batch as dicts of tensors, which can be read with `weights_only`."""
    if hasattr(batch, "_asdict"):
        return {name: plain(value) for name, value in batch._asdict().items()}
    return batch
