"""How far apart two sets of songs are as distributions of embeddings. The unit is the song, not its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.evaluation.intervals import RESAMPLES, interval_of

MOST_FRAMES = 2000  # from which the kernel's width is taken


class SongSet(NamedTuple):
    """Songs as embeddings: `frames[i]` [T_i, D] of the song `ids[i]`; what was made of a song has its id."""

    ids: Sequence[str]
    frames: Sequence[Tensor]


def kernel_distance(made: SongSet, real: SongSet, seed: int, resamples: int = RESAMPLES) -> tuple[float, list[float]]:
    """100 times the squared maximum mean discrepancy, and its 95 % bootstrap interval over songs.

    That is the Kernel Audio Distance (Chung et al., 2025): Gaussian kernel, as wide as the median distance of the frames of
    `real`. Unbiased over songs: pairs of frames of one song, which are alike, are left out. Around 0, and below it as
    often as above, where both sets are of one distribution.
    """
    ids, frames = [*made.ids, *real.ids], [*made.frames, *real.frames]
    apart = np.array([[float(one != other) for other in ids] for one in ids])
    kernel = song_kernel(frames, median_distance(real.frames)) * apart

    def discrepancy(times_made: np.ndarray, times_real: np.ndarray) -> float:
        m, r = np.append(times_made, 0 * times_real), np.append(0 * times_made, times_real)
        means = [one @ kernel @ other / (one @ apart @ other or np.nan) for one, other in ((m, m), (r, r), (m, r))]
        return 100 * float(means[0] + means[1] - 2 * means[2])

    return interval_of(discrepancy, (len(made.ids), len(real.ids)), seed, resamples)


def song_kernel(frames: Sequence[Tensor], width: float) -> np.ndarray:
    """[n, n]: the mean over all pairs of frames of two songs of exp(-|x - y|^2 / (2 width^2))."""
    lengths = torch.tensor([len(part) for part in frames])
    every = torch.cat(list(frames)).double()
    kernel = torch.exp(torch.cdist(every, every).square() / (-2 * width**2))
    member = torch.nn.functional.one_hot(torch.arange(len(frames)).repeat_interleave(lengths)).double() / lengths
    return (member.T @ kernel @ member).numpy()


def median_distance(frames: Sequence[Tensor]) -> float:
    every = torch.cat(list(frames)).double()
    return max(torch.pdist(every[:: -(-len(every) // MOST_FRAMES)]).median().item(), 1e-9)


def frechet_distance(made: Sequence[Tensor], real: Sequence[Tensor]) -> float:
    """Frechet distance of two sets of frames [T, D] as Gaussians (Kilgour et al., 2019).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2). Too large for few frames: compare only what is made of as many.
    """
    means, roots = zip(*(gaussian(torch.cat(list(frames)).double()) for frames in (made, real)), strict=True)
    apart = (means[0] - means[1]).square().sum() + roots[0].square().sum() + roots[1].square().sum()
    # The trace of the root of C1 C2 is the nuclear norm of R1 R2', where C = R'R: no complex numbers, no inverse.
    return max((apart - 2 * torch.linalg.matrix_norm(roots[0] @ roots[1].T, "nuc")).item(), 0.0)


def gaussian(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [D] of frames [T, D] and a root R of their covariance R'R."""
    mean = frames.mean(0)
    return mean, torch.linalg.qr((frames - mean) / max(len(frames) - 1, 1) ** 0.5, mode="r").R
