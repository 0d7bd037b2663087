"""One song: its sound, tags, lyrics and word times, from a `Source` to a `Prepared`. Raises UserError with the reason."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TypedDict

import mutagen
import numpy as np

from jukebox_pl.catalog.decoding import load_sound, missing_sound
from jukebox_pl.catalog.doctor.examine import AudioStats
from jukebox_pl.catalog.lyrics import read_text
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import store
from jukebox_pl.catalog.sources import Source, inside
from jukebox_pl.types import Song
from jukebox_pl.utils.files import read_record


class Prepared(NamedTuple):
    """What became of a song: it is None when it was skipped, for `reason`.

    `warnings` tell what was left out, or is missing. `audio_stats` were measured before the sound was resampled.
    """

    song: Song | None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    audio_stats: AudioStats | None = None

    def save(self, path: Path) -> None:
        """Raises UserError where the disk refuses it. `checkup` is what version 1, whose runs go on, called the stats."""
        song, stats = self.song and self.song.to_json(), self.audio_stats and asdict(self.audio_stats)
        record = {"song": song, "reason": self.reason, "warnings": self.warnings, "checkup": stats}
        store(path, json.dumps(record).encode())

    @classmethod
    def load(cls, path: Path) -> Prepared:
        """Raises UserError where the file is not what `save` writes."""
        record = read_record(path, PreparedRecord, "a prepared song")
        return cls(record["song"], record["reason"], record["warnings"], record["checkup"])


class PreparedRecord(TypedDict):
    """`Prepared` on disk."""

    song: Song | None
    reason: str
    warnings: tuple[str, ...]
    checkup: AudioStats | None


def load_song(source: Source, settings: PrepareSettings) -> tuple[Prepared, np.ndarray]:
    """The song and its sound [C, T] at `song.sample_rate`; unusable lyrics or word times are left out with a warning.

    Raises UserError when the sound cannot be used.
    """
    path = inside(source.root, source.path)
    sound, stats = load_sound(path, settings)
    lyrics, words, warnings = read_text(source)
    tags, stream_info = read_header(path, source.tagged)
    labels = {"title": source.title, "artist": source.artist, "genre": source.genre} | tags
    genres = (name.strip() for name in re.split("[;/]", labels["genre"]))  # `,` is part of a name
    song = Song(
        id=source.id,
        duration=sound.shape[1],
        sample_rate=settings.sample_rate,
        title=labels["title"] or Path(source.path).stem,
        artist=labels["artist"],
        genres=tuple(dict.fromkeys(filter(None, genres))),
        lyrics=lyrics,
        words=words,
        language=source.language,
        license=source.license,
        source=source.source,
    )
    warnings = (*missing_sound(path, stream_info, stats.seconds), *warnings)
    return Prepared(song, warnings=warnings, audio_stats=stats), sound


def read_header(path: Path, tagged: bool) -> tuple[dict[str, str], mutagen.StreamInfo | None]:
    """Those of title, artist and genre that the file's tags name, if `tagged`; what its header says of the stream.

    Neither for what mutagen cannot read; WAV files are taken to have no tags.
    """
    try:
        file = mutagen.File(path, easy=True)
    except (mutagen.MutagenError, ValueError, TypeError):
        return {}, None
    try:  # a file without tags is falsy
        tags = {name: ";".join(file.get(name) or ()) for name in ("title", "artist", "genre")} if file and tagged else {}
    except (ValueError, TypeError):
        tags = {}
    return {name: text for name, text in tags.items() if text.strip()}, None if file is None else file.info
