"""Audio, codes and losses as PNG bytes, on a clear ground and in a grey that reads on white and on black."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import librosa
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curve = Sequence[tuple[float, float | None, float | None]]  # (step, train loss, val loss)

INK = "#808080"
DOTS_PER_INCH = 100
WIDTH = 9.0  # inches
FRAMES = 280  # columns of a spectrogram at most: about three pixels each, and a PNG that stays small
BANDS = 64
FLOOR_DECIBELS = -70.0
HEATMAP: dict[str, Any] = {
    "cmap": colormaps["magma"].resampled(32),  # fewer colours compress better
    "vmin": FLOOR_DECIBELS,
    "vmax": 0,
    "origin": "lower",
    "aspect": "auto",
    "interpolation": "nearest",
}
FIGURE: dict[str, Any] = {"dpi": DOTS_PER_INCH, "layout": "constrained", "facecolor": "none"}
FREQUENCY_TICKS = {500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k", 16000: "16k"}
CURVES_PER_ROW = 3


def spectrogram(audio: np.ndarray, sample_rate: int, title: str = "") -> bytes:
    """The mel spectrogram of audio [T], in decibels below its loudest point."""
    return compare_spectrograms({title: audio}, sample_rate, height=3.0)


def compare_spectrograms(recordings: Mapping[str, np.ndarray], sample_rate: int, height: float = 1.9) -> bytes:
    """A spectrogram of each audio [T] under its name, one below the other (`height` inches each) on one scale of time."""
    figure = Figure(figsize=(WIDTH, len(recordings) * height), **FIGURE)
    panels = figure.subplots(len(recordings), 1, sharex=True, squeeze=False)[:, 0]
    longest = max(len(audio) for audio in recordings.values()) / sample_rate
    centres = librosa.mel_frequencies(BANDS, fmax=sample_rate / 2)
    ticks = [hertz for hertz in FREQUENCY_TICKS if hertz < sample_rate / 2]
    for axes, (name, audio) in zip(panels, recordings.items(), strict=True):
        decibels = mel_decibels(np.asarray(audio, dtype=np.float32), sample_rate)
        axes.imshow(decibels, extent=(0, len(audio) / sample_rate, 0, BANDS), **HEATMAP)
        # Bands are drawn equally high: a frequency stands where its band does, half a band above the band's edge.
        axes.set_yticks(np.interp(ticks, centres, np.arange(BANDS) + 0.5), [FREQUENCY_TICKS[hertz] for hertz in ticks])
        dress(axes, name, ylabel="Hz")
        axes.set_xlim(0, longest)
    panels[-1].set_xlabel("seconds", color=INK)
    return to_png(figure)


def codes_image(codes: Mapping[int, np.ndarray], hops: Sequence[int], sample_rate: int) -> bytes:
    """A strip for the codes [T] of each level, the top one first: a colour for every code, time along it."""
    figure = Figure(figsize=(WIDTH, float(len(codes))), **FIGURE)  # an inch each
    panels = figure.subplots(len(codes), 1, sharex=True, squeeze=False)[:, 0]
    for axes, level in zip(panels, sorted(codes, reverse=True), strict=True):
        strip, hop = np.asarray(codes[level]), hops[level]
        seconds = len(strip) * hop / sample_rate
        axes.imshow(strip[None], aspect="auto", cmap="turbo", interpolation="nearest", extent=(0, seconds, 0, 1))
        used = len(np.unique(strip))
        dress(axes, f"level {level}: {len(strip)} codes of {hop} samples, {used} different ones")
        axes.set_yticks([])
    panels[-1].set_xlabel("seconds", color=INK)
    return to_png(figure)


def heat_map(values: np.ndarray, seconds: float, rows: str) -> bytes:
    """values [rows, columns], row 0 at the bottom, the columns over `seconds`; `rows` says what the rows are.

    What is no number is left blank.
    """
    figure = Figure(figsize=(WIDTH, 3.0), **FIGURE)
    axes = figure.add_subplot()
    edges = (0, seconds, -0.5, len(values) - 0.5)  # a row's number stands at its middle
    image = axes.imshow(values, cmap="viridis", origin="lower", aspect="auto", interpolation="nearest", extent=edges)
    scale = figure.colorbar(image, ax=axes, pad=0.01)
    scale.ax.tick_params(colors=INK, labelsize=8)
    scale.outline.set_visible(False)
    dress(axes, "", ylabel=rows)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("seconds", color=INK)
    return to_png(figure)


def loss_curves(curves: Mapping[str, Curve], val_songs: str = "held out") -> bytes:
    """The loss of each stage over its steps (step, train, val); a None is a loss not measured at that step.

    `val_songs` is what the songs behind the val losses are called.
    """
    columns = min(len(curves), CURVES_PER_ROW)
    rows = -(-len(curves) // CURVES_PER_ROW)
    figure = Figure(figsize=(WIDTH, 2.6 * rows), **FIGURE)
    for place, (stage, points) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        steps, train, val = np.array(points, dtype=float).reshape(-1, 3).T  # None becomes NaN
        for losses, label, colour, mark in ((train, "train", "#5b9bd5", ""), (val, val_songs, "#e8843c", ".")):
            known = np.isfinite(losses)
            axes.plot(steps[known], losses[known], color=colour, marker=mark, label=label)
        dress(axes, stage)
        axes.set_xlabel("step", color=INK)
    figure.axes[0].legend(frameon=False, labelcolor=INK, fontsize=8)
    return to_png(figure)


def mel_decibels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """[BANDS, at most FRAMES] of audio [T], equal spans of time, each at its loudest."""
    power = librosa.feature.melspectrogram(y=audio, sr=sample_rate, n_fft=1024, hop_length=256, n_mels=BANDS)
    frames = power.shape[1]
    # The loudest and not the mean: a click in a long song has to be seen.
    starts = np.linspace(0, frames, min(frames, FRAMES), endpoint=False).astype(int)
    loudest = np.maximum.reduceat(power, starts, axis=1)
    return librosa.power_to_db(loudest, ref=np.max, top_db=-FLOOR_DECIBELS)


def dress(axes: Axes, title: str, ylabel: str = "") -> None:
    """The look shared by every image."""
    # matplotlib reads $...$ as mathematics, a song's name is plain text
    axes.set_title(title.replace("$", r"\$"), color=INK, fontsize=10, loc="left")
    axes.set_ylabel(ylabel, color=INK)
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))


def to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
