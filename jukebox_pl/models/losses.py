"""Losses of the VQ-VAE, as the released configuration weighs them. Sound is [B, 1, N]; norms are not per frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LOG_2 = math.log(2)


class Resolution(NamedTuple):
    """A short-time Fourier transform, in samples."""

    n_fft: int
    hop: int
    window: int


SINGLE = Resolution(2048, 256, 1536)
MULTI = (Resolution(2048, 240, 1200), Resolution(1024, 120, 600), Resolution(512, 50, 240))


class Bandwidth(NamedTuple):
    """How large the sound of a catalog is, by which losses are divided: mean |x|, variance, mean spectral norm of a clip.

    Numbers, or 0-dim float32 tensors on the device of the sound, which nobody has to wait for.
    """

    l1: float | Tensor = 1.0
    l2: float | Tensor = 1.0
    spec: float | Tensor = 1.0


def measure_bandwidth(clips: Tensor) -> Bandwidth:
    """From clips [n, 1, N] of the length losses are computed on; silence counts as very quiet, not as nothing."""
    measured = (clips.abs().mean(), clips.var(), norm(magnitudes(clips, SINGLE)).mean())
    return Bandwidth(*(max(value.item(), 1e-8) for value in measured))


def magnitudes(audio: Tensor, resolution: Resolution) -> Tensor:
    """|STFT| of the channel mean: [B, n_fft / 2 + 1, frames] (Hann window, reflected edges). N must exceed n_fft / 2."""
    window = torch.hann_window(resolution.window, device=audio.device)
    mono = audio.float().mean(1)
    return torch.stft(mono, resolution.n_fft, resolution.hop, resolution.window, window, return_complex=True).abs()


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of each item, whose gradient at zero is zero (equal spectra are common: silence)."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def spectral_loss(audio: Tensor, recon: Tensor, resolution: Resolution = SINGLE) -> Tensor:
    return norm(magnitudes(audio, resolution) - magnitudes(recon, resolution)).mean()


def spectral_convergence(audio: Tensor, recon: Tensor, floor: float = 2e-3) -> Tensor:
    """Norm of the spectral difference over the norm of the spectrum, a value an item; 0 for silence."""
    true, made = magnitudes(audio, SINGLE), magnitudes(recon, SINGLE)
    size = norm(true)
    return norm(true - made) * (size > floor) / size.clamp(min=floor)


@dataclass(frozen=True)
class WaveformLoss:
    """Weights of the differences in time. The released run has l2 = 1 and linf = 0.02 over the 2048 worst samples."""

    l1: float = 0.0
    l2: float = 1.0
    linf: float = 0.02
    linf_count: int = 2048

    def __call__(self, audio: Tensor, recon: Tensor, bandwidth: Bandwidth) -> Tensor:
        loss = torch.zeros((), device=audio.device)
        if self.l1:
            loss = loss + self.l1 * ((audio - recon).abs().mean() / bandwidth.l1)
        if self.l2:
            loss = loss + self.l2 * ((audio - recon).square().mean() / bandwidth.l2)
        if self.linf:
            errors = (audio - recon).square().flatten(1)
            largest = errors.topk(min(self.linf_count, errors.shape[1]), dim=1).values
            loss = loss + self.linf * (largest.mean() / bandwidth.l2)
        return loss


@dataclass(frozen=True)
class VQVAELoss:
    """The sum over levels of waveform, spectral, multi-resolution spectral and commitment losses."""

    waveform: WaveformLoss = WaveformLoss()
    spectral: float = 0.0
    multispectral: float = 1.0
    commit: float = 0.02

    def components(self, audio: Tensor, recon: Tensor, commit_loss: Tensor, bandwidth: Bandwidth) -> dict[str, Tensor]:
        """The losses of one level, before they are weighed.

        While gradients are recorded a spectral loss of weight 0 is left out: it would cost transforms, there and back.
        """
        report = not torch.is_grad_enabled()
        components = {"recons": self.waveform(audio, recon, bandwidth)}
        if self.spectral or report:
            components["spectral"] = spectral_loss(audio, recon) / bandwidth.spec
        if self.multispectral or report:
            losses = [spectral_loss(audio, recon, resolution) for resolution in MULTI]
            components["multispectral"] = torch.stack(losses).mean() / bandwidth.spec
        return components | {"commit": commit_loss}

    def weigh(self, components: dict[str, Tensor]) -> Tensor:
        weights = {"recons": 1.0, "spectral": self.spectral, "multispectral": self.multispectral, "commit": self.commit}
        # A zero stands for what was left out: with fewer terms the sum would be rounded otherwise.
        absent = torch.zeros_like(components["commit"])
        return torch.stack([weight * components.get(name, absent) for name, weight in weights.items()]).sum()


def bits(nats: Tensor) -> Tensor:
    """Bits per dim from a mean cross entropy in nats."""
    return nats / LOG_2


def prior_loss(codes: Tensor, lyrics: Tensor | None, ctx: int, lyric_tokens: int, lyrics_fraction: float = 0.4) -> Tensor:
    """Codes and lyrics weighed by their numbers of tokens, the lyrics' part scaled by `lyrics_fraction` (released: 0.4)."""
    if lyrics is None:
        return codes
    return (codes * ctx + lyrics_fraction * lyrics * lyric_tokens) / (ctx + lyric_tokens)


def attention_loss(weights: Tensor, sung: Tensor) -> Tensor:
    """Mean -log of the weights [B, T, L] on the state of the lyric token that is sung, [B, T], where one is.

    The encoder is causal: state i has seen the tokens before i, so the first that knows token p is p + 1. The last token of
    a window is known to none.
    """
    known = (sung >= 0) & (sung + 1 < weights.shape[-1])
    there = weights.gather(-1, (sung + 1).where(known, 0).unsqueeze(-1)).squeeze(-1)
    return -(there.clamp(min=1e-6).log() * known).sum() / known.sum().clamp(min=1)
