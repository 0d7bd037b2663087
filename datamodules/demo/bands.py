"""Bands made of numbers: three genres with chords, a rhythm and a melody to sing. Tracks are float64 [samples]."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from datamodules.demo.voices import fade, hertz

CHARACTERS_PER_BEAT = 2


def tone(note: float, samples: int, sample_rate: int, partials: np.ndarray) -> np.ndarray:
    """A steady tone whose k-th harmonic has gain partials[k - 1]; those above the Nyquist frequency are left out."""
    pitch = hertz(note)
    phase = (2 * np.pi * pitch / sample_rate * np.arange(samples)).astype(np.float32)
    audible = partials[: int(0.45 * sample_rate / pitch)]
    return sum((gain * np.sin(k * phase) for k, gain in enumerate(audible, start=1) if gain), np.zeros(samples))


def decay(samples: int, sample_rate: int, seconds: float) -> np.ndarray:
    """Gain [samples] that dies away, to a third every `seconds`."""
    return np.exp(-np.arange(samples) / (seconds * sample_rate)) * fade(samples, sample_rate)


def add(track: np.ndarray, start: int, sound: np.ndarray) -> None:
    """Mixes `sound` into `track` from sample `start`; what would go beyond the end is dropped."""
    room = max(len(track) - start, 0)
    track[start : start + len(sound)] += sound[:room]


SOFT = 0.5 ** np.arange(5)
SQUARE = np.array([1 / k if k % 2 else 0.0 for k in range(1, 20)])
SAW = 1 / np.arange(1, 9)

Band = Callable[[np.ndarray, list[np.ndarray], int, int, np.random.Generator], None]


def waltz(track: np.ndarray, chords: list[np.ndarray], beat: int, sample_rate: int, rng: np.random.Generator) -> None:
    """Plucked: a bass note, then the chord twice."""
    length = round(0.6 * sample_rate)
    pluck = decay(length, sample_rate, 0.2)
    for bar, chord in enumerate(chords):
        strum = sum(tone(note, length, sample_rate, SOFT) for note in chord) * pluck
        add(track, 3 * bar * beat, 1.5 * tone(chord[0] - 12, length, sample_rate, SOFT) * pluck)
        add(track, (3 * bar + 1) * beat, 0.6 * strum)
        add(track, (3 * bar + 2) * beat, 0.6 * strum)


def march(track: np.ndarray, chords: list[np.ndarray], beat: int, sample_rate: int, rng: np.random.Generator) -> None:
    """Square waves: an arpeggio in half beats, a bass on beats one and three, a snare of noise on two and four."""
    step = beat // 2
    drum = decay(step, sample_rate, 0.03)
    for bar, chord in enumerate(chords):
        start = 4 * bar * beat
        for i in range(8):
            blip = tone(chord[i % len(chord)] + 12, step, sample_rate, SQUARE) * decay(step, sample_rate, 0.06)
            add(track, start + i * step, 0.6 * blip)
        bass = tone(chord[0] - 12, beat, sample_rate, SQUARE) * fade(beat, sample_rate)
        for i in (0, 2):
            add(track, start + i * beat, 0.6 * bass)
            add(track, start + (i + 1) * beat, 0.5 * rng.standard_normal(step) * drum)


def drone(track: np.ndarray, chords: list[np.ndarray], beat: int, sample_rate: int, rng: np.random.Generator) -> None:
    """Slow pads, each note twice and a little out of tune, swelling over two bars into the next one's."""
    length = 8 * beat
    swell = np.sin(np.pi * np.arange(length) / length) ** 2
    for bar, chord in enumerate(chords, start=-1):
        detuned = (note + cents / 100 for note in (*chord, chord[0] - 12) for cents in (-6, 6))
        pad = sum(tone(note, length, sample_rate, SAW) for note in detuned) * swell
        start = 4 * bar * beat
        add(track, max(start, 0), 0.35 * pad[max(-start, 0) :])


class Genre(NamedTuple):
    """A way to play, `beats` to a bar. `tonic` is a MIDI note, `scale` is in semitones above it.

    `progressions` are names of CHORDS, one a bar.
    """

    band: Band
    beats: int
    characters_per_second: float
    tonic: int
    scale: tuple[int, ...]
    progressions: tuple[str, ...]


# Semitones above the tonic, the root first.
CHORDS = {
    "i": (0, 3, 7),
    "iv": (5, 8, 12),
    "V": (-5, -1, 2),
    "VI": (-4, 0, 3),
    "I": (0, 4, 7),
    "IV": (5, 9, 12),
    "vi": (-3, 0, 4),
    "1": (0, 7, 12),
    "7": (-2, 5, 10),
}
GENRES = {
    "Waltz": Genre(waltz, 3, 6.0, 57, (0, 2, 3, 5, 7, 8, 11), ("i iv V i", "i VI iv V", "i V VI iv")),
    "March": Genre(march, 4, 8.0, 60, (0, 2, 4, 5, 7, 9, 11), ("I IV V I", "I vi IV V", "I V vi IV")),
    "Drone": Genre(drone, 4, 7.0, 50, (0, 2, 5, 7, 10), ("1 1 7 1", "1 7 7 1", "1 1 1 7")),
}


def slot_samples(genre: str, sample_rate: int, step: int | None = None) -> int:
    """How long a character is sung, a multiple of `step` where there is one."""
    samples = sample_rate / GENRES[genre].characters_per_second
    return round(samples / step) * step if step else round(samples)


def melody(chords: list[np.ndarray], genre: Genre, register: int, rng: np.random.Generator) -> np.ndarray:
    """A walk on the scale around `register`, one note a beat and a chord's own on the first of a bar: MIDI notes [slots]."""
    near = genre.tonic + np.arange(-60, 61)
    ladder = near[np.isin((near - genre.tonic) % 12, genre.scale) & (np.abs(near - register) <= 7)]
    steps, at = [], len(ladder) // 2
    for chord in chords:
        at = min(np.flatnonzero(np.isin(ladder % 12, chord % 12)).tolist(), key=lambda i: abs(i - at))
        for _ in range(genre.beats):
            steps.append(ladder[at])
            at = int(np.clip(at + rng.integers(-2, 3), 0, len(ladder) - 1))
    return np.repeat(steps, CHARACTERS_PER_BEAT)
