"""Jukebox's own way: the lyrics evenly over the whole song. The baseline."""

from __future__ import annotations

import numpy as np

from jukebox_pl.catalog.aligners.aligner import require_alignment, seconds_of, spread
from jukebox_pl.types import Word


class LinearAligner:
    """Every character takes as long as any other, whatever is heard."""

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds = seconds_of(vocals, sample_rate)
        return require_alignment(spread(lyrics.split(), 0.0, seconds), lyrics, seconds)
