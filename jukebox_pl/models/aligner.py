"""Hears which letters are sung: sound to log-probabilities, along which lyrics are aligned.

A word is heard as its letters in order, each for a frame or more, and nothing else; silence is what lies between words.
CTC's own topology lets blanks into words, and networks trained with it say each letter once, anywhere inside it: on songs
whose times are known exactly, their words begin 0.10 s off, these 0.01 s.
"""

from __future__ import annotations

import math

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from jukebox_pl.models.vqvae import variance_preserving_init
from jukebox_pl.nn.resnet1d import Resnet1D
from jukebox_pl.types import AlignedBatch

SILENCE = 0
NEVER = -1e4  # a log-probability; finite, or there would be no gradient
HIGHEST_HERTZ = 8000.0


class LogMel(nn.Module):
    """Sound [B, N] to log mel energies [B, bands, N // hop], each band at mean 0 and deviation 1 over its clip.

    Frame t stands for the samples [t * hop, (t + 1) * hop) and sees a few more on either side.
    """

    filters: Tensor

    def __init__(self, sample_rate: int, hop: int, bands: int):
        super().__init__()
        self.hop, self.window = hop, 2 ** math.ceil(math.log2(2 * hop))
        highest = min(HIGHEST_HERTZ, sample_rate / 2)
        filters = librosa.filters.mel(sr=sample_rate, n_fft=self.window, n_mels=bands, fmax=highest)
        self.register_buffer("filters", torch.from_numpy(filters))

    def forward(self, sound: Tensor) -> Tensor:
        beyond = self.window - self.hop
        padded = F.pad(sound.float(), (beyond // 2, beyond - beyond // 2))
        window = torch.hann_window(self.window, device=sound.device)
        spectrum = torch.stft(padded, self.window, self.hop, window=window, center=False, return_complex=True)
        bands = torch.log(self.filters @ spectrum.abs().square() + 1e-6)
        return (bands - bands.mean(-1, keepdim=True)) / (bands.std(-1, keepdim=True) + 0.1)


class AcousticModel(nn.Module):
    """Log-probabilities of silence (token 0) and of `characters` (from 1) in every frame of mono sound.

    `frame_seconds` is rounded to whole samples. In training a span of frames and one of bands are hidden (SpecAugment,
    Park et al. 2019), each up to the share `hidden`, and whole channels are dropped.
    """

    def __init__(
        self,
        characters: str,
        sample_rate: int,
        frame_seconds: float = 0.02,
        bands: int = 40,
        width: int = 128,
        depth: int = 6,
        cycle: int = 3,
        dropout: float = 0.1,
        hidden: float = 0.2,
    ):
        super().__init__()
        self.characters, self.sample_rate, self.hidden = characters, sample_rate, hidden
        self.mel = LogMel(sample_rate, round(frame_seconds * sample_rate), bands)
        self.frame_seconds = self.mel.hop / sample_rate
        self.into = nn.Conv1d(bands, width, 5, padding=2)
        self.body = Resnet1D(width, depth, cycle=cycle)
        self.dropout = nn.Dropout1d(dropout)
        self.out = nn.Conv1d(width, 1 + len(characters), 1)
        self.apply(variance_preserving_init)

    def forward(self, sound: Tensor) -> Tensor:
        """sound [B, N] to log-probabilities [B, N // hop, 1 + characters]."""
        bands = self.mel(sound)
        if self.training:
            bands = mask_span(mask_span(bands, self.hidden).mT, self.hidden).mT
        x = self.body(self.into(bands)).relu()
        return self.out(self.dropout(x)).log_softmax(1).mT

    def frames(self, spans: Tensor) -> Tensor:
        """Samples to the nearest frames."""
        return (spans / self.mel.hop).round().long()


def mask_span(x: Tensor, share: float) -> Tensor:
    """x [B, C, T] with one span of up to `share` of T at 0, its mean."""
    positions = torch.linspace(0, 1, x.shape[-1], device=x.device)
    start, length = torch.rand(2, len(x), 1, 1, device=x.device)
    return x.masked_fill((positions >= start) & (positions < start + share * length), 0.0)


def sung_frames(frames: Tensor, length: int) -> Tensor:
    """Which of `length` frames are inside a word: frames [B, W, 2] to bool [B, length]."""
    positions = torch.arange(length, device=frames.device)
    start, end = frames[..., None].unbind(2)
    return ((positions >= start) & (positions < end)).any(1)


def alignment_loss(model: AcousticModel, batch: AlignedBatch) -> Tensor:
    """-log p a frame of silence between the words, and of every whole word's letters inside it.

    Whole is a word that the clip does not cut and that has at least a frame a letter; the others are left out.
    """
    log_probs = model(batch.audio[:, 0])  # [B, T, V]
    frames = model.frames(batch.spans).clamp(max=log_probs.shape[1])  # [B, W, 2]
    silence = -log_probs[..., SILENCE][~sung_frames(frames, log_probs.shape[1])]
    counts = (batch.tokens != SILENCE).sum(-1)  # [B, W]
    whole = ((counts > 0) & (frames[..., 1] - frames[..., 0] >= counts)).nonzero().tolist()
    words = [log_probs[b, frames[b, w, 0] : frames[b, w, 1]] for b, w in whole]
    letters = [batch.tokens[b, w, : counts[b, w]] for b, w in whole]
    count = len(silence) + sum(map(len, words))
    return (silence.sum() + unbroken_loss(words, letters)) / max(count, 1)


def unbroken_loss(words: list[Tensor], letters: list[Tensor]) -> Tensor | float:
    """-log p of the letters [l] of each word in its log-probabilities [t, V], all together: CTC without its blank."""
    if not words:
        return 0.0
    frames = pad_sequence(words)
    blank = F.one_hot(torch.tensor(SILENCE, device=frames.device), frames.shape[-1])
    lengths, counts = (torch.tensor([len(item) for item in items]) for items in (words, letters))
    return F.ctc_loss(frames + NEVER * blank, torch.cat(letters), lengths, counts, SILENCE, reduction="sum")
