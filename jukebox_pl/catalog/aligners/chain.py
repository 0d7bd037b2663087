"""Several aligners, the best first: what one cannot do, the next one tries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jukebox_pl.catalog.aligners.aligner import Aligner, require_alignment, seconds_of
from jukebox_pl.errors import UserError
from jukebox_pl.types import Word


class Chain:
    """The answer of the first of `aligners` that has one. Raises UserError with all their reasons when none has."""

    def __init__(self, aligners: Sequence[Aligner]):
        if not aligners:
            raise UserError("a chain of no aligners: name at least one")
        self.aligners = list(aligners)

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds = seconds_of(vocals, sample_rate)
        reasons = []
        for aligner in self.aligners:
            try:
                return require_alignment(aligner(vocals, sample_rate, lyrics), lyrics, seconds)
            except UserError as error:
                reasons.append(f"{type(aligner).__name__}: {error}")
        raise UserError("; ".join(reasons))
