"""Listens to a song once and puts what a doctor has to know into plain numbers. Judges nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from jukebox_pl.audio.fingerprint import Fingerprinter

FLOOR_DECIBELS = -120.0
SILENCE_DECIBELS = -60.0
SILENCE_FRAME_SECONDS = 0.05
FULL_SCALE = 0.999
NEAR_PEAK = 0.98
CLIP_RUN = 3  # equal samples in a row; two are common where a loud tone turns round
SPECTRUM_SIZE = 4096
SPECTRA_A_BLOCK = 4
FRAMES_A_BLOCK = 40  # of silence or sound: two seconds, which hold a spectrum at every rate
BANDWIDTH_DECIBELS = -80.0
LOWEST_HERTZ = 20.0  # below it a constant would count as the strongest frequency


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on audio as decoded. Decibels of audio are relative to full scale and at least FLOOR_DECIBELS.

    `clipped_share`: samples at full scale or on a flat top, in runs of CLIP_RUN or more. `silent_share`: frames below
    SILENCE_DECIBELS. `dc_offset`: the largest mean of a channel. `loudness_decibels`: root mean square.
    `bandwidth_hertz`: the highest frequency within BANDWIDTH_DECIBELS of the strongest one.
    `mono_decibels`: the mean of the channels against one channel, 0 where they are the same, -3 where they are unrelated,
    the floor where they cancel. `quietest_channel_decibels`: against the loudest channel.
    """

    seconds: float
    sample_rate: int
    channels: int
    peak: float
    clipped_share: float
    silent_share: float
    leading_silence_seconds: float
    trailing_silence_seconds: float
    dc_offset: float
    loudness_decibels: float
    bandwidth_hertz: float
    mono_decibels: float
    quietest_channel_decibels: float


@dataclass(frozen=True, slots=True)
class AudioStats(Measures):
    """Also what other songs are compared with."""

    fingerprint: str


class Examiner:
    """Takes sound in blocks of `block` samples, of which the last may be shorter, and keeps sums alone."""

    def __init__(self, sample_rate: int, channels: int):
        self.sample_rate = sample_rate
        self.frame = max(1, round(SILENCE_FRAME_SECONDS * sample_rate))
        self.block = FRAMES_A_BLOCK * self.frame
        self.samples, self.peak = 0, 0.0
        self.sums, self.powers, self.mono_power = np.zeros(channels), np.zeros(channels), 0.0
        self.clipping = [Clipping() for _ in range(channels)]
        self.frames, self.heard, self.first_heard, self.last_heard = 0, 0, -1, -1
        self.spectrum: np.ndarray | None = None
        self.fingerprinter = Fingerprinter(sample_rate)

    def add(self, audio: np.ndarray) -> None:
        """The next block of finite audio [C, n]."""
        channels, samples = audio.shape
        self.peak = max(self.peak, float(audio.max()), -float(audio.min()))
        self.sums += audio.sum(axis=1, dtype=np.float64)
        self.powers += [float(np.vdot(channel, channel)) for channel in audio]  # as a dot product: no copy
        mono = np.full(channels, 1 / channels, audio.dtype) @ audio
        self.mono_power += float(np.vdot(mono, mono))
        for clipping, channel in zip(self.clipping, audio, strict=True):
            clipping.add(channel, NEAR_PEAK * min(self.peak, FULL_SCALE))
        self._add_frames(audio)
        if samples >= SPECTRUM_SIZE or self.spectrum is None:
            self.spectrum = power_spectrum(audio) + (0 if self.spectrum is None else self.spectrum)
        self.fingerprinter.add(mono)
        self.samples += samples

    def _add_frames(self, audio: np.ndarray) -> None:
        """Counts the frames in which there is sound: where the mean power of their channels is not that of silence."""
        size = self.frame if self.frames else min(self.frame, audio.shape[1])
        frames = audio[:, : audio.shape[1] // size * size].reshape(len(audio), -1, size)
        powers = np.einsum("cfn,cfn->f", frames, frames) / (len(audio) * size)
        heard = np.flatnonzero(powers >= 10 ** (SILENCE_DECIBELS / 10))
        if len(heard):
            self.first_heard = self.frames + int(heard[0]) if self.heard == 0 else self.first_heard
            self.last_heard = self.frames + int(heard[-1])
        self.frames, self.heard = self.frames + len(powers), self.heard + len(heard)

    def stats(self) -> AudioStats:
        """Of all that was added, which is at least one sample."""
        channels, powers = len(self.powers), self.powers / self.samples
        leading, trailing = (self.first_heard, self.frames - 1 - self.last_heard) if self.heard else (self.frames,) * 2
        seconds = min(self.frame, self.samples) / self.sample_rate
        clipped = sum(clipping.total(NEAR_PEAK * min(self.peak, FULL_SCALE)) for clipping in self.clipping)
        return AudioStats(
            seconds=self.samples / self.sample_rate,
            sample_rate=self.sample_rate,
            channels=channels,
            peak=self.peak,
            clipped_share=clipped / (channels * self.samples),
            silent_share=1 - self.heard / self.frames,
            leading_silence_seconds=leading * seconds,
            trailing_silence_seconds=trailing * seconds,
            dc_offset=float(np.abs(self.sums / self.samples).max()),
            loudness_decibels=decibels(float(powers.mean())),
            bandwidth_hertz=bandwidth(self.spectrum, self.sample_rate) if self.spectrum is not None else 0.0,
            mono_decibels=decibels(self.mono_power / self.samples, float(powers.mean())),
            quietest_channel_decibels=decibels(float(powers.min()), float(powers.max())),
            fingerprint=self.fingerprinter.finish(),
        )


class Clipping:
    """Counts samples of one channel in runs of CLIP_RUN or more that are beyond full scale, or equal and near the peak."""

    def __init__(self) -> None:
        self.beyond = 0
        self.flat: Counter[float] = Counter()  # by their level, as a later peak may be far above
        self.open: tuple[float, int] | None = None  # the value and length of a run that the next block may go on with

    def add(self, channel: np.ndarray, threshold: float) -> None:
        """The next block [n]; what is below `threshold`, which only grows, is not looked at."""
        near = np.flatnonzero(np.abs(channel) >= threshold) if threshold else np.empty(0, int)
        values, carried = channel[near], 0
        if self.open:
            near, values, carried = (
                np.append(-1, near),
                np.append(channel.dtype.type(self.open[0]), values),
                self.open[1] - 1,
            )
        before, after = values[:-1], values[1:]
        beyond = (np.minimum(np.abs(before), np.abs(after)) >= FULL_SCALE) & (before * after > 0)
        goes_on = (np.diff(near) == 1) & (beyond | (before == after))
        starts = np.append(0, np.flatnonzero(~goes_on) + 1)[: len(near)]
        lengths = np.diff(np.append(starts, len(near)))
        lengths[:1] += carried
        levels = np.abs(values[starts])
        self.open = None
        if len(near) and near[-1] == len(channel) - 1:
            self.open = (float(values[-1]), int(lengths[-1]))
            levels, lengths = levels[:-1], lengths[:-1]
        self._count(levels, lengths)

    def _count(self, levels: np.ndarray, lengths: np.ndarray) -> None:
        runs, full = lengths >= CLIP_RUN, levels >= FULL_SCALE
        self.beyond += int(lengths[runs & full].sum())
        for level, length in zip(levels[runs & ~full], lengths[runs & ~full], strict=True):
            self.flat[float(level)] += int(length)

    def total(self, threshold: float) -> int:
        if self.open:
            self._count(np.abs([self.open[0]]), np.array([self.open[1]]))
            self.open = None
        return self.beyond + sum(samples for level, samples in self.flat.items() if level >= threshold)


def examine(audio: np.ndarray, sample_rate: int) -> AudioStats:
    """Examines finite float audio [C, T] with at least one sample."""
    examiner = Examiner(sample_rate, len(audio))
    for start in range(0, audio.shape[1], examiner.block):
        examiner.add(audio[:, start : start + examiner.block])
    return examiner.stats()


def decibels(power: float, reference: float = 1.0) -> float:
    """10 log10(power / reference), at least FLOOR_DECIBELS; 0 where there is nothing to compare with."""
    if reference == 0:
        return 0.0
    return float(10 * np.log10(max(power / reference, 10 ** (FLOOR_DECIBELS / 10))))


def power_spectrum(audio: np.ndarray) -> np.ndarray:
    """The power of each frequency of audio [C, n], summed over channels and a few frames that are spread evenly."""
    audio = np.pad(audio, ((0, 0), (0, max(SPECTRUM_SIZE - audio.shape[1], 0))))
    starts = np.linspace(0, audio.shape[1] - SPECTRUM_SIZE, SPECTRA_A_BLOCK).astype(int)
    places = starts[:, None] + np.arange(SPECTRUM_SIZE)  # [frames, samples]
    window = np.hanning(SPECTRUM_SIZE).astype(np.float32)
    return sum((np.abs(np.fft.rfft(channel[places] * window)) ** 2).sum(axis=0, dtype=np.float64) for channel in audio)


def bandwidth(power: np.ndarray, sample_rate: int) -> float:
    """The highest frequency of a power spectrum within BANDWIDTH_DECIBELS of the strongest one, 0 for silence."""
    frequencies = np.fft.rfftfreq(SPECTRUM_SIZE, 1 / sample_rate)
    power = power * (frequencies >= LOWEST_HERTZ)
    present = np.flatnonzero(power > power.max() * 10 ** (BANDWIDTH_DECIBELS / 10))
    return float(frequencies[present[-1]]) if len(present) else 0.0
