"""Without any model: words are where the voice is loud, and lines begin after its pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.fft import next_fast_len

from jukebox_pl.audio import downmix
from jukebox_pl.catalog.aligners.aligner import require_alignment, seconds_of, spread
from jukebox_pl.types import Word

VOICE_HERTZ = (200.0, 4000.0)
FRAME_SECONDS = 0.05
STEPS_PER_SECOND, STEPS_PER_LINE = 10, 4


@dataclass
class ActivityAligner:
    """Time is counted by a clock that runs as fast as the voice is loud; on it every character takes as long as any other.

    A line may begin elsewhere to follow a pause: one of `pause` seconds is worth `drift` seconds' distance from where
    the clock would have it. Meant for separated vocals; on a mix the band is heard as singing.
    """

    drift: float = 4.0
    pause: float = 1.0

    def __call__(self, vocals: np.ndarray, sample_rate: int, lyrics: str) -> list[Word]:
        seconds = seconds_of(vocals, sample_rate)
        lines = [line.split() for line in lyrics.splitlines() if line.strip()]
        if not lines:
            return []
        level = loudness(downmix(vocals), sample_rate)
        clock = np.append(0, np.cumsum(level / level.sum()))
        times = np.minimum(np.arange(len(clock)) * FRAME_SECONDS, seconds)
        starts = self._starts(lines, clock, times)
        words = [
            word for line, (start, end) in zip(lines, pairwise(starts), strict=True) for word in spread(line, start, end)
        ]
        placed = [Word(text, *np.interp([start, end], clock, times).tolist()) for text, start, end in words]
        return require_alignment(placed, lyrics, seconds)

    def _starts(self, lines: Sequence[Sequence[str]], clock: np.ndarray, times: np.ndarray) -> np.ndarray:
        """When each line begins and the last one ends, by the clock, which goes from 0 to 1: [lines + 1]."""
        steps = max(round(times[-1] * STEPS_PER_SECOND), STEPS_PER_LINE * len(lines))
        lengths = [sum(len(word) + 1 for word in line) for line in lines]
        expected = np.append(0, np.cumsum(lengths)) / sum(lengths) * steps
        around = np.arange(steps + 1) + np.array([[-1], [1]])
        before, after = np.interp(around / steps, clock, times)
        pauses = np.clip((after - before - 2 * times[-1] / steps) / self.pause, 0, 1)
        starts = place_lines(expected, pauses, self.drift / times[-1] * steps).astype(float)
        starts[:-1] += 0.5  # behind the pause, not before it
        return starts / steps


def loudness(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """The effective value, between VOICE_HERTZ, of each frame of sound [T]; never quite zero."""
    length = next_fast_len(len(sound), real=True)  # other lengths take up to thirty times as long
    spectrum, hertz = np.fft.rfft(sound, length), np.fft.rfftfreq(length, 1 / sample_rate)
    low, high = VOICE_HERTZ
    voice = np.fft.irfft(np.where((hertz >= low) & (hertz <= high), spectrum, 0), length)[: len(sound)]
    frame = round(FRAME_SECONDS * sample_rate)
    level = np.sqrt(np.square(np.pad(voice, (0, -len(voice) % frame))).reshape(-1, frame).mean(axis=1))
    return level + 1e-3 * level.mean() + 1e-9


def place_lines(expected: np.ndarray, pauses: np.ndarray, drift: float) -> np.ndarray:
    """The steps [lines + 1] at which lines begin and the last ends, given those `expected`.

    The dearest is a distance of `drift` steps, at 1, a pause [steps + 1] saves up to as much; no line is shorter than half.
    """
    places, shortest = np.arange(len(pauses)), np.maximum(np.diff(expected) / 2, 1).astype(int)
    cost = np.where(places == 0, 0.0, np.inf)
    came_from = []
    for start, room in zip(expected[1:-1], shortest[:-1], strict=True):
        best = np.minimum.accumulate(cost)
        chosen = np.maximum.accumulate(np.where(cost == best, places, 0))
        came_from.append(np.append(np.zeros(room, int), chosen[:-room]))
        cost = np.append(np.full(room, np.inf), best[:-room]) + ((places - start) / drift) ** 2 - pauses
    cost[len(cost) - shortest[-1] :] = np.inf
    line_starts = [int(cost.argmin())]
    for origin in reversed(came_from):
        line_starts.append(int(origin[line_starts[-1]]))
    return np.array([*reversed(line_starts), places[-1]])
