"""A stage that trains a network: build, measure, train from the last checkpoint on, measure, save."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch import nn
from torch.distributed import DistStoreError
from torch.distributed.checkpoint.state_dict import get_model_state_dict

from jukebox_pl import checkpoints
from jukebox_pl.checkpoints import MODEL
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.loggers import build_loggers
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.text.labels import Labeller
from jukebox_pl.training.callbacks.best import WHOLE, BestWeights, never_logged
from jukebox_pl.training.callbacks.finite import FiniteLoss
from jukebox_pl.training.callbacks.resuming import StepSeed, StopAfterStep, Surroundings
from jukebox_pl.training.callbacks.weights import EMA, LastCheckpoint
from jukebox_pl.training.checkpoint_io import AtomicCheckpointIO, newest_whole
from jukebox_pl.utils.allocation import freed_memory_kept
from jukebox_pl.utils.files import read_record, write_json
from jukebox_pl.utils.stopping import STOP, Stopped

BEFORE = "before.json"
LOST = re.compile(r"gloo|NCCL|[Cc]onnection (was )?(closed|reset)|[Bb]roken pipe")  # another process, as backends say it
SECONDS_TO_DIE = 1.0


class TrainStage(Stage):
    """Trains `model` (a network's config) inside `module` on `data` for `max_steps`.

    `monitor` is the held-out number reported from before and after training. `ema` is the decay of the averaged weights,
    which are what is validated and saved (None: no average). `callbacks` and `logger` hold configs by name, those without
    a `_target_` are passed over; `media` is the callback that makes something to hear of this kind of stage.
    """

    rank_zero_only = False
    makes = "model"

    def __init__(
        self,
        model: DictConfig,
        module: DictConfig,
        data: DictConfig,
        trainer: DictConfig,
        logger: Mapping[str, Any],
        max_steps: int,
        every_steps: int,
        monitor: str,
        ema: float | None = 0.99,
        seed: int = 0,
        callbacks: Mapping[str, Any] | None = None,
        media: DictConfig | None = None,
    ):
        self.model, self.module, self.data, self.trainer, self.logger = model, module, data, trainer, logger
        self.max_steps, self.every_steps, self.monitor = max_steps, every_steps, monitor
        self.ema, self.seed, self.callbacks = ema, seed, {**(callbacks or {}), "media": media}

    def complete(self, result: StageResult) -> bool:
        return result.is_complete_for(self.max_steps)

    def output(self, folder: Path) -> str:
        return str(folder / MODEL)

    def run(self, folder: Path) -> StageResult:
        """Raises UserError also where another process of the run has ended."""
        pl.seed_everything(self.seed, verbose=False)
        data = instantiate(self.data, seed=self.seed)
        model, config = self.network(data)
        module = instantiate(self.module, model=model)
        average = EMA(self.ema)
        trainer = self._trainer(folder, average)
        checkpoint = newest_whole(folder, reads_sharded=isinstance(trainer.strategy, ModelParallelStrategy))
        with naming_who_is_lost(trainer), STOP.after_steps():
            before = self._measure_before(folder, trainer, module, data, begun=checkpoint is not None)
            self._fit(trainer, module, data, checkpoint)
        # Lightning ends without a step, and without `on_train_end`, where the checkpoint is of the last step already.
        average.apply_to(module)
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step  # the step that the number is logged at
        with naming_who_is_lost(trainer), STOP.after_steps():
            after, exported = self._measure_exported(trainer, module, data)
        state: Any = get_model_state_dict(module.model, options=WHOLE)
        if trainer.is_global_zero:
            self.save(folder, state, config, getattr(data, "labeller", None))
        trainer.strategy.barrier()
        when = f"at step {exported}" + (f", the best of {trainer.global_step}" if exported != trainer.global_step else "")
        summary = {f"{self.monitor} at step 0": before, when: after}
        return StageResult(self.fingerprint(folder), summary, trainer.global_step, self.max_steps)

    def network(self, data: Any) -> tuple[nn.Module, Any]:
        """The network as it is before the first step, and its config."""
        config: Any = OmegaConf.to_container(self.model, resolve=True)
        return checkpoints.build(config), config

    def save(self, folder: Path, state: Mapping[str, Any], config: Any, labeller: Labeller | None) -> None:
        """Writes what was trained, all parameters but frozen ones, into the stage's folder."""
        checkpoints.save_state(folder / MODEL, state, config, labeller)

    def fingerprint(self, folder: Path) -> str:
        return checkpoints.fingerprint(folder / MODEL)

    def _trainer(self, folder: Path, average: EMA) -> pl.Trainer:
        callbacks = [instantiate(config) for config in self.callbacks.values() if config and "_target_" in config]
        for callback in callbacks:
            if getattr(callback, "monitor", "") is None:
                callback.monitor = self.monitor
        build: Any = instantiate(self.trainer, _partial_=True)
        try:
            trainer: pl.Trainer = build(
                max_steps=self.max_steps,
                val_check_interval=self.every_steps * self.trainer.get("accumulate_grad_batches", 1),  # which counts batches
                check_val_every_n_epoch=None,
                callbacks=[*callbacks, average, FiniteLoss(), StopAfterStep(), StepSeed(self.seed), Surroundings()],
                enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
                logger=build_loggers(self.logger, folder),
                default_root_dir=str(folder),
            )
        except (MisconfigurationException, ValueError, TypeError) as error:  # of its settings, or of this machine
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"trainer: {reason}; --print shows the settings of trainer") from None
        made_for, found = getattr(trainer.precision_plugin, "device", None), trainer.strategy.root_device.type
        if made_for not in (None, found):  # autocast of another device does nothing
            half = "trainer.precision=bf16-mixed halves it on any device, trainer=auto takes 32 bits"
            raise UserError(f"trainer: its precision is for {made_for}, and this machine trains on {found}: {half}")
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not one that the YAML of the trainer chose
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def _measure_before(
        self, folder: Path, trainer: pl.Trainer, module: pl.LightningModule, data: Any, begun: bool
    ) -> float:
        """The monitored number at step 0, measured once however often the stage is resumed."""
        if begun:
            return read_record(folder / BEFORE, float, "the number measured before training")
        value = self._measure(trainer, module, data)
        if trainer.is_global_zero:
            write_json(folder / BEFORE, value)
        return value

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> float:
        with stopping_at_step(trainer):
            logged = trainer.validate(module, data, verbose=False)[0]
        if self.monitor not in logged:
            raise UserError(never_logged(self.monitor, logged))
        return logged[self.monitor]

    def _measure_exported(self, trainer: pl.Trainer, module: pl.LightningModule, data: Any) -> tuple[float, int]:
        """The monitored number of what is saved, and at which step it was: the last weights, or the best where it is those.

        The last ones are only measured where no validation has seen them: what looks at the last validation, as the verdict
        on conditionings, looks at those that are saved.
        """
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        last, best = trainer.global_step, next((each for each in callbacks if isinstance(each, BestWeights)), None)
        if best is None or not best.is_earlier(trainer):
            return self._measure(trainer, module, data), last
        if best.seen != last and (value := self._measure(trainer, module, data)) <= best.value:
            return value, last
        best.load_into(trainer, module)
        return self._measure(trainer, module, data), best.step

    def _fit(self, trainer: pl.Trainer, module: pl.LightningModule, data: Any, checkpoint: Path | None) -> None:
        """Trains from the checkpoint on."""
        on_cpu = trainer.strategy.root_device.type == "cpu"
        try:
            with stopping_at_step(trainer), freed_memory_kept() if on_cpu else nullcontext():
                trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as ended:
            if isinstance(ended.__context__, KeyboardInterrupt):  # which Lightning turns into exit code 1
                raise KeyboardInterrupt from None
            raise
        finally:
            trainer.fit_loop.teardown()  # ends the readers of data; Lightning forgets them where a validation is stopped


@contextmanager
def stopping_at_step(trainer: pl.Trainer) -> Iterator[None]:
    """Raises Stopped, which says at what step, where the command was told to stop: no result is written then."""
    stopped = False
    try:
        yield
    except SIGTERMException:  # a SystemExit of code 0
        stopped = True
    if stopped or trainer.received_sigterm:
        request, step, stage = STOP.request, trainer.global_step, Path(trainer.default_root_dir).name
        assert request
        savers = [each for each in trainer.checkpoint_callbacks if isinstance(each, LastCheckpoint)]
        is_saved = any(saver.step == step > 0 for saver in savers)
        raise Stopped(request, f" at step {step} of {stage}{', saved' if is_saved else ''}")


@contextmanager
def naming_who_is_lost(trainer: pl.Trainer) -> Iterator[None]:
    """Raises UserError in place of what a backend says when its connection to another process breaks."""
    parent = os.getppid()
    try:
        yield
    except RuntimeError as error:
        never_came = isinstance(error, DistStoreError)  # until the time was over
        if trainer.world_size == 1 or not (never_came or LOST.search(str(error))):
            raise
        processes = getattr(trainer.strategy.launcher, "procs", None) or []
        started = [*processes]
        processes.clear()  # Lightning looks at them every five seconds and, where one has ended, kills this process as well
        time.sleep(SECONDS_TO_DIE)  # it is another's death that is seen first
        ended = {rank: process.poll() for rank, process in enumerate(started, start=1) if process.poll() is not None}
        if os.getppid() != parent:
            ended[0] = None
        ranks = [f"rank {rank}{f' (exit code {code})' if code else ''}" for rank, code in ended.items()]
        lost = " and ".join(ranks) or "another process of this run"
        raise UserError(f"{lost} has ended: the same command goes on from the last checkpoint") from None
