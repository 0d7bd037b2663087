"""Views of a song: its sound changed a little and encoded beside it, so that priors see more than the catalog holds.

A view takes sound [C, T], what is known of the song, and a generator; it returns both as they are in the view. Codes are
made once, so what augments sound has to come before them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import librosa
import numpy as np

from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

Rng = np.random.Generator
View = Callable[[np.ndarray, Song, Rng], tuple[np.ndarray, Song]]


def view_id(song_id: str, name: str) -> str:
    return f"{song_id}_{name}"


def make_view(name: str, view: View, sound: np.ndarray, song: Song) -> tuple[np.ndarray, Song]:
    """A view under an id of its own, the same one every time."""
    seed = int.from_bytes(hashlib.sha256(view_id(song.id, name).encode()).digest()[:8], "big")
    seen, known = view(sound, song, np.random.default_rng(seed))
    return seen, dataclasses.replace(known, id=view_id(song.id, name), duration=seen.shape[1])


class Shift:
    """Begins up to `most` samples later, so that every code falls on other samples: below the top hop of 128."""

    def __init__(self, most: int = 127):
        require("most", most, most > 0, "above 0")
        self.most = most

    def __call__(self, sound: np.ndarray, song: Song, rng: Rng) -> tuple[np.ndarray, Song]:
        later = min(int(rng.integers(1, self.most + 1)), sound.shape[1] - 1)
        return sound[:, later:], retimed(song, lambda seconds: max(seconds - later / song.sample_rate, 0.0))


class Gain:
    """Softer by up to `most` decibels."""

    def __init__(self, most: float = 6.0):
        require("most", most, most > 0, "above 0")
        self.most = most

    def __call__(self, sound: np.ndarray, song: Song, rng: Rng) -> tuple[np.ndarray, Song]:
        return sound * np.float32(10 ** (-rng.uniform(0.0, self.most) / 20)), song


class Blend:
    """Another mix of the two channels to one; a mono song stays as it is (released option `aug_blend`)."""

    def __call__(self, sound: np.ndarray, song: Song, rng: Rng) -> tuple[np.ndarray, Song]:
        left = np.float32(rng.uniform())
        return (sound if len(sound) == 1 else left * sound[:1] + (1 - left) * sound[1:2]), song


class Pitch:
    """Higher by some semitones (negative: lower), as long as before."""

    def __init__(self, semitones: float):
        require("semitones", semitones, -12 <= semitones <= 12 and semitones != 0, "between -12 and 12, and not 0")
        self.semitones = semitones

    def __call__(self, sound: np.ndarray, song: Song, rng: Rng) -> tuple[np.ndarray, Song]:
        return librosa.effects.pitch_shift(sound, sr=song.sample_rate, n_steps=self.semitones), song


class Tempo:
    """Faster by a factor (below 1: slower), as high as before; the times of the words follow."""

    def __init__(self, factor: float):
        require("factor", factor, 0.5 <= factor <= 2 and factor != 1, "between 0.5 and 2, and not 1")
        self.factor = factor

    def __call__(self, sound: np.ndarray, song: Song, rng: Rng) -> tuple[np.ndarray, Song]:
        seen = librosa.effects.time_stretch(sound, rate=self.factor)
        return seen, retimed(song, lambda seconds: seconds / self.factor)


def retimed(song: Song, move: Callable[[float], float]) -> Song:
    words = tuple(Word(word.text, move(word.start), move(word.end)) for word in song.words)
    return dataclasses.replace(song, words=words)


def require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise UserError(f"views: {name}={value}, expected a number {expected}")
