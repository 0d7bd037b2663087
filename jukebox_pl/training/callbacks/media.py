"""Something to hear and see of a stage, made during validations and handed to every logger that keeps media."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
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
from jukebox_pl.training.loggers.files import MediaLogger
from jukebox_pl.types import AudioBatch, CodesBatch, SamplingParams


class Media(NamedTuple):
    """Sounds, float32 [C, T] each, and pictures, PNG each, by name."""

    audio: dict[str, np.ndarray]
    images: dict[str, bytes]


class MediaCallback(Callback):
    """Makes media at the end of a validation, at most every `every_steps`; the network is the averaged one then."""

    def __init__(self, every_steps: int):
        self.every_steps = self.next_step = every_steps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if trainer.state.fn != TrainerFn.FITTING or step < self.next_step:
            return
        self.next_step = step + self.every_steps
        # On every rank: a network that is spread over devices is heard on all of them or none. The first one logs.
        with torch.inference_mode():
            media = self.make(trainer, pl_module)
        sample_rate = trainer.datamodule.catalog.sample_rate  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            if isinstance(logger, MediaLogger):
                for name, audio in media.audio.items():
                    logger.log_audio(name, audio, sample_rate, step, f"step {step}")
                for name, png in media.images.items():
                    logger.log_image(name, png, step, f"step {step}")

    @abstractmethod
    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        """Audio and images of the module as it is."""


class Reconstructions(MediaCallback):
    """A held-out clip and what each level makes of it, as sound and as pictures."""

    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        batch: AudioBatch = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        clip = batch.audio[:1].to(module.device)  # [1, 1, T]
        sounds = {"original": clip} | {f"level_{level}": recon for level, recon in enumerate(module(clip).recons)}
        audio = {name: sound[0].float().cpu().numpy() for name, sound in sounds.items()}
        sample_rate = trainer.datamodule.catalog.sample_rate  # type: ignore[attr-defined]
        compared = plots.compare_spectrograms({name: sound[0] for name, sound in audio.items()}, sample_rate)
        return Media(audio, {"reconstructions": compared})


class Samples(MediaCallback):
    """A window of codes sampled under the labels of a held-out window, decoded by the VQ-VAE in `vqvae`."""

    def __init__(self, every_steps: int, vqvae: str, level: int, codes: int = 256):
        super().__init__(every_steps)
        self.vqvae, self.level, self.codes = vqvae, level, codes

    def make(self, trainer: pl.Trainer, module: Any) -> Media:
        batch: CodesBatch = next(iter(trainer.datamodule.val_dataloader()))  # type: ignore[attr-defined]
        batch = trainer.strategy.batch_to_device(batch, module.device)
        prior: Prior = module.model
        cond = prior.condition(batch.labels, batch.upper).items(slice(0, 1))
        length = min(self.codes, prior.ctx)
        noise = uniforms(trainer.global_step, self.level, length).unsqueeze(0).to(module.device)
        codes = sample_codes(prior, cond, batch.codes[:1, :0], noise, SamplingParams().at(self.level))  # [1, length]
        decoder = checkpoints.load(self.vqvae).model
        assert isinstance(decoder, VQVAE)
        sound = decoder.decode(codes.cpu(), self.level)[0].numpy()  # [1, T]
        sample_rate = trainer.datamodule.catalog.sample_rate  # type: ignore[attr-defined]
        return Media({"sample": sound}, {"sample": plots.spectrogram(sound[0], sample_rate)})
