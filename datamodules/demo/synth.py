"""Songs made of numbers: a voice with a sound of its own for every character, and three small bands to sing with.

Time is a grid of equal slots, one character each, CHARACTERS_PER_BEAT to a beat. Sounds are float64 [samples].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jukebox_pl.types import Word

CHARACTERS_PER_BEAT = 2
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
    vocal = frames * np.stack([envelope(sound, slot, sample_rate) for sound in sounds])
    return vocal.reshape(-1), sung_words(text, slot / sample_rate, rest)


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
    """The voiced part [slots, slot]. The phase runs through the rests: a slot's sound depends on its own character only."""
    rate, depth = artist.vibrato
    seconds = np.arange(len(notes) * slot) / sample_rate
    bent = np.repeat(notes, slot) + depth * np.sin(2 * np.pi * rate * seconds)
    phase = (2 * np.pi * np.cumsum(hertz(bent)) / sample_rate % (2 * np.pi)).astype(np.float32).reshape(-1, slot)
    gains = harmonic_gains(sounds, artist, hertz(notes), sample_rate)
    return sum(gain[:, None] * np.sin(k * phase) for k, gain in enumerate(gains.T, start=1))


def harmonic_gains(sounds: list[Sound], artist: Artist, pitch: np.ndarray, sample_rate: int) -> np.ndarray:
    """Gains [slots, harmonics] of tones at `pitch` [slots] Hz, at equal power for every sound with formants."""
    top = 0.45 * sample_rate
    number = np.arange(1, int(top / pitch.min()) + 1)
    frequency = pitch[:, None] * number
    source = number**-artist.tilt * np.where(number % 2, 1.0, artist.even) * (frequency < top)
    gains = source * np.stack([resonance(sound, f / artist.tract) for sound, f in zip(sounds, frequency, strict=True)])
    power = np.sqrt((gains**2).sum(axis=1, keepdims=True))
    return (gains / np.maximum(power, 1e-9)).astype(np.float32)


def resonance(sound: Sound, frequency: np.ndarray) -> np.ndarray:
    """What the formants of a sound let through at each frequency in Hz, the higher ones softer."""
    peaks = [0.7**i / (1 + ((frequency - f) / (50 + 0.05 * f)) ** 2) for i, f in enumerate(sound.formants)]
    return np.sum(peaks, axis=0) if peaks else np.zeros_like(frequency)


def hisses(sounds: list[Sound], artist: Artist, slot: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The unvoiced part [slots, slot]: noise in each sound's own band, and breath in the sung ones."""
    spectrum = np.fft.rfft(rng.standard_normal((len(sounds), slot)))
    frequency = np.fft.rfftfreq(slot, 1 / sample_rate)
    low, high = np.array([sound.noise or BREATH_BAND for sound in sounds]).T[..., None]
    noise = np.fft.irfft(spectrum * ((frequency >= low) & (frequency <= high)), n=slot)
    level = np.array([1.0 if sound.noise else artist.breath * bool(sound.formants) for sound in sounds])
    return noise / noise.std(axis=1, keepdims=True) * 0.5 * level[:, None]


def envelope(sound: Sound, slot: int, sample_rate: int) -> np.ndarray:
    """The loudness [slot] of a sound over its slot."""
    sounding = round(sound.length * slot)
    tremble = 0.5 - 0.5 * np.cos(2 * np.pi * sound.trill * np.arange(sounding) / sample_rate) if sound.trill else 1.0
    return np.pad(sound.loudness * tremble * fade(sounding, sample_rate), (0, slot - sounding))


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

    @property
    def slots_per_bar(self) -> int:
        return self.beats * CHARACTERS_PER_BEAT

    def slot(self, sample_rate: int) -> int:
        """Samples of one character."""
        return round(sample_rate / self.characters_per_second)


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


def harmony(genre: Genre, bars: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One of the genre's progressions, repeated: the MIDI notes of a chord for every bar."""
    names = rng.choice(genre.progressions).split()
    return [genre.tonic + np.array(CHORDS[names[bar % len(names)]]) for bar in range(bars)]
