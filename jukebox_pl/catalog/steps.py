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
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jukebox_pl import audio
from jukebox_pl.catalog.alignment import WordFinder
from jukebox_pl.catalog.reading import Prepared, load_song
from jukebox_pl.catalog.settings import OF_A_SONG, OF_THE_WORDS, PrepareSettings
from jukebox_pl.catalog.shards import writing
from jukebox_pl.catalog.sources import Source
from jukebox_pl.errors import UserError

WORK_FOLDER = ".work"
CHANGED = "its files changed while it was prepared: prepare the songs again once they rest"


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

    def examined(self) -> Prepared:
        decoded = self.file("json")
        return Prepared.load(decoded if decoded.is_file() else self.file("check"))

    def prepared(self) -> Prepared:
        """What is known of the song in the end: with the words that were found."""
        aligned = self.aligned_file
        return Prepared.load(aligned if aligned.is_file() else self.file("json"))


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


def decode(job: Job, only_examine: bool = False) -> None:
    """Reads one song and stores what became of it; its sound before that, unless it is only examined.

    Raises UserError only when it cannot store.
    """
    out = None if only_examine else job.file("flac")
    try:
        with time_limit(job.settings.step_seconds):
            prepared = load_song(job.source, job.settings, out)
        if fingerprint(job.source) != job.fingerprint:  # it may be half of each
            raise UserError(CHANGED)
    except Exception as error:  # decoders fail in many ways on damaged files, and no file may stop the others
        if out and isinstance(error, OSError) and error.filename == str(out):
            with writing(out):
                raise
        prepared = Prepared(None, to_reason(error))
        if out:
            out.unlink(missing_ok=True)
    prepared.save(job.file("check" if only_examine else "json"))  # last, for then it is done


def align(job: Job) -> None:
    """Finds the words of one song and stores it with them, or with a warning why there are none.

    Raises UserError only when it cannot store.
    """
    prepared = Prepared.load(job.file("json"))
    song = prepared.song
    if song and song.lyrics.strip() and not song.words:
        find_words = WordFinder.of(job.settings)
        sound, _ = audio.read(job.file("flac"))
        try:
            with time_limit(job.settings.step_seconds):
                song = find_words(sound, song)
            prepared = prepared._replace(song=song)
        except Exception as error:  # they wrap programs and models of others, which fail in ways of their own
            prepared = prepared._replace(warnings=(*prepared.warnings, f"no word times: {to_reason(error)}"))
    prepared.save(job.aligned_file)


def record_crash(job: Job, file: Path) -> None:
    """Writes the record `file` of a step that took its process with it: no song, or the decoded one without words."""
    limit = f"step_seconds={job.settings.step_seconds:g}"
    if file == job.aligned_file:
        prepared = Prepared.load(job.file("json"))
        warning = f"no word times: finding them crashed or hung ({limit})"
        prepared = prepared._replace(warnings=(*prepared.warnings, warning))
    else:
        prepared = Prepared(None, f"decoding it crashed or hung (damaged file, or not enough memory; {limit})")
    prepared.save(file)


EXAMINE = Step(
    "examined",
    partial(decode, only_examine=True),
    lambda job: job.file("json").is_file() or job.file("check").is_file(),
    lambda job: record_crash(job, job.file("check")),
)
DECODE = Step(
    "decoded",
    decode,
    lambda job: job.file("json").is_file(),
    lambda job: record_crash(job, job.file("json")),
)
ALIGN = Step(
    "aligned",
    align,
    # Also where there is nothing to align.
    lambda job: not (job.settings.aligner and job.source.may_have_lyrics) or job.aligned_file.is_file(),
    lambda job: record_crash(job, job.aligned_file),
)


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


def fingerprint(source: Source) -> str:
    """Changes with all that decides a prepared song but the settings: labels, files (by size and time)."""
    labels = {field.name: getattr(source, field.name) for field in fields(source) if field.name not in ("root", "trusted")}
    if not source.text:  # 0.1.0 knew no such songs, and its catalogs are compared
        del labels["text"]
    files: list[tuple[int, int] | None] = []
    for name in filter(None, (source.path, source.lyrics, source.words)):
        try:
            stat = (source.root / name).stat()
            files.append((stat.st_size, stat.st_mtime_ns))
        except (OSError, ValueError):
            files.append(None)
    by_ffmpeg = True if Path(source.path).suffix.lower() in (".m4a", ".aac") else None  # as version 0.1.0 has it
    return digest([labels, files, by_ffmpeg])


def digest(facts: object) -> str:
    """64 bits: among a million songs two are taken for one with a chance of 3e-8."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
