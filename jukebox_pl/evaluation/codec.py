"""How much of the sound the codes keep, level by level, beside what says nothing: silence and shuffled codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

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


class LevelReport(NamedTuple):
    """Spectral convergence of one level in dB."""

    level: int
    reconstruction: float
    shuffled_codes: float
    silence: float


@dataclass(frozen=True)
class CodecFidelity:
    """Mean spectral convergence of every level over the songs, of at most `seconds` from the middle of each."""

    seconds: float = 3.0

    def __call__(self, evidence: Evidence) -> Answer:
        """Raises CannotTell when there is no song."""
        vqvae, top = evidence.bundle.vqvae, evidence.bundle.vqvae.hops[-1]
        most = max(int(self.seconds * evidence.bundle.sample_rate) // top, 1) * top

        def decibels(song: SongAudio) -> list[tuple[float, ...]]:
            length = min(most, song.audio.shape[-1])
            start = (song.audio.shape[-1] - length) // 2
            return [report[1:] for report in report_levels(vqvae, song.audio[..., start : start + length])]

        if not (found := list(map(decibels, evidence.songs))):
            raise CannotTell(f"what the codes keep takes one song of at least {top} samples")
        means = torch.tensor(found).mean(0).tolist()  # [levels, 3]
        rows = [(str(level), str(vqvae.hops[level]), *(f"{value:.1f}" for value in row)) for level, row in enumerate(means)]
        note = f"{len(found)} {evidence.kind}, {self.seconds:g} s from the middle of each; silence is 0 dB, lower is better"
        table = Table("codec", ("level", "hop", "codes, dB", "shuffled, dB", "silence, dB"), tuple(rows), note)
        names = LevelReport._fields[1:]
        return Answer({"levels": {level: dict(zip(names, row, strict=True)) for level, row in enumerate(means)}}, (table,))


@torch.inference_mode()
def report_levels(vqvae: VQVAE, clips: Tensor, seed: int = 0) -> list[LevelReport]:
    """What every level makes of clips [n, 1, N], N a multiple of the top hop."""
    shuffle = torch.Generator().manual_seed(seed)
    reports = []
    for level, codes in enumerate(vqvae.encode(clips)):
        order = torch.randperm(codes.shape[1], generator=shuffle)
        recons = (vqvae.decode(codes, level), vqvae.decode(codes[:, order], level), torch.zeros_like(clips))
        reports.append(LevelReport(level, *(SpectralConvergence()(clips, recon).item() for recon in recons)))
    return reports
