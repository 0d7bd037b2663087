"""One song, what was asked and how it was made, as one HTML file that opens anywhere and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jukebox_pl import audio
from jukebox_pl.report.page import PAGE, clock, data_uri, plain, render, write_page
from jukebox_pl.types import SampledSong, Word
from jukebox_pl.utils.files import write_atomic

__all__ = ["PAGE", "data_uri", "link_child", "plain", "write_sample_page", "write_song_page"]

MOST_SECONDS_OF_LEVELS = 300  # of sound above the song's own that a page carries; what is longer is left out
CHILDREN = "<!-- children -->"  # where they are added


class Strip(NamedTuple):
    """A picture as wide as the song is long."""

    kind: str
    caption: str
    uri: str
    alt: str


def write_song_page(
    folder: str | Path,
    song: SampledSong,
    hops: Sequence[int],
    others: Mapping[str, np.ndarray] | None = None,
    notes: Mapping[str, Any] | None = None,
    command: str = "",
    parent: str | None = None,
    files: Sequence[str] = (),
) -> Path:
    """Writes `index.html` in `folder`, whole or not at all, and returns its path.

    `hops`: samples per code of each level. `others`: what is heard beside the song, by name, audio [T] of its rate and
    length: the levels above, the recording that it is compared with. `notes`: more rows for what was asked. `command`:
    what makes the song again. `parent`: the name of the song that it was made of, a folder beside its own. `files`: names
    of what lies beside the page.
    """
    from jukebox_pl.report import plots  # imports matplotlib: commands that draw nothing answer at once without it

    rate, sound = song.sample_rate, song.audio.detach().cpu().float().numpy()
    duration, mono = sound.shape[-1] / rate, audio.to_channels(sound, 1)[0]
    lowest = min(song.codes, default=0)
    others = others if others and duration * len(others) <= MOST_SECONDS_OF_LEVELS else {}
    name = f"level {lowest}, the song" if others else "the song"
    heard = {name: mono, **others}
    strips = []
    if song.attention is not None:
        caption = "What the prior looks at in the lyrics, from the first character at the top to the last"
        uri = data_uri(plots.attention_image(song.attention.float().numpy()))
        strips.append(Strip("attention", caption, uri, "Attention to the lyrics over time"))
    for level in sorted(song.codes, reverse=True):
        codes = song.codes[level].cpu().numpy()
        caption = f"Level {level}: {len(codes)} codes of {hops[level]} samples, {len(np.unique(codes))} different ones"
        strips.append(Strip("codes", caption, data_uri(plots.codes_strip(codes)), f"Codes of level {level} over time"))
    texts = [song.request.lyrics, *(section.lyrics or "" for section in song.request.schedule)]
    lyrics = "\n".join(text.strip("\n") for text in texts if text.strip())
    titles = [line.strip() for line in lyrics.splitlines() if line.strip()]
    return write_page(
        Path(folder) / PAGE,
        "song.html",
        song=song,
        heading=titles[0] if titles else "A song without words",  # as songs are often called by their first line
        **listening(heard, rate, strips),
        lyrics=lyrics,
        lines=karaoke(lyrics, song.words),
        request=request_table(song) | dict(notes or {}),
        command=command,
        files=files,
        parent=parent,
    )


def write_sample_page(
    folder: str | Path, heading: str, heard: Mapping[str, np.ndarray], sample_rate: int, facts: Mapping[str, Any]
) -> Path:
    """The page of something short: audio [T] by name, the first one the sample, the others as long as it, and `facts`."""
    parts = listening(heard, sample_rate, ())
    return write_page(Path(folder) / PAGE, "sample.html", heading=heading, facts=facts, lyrics="", lines=[], **parts)


def listening(heard: Mapping[str, np.ndarray], sample_rate: int, strips: Sequence[Strip]) -> dict[str, Any]:
    """What `listen.html` shows of audio [T] by name, the first one the song: players, and pictures over the same time.

    `strips` follow the spectrograms.
    """
    from jukebox_pl.report import plots

    song = next(iter(heard.values()))
    spectrograms = [
        Strip("", f"Spectrogram of {what}", data_uri(plots.mel_image(samples, sample_rate)), f"Mel spectrogram of {what}")
        for what, samples in heard.items()
    ]
    return {
        "players": {what: data_uri((samples[None], sample_rate)) for what, samples in heard.items()},
        "duration": len(song) / sample_rate,
        "wave": plots.wave_path(song),
        "wave_columns": plots.WAVE_COLUMNS,
        "strips": [*spectrograms, *strips],
        "ticks": plots.ticks(len(song) / sample_rate),
    }


def link_child(folder: str | Path, child: str) -> None:
    """Adds a link to the page of a song, where there is one: what became of it a song learns after it was made.

    `child`: a folder beside the song's own.
    """
    path = Path(folder) / PAGE
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    link = render("child.html", child=child)
    if CHILDREN in page and link not in page:
        write_atomic(path, page.replace(CHILDREN, link + CHILDREN, 1).encode())


def karaoke(lyrics: str, words: Sequence[Word]) -> list[list[tuple[str, Word | None]]]:
    """The lines of lyrics, each word with when it is sung, or None where that is not known; no lines where nothing is."""
    left = list(words)
    lines = [
        [(text, left.pop(0) if left and left[0].text == text else None) for text in line.split()]
        for line in lyrics.splitlines()
        if words
    ]
    return [line for line in lines if line]


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
        "guidance": params.guidance,
        "seed": song.seed,
        **{f"sampling level {level} took": clock(seconds) for level, seconds in sorted(song.took.items(), reverse=True)},
    }
