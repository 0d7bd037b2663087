"""Songs a doctor has nothing to say of: notes, a beat and some noise, every seed another song."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from jukebox_pl.catalog.doctor import ExaminedSong, examine
from jukebox_pl.types import Song

RATE = 22_050
NOTE_SECONDS = 0.2
LYRICS = "one two three four five six seven eight\n" * 4

Sound = np.ndarray


def make_sound(seed: int = 0, seconds: float = 20.0, rate: int = RATE) -> Sound:
    """Stereo [2, T]: a plucked scale on both sides, a hiss on each."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(NOTE_SECONDS * rate)) / rate
    pitches = 220 * 2 ** (rng.integers(0, 24, (round(seconds / NOTE_SECONDS), 2)) / 12)
    partials = np.arange(1, 9)[:, None]
    notes = [
        np.sin(2 * np.pi * pitch * partials * time) / partials * np.exp(-8 * time) for pair in pitches for pitch in pair
    ]
    melody = np.reshape([note.sum(axis=0) for note in notes], (len(pitches), 2, len(time))).sum(axis=1).ravel()
    beat = np.tile(np.exp(-30 * time), len(pitches)) * rng.standard_normal(len(melody))
    sound = melody + 0.5 * beat + 0.05 * rng.standard_normal((2, len(melody)))
    return (0.8 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.fixture(scope="session")
def clean() -> Sound:
    return make_sound()


@pytest.fixture(scope="session")
def synthesize() -> Callable[..., Sound]:
    """synthesize(seed): another song for every seed."""
    return make_sound


@pytest.fixture(scope="session")
def examined(clean: Sound) -> Callable[..., ExaminedSong]:
    """examined(artist="A", lyrics="..."): a kept song of 20 s, healthy but for what is said; its path is its id."""
    stats = examine(clean, RATE)

    def make(id: str = "song", sound: Sound | None = None, warnings=(), split: str = "train", **facts) -> ExaminedSong:
        known = {"title": "T", "artist": "A", "genres": ("G",), "lyrics": LYRICS, "language": "en", "license": "CC0"}
        measured = replace(stats, fingerprint="") if sound is None else examine(sound, RATE)
        song = Song(id, round(measured.seconds * RATE), RATE, **(known | facts))
        return ExaminedSong(song, id, measured, tuple(warnings), split)

    return make
