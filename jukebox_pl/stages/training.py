"""A stage that trains a network: build, measure, train from the last checkpoint on, measure, save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import wandb
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint

from jukebox_pl import weights
from jukebox_pl.stages.callbacks import ProgressLines, Throughput
from jukebox_pl.stages.folders import StageResult
from jukebox_pl.stages.logging import make_loggers

MODEL, CHECKPOINTS, LAST, LISTEN, BEFORE = "model", "checkpoints", "last", "listen", "before.json"


class TrainStage:
    """Trains `model` (a network's config) inside `module` on `data` for `max_steps`.

    `monitor` is the held-out number reported from before and after training. `ema` is the decay of the averaged weights,
    which are what is validated and saved (None: no average). `listen` makes sounds during training.
    """

    alone = False

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
        return result.steps >= self.max_steps

    def run(self, folder: Path) -> StageResult:
        pl.seed_everything(self.seed, verbose=False)
        config: Any = OmegaConf.to_container(self.model, resolve=True)
        module = instantiate(self.module, model=weights.build(config))
        data = instantiate(self.data, seed=self.seed)
        trainer = self._trainer(folder, data)
        before = self._measure_before(folder, trainer, module, data)
        last = folder / CHECKPOINTS / f"{LAST}.ckpt"
        trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
        after = self._measure(trainer, module, data)
        wandb.finish()
        if trainer.is_global_zero:
            weights.save_model(folder / MODEL, module.model, config, getattr(data, "labeller", None))
        trainer.strategy.barrier()
        summary = {f"{self.monitor} at step 0": before, f"at step {trainer.global_step}": after}
        return StageResult(weights.fingerprint(folder / MODEL), summary, trainer.global_step)

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
        if self.ema:
            # Buffers stay out of the average: the codebooks live in buffers and are averages themselves.
            chosen.append(EMAWeightAveraging(decay=self.ema, use_buffers=False))
        return chosen

    def _measure_before(self, folder: Path, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> float:
        """The monitored number at step 0, measured once however often the stage is resumed."""
        noted = folder / BEFORE
        if not noted.exists():
            value = self._measure(trainer, module, data)
            if trainer.is_global_zero:
                weights.write_json(noted, value)
            return value
        return weights.read_json(noted, "the number measured before training")

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> float:
        return trainer.validate(module, data, verbose=False)[0][self.monitor]
