"""Sound as embeddings, one a second: of the codec's own encoder, of a log-mel spectrogram, or of any model in a folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from jukebox_pl import audio as sound
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.fidelity import log_mel
from jukebox_pl.models.vqvae import VQVAE


class Embedder(Protocol):
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        """audio [1, 1, N] to embeddings [seconds, D]; a last part of a second is cut."""


class CodecEmbedder:
    """Mean and deviation over each second of what a level's encoder gives before it is quantised: [seconds, 2 code_dim].

    Of the top level by default. Means alone do not tell music from noise: the encoder's numbers swing as sound does.
    """

    def __init__(self, vqvae: VQVAE, level: int = -1):
        self.vqvae, self.level = vqvae, level

    @torch.inference_mode()
    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        hop, top = self.vqvae.hops[self.level], self.vqvae.hops[-1]
        encoded = self.vqvae.levels[self.level].encoder(audio[..., : audio.shape[-1] // top * top])
        return means_and_deviations(encoded[0].T, sample_rate / hop)


class LogMelEmbedder:
    """Mean and deviation over each second of a log-mel spectrogram in dB: [seconds, 160].

    Decibels are below the loudest of the sound itself, so how loud a song is does not count.
    """

    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        mel = torch.from_numpy(log_mel(audio, sample_rate).T)  # [frames, 80]
        return means_and_deviations(mel, len(mel) * sample_rate / audio.shape[-1])


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
        mono = sound.resample(audio.flatten(0, 1).numpy(), sample_rate, rate)[0]
        inputs: Any = self.extractor(mono, sampling_rate=rate, return_tensors="pt")
        hidden = getattr(self.model(**inputs), "last_hidden_state", None)
        if hidden is None or hidden.dim() != 3:
            raise UserError(f"{type(self.model).__name__} gives no hidden states [1, T, D]; choose another embedder=")
        parts = seconds_of(hidden[0], hidden.shape[1] * sample_rate / audio.shape[-1])
        return torch.stack([part.mean(0) for part in parts])


def means_and_deviations(values: Tensor, rate: float) -> Tensor:
    parts = seconds_of(values, rate)
    return torch.stack([torch.cat([part.mean(0), part.std(0, correction=0)]) for part in parts])


def seconds_of(values: Tensor, rate: float) -> list[Tensor]:
    """Values [T, D], `rate` of them a second, by seconds; all together where that is less than one."""
    seconds = max(int(len(values) / rate + 1e-6), 1)
    edges = [round(i * rate) for i in range(seconds + 1)]
    return [values[start:end] for start, end in pairwise(edges)]
