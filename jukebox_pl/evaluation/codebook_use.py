"""What songs need of a codebook: how many codes, how evenly, in how many directions. `counts` [bins], not all of them 0."""

from __future__ import annotations

import math

import numpy as np


def share_used(counts: np.ndarray) -> float:
    """The share of the bins that occur."""
    return float((counts > 0).mean())


def entropy_bits(counts: np.ndarray) -> float:
    """Bits a code when each is coded by how often it occurs, whatever stands beside it; too few from few codes."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def perplexity(counts: np.ndarray) -> float:
    """How many bins, used evenly, would be as hard to foresee."""
    return math.exp(entropy_bits(counts) * math.log(2))


def effective_dimension(counts: np.ndarray, vectors: np.ndarray) -> float:
    """Participation ratio of the vectors [bins, D] as often as they occur: k directions of equal variance give k, a point 0.

    (sum of eigenvalues)^2 / sum of their squares, of the covariance.
    """
    share = counts / counts.sum()
    apart = vectors - share @ vectors
    covariance = (apart * share[:, None]).T @ apart
    squares = np.square(covariance).sum()  # of the eigenvalues
    return float(np.trace(covariance) ** 2 / squares) if squares > 0 else 0.0
