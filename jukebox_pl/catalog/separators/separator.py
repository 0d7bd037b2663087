"""What separators share: the call, the pieces of a long song, the rate a model wants, the check of what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from jukebox_pl.audio.files import resample, to_channels
from jukebox_pl.errors import UserError

MODEL_RATE = 44_100
SILENCE = 1e-5  # of the song's peak, -100 dB: a separator that fails answers with zeros, a weak one with more


class Separator(Protocol):
    """Takes the singing out of a song. Built from YAML by `_target_`; loads what it needs on its first call."""

    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """The vocals of audio [C, T]: float32 [C, T]. Raises UserError when they are nothing anyone should use."""


class StereoSeparator(ABC):
    """A separator around a model that hears stereo at MODEL_RATE."""

    @abstractmethod
    def separate(self, stereo: np.ndarray) -> np.ndarray:
        """The vocals of [2, T] at MODEL_RATE."""

    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """The vocals of audio [C, T] at `sample_rate`: float32 [C, T]. Raises UserError when they are of no use."""
        stereo = to_channels(resample(audio, sample_rate, MODEL_RATE), 2)
        vocals = to_channels(resample(self.separate(stereo), MODEL_RATE, sample_rate), len(audio))
        missing = max(audio.shape[1] - vocals.shape[1], 0)
        vocals = np.pad(vocals, ((0, 0), (0, missing)))[:, : audio.shape[1]]
        return require_vocals(vocals, audio)


class Piece(NamedTuple):
    """Samples `start` to `stop` of a song are heard, of which `first` to `last` are kept."""

    start: int
    stop: int
    first: int
    last: int

    def keep(self, sound: np.ndarray) -> np.ndarray:
        """The kept part of [C, stop - start]."""
        return sound[:, self.first - self.start : self.last - self.start]


def cut(total: int, length: int, margin: int) -> Iterator[Piece]:
    """Pieces of `length` samples that make up `total`, heard with a `margin` on either side: for work in bounded memory.

    What is kept of them adds up to the answer to the whole when `length` and `margin` are multiples of the step that a
    separator works in and `margin` is at least as far as it listens.
    """
    for first in range(0, total, length):
        last = min(first + length, total)
        yield Piece(max(first - margin, 0), min(last + margin, total), first, last)


def require_vocals(vocals: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """`vocals` as float32. Raises UserError when they have another shape than audio [C, T], are not numbers, or silent."""
    if vocals.shape != audio.shape:
        raise UserError(f"the separator answered with {vocals.shape} (channels, samples) to {audio.shape}: check its model")
    if not np.isfinite(vocals).all():
        raise UserError("the separator answered with NaN or infinite samples: check its weights")
    if np.abs(vocals).max(initial=0) < SILENCE * np.abs(audio).max(initial=0):
        raise UserError("the separator answered with silence: check its weights, or leave out songs without singing")
    return vocals.astype(np.float32, copy=False)
