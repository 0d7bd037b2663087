"""Finished songs, kept one by one until they are packed into shards, so that an interrupted run continues.

OUT/.work/ab/abcd.json      what became of a song: `Outcome`
OUT/.work/ab/abcd.flac      its sound, where it is not skipped
OUT/.work/ab/abcd.check     the same where the song was only looked at
OUT/.work/ab/abcd.*.json    its word times, as one aligner and separator found them: `Aligned`
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from jukebox_pl.catalog.doctor.examine import AudioStats
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import ShardSample, writing
from jukebox_pl.catalog.songs import FFMPEG_DEMUXERS, find_ffmpeg
from jukebox_pl.catalog.sources import Source
from jukebox_pl.types import Song, Word
from jukebox_pl.utils.files import write_atomic

WORK_FOLDER = ".work"


class Outcome(NamedTuple):
    """What became of a song; `song` is None when it was skipped, for `reason`."""

    song: Song | None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    checkup: AudioStats | None = None

    def to_json(self) -> dict[str, Any]:
        song, checkup = self.song and self.song.to_json(), self.checkup and self.checkup.to_json()
        return self._asdict() | {"song": song, "checkup": checkup}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Outcome:
        song, checkup = record["song"], record["checkup"]
        known = {"song": song and Song.from_json(song), "checkup": checkup and AudioStats.from_json(checkup)}
        return cls(**(record | known | {"warnings": tuple(record["warnings"])}))


class Aligned(NamedTuple):
    """The word times found by `aligner`, or a warning why there are none."""

    words: tuple[Word, ...] = ()
    aligner: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One song to prepare. Its files are named by what decides their content, so a changed song is a new job."""

    source: Source
    settings: PrepareSettings
    fingerprint: str

    @classmethod
    def of(cls, source: Source, settings: PrepareSettings) -> Job:
        return cls(source, settings, fingerprint(source))

    @property
    def key(self) -> str:
        return digest([self.source.id, self.fingerprint, self.settings.of_a_song()])

    def file(self, extension: str) -> Path:
        key = self.key
        return self.settings.out / WORK_FOLDER / key[:2] / f"{key}.{extension}"

    @property
    def words_file(self) -> Path:
        return self.file(f"{digest(self.settings.of_the_words())}.json")

    @property
    def content(self) -> list[str]:
        """Names what the job puts into a shard."""
        return [self.key, self.words_file.name if self.words_file.is_file() else ""]

    @property
    def is_decoded(self) -> bool:
        return self.file("json").is_file()

    @property
    def is_aligned(self) -> bool:
        """Also where there is nothing to align."""
        return not (self.settings.aligner and self.source.lyrics) or self.words_file.is_file()

    @property
    def is_checked(self) -> bool:
        return self.is_decoded or self.file("check").is_file()

    def decoded(self) -> Outcome:
        return read_outcome(self.file("json"))

    def checked(self) -> Outcome:
        return self.decoded() if self.is_decoded else read_outcome(self.file("check"))

    def outcome(self) -> Outcome:
        """What is known of the song in the end: decoded, and with the word times that were found."""
        outcome = self.decoded()
        if outcome.song is None or not self.words_file.is_file():
            return outcome
        found = Aligned(**json.loads(self.words_file.read_bytes()))
        if found.words:
            words = tuple(Word(*word) for word in found.words)
            outcome = outcome._replace(song=replace(outcome.song, words=words, aligner=found.aligner))
        return outcome._replace(warnings=(*outcome.warnings, *found.warnings))

    def sample(self) -> ShardSample:
        """Raises ValueError when the song was skipped."""
        song = self.outcome().song
        if song is None:
            raise ValueError(f"{self.source.path} was skipped")
        return ShardSample(song, audio=self.file("flac").read_bytes())


def store(path: Path, data: bytes) -> None:
    with writing(path):
        write_atomic(path, data)


def store_record(path: Path, record: Any) -> None:
    store(path, json.dumps(record).encode())


def read_outcome(path: Path) -> Outcome:
    return Outcome.from_json(json.loads(path.read_bytes()))


def fingerprint(source: Source) -> str:
    """Changes with all that decides a prepared song but the settings: labels, files (by size and time), the decoder."""
    labels = {field.name: getattr(source, field.name) for field in fields(source) if field.name != "root"}
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
