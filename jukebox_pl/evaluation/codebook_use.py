"""How much of a codebook songs need: how many codes, how evenly, in how many directions, at how many bits a second."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class CodebookUse(NamedTuple):
    used: float  # share of the bins that occur
    perplexity: float  # how many bins, used evenly, would be as hard to foresee
    effective_dimension: float  # participation ratio of the vectors, weighed by how often they occur
    entropy_rate: float  # bits/s when each code is coded by how often it occurs


def codebook_use(counts: np.ndarray, vectors: np.ndarray, codes_per_second: float) -> CodebookUse:
    """From how often each code occurs, counts [bins] above zero in all, and its vectors [bins, D]."""
    share = counts / counts.sum()
    nats = -(share * np.log(share, where=share > 0, out=np.zeros_like(share))).sum()
    rate = codes_per_second * nats / math.log(2)
    return CodebookUse(float((counts > 0).mean()), math.exp(nats), participation_ratio(vectors, share), float(rate))


def participation_ratio(vectors: np.ndarray, share: np.ndarray) -> float:
    """(sum of eigenvalues)^2 / sum of their squares, of the covariance of vectors [n, D] that occur at rates share [n].

    k directions of equal variance give k; a single point gives 0.
    """
    apart = vectors - share @ vectors
    covariance = (apart * share[:, None]).T @ apart
    squares = np.square(covariance).sum()  # of the eigenvalues
    return float(np.trace(covariance) ** 2 / squares) if squares > 0 else 0.0


def nominal_rate(codes_per_second: float, bins: int) -> float:
    """Bits/s of codes that are stored as they are."""
    return codes_per_second * math.log2(bins)
