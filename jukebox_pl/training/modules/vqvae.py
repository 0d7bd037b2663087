"""Training the VQ-VAE: sound in, sound out, every level by itself."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.codec import SpectralConvergence
from jukebox_pl.models.joint_vqvae import JointVQVAE
from jukebox_pl.models.losses import Bandwidth, VQVAELoss, measure_bandwidth
from jukebox_pl.models.vqvae import VQVAE, VQVAEOutput
from jukebox_pl.nn.resnet1d import module_list
from jukebox_pl.training.modules.base import StageModule
from jukebox_pl.training.optim import OptimConfig
from jukebox_pl.types import AudioBatch


class VQVAEModule(StageModule):
    """Losses are divided by the bandwidth of the catalog, measured once on its training clips.

    Until step `quantize_from` encoder and decoder train past the codebooks, which then start by k-means on clips of the
    catalog rather than on the output of an encoder that has learned nothing.
    """

    fsdp_forward_methods = ("start_codebooks",)
    optim_setting = "size.vqvae.optim"  # of the variants of an ablation, too
    model: VQVAE | JointVQVAE
    bandwidth: Tensor

    def __init__(
        self,
        model: VQVAE | JointVQVAE,
        optim: OptimConfig | None = None,
        loss: VQVAELoss | None = None,
        quantize_from: int | None = None,
    ):
        super().__init__(model, optim)
        self.loss = loss or VQVAELoss()
        self.quantize_from, self._codebooks_started = quantize_from or 0, False
        self.convergence = module_list(SpectralConvergence() for _ in model.hops)
        self.register_buffer("bandwidth", torch.zeros(3))

    def setup(self, stage: str) -> None:
        """Raises UserError when training would end before anything is quantised."""
        if self.quantize_from >= (steps := self.trainer.max_steps) > 0:
            raise UserError(f"quantize_from={self.quantize_from} of {steps} steps: expected a step before the last")
        if not self.bandwidth.any():
            clips = self.trainer.datamodule.loudness_clips()  # type: ignore[attr-defined]  # AudioDataModule's
            self.bandwidth.copy_(torch.tensor(measure_bandwidth(clips)))

    def forward(self, audio: Tensor) -> VQVAEOutput:
        """audio [B, 1, N] as the last training step took it: through the codebooks, or past them."""
        return self.model(audio, quantize=max(self.global_step - 1, 0) >= self.quantize_from)

    def on_train_batch_start(self, batch: AudioBatch, index: int) -> None:
        """Starts the codebooks, once: with gradients of several batches accumulated, a step has several of them."""
        if self.quantize_from and self.global_step == self.quantize_from and not self._codebooks_started:
            clips = self.trainer.datamodule.loudness_clips()  # type: ignore[attr-defined]  # AudioDataModule's
            world = dist.get_world_size() if dist.is_initialized() else 1
            self.model.start_codebooks(clips.to(self.device), batch.audio.numel() * world)
            self._codebooks_started = True

    def training_step(self, batch: AudioBatch, index: int) -> Tensor:
        output = self.model(batch.audio, quantize=self.global_step >= self.quantize_from)
        loss = self._losses(batch.audio, output, "train")
        for level, stats in enumerate(output.stats):
            if stats is not None:
                self.log_dict({f"train/level_{level}/codebook_{name}": value for name, value in stats._asdict().items()})
        return loss

    def validation_step(self, batch: AudioBatch, index: int) -> None:
        output = self(batch.audio)
        self._losses(batch.audio, output, "val")
        for level, (metric, recon) in enumerate(zip(self.convergence, output.recons, strict=True)):
            metric.update(batch.audio, recon)
            self.log(f"val/level_{level}/spectral_convergence_db", metric)

    def _losses(self, audio: Tensor, output: VQVAEOutput, split: str) -> Tensor:
        """Logs every component of every level and returns the sum over levels."""
        losses, bandwidth = [], Bandwidth(*self.bandwidth)  # tensors: to read them would wait for the device at every step
        for level, (recon, commit) in enumerate(zip(output.recons, output.commit_losses, strict=True)):
            parts = self.loss.components(audio, recon, commit, bandwidth)
            losses.append(self.loss.weigh(parts))
            self.log_dict({f"{split}/level_{level}/{name}": value for name, value in parts.items()}, batch_size=len(audio))
        loss = torch.stack(losses).sum()
        self.log(f"{split}/loss", loss, prog_bar=True, batch_size=len(audio))
        return loss
