"""One song: its sound, tags, lyrics and word times, from a `Source` to a `Prepared`. Raises UserError with the reason."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TypedDict

from jukebox_pl.catalog.decoding import load_sound
from jukebox_pl.catalog.doctor.examine import AudioStats
from jukebox_pl.catalog.folders import stem
from jukebox_pl.catalog.lyrics import read_text
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import store
from jukebox_pl.catalog.sources import Source
from jukebox_pl.catalog.tags import clean, clean_labels, read_header
from jukebox_pl.types import Song
from jukebox_pl.utils.files import read_record
from jukebox_pl.utils.records import to_record


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


def load_song(source: Source, settings: PrepareSettings, out: Path | None = None) -> Prepared:
    """The song; unusable lyrics or word times are left out with a warning. Its sound is written to `out`, if that is given.

    Raises UserError when the sound cannot be used, and OSError naming `out` where that cannot be written.
    """
    path = source.file(source.path)
    sound = load_sound(path, settings, out)
    lyrics, words, warnings = read_text(source, settings.sections)
    tags, _ = read_header(path, source.tagged)
    labels, changes = clean_labels({"title": source.title, "artist": source.artist, "genre": source.genre} | tags)
    genres = (name.strip() for name in re.split("[;/|]", labels["genre"]))  # `,` is part of a name
    song = Song(
        id=source.id,
        duration=sound.samples,
        sample_rate=settings.sample_rate,
        title=labels["title"] or clean(stem(os.path.basename(source.path))),
        artist=labels["artist"],
        genres=tuple(dict.fromkeys(filter(None, genres))),
        lyrics=lyrics,
        words=words,
        language=source.language,
        license=source.license,
        source=source.source,
    )
    to_record(song.to_json(), Song, source.path)  # what could not be read again is not written
    return Prepared(song, warnings=(*sound.warnings, *changes, *warnings), audio_stats=sound.audio_stats)
