"""Three ways to ask which of many songs a short sound is closest to, and where: by codes, by spectrum, by fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import librosa
import numpy as np

from jukebox_pl.audio.fingerprint import BITS, SECONDS_PER_WORD, SILENCE, fingerprint, span_seconds, words_of
from jukebox_pl.evaluation.code_index import CodeIndex

FLOOR = 1e-3  # of a sound's loudest mel band; below it codecs differ
HIGHEST_HERTZ = 1500.0  # above it a small codec keeps little
FLATTEST = 0.1  # standard deviation of a window's log-mel in nepers; below, it is silence
LEAST_HEARD = 0.5  # of the words of two excerpts, for their bits to say something


class Match(NamedTuple):
    """`seconds` of a sound from `start_seconds` are most like those of a song, by its number, from `song_seconds`."""

    score: float  # higher is closer
    song: int
    song_seconds: float
    start_seconds: float
    seconds: float


NO_MATCH = Match(0.0, -1, 0.0, 0.0, 0.0)


class Similarity(Protocol):
    """Compares what `features` made of sounds."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str:
        """What the score is, for a reader."""

    def features(self, audio: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Of audio [N] and its codes [T_l] of every level."""

    def nearest(self, songs: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> list[Match]:
        """For every sound the closest place of all songs; NO_MATCH where nothing can be compared."""


@dataclass(frozen=True)
class SharedCodes:
    """The longest run of codes of one level that a song shares, in different pairs of neighbours: silence counts nothing.

    `groups` [bins] are the codes that count as one: codes close to each other are exchanged by the slightest change.
    """

    level: int
    groups: np.ndarray
    code_seconds: float
    name: str = "codes"
    unit: str = "different pairs of codes in the longest shared run"

    def features(self, audio: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        return self.groups[codes[self.level]]

    def nearest(self, songs: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> list[Match]:
        index, seconds = CodeIndex(songs), self.code_seconds
        runs = (next(iter(index.runs(codes)), None) for codes in sounds)
        return [
            Match(run.novelty, run.song, run.song_start * seconds, run.start * seconds, run.length * seconds)
            if run
            else NO_MATCH
            for run in runs
        ]


@dataclass(frozen=True)
class MelCorrelation:
    """The correlation of log-mel windows, 1 for equal ones at any loudness. Every sound is taken relative to its mean
    spectrum, which says what it was recorded with rather than what is played."""

    sample_rate: int
    window_seconds: float = 1.5
    frame_seconds: float = 0.05
    bands: int = 60
    name: str = "spectrum"
    unit: str = "correlation of log-mel windows"

    def features(self, audio: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        hop = round(self.frame_seconds * self.sample_rate)
        if len(audio) < 2 * hop:
            return np.empty((0, self.bands), np.float16)
        highest = min(HIGHEST_HERTZ, self.sample_rate / 2)
        mel = librosa.feature.melspectrogram(
            y=audio, sr=self.sample_rate, n_fft=2 * hop, hop_length=hop, center=False, n_mels=self.bands, fmax=highest
        )
        log_mel = np.log(np.maximum(mel, max(FLOOR * mel.max(), np.finfo(np.float32).tiny))).T  # [frames, bands]
        return (log_mel - log_mel.mean(0)).astype(np.float16)  # those of all songs are in memory together

    def nearest(self, songs: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> list[Match]:
        length = max(min(round(self.window_seconds / self.frame_seconds), *map(len, sounds)), 1)
        step, seconds = max(length // 4, 1), self.frame_seconds
        windows = [unit_windows(sound, length, step) for sound in sounds]
        places = (unit_windows(song, length, 1) for song in songs)
        found = closest(windows, places, lambda window, place: window @ place.T)
        return [match(best, step * seconds, seconds, length * seconds) for best in found]


@dataclass(frozen=True)
class FingerprintAgreement:
    """The share of equal bits of the fingerprints of excerpts, which bear another encoding or gain; 0.5 is chance."""

    sample_rate: int
    excerpt_seconds: float = 5.0  # or the whole sound where it is shorter
    name: str = "fingerprint"
    unit: str = "share of equal bits"

    def features(self, audio: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
        return words_of(fingerprint(audio, self.sample_rate))

    def nearest(self, songs: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> list[Match]:
        wanted = 1 + int((self.excerpt_seconds - span_seconds(1)) / SECONDS_PER_WORD)
        length = max(min(wanted, *map(len, sounds)), 1)
        step = max(length // 4, 1)
        excerpts = [windows_of(sound, length, step) for sound in sounds]
        found = closest(excerpts, (windows_of(song, length, 1) for song in songs), equal_bits)
        return [match(best, step * SECONDS_PER_WORD, SECONDS_PER_WORD, span_seconds(length)) for best in found]


class Best(NamedTuple):
    """The highest score of a sound's windows at all places of all songs, and which window, song and place it was."""

    score: float = 0.0
    song: int = -1
    place: int = 0
    window: int = 0


def closest(
    sounds: Sequence[np.ndarray], songs: Iterable[np.ndarray], scores: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> list[Best]:
    """For the windows [n, ...] of every sound; `scores` of them and those of a song [p, ...] are [n, p]."""
    best = [Best()] * len(sounds)
    for number, places in enumerate(songs):
        for i, windows in enumerate(sounds):
            here = scores(windows, places)
            if here.max(initial=0) > best[i].score:
                window, place = np.unravel_index(here.argmax(), here.shape)
                best[i] = Best(float(here.max()), number, int(place), int(window))
    return best


def match(best: Best, step_seconds: float, place_seconds: float, seconds: float) -> Match:
    if best.song < 0:
        return NO_MATCH
    return Match(best.score, best.song, best.place * place_seconds, best.window * step_seconds, seconds)


def windows_of(x: np.ndarray, length: int, step: int) -> np.ndarray:
    """x [T, ...] as [n, ..., length], each `step` further; none where x is shorter."""
    if length > len(x):
        return np.empty((0, *x.shape[1:], length), x.dtype)
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=0)[::step]


def unit_windows(log_mel: np.ndarray, length: int, step: int) -> np.ndarray:
    """Windows of log_mel [T, bands] as vectors [n, bands * length] of mean 0 and norm 1, or 0 for silence."""
    windows = windows_of(log_mel, length, step).reshape(-1, log_mel.shape[1] * length).astype(np.float32)
    windows -= windows.mean(1, keepdims=True)
    deviation = np.sqrt((windows**2).mean(1, keepdims=True))
    return np.where(deviation > FLATTEST, windows / np.maximum(deviation, FLATTEST), 0) / windows.shape[1] ** 0.5


def equal_bits(excerpts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The share of bits that are equal, [n, p], between words [n, L] and [p, L] where both are heard; 0 for silence."""
    heard = (excerpts != SILENCE)[:, None] & (places != SILENCE)
    wrong = np.where(heard, np.bitwise_count(excerpts[:, None] ^ places), 0).sum(2)
    words = heard.sum(2)
    return np.where(words >= LEAST_HEARD * excerpts.shape[1], 1 - wrong / (BITS * np.maximum(words, 1)), 0)
