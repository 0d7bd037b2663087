"""When to stop: the best weights are kept beside the last ones, and a stage that gets no better ends."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)

from jukebox_pl.errors import UserError
from jukebox_pl.utils.files import replacing

BEST, STEP = "checkpoints/best.safetensors", "step"
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)


class BestWeights(Callback):
    """Keeps the network as it was when `monitor` was lowest (null: the number that the stage is told by), averaged weights
    where there are some: a stage exports these rather than its last ones.
    """

    def __init__(self, monitor: str | None = None):
        self.monitor = monitor
        self.value, self.step, self.seen = float("inf"), 0, 0  # the lowest, when it was, and the last step looked at

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the average is taken out of the module again, which stands after this in the list of callbacks."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or not is_comparable(trainer, pl_module):
            return
        self.seen, value = trainer.global_step, self.read(trainer)
        if not trainer.strategy.reduce_boolean_decision(value < self.value):
            return
        self.value, self.step = value, trainer.global_step
        state: Any = get_model_state_dict(pl_module.model, options=WHOLE)  # type: ignore[arg-type]
        if trainer.is_global_zero:
            with replacing(best_path(trainer)) as part:
                save_file({name: tensor.contiguous() for name, tensor in state.items()}, part, {STEP: str(self.step)})

    def read(self, trainer: pl.Trainer) -> float:
        """Raises UserError where the number is not there."""
        if self.monitor not in trainer.callback_metrics:
            raise UserError(never_logged(self.monitor, trainer.callback_metrics))
        return float(trainer.callback_metrics[self.monitor])

    def is_earlier(self, trainer: pl.Trainer) -> bool:
        """Whether the best weights are others than the last ones, and there: the file is that of the step that is known."""
        if not 0 < self.step < trainer.global_step or not best_path(trainer).exists():
            return False
        try:
            with safe_open(best_path(trainer), "pt") as file:
                return bool(file.metadata()[STEP] == str(self.step))
        except SafetensorError as error:
            way_out = "delete it, and the last weights are exported"
            raise UserError(f"{best_path(trainer)} is broken ({error}): {way_out}") from None

    def load_into(self, trainer: pl.Trainer, module: Any) -> None:
        """Gives the network the best weights; what is frozen, which it has, is not among them."""
        state = load_file(best_path(trainer))
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(module.model, state, options=options)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "step": self.step, "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.step, self.seen = (state_dict[name] for name in ("value", "step", "seen"))


class EarlyStop(EarlyStopping):
    """Ends a stage when `monitor` (null: the number that the stage is told by) was not lower for `patience` validations.

    Raises UserError when that is no number of validations.
    """

    def __init__(self, patience: int = 20, monitor: str | None = None, **settings: Any):
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise UserError(
                f"patience={patience}: expected at least 1 validation; callbacks.early_stop=null never stops early"
            )
        super().__init__(monitor, patience=patience, **settings)  # type: ignore[arg-type]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_comparable(trainer, pl_module):
            super().on_validation_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """From no device: the part of a checkpoint in shards that is one file is read without another place for it."""
        return super().state_dict() | {"best_score": self.best_score.cpu()}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience and trainer.is_global_zero:
            line = f"{self.monitor} was not lower for {self.wait_count} validations: ended at step {trainer.global_step}"
            print(line, file=sys.stderr, flush=True)


def is_comparable(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    """Whether the network is what it will be: a VQ-VAE that is not quantised yet loses less, and has no codes."""
    return trainer.global_step > getattr(module, "quantize_from", -1)


def never_logged(monitor: str | None, logged: Iterable[str]) -> str:
    known = ", ".join(sorted(name for name in logged if name.startswith("val/")))
    return f"monitor={monitor} is never logged: expected one of {known}"


def best_path(trainer: pl.Trainer) -> Path:
    return Path(trainer.default_root_dir) / BEST
