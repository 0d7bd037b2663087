"""Clicks where windows meet, as a number."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

REACH = 8  # samples around a seam


def click_ratio(audio: Tensor, seams: Iterable[int], quantile: float = 0.5) -> float:
    """How much rougher audio [T] is at `seams` (sample indices) than elsewhere: 1 is no difference.

    Roughness is the largest second difference within a few samples, its `quantile` over the seams divided by that over
    all places; a step of a tenth of full scale in smooth music gives 10 or more.
    """
    bends = audio.float().diff(n=2).abs()
    rough = bends.unfold(0, 2 * REACH, 1).amax(1)  # rough[i]: around sample i + REACH
    places = torch.tensor([seam - REACH for seam in seams if REACH <= seam < len(rough) + REACH], dtype=torch.long)
    return (rough[places].quantile(quantile) / rough[::REACH].quantile(quantile).clamp(min=1e-9)).item()
