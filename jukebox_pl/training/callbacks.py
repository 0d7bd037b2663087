"""What happens beside the training steps: progress lines, speed, sounds to listen to."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from jukebox_pl import checkpoints
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.report import plots
from jukebox_pl.sampling.decoding import sample_codes
from jukebox_pl.sampling.logits import uniforms
from jukebox_pl.training.loggers import log_audio, log_picture
from jukebox_pl.types import AudioBatch, CodesBatch, SamplingParams


class ProgressLines(Callback):
    """One line every few seconds: stage, step, losses, steps per second and time to go. Readable in a log file too."""

    def __init__(self, stage: str, every_seconds: float = 5.0):
        self.stage, self.every = stage, every_seconds
        self.started = self.said = 0.0
        self.first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = self.said = time.monotonic()
        self.first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        now = time.monotonic()
        if trainer.is_global_zero and (now - self.said > self.every or trainer.global_step == trainer.max_steps):
            self.said = now
            print(self.line(trainer, now - self.started), file=sys.stderr, flush=True)

    def line(self, trainer: pl.Trainer, seconds: float) -> str:
        rate = (trainer.global_step - self.first) / max(seconds, 1e-6)
        left = time.gmtime((trainer.max_steps - trainer.global_step) / max(rate, 1e-6))
        shown = [f"{name} {value:.3f}" for name, value in trainer.progress_bar_metrics.items() if "/" in name]
        steps = f"{self.stage}: step {trainer.global_step}/{trainer.max_steps}"
        return f"{steps} {' '.join(shown)} {rate:.1f} steps/s, {time.strftime('%H:%M:%S', left)} to go"


class Throughput(Callback):
    """Logs tokens and seconds of audio per second of training."""

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self.last: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        now, last = time.monotonic(), self.last
        self.last = now
        if last is not None:
            per_second = trainer.world_size / max(now - last, 1e-6)
            pl_module.log("speed/tokens_per_second", batch.token_count * per_second)
            pl_module.log("speed/audio_seconds_per_second", batch.samples / self.sample_rate * per_second)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last = None


class ListenCallback(Callback):
    """Makes something to listen to during validations, at most every `every_steps`: with the averaged weights, where it
    stands before the averaging callback."""

    def __init__(self, folder: Path, sample_rate: int, every_steps: int):
        self.folder, self.sample_rate, self.every_steps = folder, sample_rate, every_steps
        self.next_step = every_steps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # On every rank: a network that is spread over devices is heard on all of them or none. The first one logs.
        if trainer.state.fn == TrainerFn.FITTING and trainer.global_step >= self.next_step:
            self.next_step = trainer.global_step + self.every_steps
            with torch.inference_mode():
                self.listen(trainer, pl_module)

    @abstractmethod
    def listen(self, trainer: pl.Trainer, module: Any) -> None:
        """Logs sounds and pictures of the module as it is."""


class Reconstructions(ListenCallback):
    """A held-out clip and what each level makes of it, as sound and as pictures."""

    def listen(self, trainer: pl.Trainer, module: Any) -> None:
        batch: AudioBatch = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        clip = batch.audio[:1].to(module.device)
        sounds = {"original": clip} | {f"level_{level}": recon for level, recon in enumerate(module.model(clip).recons)}
        arrays = {name: sound[0].float().cpu().numpy() for name, sound in sounds.items()}
        for name, sound in arrays.items():
            log_audio(trainer, self.folder, name, sound, self.sample_rate)
        compared = plots.compare_spectrograms({name: sound[0] for name, sound in arrays.items()}, self.sample_rate)
        log_picture(trainer, self.folder, "reconstructions", compared)


class Samples(ListenCallback):
    """A window of codes sampled under the labels of a held-out window, decoded by the VQ-VAE in `vqvae`."""

    def __init__(self, folder: Path, sample_rate: int, every_steps: int, vqvae: str, level: int, codes: int = 256):
        super().__init__(folder, sample_rate, every_steps)
        self.vqvae, self.level, self.codes = vqvae, level, codes

    def listen(self, trainer: pl.Trainer, module: Any) -> None:
        batch: CodesBatch = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        batch = trainer.strategy.batch_to_device(batch, module.device)
        prior: Prior = module.model
        cond = prior.condition(batch.labels, batch.upper).items(slice(0, 1))
        length = min(self.codes, prior.ctx)
        noise = uniforms(trainer.global_step, self.level, length).unsqueeze(0).to(module.device)
        codes = sample_codes(prior, cond, batch.codes[:1, :0], noise, SamplingParams().at(self.level))
        decoder = checkpoints.load(self.vqvae).model
        assert isinstance(decoder, VQVAE)
        sound = decoder.decode(codes.cpu(), self.level)[0].numpy()
        log_audio(trainer, self.folder, "sample", sound, self.sample_rate)
        log_picture(trainer, self.folder, "sample", plots.spectrogram(sound[0], self.sample_rate))
