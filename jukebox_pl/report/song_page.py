"""One song, what was asked and how it was made, as one HTML file that opens anywhere and fetches nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from jukebox_pl import audio
from jukebox_pl.report import plots
from jukebox_pl.types import SampledSong
from jukebox_pl.utils.files import write_atomic

PAGE = "index.html"

Row = Mapping[str, Any]
Sound = tuple[np.ndarray, int]


def write_song_page(
    folder: str | Path,
    song: SampledSong,
    hops: Mapping[int, int],
    curves: Mapping[str, plots.Curve] | None = None,
    references: Mapping[str, Sound] | None = None,
    summary: Sequence[Row] | None = None,
    command: str = "",
) -> Path:
    """Writes `index.html` in `folder`, whole or not at all, and returns its path.

    `hops`: samples per code of each level. `curves`: (step, train, held out) losses by stage. `references`: name to
    (audio [C, T], sample rate), the original and its reconstructions. `summary`: rows of one table, all with the keys of
    the first one. `command`: what makes another song.
    """
    page = (
        environment()
        .get_template("song.html")
        .render(
            song=song,
            heading=heading(song),
            request=request_table(song),
            player=audio_uri(samples(song.audio), song.sample_rate),
            spectrogram=png_uri(plots.spectrogram(mono(samples(song.audio)), song.sample_rate)),
            codes=png_uri(codes_of(song, hops)) if song.codes else "",
            curves=png_uri(plots.loss_curves(curves)) if curves else "",
            references={name: audio_uri(*sound) for name, sound in (references or {}).items()},
            comparison=png_uri(compare(references, song.sample_rate)) if references else "",
            summary=summary or [],
            command=command,
        )
    )
    path = Path(folder) / PAGE
    write_atomic(path, page.encode())
    return path


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("jukebox_pl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    return made


def plain(value: Any) -> str:
    """A value as a reader wants it: four digits of a number, what holds others without its brackets, a dash for nothing."""
    if isinstance(value, Mapping):
        return plain([f"{plain(weight)} {name}" for name, weight in value.items()])
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value) or "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value in (None, "") else str(value)


def heading(song: SampledSong) -> str:
    """The first line of the lyrics, as songs are often called by it."""
    return next((line.strip() for line in song.request.lyrics.splitlines() if line.strip()), "A song without words")


def request_table(song: SampledSong) -> dict[str, Any]:
    """Everything that is needed to make the song again, but its lyrics."""
    request, params = song.request, song.params
    return {
        "artist": request.artist,
        "genres": request.genres,
        **{f"from {plain(part.start_seconds)} s": [part.artist, part.genres] for part in request.schedule},
        "length": f"{song.audio.shape[-1] / song.sample_rate:.2f} s at {song.sample_rate} Hz",
        "starts at": f"{plain(request.offset_seconds)} s of {plain(request.total_seconds or request.seconds)} s",
        "temperature": params.temperature,
        "top k": params.top_k,
        "top p": params.top_p,
        "hop fraction": params.hop_fraction,
        "seed": song.seed,
    }


def samples(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()


def mono(sound: np.ndarray) -> np.ndarray:
    """[C, T] to [T]."""
    return audio.to_channels(sound, 1)[0]


def codes_of(song: SampledSong, hops: Mapping[int, int]) -> bytes:
    codes = {level: tensor.cpu().numpy() for level, tensor in song.codes.items()}
    return plots.codes_picture(codes, hops, song.sample_rate)


def compare(references: Mapping[str, Sound], sample_rate: int) -> bytes:
    sounds = {name: mono(audio.resample(sound, rate, sample_rate)) for name, (sound, rate) in references.items()}
    return plots.compare_spectrograms(sounds, sample_rate)


def audio_uri(sound: np.ndarray, sample_rate: int) -> str:
    """Audio [C, T] as a data URI: FLAC, so that what is compared by ear is exact, and every browser plays it."""
    return data_uri(audio.encode(sound, sample_rate, "flac"), "audio/flac")


def png_uri(picture: bytes) -> str:
    return data_uri(picture, "image/png")


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
