"""What a recording sounds like, in 32 bits every 0.19 seconds that survive another encoding, gain or start.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (2002): a bit tells whether the difference in energy
of two neighbouring bands grows. Longer frames and a longer reach than theirs bear a coarser step, so that every song of a
catalog can be kept: 22 bytes a second.
"""

from __future__ import annotations

import base64

import numpy as np
import soxr

RATE = 5_512
FRAME, HOP = 4096, 1024
SECONDS_PER_WORD = HOP / RATE
BITS = 32
LOWEST_HERTZ, HIGHEST_HERTZ = 300.0, 2000.0
SMOOTHED, REACH = 6, 8  # frames that are averaged, and after how many they are compared
FLOOR = 1e-6  # of the loudest frame; below it nothing is heard
SILENCE = 0
FRAMES_AT_ONCE = 256

EDGES = np.round(np.geomspace(LOWEST_HERTZ, HIGHEST_HERTZ, BITS + 2) * FRAME / RATE).astype(int)
WINDOW = np.hanning(FRAME).astype(np.float32)


def fingerprint(mono: np.ndarray, sample_rate: int) -> str:
    """The words of sound [T] as base64; "" for less than `span_seconds(1)`."""
    energies = moving_average(band_energies(soxr.resample(mono, sample_rate, RATE, "LQ")), SMOOTHED)
    contrast = energies[:, :-1] - energies[:, 1:]
    words = np.packbits(contrast[REACH:] > contrast[:-REACH], axis=1).view(">u4").ravel()
    loudness = energies.sum(axis=1)
    heard = loudness[REACH:] > FLOOR * loudness.max(initial=0)
    return base64.b64encode(np.where(heard, words, SILENCE).astype(">u4").tobytes()).decode()


def words_of(fingerprint: str) -> np.ndarray:
    """The words [N] of a fingerprint as uint32, 0 where nothing is heard."""
    return np.frombuffer(base64.b64decode(fingerprint), ">u4").astype(np.uint32)


def span_seconds(words: int) -> float:
    """How long the sound is that so many words are made of."""
    return (FRAME + (words + SMOOTHED + REACH - 2) * HOP) / RATE


def band_energies(sound: np.ndarray) -> np.ndarray:
    """[frames, BITS + 1] of sound [T] at RATE."""
    if len(sound) < FRAME:
        return np.empty((0, BITS + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    pieces = (frames[start : start + FRAMES_AT_ONCE] for start in range(0, len(frames), FRAMES_AT_ONCE))
    return np.concatenate([np.add.reduceat(power(piece), EDGES[:-1], axis=1) for piece in pieces])


def power(frames: np.ndarray) -> np.ndarray:
    spectra = np.fft.rfft(frames * WINDOW)[:, : EDGES[-1]]
    return spectra.real**2 + spectra.imag**2


def moving_average(values: np.ndarray, size: int) -> np.ndarray:
    """[N, F] to [N - size + 1, F]."""
    sums = np.cumsum(values, axis=0, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(sums[:1]), sums])
    return (sums[size:] - sums[:-size]) / size
