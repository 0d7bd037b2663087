"""Finished songs, kept one by one until they are packed into shards, so that an interrupted run continues.

OUT/.work/ab/abcd.json      what became of a song: `Outcome`
OUT/.work/ab/abcd.flac      its sound, where it is not skipped
OUT/.work/ab/abcd.check     the same where the song was only looked at
OUT/.work/ab/abcd.*.json    its word times, as one aligner and separator found them: `Aligned`
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jukebox_pl import audio
from jukebox_pl.catalog.alignment import find_words, parts_of
from jukebox_pl.catalog.doctor.examine import Checkup
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import ShardSample, writing
from jukebox_pl.catalog.songs import FFMPEG_DEMUXERS, find_ffmpeg, load_song
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

WORK_FOLDER = ".work"
CHANGED = "its files changed while it was prepared: prepare the songs again once they rest"
NO_SOUND = np.empty((0, 0), np.float32)


class Outcome(NamedTuple):
    """What became of a song; `song` is None when it was skipped, for `reason`."""

    song: Song | None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    checkup: Checkup | None = None

    def to_json(self) -> dict[str, Any]:
        song, checkup = self.song and self.song.to_json(), self.checkup and self.checkup.to_json()
        return self._asdict() | {"song": song, "checkup": checkup}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Outcome:
        song, checkup = record["song"], record["checkup"]
        known = {"song": song and Song.from_json(song), "checkup": checkup and Checkup.from_json(checkup)}
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
        audio.write_atomic(path, data)


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


class Step(NamedTuple):
    """Something done once to every job, in any process, and what is left where that killed its process."""

    name: str
    do: Callable[[Job], None]
    is_done: Callable[[Job], bool]
    give_up: Callable[[Job], None]


def decode(job: Job) -> None:
    """Prepares one song and stores what became of it, last, for then it is done. Raises UserError when it cannot store."""
    outcome, sound = load(job)
    if outcome.song:
        store(job.file("flac"), audio.encode(sound, outcome.song.sample_rate))
    store_record(job.file("json"), outcome.to_json())


def check(job: Job) -> None:
    """Looks at one song as `decode` does, and keeps no sound."""
    store_record(job.file("check"), load(job)[0].to_json())


def load(job: Job) -> tuple[Outcome, np.ndarray]:
    """What becomes of a song, and its sound [C, T]. Raises nothing."""
    try:
        with time_limit(job.settings.step_seconds):
            loaded = load_song(job.source, job.settings)
        require_unchanged(job)
    except Exception as error:  # decoders fail in many ways on damaged files, and no file may stop the others
        return Outcome(None, tell(error)), NO_SOUND
    return Outcome(loaded.song, warnings=loaded.warnings, checkup=loaded.checkup), loaded.sound


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises UserError where the block takes longer and Python gets to run; an engine ends the process where it does not."""

    def stop(*_: object) -> None:
        raise UserError(f"took over step_seconds={seconds:g}")

    if threading.current_thread() is not threading.main_thread():
        yield  # where no signal can be awaited
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tell(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def require_unchanged(job: Job) -> None:
    """Raises UserError when the song's files are others than when it was listed: it may be half of each."""
    if fingerprint(job.source) != job.fingerprint:
        raise UserError(CHANGED)


def skip(job: Job, file: str) -> None:
    reason = f"decoding it crashed or hung (damaged file, or not enough memory; step_seconds={job.settings.step_seconds:g})"
    store_record(job.file(file), Outcome(None, reason).to_json())


def align(job: Job) -> None:
    """Finds the words of one song and stores them, or why there are none. Raises UserError only when it cannot store."""
    store_record(job.words_file, aligned(job)._asdict())


def aligned(job: Job) -> Aligned:
    song = job.decoded().song
    if song is None or song.words or not song.lyrics.strip():
        return Aligned()
    parts = parts_of(job.settings)
    sound, _ = audio.read(job.file("flac"))
    try:
        with time_limit(job.settings.step_seconds):
            return Aligned(find_words(sound, song, parts), parts.name)
    except Exception as error:  # they wrap programs and models of others, which fail in ways of their own
        return Aligned(warnings=(f"no word times: {tell(error)}",))


def leave_unaligned(job: Job) -> None:
    warning = f"no word times: finding them crashed or hung (step_seconds={job.settings.step_seconds:g})"
    store_record(job.words_file, Aligned(warnings=(warning,))._asdict())


CHECK = Step("examined", check, lambda job: job.is_checked, lambda job: skip(job, "check"))
DECODE = Step("decoded", decode, lambda job: job.is_decoded, lambda job: skip(job, "json"))
ALIGN = Step("aligned", align, lambda job: job.is_aligned, leave_unaligned)
