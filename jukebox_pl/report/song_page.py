"""One song, what was asked and how it was made, as one HTML file that opens anywhere and fetches nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from jukebox_pl import audio
from jukebox_pl.types import SampledSong
from jukebox_pl.utils.files import write_atomic

if TYPE_CHECKING:
    from jukebox_pl.report.plots import Curve

PAGE = "index.html"

TableRow = Mapping[str, Any]
Recording = tuple[np.ndarray, int]  # audio [C, T], sample rate


def write_song_page(
    folder: str | Path,
    song: SampledSong,
    hops: Sequence[int],
    curves: Mapping[str, Curve] | None = None,
    references: Mapping[str, Recording] | None = None,
    summary: Sequence[TableRow] | None = None,
    command: str = "",
    held_out: bool = True,
) -> Path:
    """Writes `index.html` in `folder`, whole or not at all, and returns its path.

    `hops`: samples per code of each level. `curves`: (step, train, val) losses by stage. `references`: the original and
    its reconstructions by name. `summary`: rows of one table, all with the keys of the first one. `command`: what makes
    another song. `held_out`: are the val losses those of held-out songs? Else of training songs.
    """
    from jukebox_pl.report import plots  # imports matplotlib: commands that draw nothing answer at once without it

    rate, sound = song.sample_rate, song.audio.detach().cpu().float().numpy()
    codes = {level: tensor.cpu().numpy() for level, tensor in song.codes.items()}
    references = references or {}
    val_songs = "held out" if held_out else "training songs (none held out)"
    compared = {}
    for name, (heard, its_rate) in references.items():
        compared[name] = audio.to_channels(audio.resample(heard, its_rate, rate), 1)[0]
    lines = [line.strip() for line in song.request.lyrics.splitlines() if line.strip()]
    return write_page(
        Path(folder) / PAGE,
        "song.html",
        song=song,
        heading=lines[0] if lines else "A song without words",  # as songs are often called by their first line
        request=request_table(song),
        player=data_uri((sound, rate)),
        spectrogram=data_uri(plots.spectrogram(audio.to_channels(sound, 1)[0], rate)),
        codes=data_uri(plots.codes_image(codes, hops, rate)) if codes else "",
        curves=data_uri(plots.loss_curves(curves, val_songs)) if curves else "",
        val_songs=val_songs,
        references={name: data_uri(recording) for name, recording in references.items()},
        comparison=data_uri(plots.compare_spectrograms(compared, rate)) if compared else "",
        summary=summary or [],
        command=command,
    )


def request_table(song: SampledSong) -> dict[str, Any]:
    """Everything that is needed to make the song again, but its lyrics."""
    request, params = song.request, song.params
    return {
        "artist": request.artist,
        "genres": request.genres,
        **{f"from {plain(section.start_seconds)} s": [section.artist, section.genres] for section in request.schedule},
        "length": f"{song.audio.shape[-1] / song.sample_rate:.2f} s at {song.sample_rate} Hz",
        "starts at": f"{plain(request.offset_seconds)} s of {plain(request.total_seconds or request.seconds)} s",
        "temperature": params.temperature,
        "top k": params.top_k,
        "top p": params.top_p,
        "hop fraction": params.hop_fraction,
        "seed": song.seed,
    }


def write_page(path: Path, template: str, **parts: Any) -> Path:
    """Renders a template and writes it, whole or not at all; returns its path."""
    write_atomic(path, environment().get_template(template).render(**parts).encode())
    return path


def environment() -> Environment:
    """Where the templates of all pages are rendered: what is undefined is an error, what is shown is escaped."""
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


def data_uri(media: bytes | Recording) -> str:
    """An image in PNG, or a recording as FLAC, so that what is compared by ear is exact, and every browser plays it."""
    if isinstance(media, bytes):
        data, kind = media, "image/png"
    else:
        data, kind = audio.encode(*media, "flac"), "audio/flac"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
