"""How much of the sound the codes of each level keep, beside what says nothing, and what they need of their codebook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from jukebox_pl.evaluation.codebook_use import effective_dimension, entropy_bits, perplexity, share_used
from jukebox_pl.evaluation.codec_lyrics import lyrics_kept
from jukebox_pl.evaluation.fidelity import SHORTEST, log_mel_distance, si_sdr, stft_distance
from jukebox_pl.evaluation.intervals import figure, interval, interval_of, shown
from jukebox_pl.evaluation.recognition import Recogniser
from jukebox_pl.evaluation.suite import Answer, CannotTell, Evidence, SongAudio, Table
from jukebox_pl.models.losses import spectral_convergence
from jukebox_pl.models.vqvae import VQVAE


class SpectralConvergence(Metric):
    """Mean over items of |S - S'| / |S| in dB: 0 is as good as silence, lower is better (paper: -23 dB at the bottom)."""

    full_state_update = False
    total: Tensor
    items: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("items", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, audio: Tensor, recon: Tensor) -> None:
        """audio and recon [B, 1, N]."""
        ratios = spectral_convergence(audio, recon)
        self.total = self.total + ratios.sum()  # not in place: Lightning validates in inference mode
        self.items = self.items + len(ratios)

    def compute(self) -> Tensor:
        return 20 * (self.total / self.items).clamp(min=1e-6).log10()


RESAMPLES = 200  # of what the codes of all songs together give
PAPER = "Jukebox (2020), table 1, at 44.1 kHz with 2048 codes: -23.0, -12.4 and -8.3 dB from the bottom up"


class LevelReport(NamedTuple):
    """Spectral convergence of one level in dB."""

    level: int
    reconstruction: float
    shuffled_codes: float
    silence: float


class LevelSound(NamedTuple):
    """Codes [n, T] of one level, and the sound [n, 1, N] of them as they are and in another order."""

    codes: Tensor
    recon: Tensor
    shuffled: Tensor


class SongLevel(NamedTuple):
    """What one level makes of a song: distances, the first three and the last in dB, and how often each code occurs."""

    spectral_convergence: float
    shuffled_codes: float  # their spectral convergence
    silence: float  # its spectral convergence
    log_mel: float
    stft: float
    si_sdr: float
    counts: np.ndarray  # [bins]


@dataclass(frozen=True)
class CodecFidelity:
    """What every level keeps of up to `seconds` from the middle of each song, and what it needs of its codebook for that.

    With a `recogniser` also how much of the lyrics it keeps.
    """

    seconds: float = 8.0
    recogniser: Recogniser | None = None

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when no song can be heard."""
        vqvae, rate = evidence.bundle.vqvae, evidence.bundle.sample_rate
        top, sounds = vqvae.hops[-1], dict[str, Tensor]()
        most = max(int(self.seconds * rate) // top, 1) * top

        def of_song(song: SongAudio) -> list[SongLevel]:
            start = max(song.audio.shape[-1] - most, 0) // 2
            clip = song.audio[..., start : start + most]
            if clip.shape[-1] < SHORTEST or not clip.any():
                return []
            levels = level_sounds(vqvae, clip)
            if not sounds:
                sounds[f"{song.song.title or song.song.id}, the original"] = clip[0, 0].clone()
                sounds.update({f"codes of level {level}": sound.recon[0, 0] for level, sound in enumerate(levels)})
            return [compare(clip, sound, rate, vqvae.bins) for sound in levels]

        if not (songs := [levels for levels in map(of_song, evidence.songs) if levels]):
            least = max(top, SHORTEST)
            raise CannotTell(f"what the codes keep takes a song of at least {least} samples that is not silent")
        figures = {}
        for level, (autoencoder, found) in enumerate(zip(vqvae.levels, zip(*songs, strict=True), strict=True)):
            vectors = autoencoder.codebook.codes.numpy()
            needed = code_figures(found, vectors, rate / autoencoder.hop, evidence.seed)
            figures[level] = {"hop": autoencoder.hop, **sound_figures(found, evidence.seed), "codebook": needed}
        protocol = f"{len(songs)} {evidence.kind}, up to {self.seconds:g} s from the middle of each"
        answer = Answer(
            {"songs": len(songs), "seconds": self.seconds, "levels": figures}, tables(figures, len(songs), protocol)
        )
        if self.recogniser:
            lyrics, table = lyrics_kept(evidence, self.recogniser)
            answer = Answer(answer.figures | {"lyrics": lyrics}, (*answer.tables, *table))
        return answer._replace(sounds=sounds)


@torch.inference_mode()
def level_sounds(vqvae: VQVAE, clips: Tensor, seed: int = 0) -> list[LevelSound]:
    """The codes of clips [n, 1, N], N a multiple of the top hop, at every level, and what they sound like."""
    shuffle = torch.Generator().manual_seed(seed)
    sounds = []
    for level, codes in enumerate(vqvae.encode(clips)):
        order = torch.randperm(codes.shape[1], generator=shuffle)
        sounds.append(LevelSound(codes, vqvae.decode(codes, level), vqvae.decode(codes[:, order], level)))
    return sounds


def report_levels(vqvae: VQVAE, clips: Tensor, seed: int = 0) -> list[LevelReport]:
    """What every level makes of clips [n, 1, N], N a multiple of the top hop."""
    return [
        LevelReport(level, *(decibels(clips, recon) for recon in (sound.recon, sound.shuffled, torch.zeros_like(clips))))
        for level, sound in enumerate(level_sounds(vqvae, clips, seed))
    ]


def decibels(clips: Tensor, recon: Tensor) -> float:
    """Spectral convergence of clips [n, 1, N] in dB."""
    return SpectralConvergence()(clips, recon).item()


def compare(clip: Tensor, sound: LevelSound, sample_rate: int, bins: int) -> SongLevel:
    """Of a clip [1, 1, N]."""
    recon = sound.recon
    return SongLevel(
        spectral_convergence=decibels(clip, recon),
        shuffled_codes=decibels(clip, sound.shuffled),
        silence=decibels(clip, torch.zeros_like(clip)),
        log_mel=log_mel_distance(clip, recon, sample_rate),
        stft=stft_distance(clip, recon),
        si_sdr=si_sdr(clip, recon),
        counts=np.bincount(sound.codes.flatten().numpy(), minlength=bins),
    )


def sound_figures(songs: Sequence[SongLevel], seed: int) -> dict[str, Any]:
    """The means over songs of one level, with their intervals."""
    names = [name for name in SongLevel._fields if name != "counts"]
    return {name: figure(interval([getattr(song, name) for song in songs], seed)) for name in names}


def code_figures(songs: Sequence[SongLevel], vectors: np.ndarray, codes_per_second: float, seed: int) -> dict[str, Any]:
    """Of all codes of one level together; intervals of what it would be with other songs."""
    counts = np.stack([song.counts for song in songs])  # [songs, bins]
    statistics = {
        "used": share_used,
        "perplexity": perplexity,
        "effective_dimension": partial(effective_dimension, vectors=vectors),
        "entropy_bits_per_second": lambda counts: codes_per_second * entropy_bits(counts),
    }
    found = {
        name: figure(interval_of(lambda times, of=statistic: of(times @ counts), [len(songs)], seed, RESAMPLES))
        for name, statistic in statistics.items()
    }
    found["used"]["interval"] = [min(bound, 1.0) for bound in found["used"]["interval"]]
    nominal = codes_per_second * math.log2(len(vectors))
    return {"bins": len(vectors), "codes": int(counts.sum()), **found, "nominal_bits_per_second": nominal}


def tables(figures: Mapping[int, Mapping[str, Any]], songs: int, protocol: str) -> tuple[Table, ...]:
    def cells(level: Mapping[str, Any], **digits: int) -> list[str]:
        return [shown(level[name]["value"], level[name]["interval"], songs, digits[name]) for name in digits]

    convergence, distances, needs = [], [], []
    for level, found in figures.items():
        place, codes = (str(level), str(found["hop"])), found["codebook"]
        convergence.append((*place, *cells(found, spectral_convergence=1, shuffled_codes=1, silence=1)))
        distances.append((*place, *cells(found, log_mel=1, stft=2, si_sdr=1)))
        used, nominal = f"{codes['used']['value']:.0%} of {codes['bins']}", f"{codes['nominal_bits_per_second']:.0f}"
        spread = cells(codes, perplexity=0, effective_dimension=1, entropy_bits_per_second=0)
        needs.append((str(level), used, *spread[:2], nominal, spread[2]))
    return (
        Table(
            "codec: spectral convergence",
            ("level", "hop", "codes, dB [95 %]", "shuffled codes, dB", "silence, dB"),
            tuple(convergence),
            f"{protocol}; the released definition, lower is better. {PAPER}",
        ),
        Table(
            "codec: other distances",
            ("level", "hop", "log-mel, dB [95 %]", "STFT", "SI-SDR, dB"),
            tuple(distances),
            "Log-mel: mean difference in 80 bands. STFT: three resolutions, as in Parallel WaveGAN and auraloss. Lower is "
            "better, neither hears phase. SI-SDR does, and higher is better",
        ),
        Table(
            "codec: what the codes need",
            ("level", "codes used", "perplexity [95 %]", "dimensions", "bits/s", "by entropy, bits/s"),
            tuple(needs),
            "All songs together; few songs make these too small, but not the bits/s. Dimensions: participation ratio of the "
            "vectors as often as they occur",
        ),
    )
