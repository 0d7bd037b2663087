"""Voices made of numbers: every character has a sound of its own, every artist a way to sing it.

Time is a grid of equal slots, one character each. Sounds are float64 [samples].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jukebox_pl.types import Word

FADE_SECONDS = 0.006
BREATH_BAND = (1500.0, 4500.0)


class Sound(NamedTuple):
    """What a character sounds like; with neither formants nor noise it is a rest.

    `formants` in Hz shape the sung tone, `noise` (low, high) in Hz is a band of hiss, `trill` in Hz makes both tremble.
    `length` is the sounding part of a slot, `slots` how many of them the character takes.
    """

    formants: tuple[float, ...] = ()
    noise: tuple[float, float] | None = None
    length: float = 1.0
    loudness: float = 1.0
    trill: float = 0.0
    slots: int = 1


REST = Sound()
CHARACTER_SOUNDS = {
    "a": Sound(formants=(800, 1250, 2600)),
    "e": Sound(formants=(480, 1900, 2600)),
    "i": Sound(formants=(280, 2400, 3100)),
    "o": Sound(formants=(480, 850, 2500)),
    "u": Sound(formants=(300, 620)),
    "l": Sound(formants=(350, 1050, 3200), length=0.6, loudness=0.5),
    "m": Sound(formants=(220,), loudness=0.5),
    "n": Sound(formants=(240, 1500), length=0.8, loudness=0.45),
    "r": Sound(formants=(450, 1300), loudness=0.6, trill=28),
    "b": Sound(formants=(180,), noise=(150, 600), length=0.5, loudness=0.6),
    "d": Sound(formants=(180,), noise=(2200, 3400), length=0.35, loudness=0.5),
    "z": Sound(formants=(250,), noise=(3400, 5200), length=0.9, loudness=0.5),
    "s": Sound(noise=(3600, 5300), length=0.9, loudness=0.45),
    "f": Sound(noise=(700, 5000), length=0.75, loudness=0.3),
    "t": Sound(noise=(2800, 5000), length=0.25, loudness=0.7),
    "k": Sound(noise=(1300, 2200), length=0.25, loudness=0.7),
    "p": Sound(noise=(250, 900), length=0.2, loudness=0.7),
    " ": REST,
    "\n": REST._replace(slots=2),
}


class Artist(NamedTuple):
    """A voice around the MIDI note `register`. `tract` stretches its formants, `vibrato` is in (Hz, semitones).

    Harmonic k has gain k ** -`tilt`, the even ones times `even`; `breath` is the level of hiss in a sung tone.
    """

    register: int
    tract: float = 1.0
    vibrato: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.5
    even: float = 1.0
    breath: float = 0.0


ARTISTS = {
    "Otto Grave": Artist(register=45, tract=0.86, tilt=0.8),
    "Tin Timothy": Artist(register=52, tilt=0.1, even=0.1),
    "Mira Hush": Artist(register=59, tract=1.05, tilt=0.9, breath=0.35),
    "Ada Bell": Artist(register=66, tract=1.18, vibrato=(6.0, 0.35), tilt=0.4),
}


def hertz(notes: np.ndarray | float) -> np.ndarray:
    """MIDI notes to Hz."""
    return 440.0 * 2.0 ** ((np.asarray(notes) - 69) / 12)


def whole_turns(notes: np.ndarray, per_second: float) -> np.ndarray:
    """The nearest MIDI notes of a multiple of `per_second` Hz, at least that: a natural scale."""
    pitch = np.maximum(np.round(hertz(notes) / per_second), 1) * per_second
    return 69 + 12 * np.log2(pitch / 440)


def fade(samples: int, sample_rate: int, seconds: float = FADE_SECONDS) -> np.ndarray:
    """Gain [samples] that rises and falls over at most `seconds`: an edge without a click."""
    distance = np.minimum(np.arange(samples), np.arange(samples)[::-1])
    ramp = np.minimum(distance / (seconds * sample_rate), 1.0)
    return np.sin(ramp * np.pi / 2) ** 2


def sing(
    text: str, artist: Artist, notes: np.ndarray, slot: int, sample_rate: int, rng: np.random.Generator, rest: int = 0
) -> tuple[np.ndarray, list[Word]]:
    """Sings `text` after `rest` slots, on `notes` [slots] (MIDI) of `slot` samples each: vocal [slots * slot] and its words.

    Raises KeyError on a character without a sound and ValueError when the notes run out before the text does.
    """
    sounds = [REST] * rest + [sound for c in text for sound in [CHARACTER_SOUNDS[c]] * CHARACTER_SOUNDS[c].slots]
    if len(sounds) > len(notes):
        raise ValueError(f"{len(sounds)} slots to sing but {len(notes)} notes: shorten the text or lengthen the song")
    sounds += [REST] * (len(notes) - len(sounds))
    frames = sung_tones(sounds, artist, notes, slot, sample_rate) + hisses(sounds, artist, slot, sample_rate, rng)
    for frame, sound in zip(frames, sounds, strict=True):
        sounding = round(sound.length * slot)
        tremble = 0.5 - 0.5 * np.cos(2 * np.pi * sound.trill * np.arange(sounding) / sample_rate) if sound.trill else 1.0
        frame *= np.pad(sound.loudness * tremble * fade(sounding, sample_rate), (0, slot - sounding))
    return frames.reshape(-1), sung_words(text, slot / sample_rate, rest)


def sung_words(text: str, slot_seconds: float, rest: int) -> list[Word]:
    """The words of `text` with their times, when its first character is sung in slot `rest`."""
    slots = [CHARACTER_SOUNDS[c].slots for c in text]
    starts = rest + np.cumsum([0, *slots])
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        start, end = starts[at], starts[at + len(word)]
        words.append(Word(word, float(start * slot_seconds), float(end * slot_seconds)))
        at += len(word)
    return words


def sung_tones(sounds: list[Sound], artist: Artist, notes: np.ndarray, slot: int, sample_rate: int) -> np.ndarray:
    """The voiced part [slots, slot], at equal power for every sound with formants.

    The phase runs through the rests: a slot's sound depends on its own character only.
    """
    rate, depth = artist.vibrato
    seconds = np.arange(len(notes) * slot) / sample_rate
    bent = np.repeat(notes, slot) + depth * np.sin(2 * np.pi * rate * seconds)
    phase = (2 * np.pi * np.cumsum(hertz(bent)) / sample_rate % (2 * np.pi)).astype(np.float32).reshape(-1, slot)
    pitch, top = hertz(notes), 0.45 * sample_rate  # harmonics end a little below the Nyquist frequency, vibrato included
    number = np.arange(1, int(top / pitch.min()) + 1)
    frequency = pitch[:, None] * number  # [slots, harmonics]
    gains = number**-artist.tilt * np.where(number % 2, 1.0, artist.even) * (frequency < top)
    for gain, sound, heard in zip(gains, sounds, frequency / artist.tract, strict=True):
        # What the formants let through at each frequency, the higher ones softer.
        peaks = [0.7**i / (1 + ((heard - f) / (50 + 0.05 * f)) ** 2) for i, f in enumerate(sound.formants)]
        gain *= np.sum(peaks, axis=0) if peaks else 0.0
    power = np.sqrt((gains**2).sum(axis=1, keepdims=True))
    gains = (gains / np.maximum(power, 1e-9)).astype(np.float32)
    return sum(gain[:, None] * np.sin(k * phase) for k, gain in enumerate(gains.T, start=1))


def hisses(sounds: list[Sound], artist: Artist, slot: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The unvoiced part [slots, slot]: noise in each sound's own band, and breath in the sung ones."""
    spectrum = np.fft.rfft(rng.standard_normal((len(sounds), slot)))
    frequency = np.fft.rfftfreq(slot, 1 / sample_rate)
    low, high = np.array([sound.noise or BREATH_BAND for sound in sounds]).T[..., None]
    noise = np.fft.irfft(spectrum * ((frequency >= low) & (frequency <= high)), n=slot)
    level = np.array([1.0 if sound.noise else artist.breath * bool(sound.formants) for sound in sounds])
    return noise / noise.std(axis=1, keepdims=True) * 0.5 * level[:, None]
