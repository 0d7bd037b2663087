"""What a recording sounds like, in 32 bits every 0.19 seconds that survive another encoding, gain or start.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (2002): a bit tells whether the difference in energy
of two neighbouring bands grows. Longer frames and a longer lag than theirs bear a coarser step, so that every song of a
catalog can be kept: 22 bytes a second. Their sub-fingerprints are called words here.
"""

from __future__ import annotations

import base64

import numpy as np
import soxr

RATE = 5_512
FRAME, HOP = 4096, 1024
SECONDS_PER_WORD = HOP / RATE
BITS = 32
LOWEST_HERTZ, HIGHEST_HERTZ = 300.0, 2000.0  # the band of the paper, which every encoder keeps
SMOOTHED, LAG = 6, 8  # frames that are averaged, and after how many they are compared
FLOOR = 1e-6  # of the loudest frame; below it nothing is heard
SILENCE = 0
FRAMES_AT_ONCE = 256  # 4 MB of spectra; those of an hour would take 300

# Bins of the spectrum at which bands begin: BITS + 1 bands, as wide as each other in pitch, give BITS differences.
EDGES = np.round(np.geomspace(LOWEST_HERTZ, HIGHEST_HERTZ, BITS + 2) * FRAME / RATE).astype(int)
WINDOW = np.hanning(FRAME).astype(np.float32)


class Fingerprinter:
    """Takes sound in blocks; of a song only the energies of its bands stay in memory."""

    def __init__(self, sample_rate: int):
        self.resampler = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="LQ")
        self.waiting = np.empty(0, np.float32)
        self.energies = [np.empty((0, BITS + 1), np.float32)]

    def add(self, mono: np.ndarray, last: bool = False) -> None:
        """The next block of audio [n]."""
        self.waiting = np.concatenate([self.waiting, self.resampler.resample_chunk(mono.astype(np.float32), last)])
        if len(self.waiting) >= FRAME:
            frames = np.lib.stride_tricks.sliding_window_view(self.waiting, FRAME)[::HOP]
            for start in range(0, len(frames), FRAMES_AT_ONCE):
                spectra = np.fft.rfft(frames[start : start + FRAMES_AT_ONCE] * WINDOW)[:, : EDGES[-1]]
                self.energies.append(np.add.reduceat(spectra.real**2 + spectra.imag**2, EDGES[:-1], axis=1))
            self.waiting = self.waiting[len(frames) * HOP :].copy()

    def finish(self) -> str:
        """The words of all that was added as base64; "" for less than `span_seconds(1)`."""
        self.add(np.empty(0, np.float32), last=True)
        # The moving average, by differences of sums: [frames, BITS + 1] to [frames - SMOOTHED + 1, BITS + 1].
        sums = np.cumsum(np.concatenate(self.energies), axis=0, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums[:1]), sums])
        smooth = (sums[SMOOTHED:] - sums[:-SMOOTHED]) / SMOOTHED
        contrast = smooth[:, :-1] - smooth[:, 1:]
        words = np.packbits(contrast[LAG:] > contrast[:-LAG], axis=1).view(">u4").ravel()
        loudness = smooth.sum(axis=1)
        heard = loudness[LAG:] > FLOOR * loudness.max(initial=0)
        return base64.b64encode(np.where(heard, words, SILENCE).astype(">u4").tobytes()).decode()


def fingerprint(mono: np.ndarray, sample_rate: int) -> str:
    """The words of audio [T] as base64; "" for less than `span_seconds(1)`."""
    fingerprinter = Fingerprinter(sample_rate)
    fingerprinter.add(mono)
    return fingerprinter.finish()


def words_of(fingerprint: str) -> np.ndarray:
    """The words [N] of a fingerprint as uint32, 0 where nothing is heard."""
    return np.frombuffer(base64.b64decode(fingerprint), ">u4").astype(np.uint32)


def span_seconds(words: int) -> float:
    """How long the sound is that so many words are made of."""
    return (FRAME + (words + SMOOTHED + LAG - 2) * HOP) / RATE
