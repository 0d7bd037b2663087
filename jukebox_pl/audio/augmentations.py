"""Augmentations: a song changed a little and encoded beside itself, so that priors see more than the catalog holds.

Each takes audio [C, T], what is known of the song, and a generator; it returns both as they are afterwards. Codes are made
once, so what augments sound has to come before them. The setting is `views=`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import librosa
import numpy as np

from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

Augmented = tuple[np.ndarray, Song]
Augmentation = Callable[[np.ndarray, Song, np.random.Generator], Augmented]


def augmented_id(song_id: str, name: str) -> str:
    return f"{song_id}_{name}"


def augment(name: str, augmentation: Augmentation, audio: np.ndarray, song: Song) -> Augmented:
    """An augmented song under an id of its own, the same one every time: the id is the seed."""
    id = augmented_id(song.id, name)
    seed = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big")
    changed, known = augmentation(audio, song, np.random.default_rng(seed))
    return changed, dataclasses.replace(known, id=id, duration=changed.shape[1])


class Shift:
    """Begins up to `most` samples later, so that every code falls on other samples: below the top hop of 128."""

    def __init__(self, most: int = 127):
        if not most > 0:
            raise UserError(f"views: most={most}, expected a number above 0")
        self.most = most

    def __call__(self, audio: np.ndarray, song: Song, rng: np.random.Generator) -> Augmented:
        later = min(int(rng.integers(1, self.most + 1)), audio.shape[1] - 1)
        seconds = later / song.sample_rate
        words = tuple(Word(text, max(start - seconds, 0.0), max(end - seconds, 0.0)) for text, start, end in song.words)
        return audio[:, later:], dataclasses.replace(song, words=words)


class Gain:
    """Softer by up to `most` decibels."""

    def __init__(self, most: float = 6.0):
        if not most > 0:
            raise UserError(f"views: most={most}, expected a number above 0")
        self.most = most

    def __call__(self, audio: np.ndarray, song: Song, rng: np.random.Generator) -> Augmented:
        return audio * np.float32(10 ** (-rng.uniform(0.0, self.most) / 20)), song


class Blend:
    """Another mix of the two channels to one; a mono song stays as it is (released option `aug_blend`)."""

    def __call__(self, audio: np.ndarray, song: Song, rng: np.random.Generator) -> Augmented:
        left = np.float32(rng.uniform())
        return (audio if len(audio) == 1 else left * audio[:1] + (1 - left) * audio[1:2]), song


class Pitch:
    """Higher by some semitones (negative: lower), as long as before."""

    def __init__(self, semitones: float):
        if not -12 <= semitones <= 12 or semitones == 0:
            raise UserError(f"views: semitones={semitones}, expected a number between -12 and 12, and not 0")
        self.semitones = semitones

    def __call__(self, audio: np.ndarray, song: Song, rng: np.random.Generator) -> Augmented:
        return librosa.effects.pitch_shift(audio, sr=song.sample_rate, n_steps=self.semitones), song


class Tempo:
    """Faster by a factor (below 1: slower), as high as before; the times of the words follow."""

    def __init__(self, factor: float):
        if not 0.5 <= factor <= 2 or factor == 1:
            raise UserError(f"views: factor={factor}, expected a number between 0.5 and 2, and not 1")
        self.factor = factor

    def __call__(self, audio: np.ndarray, song: Song, rng: np.random.Generator) -> Augmented:
        stretched = librosa.effects.time_stretch(audio, rate=self.factor)
        words = tuple(Word(text, start / self.factor, end / self.factor) for text, start, end in song.words)
        return stretched, dataclasses.replace(song, words=words)
