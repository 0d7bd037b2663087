"""Variants of the codec side by side: what a held-out clip is worth in each, and whether the paper's order comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from jukebox_pl.evaluation.codec import SpectralConvergence
from jukebox_pl.evaluation.intervals import COVERAGE, shown
from jukebox_pl.evaluation.suite import Table
from jukebox_pl.models.joint_vqvae import JointVQVAE
from jukebox_pl.models.vqvae import VQVAE

COLUMNS = ("variant", "paper, dB", "here, dB", "entropy, bits", "codes used", "better than the row below by, dB")


class LevelFigures(NamedTuple):
    """Of one level over all clips. Nothing quantised, no codes: None."""

    spectral_convergence: float  # dB, lower is better
    entropy: float | None  # bits, of how often each code was used
    usage: float | None  # share of the codes that were used


class Row(NamedTuple):
    """A level of a variant, and the spectral convergence that the paper found there, in dB."""

    variant: str
    level: int
    paper: float


@torch.inference_mode()
def measure_levels(model: VQVAE | JointVQVAE, clips: Iterable[Tensor]) -> list[LevelFigures]:
    """From held-out clips, batches [B, 1, N] of them."""
    convergence = [SpectralConvergence() for _ in model.hops]
    counts = torch.zeros(len(model.hops), model.bins)
    for audio in clips:
        output = model(audio)
        for level, (recon, codes) in enumerate(zip(output.recons, output.codes, strict=True)):
            convergence[level].update(audio, recon)
            counts[level] += codes.flatten().bincount(minlength=model.bins)
    return [LevelFigures(metric.compute().item(), *use(counts)) for metric, counts in zip(convergence, counts, strict=True)]


def use(counts: Tensor) -> tuple[float, float] | tuple[None, None]:
    """Entropy in bits of counts [bins], and the share of them that is not zero."""
    if not counts.any():
        return None, None
    share = counts / counts.sum()
    return -torch.special.xlogy(share, share).sum().div(np.log(2)).item(), counts.gt(0).float().mean().item()


def over_seeds(values: Sequence[float]) -> tuple[float, list[float]]:
    """The mean of one number a seed, and its 95 % interval by Student's t: of so few a bootstrap is too narrow."""
    mean, spread = float(np.mean(values)), float(stats.sem(values)) if len(values) > 1 else 0.0
    margin = spread * float(stats.t.ppf((1 + COVERAGE) / 2, len(values) - 1)) if spread else 0.0
    return mean, [mean - margin, mean + margin]


def compare(title: str, rows: Sequence[Row], measured: Mapping[str, Mapping[str, Sequence[LevelFigures]]]) -> Table:
    """`rows` in the paper's order, the best first, from the figures of every level by variant and seed.

    A row is compared with the one below it seed by seed: the same weights at the start, the same clips.
    """
    levels = [{seed: figures[row.level] for seed, figures in measured[row.variant].items()} for row in rows]
    cells = []
    for row, mine, below, theirs in zip(rows, levels, [*rows[1:], None], [*levels[1:], {}], strict=True):
        values = [figures.spectral_convergence for figures in mine.values()]
        gaps = [theirs[s].spectral_convergence - mine[s].spectral_convergence for s in mine.keys() & theirs.keys()]
        entropy = [figures.entropy for figures in mine.values() if figures.entropy is not None]
        used = [figures.usage for figures in mine.values() if figures.usage is not None]
        cells.append(
            (
                f"{row.variant}, level {row.level}",
                f"{row.paper:+.1f}",
                shown(*over_seeds(values), len(values), digits=2, sign="+"),
                f"{np.mean(entropy):.2f}" if entropy else "",
                f"{np.mean(used):.0%}" if used else "",
                f"{shown(*over_seeds(gaps), len(gaps), 2, '+')}: {verdict(below.paper - row.paper, over_seeds(gaps)[1])}"
                if below and gaps
                else "",
            )
        )
    return Table(title, COLUMNS, tuple(cells))


def verdict(paper: float, bounds: Sequence[float]) -> str:
    """Whether a difference, of which `bounds` are the 95 % interval, has the sign that it has in the paper."""
    low, high = bounds
    if low <= 0 <= high:
        return "as in the paper" if paper == 0 else "cannot be told"
    return "as in the paper" if (low > 0) == (paper > 0) and paper else "not as in the paper"
