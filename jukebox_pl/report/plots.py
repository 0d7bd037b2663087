"""Audio, codes and losses as PNG bytes, on a clear ground and in a grey that reads on white and on black."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import librosa
import numpy as np
from markupsafe import escape
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

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
COLUMNS = 900  # of a picture that is as wide as a page, at most
WAVE_COLUMNS = 450
FREQUENCY_TICKS = {500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k", 16000: "16k"}
# Of curves, by what they are of: readable on white and on black.
COLOURS = {"train": "#4a8ac4", "held out": "#d9702b", "level 0": "#4a8ac4", "level 1": "#d9702b", "level 2": "#3f9e6e"}


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


def curves_svg(curves: Mapping[str, Sequence[tuple[float, float]]], label: str) -> str:
    """Curves of (step, value) by name, those of a second run (`name, run`) dashed, as an SVG to stand in a page.

    `label`: what somebody hears who does not see it.
    """
    with small_panel() as (figure, axes):
        runs = list(dict.fromkeys(name.partition(", ")[2] for name in curves))
        for name, points in curves.items():
            what, _, run = name.partition(", ")
            steps, values = np.array(points, dtype=float).reshape(-1, 2).T
            style = "--" if runs.index(run) else "-"
            axes.plot(steps, values, style, color=COLOURS.get(what, COLOURS["train"]), label=name, linewidth=1.3)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter("{x:.4g}")  # a learning rate, too, has room for its digits
        if len(curves) > 1:
            axes.legend(frameon=False, labelcolor=INK, fontsize=7)
        return to_svg(figure, label)


def histogram_svg(values: Sequence[float], limits: Sequence[float], label: str, bins: int = 20) -> str:
    """How many of `values` are how large, with a dotted line at each of `limits`, as an SVG to stand in a page."""
    with small_panel() as (figure, axes):
        # Limits count as values here, so that they are seen also where no value comes near them.
        axes.hist(values, bins=list(np.histogram_bin_edges([*values, *limits], bins)), color=COLOURS["train"])
        for limit in limits:
            axes.axvline(limit, color=COLOURS["held out"], linestyle=":")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        return to_svg(figure, label)


@contextmanager
def small_panel() -> Iterator[tuple[Figure, Axes]]:
    """A figure for `to_svg`, of a size that several stand side by side."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "curves"}):
        figure = Figure(figsize=(3.6, 2.3), facecolor="none")
        axes = figure.add_axes((0.16, 0.12, 0.82, 0.85))
        dress(axes, "")
        yield figure, axes


def to_svg(figure: Figure, label: str) -> str:
    """Without names, metadata and sizes; its ink is the colour of the text around it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->| xmlns(:\w+)?=\"[^\"]*\"", "", text.getvalue(), flags=re.DOTALL)
    svg = re.sub(r' id="(?:\w+_\d+|text\w*)"', "", svg[svg.index("<svg") :]).replace(INK, "currentColor")  # names of nothing
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2).replace(
        "<svg", f'<svg role="img" aria-label="{escape(label)}"', 1
    )


def mel_image(audio: np.ndarray, sample_rate: int) -> bytes:
    """The mel spectrogram of audio [T] and nothing else: as wide as the sound is long, the lowest band at the bottom."""
    decibels = mel_decibels(np.asarray(audio, dtype=np.float32), sample_rate, COLUMNS)
    return raster(1 - decibels[::-1] / FLOOR_DECIBELS, "magma")


def codes_strip(codes: np.ndarray) -> bytes:
    """codes [T] as a row of pixels, a colour for every code: of more than COLUMNS, evenly chosen ones."""
    chosen = codes[np.linspace(0, len(codes), min(len(codes), COLUMNS), endpoint=False).astype(int)]
    return raster(chosen[None] / max(int(codes.max(initial=0)), 1), "turbo", shades=256)


def attention_image(attention: np.ndarray) -> bytes:
    """attention [columns, characters] over time, the first character at the top."""
    # The root lets the little be seen that goes to the characters beside the one that is sung.
    return raster(np.sqrt(attention.T / max(float(attention.max(initial=0)), 1e-9)), "viridis", shades=64)


def wave_path(audio: np.ndarray) -> str:
    """The outline of audio [T] as the path of an SVG, WAVE_COLUMNS wide, 100 up and down for full scale."""
    starts = np.linspace(0, len(audio), min(len(audio), WAVE_COLUMNS), endpoint=False).astype(int)
    highest, lowest = np.maximum.reduceat(audio, starts), np.minimum.reduceat(audio, starts)
    scale = WAVE_COLUMNS / len(starts)
    above = [f"{round(at * scale)} {round(-100 * float(value))}" for at, value in enumerate(highest)]
    below = [f"{round(at * scale)} {round(-100 * float(value)) + 1}" for at, value in enumerate(lowest)]
    return f"M{'L'.join([*above, *reversed(below)])}Z"


def ticks(duration: float) -> list[float]:
    """Round moments within so many seconds."""
    return [
        float(second)
        for second in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, duration)
        if 0 <= second <= 0.97 * duration
    ]


def raster(values: np.ndarray, colours: str, shades: int = 32) -> bytes:
    """values [rows, columns] from 0 to 1 as a PNG, a pixel each, the first row at the top; few shades compress better."""
    index = (np.nan_to_num(values).clip(0, 1) * (shades - 1)).round().astype(np.uint8)
    picture = Image.fromarray(index)
    picture.putpalette((255 * colormaps[colours](np.linspace(0, 1, shades))[:, :3]).round().astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def mel_decibels(audio: np.ndarray, sample_rate: int, most_frames: int = FRAMES) -> np.ndarray:
    """[BANDS, at most `most_frames`] of audio [T], equal spans of time, each at its loudest."""
    power = librosa.feature.melspectrogram(y=audio, sr=sample_rate, n_fft=1024, hop_length=256, n_mels=BANDS)
    frames = power.shape[1]
    # The loudest and not the mean: a click in a long song has to be seen.
    starts = np.linspace(0, frames, min(frames, most_frames), endpoint=False).astype(int)
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
