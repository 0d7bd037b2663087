"""Listens to a song once and puts what a doctor has to know into plain numbers. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jukebox_pl.audio.fingerprint import fingerprint

FLOOR_DECIBELS = -120.0
SILENCE_DECIBELS = -60.0
SILENCE_FRAME_SECONDS = 0.05
FULL_SCALE = 0.999
NEAR_PEAK = 0.98
CLIP_RUN = 3  # equal samples in a row; two are common where a loud tone turns round
SPECTRUM_SIZE = 4096
SPECTRUM_FRAMES = 100
BANDWIDTH_DECIBELS = -80.0
LOWEST_HERTZ = 20.0  # below it a constant would count as the strongest frequency


@dataclass(frozen=True, slots=True)
class AudioStats:
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
    fingerprint: str


def examine(audio: np.ndarray, sample_rate: int) -> AudioStats:
    """Examines finite float audio [C, T] with at least one sample."""
    channels, samples = audio.shape
    powers = [float(np.vdot(channel, channel)) / samples for channel in audio]  # as a dot product: no copy of the song
    mono = np.full(channels, 1 / channels, audio.dtype) @ audio
    peak = float(max(audio.max(), -audio.min()))
    silent_share, leading_seconds, trailing_seconds = find_silence(audio, sample_rate)
    return AudioStats(
        seconds=samples / sample_rate,
        sample_rate=sample_rate,
        channels=channels,
        peak=peak,
        clipped_share=sum(clipped_samples(channel, peak) for channel in audio) / audio.size,
        silent_share=silent_share,
        leading_silence_seconds=leading_seconds,
        trailing_silence_seconds=trailing_seconds,
        dc_offset=float(np.abs(audio.mean(axis=1)).max()),
        loudness_decibels=decibels(sum(powers) / channels),
        bandwidth_hertz=bandwidth(audio, sample_rate),
        mono_decibels=decibels(float(np.vdot(mono, mono)) / samples, sum(powers) / channels),
        quietest_channel_decibels=decibels(min(powers), max(powers)),
        fingerprint=fingerprint(mono, sample_rate),
    )


def decibels(power: float, reference: float = 1.0) -> float:
    """10 log10(power / reference), at least FLOOR_DECIBELS; 0 where there is nothing to compare with."""
    if reference == 0:
        return 0.0
    return float(10 * np.log10(max(power / reference, 10 ** (FLOOR_DECIBELS / 10))))


def clipped_samples(channel: np.ndarray, peak: float) -> int:
    """Samples of a channel [T] in runs of CLIP_RUN or more that are beyond full scale, or equal and near the peak."""
    near = np.flatnonzero(np.abs(channel) >= NEAR_PEAK * min(peak, FULL_SCALE)) if peak else np.empty(0, int)
    values = channel[near]
    before, after = values[:-1], values[1:]
    beyond = (np.minimum(np.abs(before), np.abs(after)) >= FULL_SCALE) & (before * after > 0)
    goes_on = (np.diff(near) == 1) & (beyond | (before == after))
    runs = np.diff([0, *np.flatnonzero(~goes_on) + 1, len(near)])
    return int(runs[runs >= CLIP_RUN].sum())


def find_silence(audio: np.ndarray, sample_rate: int) -> tuple[float, float, float]:
    """Of audio [C, T]: the share of silent frames, seconds of silence at the start and at the end.

    A frame is silent when the mean power of its channels is.
    """
    size = max(1, min(round(SILENCE_FRAME_SECONDS * sample_rate), audio.shape[1]))
    frames = audio[:, : audio.shape[1] // size * size].reshape(len(audio), -1, size)
    powers = np.einsum("cfn,cfn->f", frames, frames) / (len(audio) * size)
    heard = np.flatnonzero(powers >= 10 ** (SILENCE_DECIBELS / 10))
    first, last = (heard[0], heard[-1]) if len(heard) else (len(powers), -1)
    leading, trailing = (float(frames) * size / sample_rate for frames in (first, len(powers) - 1 - last))
    return 1 - len(heard) / len(powers), leading, trailing


def bandwidth(audio: np.ndarray, sample_rate: int) -> float:
    """The highest frequency of audio [C, T] within BANDWIDTH_DECIBELS of the strongest one, 0 for silence.

    Of the mean power spectrum over channels, and over frames spread evenly: few are enough, and long songs cost no more.
    """
    audio = np.pad(audio, ((0, 0), (0, max(SPECTRUM_SIZE - audio.shape[1], 0))))
    starts = np.linspace(0, audio.shape[1] - SPECTRUM_SIZE, SPECTRUM_FRAMES).astype(int)
    places = starts[:, None] + np.arange(SPECTRUM_SIZE)  # [frames, samples]
    window = np.hanning(SPECTRUM_SIZE).astype(np.float32)
    power = np.mean([np.abs(np.fft.rfft(channel[places] * window)) ** 2 for channel in audio], axis=(0, 1))
    frequencies = np.fft.rfftfreq(SPECTRUM_SIZE, 1 / sample_rate)
    power = power * (frequencies >= LOWEST_HERTZ)
    present = np.flatnonzero(power > power.max() * 10 ** (BANDWIDTH_DECIBELS / 10))
    return float(frequencies[present[-1]]) if len(present) else 0.0
