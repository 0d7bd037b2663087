"""What is done to each song, in any process. A step never raises for a song's sake; it leaves a record in its files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from jukebox_pl import audio
from jukebox_pl.catalog.alignment import find_words, parts_of
from jukebox_pl.catalog.songs import load_song
from jukebox_pl.catalog.work import Aligned, Job, Outcome, fingerprint, store, store_record
from jukebox_pl.errors import UserError

CHANGED = "its files changed while it was prepared: prepare the songs again once they rest"
NO_SOUND = np.empty((0, 0), np.float32)


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


def tell(error: Exception) -> str:
    return str(error) if isinstance(error, UserError | OutOfTime) else f"{type(error).__name__}: {error}"


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
