"""Vocals without a trained model: what long windows find moving and short windows find steady."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from librosa.effects import harmonic, percussive

from jukebox_pl.catalog.separators.separator import cut, require_vocals
from jukebox_pl.errors import UserError

MEDIAN = 31  # frames and bins; two frames to a window, since four take twice the time and find no more
SOFT = 1.0  # shares by magnitude; by power, as usual, leaves less of the voice
PIECE_WINDOWS, MARGIN_WINDOWS = 128, 10


@dataclass
class HPSS:
    """Two-stage harmonic/percussive separation by median filters (FitzGerald and Gainza 2010; Tachibana et al. 2010).

    Through long windows (seconds) a voice, whose pitch moves, looks percussive beside held instruments; through short
    ones it looks harmonic beside drums. Needs no download and is weak: it keeps plucked strings and loses held notes; a
    voice that was loud already comes out worse than it was (docs/catalog.md). Use a trained model where you can.
    """

    long_window: float = 0.37
    short_window: float = 0.006

    def __post_init__(self) -> None:
        if not 0 < self.short_window < self.long_window:
            raise UserError(
                f"short_window={self.short_window} and long_window={self.long_window}: expected 0 < short < long"
            )

    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        windows = np.array([self.long_window, self.short_window]) * sample_rate
        # In samples, the nearest power of two, at least 16.
        long, short = (2 ** max(round(exponent), 4) for exponent in np.log2(windows))
        song, vocals = audio.astype(np.float32), []
        for piece in cut(audio.shape[1], PIECE_WINDOWS * long, MARGIN_WINDOWS * long):
            heard = song[:, piece.start : piece.stop]
            moving = percussive(heard, n_fft=long, hop_length=long // 2, kernel_size=MEDIAN, power=SOFT)
            held = harmonic(moving, n_fft=short, hop_length=short // 2, kernel_size=MEDIAN, power=SOFT)
            vocals.append(piece.keep(held))
        return require_vocals(np.concatenate(vocals, axis=1), audio)
