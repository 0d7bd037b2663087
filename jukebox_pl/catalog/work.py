"""Finished songs, kept one by one until they are packed into shards, so that an interrupted run continues."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from jukebox_pl import audio
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import ShardSample, writing
from jukebox_pl.catalog.songs import FFMPEG_DEMUXERS, find_ffmpeg, load_song
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song

WORK_FOLDER = ".work"


class Outcome(NamedTuple):
    """What became of a song; `song` is None when it was skipped, for `reason`."""

    song: Song | None
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One song to prepare. Its files are named by what decides their content, so a changed song is a new job."""

    source: Source
    settings: PrepareSettings
    fingerprint: str

    @classmethod
    def of(cls, source: Source, settings: PrepareSettings) -> Job:
        return cls(source, settings, fingerprint(source))

    def file(self, extension: str) -> Path:
        key = digest([self.source.id, self.fingerprint, self.settings.of_a_song()])
        return self.settings.out / WORK_FOLDER / f"{key}.{extension}"

    @property
    def finished(self) -> bool:
        return self.file("json").is_file()

    def store(self, outcome: Outcome, flac: bytes = b"") -> None:
        """The JSON file goes last: where it is, the song is finished."""
        song = outcome.song and outcome.song.to_json()
        record = json.dumps(outcome._replace(song=None)._asdict() | {"song": song}).encode()
        with writing(self.file("json")):
            if flac:
                audio.write_atomic(self.file("flac"), flac)
            audio.write_atomic(self.file("json"), record)

    def outcome(self) -> Outcome:
        record = json.loads(self.file("json").read_bytes())
        song = record["song"] and Song.from_json(record["song"])
        return Outcome(song, record["reason"], tuple(record["warnings"]))

    def song(self) -> Song:
        """Raises ValueError when the song was skipped."""
        song = self.outcome().song
        if song is None:
            raise ValueError(f"{self.source.path} was skipped")
        return song

    def sample(self) -> ShardSample:
        return ShardSample(self.song(), audio=self.file("flac").read_bytes())


def fingerprint(source: Source) -> str:
    """Changes with all that decides a prepared song but the settings: labels, files (by size and time), the decoder."""
    labels = {name: value for name, value in asdict(source).items() if name != "root"}
    files = [_size_and_time(source.root / name) for name in (source.path, source.lyrics, source.words) if name]
    decoder = bool(find_ffmpeg()) if Path(source.path).suffix.lower() in FFMPEG_DEMUXERS else None
    return digest([labels, files, decoder])


def digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def finish(job: Job) -> None:
    """Prepares one song and stores what became of it. Raises UserError only when it cannot be stored."""
    try:
        loaded = load_song(job.source, job.settings)
    except UserError as error:
        return job.store(Outcome(None, str(error)))
    except Exception as error:  # decoders fail in many ways on damaged files, and no file may stop the others
        return job.store(Outcome(None, f"{type(error).__name__}: {error}"))
    flac = audio.encode(loaded.sound, loaded.song.sample_rate)
    job.store(Outcome(loaded.song, warnings=loaded.warnings), flac)


def skip_crashed(job: Job) -> None:
    job.store(Outcome(None, "decoding it crashed the process (damaged file, or not enough memory)"))
