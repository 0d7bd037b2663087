"""One song on its way into a shard: examined or decoded, then aligned, each step in any process.

A step never raises for a song's sake. It leaves a record of what became of it, by which an interrupted run goes on:

OUT/.work/ab/abcd.json            decoded: a `Prepared`, written when its sound is
OUT/.work/ab/abcd.flac            its sound, where it is not skipped
OUT/.work/ab/abcd.check           examined: the same record where nothing was decoded yet
OUT/.work/ab/abcd.0123.song.json  aligned: the record once more, with the words that one aligner and separator found
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
from typing import NamedTuple

import numpy as np

from jukebox_pl import audio
from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.reading import FFMPEG_DEMUXERS, Prepared, find_ffmpeg, load_song
from jukebox_pl.catalog.settings import OF_A_SONG, OF_THE_WORDS, PrepareSettings
from jukebox_pl.catalog.shards import store
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError

WORK_FOLDER = ".work"
CHANGED = "its files changed while it was prepared: prepare the songs again once they rest"
NO_SOUND = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Job:
    """One song to prepare. Its files are named by what decides their content, so a changed song is a new job."""

    source: Source
    settings: PrepareSettings
    fingerprint: str

    @property
    def key(self) -> str:
        return digest([self.source.id, self.fingerprint, self.settings.only(OF_A_SONG)])

    def file(self, extension: str) -> Path:
        key = self.key
        return self.settings.out / WORK_FOLDER / key[:2] / f"{key}.{extension}"

    @property
    def aligned_file(self) -> Path:
        return self.file(f"{digest(self.settings.only(OF_THE_WORDS))}.song.json")

    @property
    def content(self) -> list[str]:
        """Names what the job puts into a shard."""
        return [self.key, self.aligned_file.name if self.aligned_file.is_file() else ""]

    @property
    def is_decoded(self) -> bool:
        return self.file("json").is_file()

    @property
    def is_examined(self) -> bool:
        return self.is_decoded or self.file("check").is_file()

    @property
    def is_aligned(self) -> bool:
        """Also where there is nothing to align."""
        return not (self.settings.aligner and self.source.lyrics) or self.aligned_file.is_file()

    def examined(self) -> Prepared:
        return Prepared.load(self.file("json" if self.is_decoded else "check"))

    def decoded(self) -> Prepared:
        return Prepared.load(self.file("json"))

    def prepared(self) -> Prepared:
        """What is known of the song in the end: with the words that were found."""
        return Prepared.load(self.aligned_file) if self.aligned_file.is_file() else self.decoded()


class Step(NamedTuple):
    """Something done once to every job, in any process, and what is left where that killed its process."""

    name: str
    do: Callable[[Job], None]
    is_done: Callable[[Job], bool]
    give_up: Callable[[Job], None]


class Progress(NamedTuple):
    """`done` of `total` songs are `step` (examined, decoded, aligned, packed); `path` is the latest, "" at the start."""

    step: str
    done: int
    total: int
    path: str = ""


OnProgress = Callable[[Progress], None]


def counting(on_progress: OnProgress, step: str, total: int, done: int = 0) -> Callable[[str, int], None]:
    """What to call with (path, songs) as songs get done."""
    on_progress(Progress(step, done, total))

    def add(path: str, songs: int) -> None:
        nonlocal done
        done += songs
        on_progress(Progress(step, done, total, path))

    return add


def decode(job: Job) -> None:
    """Prepares one song and stores what became of it, last, for then it is done. Raises UserError when it cannot store."""
    prepared, sound = read(job)
    if prepared.song:
        store(job.file("flac"), audio.encode(sound, prepared.song.sample_rate))
    prepared.save(job.file("json"))


def examine(job: Job) -> None:
    """Looks at one song as `decode` does, and keeps no sound."""
    read(job)[0].save(job.file("check"))


def read(job: Job) -> tuple[Prepared, np.ndarray]:
    """What becomes of a song, and its sound [C, T]. Raises nothing."""
    try:
        with time_limit(job.settings.step_seconds):
            prepared, sound = load_song(job.source, job.settings)
        if fingerprint(job.source) != job.fingerprint:  # it may be half of each
            raise UserError(CHANGED)
    except Exception as error:  # decoders fail in many ways on damaged files, and no file may stop the others
        return Prepared(None, to_reason(error)), NO_SOUND
    return prepared, sound


def skip(job: Job, extension: str) -> None:
    reason = f"decoding it crashed or hung (damaged file, or not enough memory; step_seconds={job.settings.step_seconds:g})"
    Prepared(None, reason).save(job.file(extension))


def align(job: Job) -> None:
    """Finds the words of one song and stores it with them, or with a warning why there are none.

    Raises UserError only when it cannot store.
    """
    prepared = job.decoded()
    song = prepared.song
    if song and song.lyrics.strip() and not song.words:
        find_words = WordFinder.of(job.settings)
        sound, _ = audio.read(job.file("flac"))
        try:
            with time_limit(job.settings.step_seconds):
                words = find_words(sound, song)
            prepared = prepared._replace(song=replace(song, words=words, aligner=find_words.name))
        except Exception as error:  # they wrap programs and models of others, which fail in ways of their own
            prepared = warned(prepared, f"no word times: {to_reason(error)}")
    prepared.save(job.aligned_file)


def leave_unaligned(job: Job) -> None:
    warning = f"no word times: finding them crashed or hung (step_seconds={job.settings.step_seconds:g})"
    warned(job.decoded(), warning).save(job.aligned_file)


EXAMINE = Step("examined", examine, lambda job: job.is_examined, lambda job: skip(job, "check"))
DECODE = Step("decoded", decode, lambda job: job.is_decoded, lambda job: skip(job, "json"))
ALIGN = Step("aligned", align, lambda job: job.is_aligned, leave_unaligned)


class OutOfTime(Exception):
    """Not a UserError, which much of what runs here would take for its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block, where Python gets to run; where it does not, an engine ends the process."""

    def stop(*_: object) -> None:
        raise OutOfTime(f"took over step_seconds={seconds:g}")

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


def to_reason(error: Exception) -> str:
    return str(error) if isinstance(error, UserError | OutOfTime) else f"{type(error).__name__}: {error}"


def warned(prepared: Prepared, warning: str) -> Prepared:
    return prepared._replace(warnings=(*prepared.warnings, warning))


def fingerprint(source: Source) -> str:
    """Changes with all that decides a prepared song but the settings: labels, files (by size and time), the decoder."""
    labels = {field.name: getattr(source, field.name) for field in fields(source) if field.name != "root"}
    files: list[tuple[int, int] | None] = []
    for name in filter(None, (source.path, source.lyrics, source.words)):
        try:
            stat = (source.root / name).stat()
            files.append((stat.st_size, stat.st_mtime_ns))
        except (OSError, ValueError):
            files.append(None)
    decoder = bool(find_ffmpeg()) if Path(source.path).suffix.lower() in FFMPEG_DEMUXERS else None
    return digest([labels, files, decoder])


def digest(facts: object) -> str:
    """64 bits: among a million songs two are taken for one with a chance of 3e-8."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
