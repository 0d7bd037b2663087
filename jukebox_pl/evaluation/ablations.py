"""Variants of the codec side by side: what a held-out clip is worth in each, and whether the paper's order comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from jukebox_pl.evaluation.codebook_use import entropy_bits, share_used
from jukebox_pl.evaluation.codec import SpectralConvergence
from jukebox_pl.evaluation.intervals import COVERAGE, shown
from jukebox_pl.evaluation.suite import Table
from jukebox_pl.models.joint_vqvae import JointVQVAE
from jukebox_pl.models.vqvae import VQVAE

NOTE = "Spectral convergence of held-out clips in dB, 95 % intervals over seeds; entropy and share of the codes used."
COLUMNS = ("variant", "level", "paper", "here", "bits", "used", "better than below by")


class LevelFigures(NamedTuple):
    """Of one level over all clips. Nothing quantised, no codes: None."""

    spectral_convergence: float  # dB, lower is better
    entropy: float | None  # bits, of how often each code was used
    usage: float | None  # share of the codes that were used


Measured = Mapping[str, Mapping[str, Sequence[LevelFigures]]]  # the figures of every level by variant and seed


class Row(NamedTuple):
    """A level of a variant, and the spectral convergence that the paper found there, in dB."""

    variant: str
    level: int
    paper: float


@torch.inference_mode()
def measure_levels(model: VQVAE | JointVQVAE, clips: Iterable[Tensor]) -> list[LevelFigures]:
    """From held-out clips, batches [B, 1, N] of them."""
    convergence = [SpectralConvergence() for _ in model.hops]
    counts = np.zeros((len(model.hops), model.bins))
    for audio in clips:
        output = model(audio)
        for level, (recon, codes) in enumerate(zip(output.recons, output.codes, strict=True)):
            convergence[level].update(audio, recon)
            counts[level] += np.bincount(codes.flatten().numpy(), minlength=model.bins)
    return [LevelFigures(metric.compute().item(), *use(counts)) for metric, counts in zip(convergence, counts, strict=True)]


def use(counts: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """Entropy in bits of counts [bins], and the share of them that is not zero."""
    return (entropy_bits(counts), share_used(counts)) if counts.any() else (None, None)


def over_seeds(values: Sequence[float]) -> tuple[float, list[float]]:
    """The mean of one number a seed, and its 95 % interval by Student's t: of so few a bootstrap is too narrow.

    Of one seed it is endless.
    """
    mean, margin = float(np.mean(values)), np.inf
    if len(values) > 1:
        margin = float(stats.sem(values) * stats.t.ppf((1 + COVERAGE) / 2, len(values) - 1))
    return mean, [mean - margin, mean + margin]


def compare(title: str, rows: Sequence[Row], measured: Measured) -> Table:
    """`rows` in the paper's order, the best first, each with how much better it is than the row below.

    That is compared seed by seed: the same weights at the start where the networks are of one shape, the same clips.
    """
    gaps = [*(gap(row, below, measured) for row, below in pairwise(rows)), ""]
    return Table(title, COLUMNS, tuple((*described(row, measured), gap) for row, gap in zip(rows, gaps, strict=True)), NOTE)


def described(row: Row, measured: Measured) -> tuple[str, ...]:
    figures = [levels[row.level] for levels in measured[row.variant].values()]
    here = shown(*over_seeds([level.spectral_convergence for level in figures]), len(figures), digits=2, sign="+")
    entropies = [level.entropy for level in figures if level.entropy is not None]
    usages = [level.usage for level in figures if level.usage is not None]
    bits, used = (f"{np.mean(entropies):.2f}", f"{np.mean(usages):.0%}") if usages else ("", "")
    return row.variant, str(row.level), f"{row.paper:+.1f}", here, bits, used


def gap(row: Row, below: Row, measured: Measured) -> str:
    """By how many dB `row` is better than `below`, with the interval over the seeds of both, and what the paper says."""
    mine, theirs = measured[row.variant], measured[below.variant]
    seeds = [seed for seed in mine if seed in theirs]
    gaps = [theirs[seed][below.level].spectral_convergence - mine[seed][row.level].spectral_convergence for seed in seeds]
    if not gaps:
        return ""
    mean, bounds = over_seeds(gaps)
    return f"{shown(mean, bounds, len(gaps), digits=2, sign='+')}: {verdict(below.paper - row.paper, bounds)}"


def verdict(paper: float, bounds: Sequence[float]) -> str:
    """Whether a difference, of which `bounds` are the 95 % interval, has the sign that it has in the paper."""
    low, high = bounds
    if low <= 0 <= high:
        return "no difference to be seen" + (", as in the paper" if paper == 0 else "")
    return "as in the paper" if paper * low > 0 else "not as in the paper"
