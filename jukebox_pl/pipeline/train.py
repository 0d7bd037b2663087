"""A stage that trains a network: build, measure, train from the last checkpoint on, measure, save."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import pytorch_lightning as pl
import wandb
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import StageResult
from jukebox_pl.training.callbacks import ProgressLines, Throughput
from jukebox_pl.training.loggers import make_loggers
from jukebox_pl.utils.files import read_json, write_json

MODEL, CHECKPOINTS, LAST, LISTEN, BEFORE = "model", "checkpoints", "last", "listen", "before.json"
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class TrainStage:
    """Trains `model` (a network's config) inside `module` on `data` for `max_steps`.

    `monitor` is the held-out number reported from before and after training. `ema` is the decay of the averaged weights,
    which are what is validated and saved (None: no average). `listen` makes sounds during training.
    """

    rank_zero_only = False

    def __init__(
        self,
        model: DictConfig,
        module: DictConfig,
        data: DictConfig,
        trainer: DictConfig,
        logger: DictConfig,
        max_steps: int,
        every_steps: int,
        monitor: str,
        ema: float | None = 0.99,
        seed: int = 0,
        listen: DictConfig | None = None,
    ):
        self.model, self.module, self.data, self.trainer, self.logger = model, module, data, trainer, logger
        self.max_steps, self.every_steps, self.monitor = max_steps, every_steps, monitor
        self.ema, self.seed, self.listen = ema, seed, listen

    def complete(self, result: StageResult) -> bool:
        return result.is_complete_for(self.max_steps)

    def run(self, folder: Path) -> StageResult:
        pl.seed_everything(self.seed, verbose=False)
        data = instantiate(self.data, seed=self.seed)
        model, config = self.network(data)
        module = instantiate(self.module, model=model)
        trainer = self._trainer(folder, data)
        before, after = self._train(folder, trainer, module, data)
        wandb.finish()
        state: Any = get_model_state_dict(module.model, options=WHOLE)
        if trainer.is_global_zero:
            checkpoints.save_state(folder / MODEL, state, config, getattr(data, "labeller", None))
        trainer.strategy.barrier()
        summary = {f"{self.monitor} at step 0": before, f"at step {trainer.global_step}": after}
        return StageResult(checkpoints.fingerprint(folder / MODEL), summary, trainer.global_step, self.max_steps)

    def network(self, data: Any) -> tuple[nn.Module, Any]:
        """The network as it is before the first step, and its config."""
        config: Any = OmegaConf.to_container(self.model, resolve=True)
        return checkpoints.build(config), config

    def _train(self, folder: Path, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> tuple[float, float]:
        """Trains from the last checkpoint on. Returns the monitored number from before and after."""
        last = last_checkpoint(folder)
        before = self._measure_before(folder, trainer, module, data, begun=last is not None)
        try:
            trainer.fit(module, data, ckpt_path=last, weights_only=True)
        except SystemExit as ended:
            if isinstance(ended.__context__, KeyboardInterrupt):  # which Lightning turns into exit code 1
                raise KeyboardInterrupt from None
            raise
        return before, self._measure(trainer, module, data)

    def _trainer(self, folder: Path, data: Any) -> pl.Trainer:
        options = {str(name): value for name, value in self.logger.items()}
        return instantiate(
            self.trainer,
            max_steps=self.max_steps,
            val_check_interval=self.every_steps,
            check_val_every_n_epoch=None,
            callbacks=self._callbacks(folder, data.catalog.sample_rate),
            logger=make_loggers(folder, f"{folder.parent.name}/{folder.name}", **options),
            default_root_dir=str(folder),
        )

    def _callbacks(self, folder: Path, sample_rate: int) -> list[Callback]:
        checkpoints = ModelCheckpoint(
            folder / CHECKPOINTS, LAST, every_n_train_steps=self.every_steps, enable_version_counter=False
        )
        chosen: list[Callback] = [
            ProgressLines(folder.name),
            Throughput(sample_rate),
            LearningRateMonitor("step"),
            checkpoints,
        ]
        if self.listen:
            chosen.append(instantiate(self.listen, folder=folder / LISTEN, sample_rate=sample_rate))
        if self.ema and not self._sharded():
            # Buffers stay out of the average: the codebooks live in buffers and are averages themselves.
            chosen.append(EMAWeightAveraging(decay=self.ema, use_buffers=False))
        return chosen

    def _sharded(self) -> bool:
        """Averaged weights are a copy of the network, which cannot be made of one that is spread over devices."""
        return "ModelParallelStrategy" in str(self.trainer.get("strategy"))

    def _measure_before(
        self, folder: Path, trainer: pl.Trainer, module: pl.LightningModule, data: Any, begun: bool
    ) -> float:
        """The monitored number at step 0, measured once however often the stage is resumed."""
        if begun:
            return read_json(folder / BEFORE, "the number measured before training")
        value = self._measure(trainer, module, data)
        if trainer.is_global_zero:
            write_json(folder / BEFORE, value)
        return value

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> float:
        return trainer.validate(module, data, verbose=False)[0][self.monitor]


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a stage goes on from. Raises UserError when it was cut short."""
    path = folder / CHECKPOINTS / f"{LAST}.ckpt"
    if not path.exists():
        return None
    if not is_zipfile(path):  # the directory of a zip is its end
        raise UserError(f"{path} is cut short or no checkpoint; delete it, and stage {folder.name} is trained from step 0")
    return path
