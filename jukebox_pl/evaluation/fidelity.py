"""How far a sound is from the one it should be, in the measures of the field. Sound is [1, 1, N] with N > 1024."""

from __future__ import annotations

import math

import librosa
import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from jukebox_pl.models.losses import MULTI, magnitudes

SHORTEST = 1025  # samples, for the reflected edges of the longest transform
MELS, WINDOW_SECONDS = 80, 0.046  # 2048 samples at 44.1 kHz, 512 at 11 kHz
AUDIBLE_DB = 80.0  # below the loudest of the true sound; what is softer counts as that soft
LEAST_POWER = 1e-8  # of a bin, as in auraloss


def log_mel(audio: Tensor, sample_rate: int) -> np.ndarray:
    """[80 bands, frames] in dB below the loudest, no softer than -80 dB."""
    power = mel_power(audio, sample_rate)
    return decibels_below(power, power.max())


def log_mel_distance(audio: Tensor, recon: Tensor, sample_rate: int) -> float:
    """Mean absolute difference of the log-mel spectrograms in dB, over the 80 dB below the loudest of `audio`.

    That of DAC (Kumar et al., 2023), which takes logarithms to base 10 of amplitudes: 20 dB each.
    """
    true, made = (mel_power(sound, sample_rate) for sound in (audio, recon))
    return float(np.abs(decibels_below(true, true.max()) - decibels_below(made, true.max())).mean())


def mel_power(audio: Tensor, sample_rate: int) -> np.ndarray:
    n_fft = 2 ** round(math.log2(WINDOW_SECONDS * sample_rate))
    mono = audio.flatten().numpy()
    return librosa.feature.melspectrogram(y=mono, sr=sample_rate, n_fft=n_fft, hop_length=n_fft // 4, n_mels=MELS)


def decibels_below(power: np.ndarray, loudest: float) -> np.ndarray:
    return 10 * np.log10(np.maximum(power / max(loudest, LEAST_POWER), 10 ** (-AUDIBLE_DB / 10)))


def stft_distance(audio: Tensor, recon: Tensor) -> float:
    """Multi-resolution STFT distance (Parallel WaveGAN, Yamamoto et al., 2020; the defaults of auraloss).

    Spectral convergence plus the mean absolute difference of log magnitudes (nats), the mean over three resolutions.
    """
    distances = []
    for resolution in MULTI:
        true, made = (magnitudes(sound, resolution).clamp(min=LEAST_POWER**0.5) for sound in (audio, recon))
        convergence = torch.linalg.vector_norm(true - made) / torch.linalg.vector_norm(true)
        distances.append(convergence + (true.log() - made.log()).abs().mean())
    return torch.stack(distances).mean().item()


def si_sdr(audio: Tensor, recon: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019), higher is better."""
    return scale_invariant_signal_distortion_ratio(recon.flatten(), audio.flatten()).item()
