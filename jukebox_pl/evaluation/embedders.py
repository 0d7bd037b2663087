"""Sound as embeddings, one a second: of the codec's own encoder, of a log-mel spectrogram, or of any model in a folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
import torch
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.fidelity import log_mel
from jukebox_pl.models.vqvae import VQVAE


class Embedder(Protocol):
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        """audio [1, 1, N] to embeddings [seconds, D]; a last part of a second is cut."""


class CodecEmbedder:
    """The mean over each second of what a level's encoder gives before it is quantised (the top level's by default)."""

    def __init__(self, vqvae: VQVAE, level: int = -1):
        self.vqvae, self.level = vqvae, level

    @torch.inference_mode()
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        hop = self.vqvae.hops[self.level]
        whole = audio[..., : audio.shape[-1] // self.vqvae.hops[-1] * self.vqvae.hops[-1]]
        encoded = self.vqvae.levels[self.level].encoder(whole)[0].T  # [T, D]
        return second_means(encoded, sample_rate / hop)


class LogMelEmbedder:
    """The mean and the standard deviation over each second of a log-mel spectrogram in dB: [seconds, 160].

    Decibels are below the loudest of the sound itself, so how loud a song is does not count.
    """

    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        mel = torch.from_numpy(np.ascontiguousarray(log_mel(audio, sample_rate).T)).double()  # [frames, 80]
        rate = len(mel) * sample_rate / audio.shape[-1]
        means = second_means(mel, rate)
        variances = second_means(mel.square(), rate) - means.square()
        return torch.cat([means, variances.clamp(min=0).sqrt()], dim=1)


class FolderEmbedder:
    """The mean over each second of the last hidden states of a Hugging Face audio model saved in `folder`.

    Local files only, safetensors only, no code of the folder's own. Raises UserError where that is not there or does not
    give hidden states.
    """

    def __init__(self, folder: str | Path):
        try:
            from transformers import AutoFeatureExtractor, AutoModel
        except ImportError as error:
            raise UserError("embedder= needs transformers; pip install 'jukebox_pl[embed]'") from error
        try:
            self.extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            self.model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
        except (OSError, ValueError) as error:
            expected = "expected a folder of config.json, preprocessor_config.json and model.safetensors"
            raise UserError(f"embedder={folder}: {expected}; {str(error).splitlines()[0]}") from error

    @torch.inference_mode()
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        rate = self.extractor.sampling_rate
        mono = soxr.resample(audio.flatten().numpy(), sample_rate, rate)
        inputs: Any = self.extractor(mono, sampling_rate=rate, return_tensors="pt")
        hidden = getattr(self.model(**inputs), "last_hidden_state", None)
        if hidden is None or hidden.dim() != 3:
            raise UserError(f"{type(self.model).__name__} gives no hidden states [1, T, D]; choose another embedder=")
        return second_means(hidden[0], hidden.shape[1] * sample_rate / audio.shape[-1])


def second_means(values: Tensor, rate: float) -> Tensor:
    """Means [seconds, D] of values [T, D], `rate` a second; all of them where that is less than a second."""
    seconds = max(int(len(values) / rate + 1e-6), 1)
    edges = [round(i * rate) for i in range(seconds + 1)]
    return torch.stack([values[start:end].mean(0) for start, end in pairwise(edges)])
