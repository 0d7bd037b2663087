"""One song: its sound, tags, lyrics and word times, from a `Source` to a `Song`. Raises UserError with the reason."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import mutagen
import numpy as np
import soundfile
from mutagen.flac import StreamInfo
from mutagen.mp3 import BitrateMode, MPEGInfo
from mutagen.mp4 import MP4Info
from mutagen.ogg import OggPage
from mutagen.oggopus import OggOpusInfo
from mutagen.oggvorbis import OggVorbisInfo
from mutagen.wave import WaveStreamInfo

from jukebox_pl import audio
from jukebox_pl.catalog.doctor.examine import AudioStats, examine
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.sources import Source, inside
from jukebox_pl.catalog.word_times.lrc import read_lrc
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

Read = TypeVar("Read")
# What tells the length of the whole file; mutagen guesses that of an MP3 without a Xing header, and of AAC.
HEADERS_WITH_LENGTH = (MPEGInfo, StreamInfo, WaveStreamInfo, MP4Info)
SECONDS_MISSING = 0.5
# The demuxer is named because ffmpeg, left to guess, would also open playlists that lead to other files.
FFMPEG_DEMUXERS = {".m4a": "mov", ".aac": "aac"}


class LoadedSong(NamedTuple):
    """A song ready to be stored: its sound [C, T] at `song.sample_rate`, and how that was measured before it was resampled.

    `warnings` tell what was left out, or is missing.
    """

    song: Song
    sound: np.ndarray
    checkup: AudioStats
    warnings: tuple[str, ...]


def load_song(source: Source, settings: PrepareSettings) -> LoadedSong:
    """Raises UserError when the sound cannot be used; unusable lyrics or word times are left out with a warning."""
    path = inside(source.root, source.path)
    sound, checkup = load_sound(path, settings)
    lyrics, words, warnings = read_text(source)
    file = open_tags(path)
    labels = {"title": source.title, "artist": source.artist, "genre": source.genre}
    labels |= tags_of(file) if source.tagged else {}
    song = Song(
        id=source.id,
        duration=sound.shape[1],
        sample_rate=settings.sample_rate,
        title=labels["title"] or Path(source.path).stem,
        artist=labels["artist"],
        genres=split_genres(labels["genre"]),
        lyrics=lyrics,
        words=words,
        language=source.language,
        license=source.license,
        source=source.source,
    )
    return LoadedSong(song, sound, checkup, (*missing_sound(path, file, checkup.seconds), *warnings))


def load_sound(path: Path, settings: PrepareSettings) -> tuple[np.ndarray, AudioStats]:
    """The sound [C, T] of a file as the settings want it. Raises UserError when it is unreadable, short, long or silent."""
    if path.stat().st_size == 0:
        raise UserError("the file is empty (0 bytes)")
    sound, rate = decode(path)
    seconds = sound.shape[1] / rate
    if seconds < settings.min_seconds:
        raise UserError(f"{seconds:.2f} s long, less than min_seconds={settings.min_seconds:g}")
    if settings.max_seconds is not None and seconds > settings.max_seconds:
        raise UserError(f"{seconds:.2f} s long, more than max_seconds={settings.max_seconds:g}")
    if not sound.size:
        raise UserError("holds no sound")
    if not np.isfinite(sound).all():
        raise UserError("holds NaN or infinite samples")
    checkup = examine(sound, rate)
    sound = audio.resample(audio.to_channels(sound, settings.channels), rate, settings.sample_rate)
    if not sound.any():
        raise UserError("silent, every sample is zero")
    return sound, checkup


def decode(path: Path) -> tuple[np.ndarray, int]:
    """The sound [C, T] of a file and its rate: libsndfile, or ffmpeg for what that cannot read."""
    demuxer = FFMPEG_DEMUXERS.get(path.suffix.lower())
    try:
        return audio.read(_ffmpeg(path, demuxer) if demuxer else path)
    except soundfile.LibsndfileError as error:
        raise UserError(f"damaged, or not a {path.suffix} file at all (libsndfile: {error.error_string})") from error


def _ffmpeg(path: Path, demuxer: str) -> bytes:
    """Decodes to AU, a format whose header may leave the length open, as a pipe demands."""
    program = find_ffmpeg()
    if not program:
        raise UserError(f"{path.suffix} needs ffmpeg, which is not installed: install it or convert the file")
    source = ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{path}", "-map", "0:a:0"]
    target = ["-map_metadata", "-1", "-f", "au", "-c:a", "pcm_f32be", "pipe:1"]
    done = subprocess.run([program, "-v", "error", "-nostdin", *source, *target], capture_output=True)
    if done.returncode:
        raise UserError(f"ffmpeg cannot read it ({_last_line(done.stderr)})")
    return done.stdout


def find_ffmpeg() -> str | None:
    return shutil.which("ffmpeg")


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or ["no message"])[-1]


def open_tags(path: Path) -> mutagen.FileType | None:
    """None for what mutagen cannot read; WAV files are taken to have no tags."""
    try:
        return mutagen.File(path, easy=True)
    except (mutagen.MutagenError, ValueError, TypeError):
        return None


def tags_of(file: mutagen.FileType | None) -> dict[str, str]:
    """Those of title, artist and genre that the file's tags tell."""
    try:
        found = {name: ";".join(file.get(name) or ()) for name in ("title", "artist", "genre")} if file else {}
    except (ValueError, TypeError):
        return {}
    return {name: text for name, text in found.items() if text.strip()}


def missing_sound(path: Path, file: mutagen.FileType | None, seconds: float) -> Iterator[str]:
    """A warning where a file of `seconds` is the beginning of a longer one: decoders say nothing of that."""
    info = None if file is None else file.info  # a file without tags is falsy
    if isinstance(info, HEADERS_WITH_LENGTH) and getattr(info, "bitrate_mode", None) is not BitrateMode.UNKNOWN:
        if info.length - seconds > SECONDS_MISSING:
            yield f"cut short: {seconds:.1f} s of the {info.length:.1f} s that its header tells"
    elif isinstance(info, OggVorbisInfo | OggOpusInfo) and not is_last_page_there(path, info.serial):
        yield f"cut short: it ends after {seconds:.1f} s without its last page"


def is_last_page_there(path: Path, serial: int) -> bool:
    try:
        with open(path, "rb") as file:
            page = OggPage.find_last(file, serial)
    except (mutagen.MutagenError, EOFError):
        return False
    return page is not None and page.last


def split_genres(genre: str) -> tuple[str, ...]:
    """`Pop; Rock/Blues` names three: `;` and `/` separate, `,` does not."""
    return tuple(dict.fromkeys(name.strip() for name in re.split("[;/]", genre) if name.strip()))


def read_text(source: Source) -> tuple[str, tuple[Word, ...], tuple[str, ...]]:
    """Lyrics, times of their words, and a warning for each of the two that had to be left out."""
    lyrics = ""
    words: tuple[Word, ...] = ()
    warnings: list[str] = []
    with _as_warning("lyrics left out", warnings):
        lyrics = read_lyrics(source)
    with _as_warning("word times left out", warnings):
        words = read_words(source, lyrics)
    return lyrics, words, tuple(warnings)


@contextmanager
def _as_warning(what: str, warnings: list[str]) -> Iterator[None]:
    try:
        yield
    except (UserError, OSError) as error:
        warnings.append(f"{what}: {error}")


def read_lyrics(source: Source) -> str:
    if not source.lyrics:
        return ""
    text = _read_utf8(source.root, source.lyrics)
    return _parse(source.lyrics, read_lrc, text).lyrics if is_lrc(source.lyrics) else text


def is_lrc(name: str) -> bool:
    return Path(name).suffix.lower() == ".lrc"


def read_words(source: Source, lyrics: str) -> tuple[Word, ...]:
    """One Word per word of the lyrics, as split at white space, with the times of the words file in seconds.

    Lyrics in an LRC file bring their own.
    """
    name = source.words or (source.lyrics if is_lrc(source.lyrics) else "")
    if not name:
        return ()
    texts, times = lyrics.split(), _read_times(source.root, name)
    if len(texts) != len(times):
        raise UserError(f"{name} has times for {len(times)} words, the lyrics have {len(texts)}")
    if not all(0 <= start <= end < math.inf for start, end in times):
        raise UserError(f"{name} has a word that does not end after it starts")
    return tuple(Word(text, start, end) for text, (start, end) in zip(texts, times, strict=True))


def _read_times(root: Path, name: str) -> list[tuple[float, float]]:
    reader = TIMES.get(Path(name).suffix.lower())
    if reader is None:
        raise UserError(f"{name} is none of {', '.join(TIMES)}")
    return _parse(name, reader, _read_utf8(root, name))


def _parse(name: str, reader: Callable[[str], Read], text: str) -> Read:
    try:
        return reader(text)
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} cannot be read: {error if isinstance(error, UserError) else repr(error)}") from error


def _times_of_csv(text: str) -> list[tuple[float, float]]:
    return [(float(row["word_start"]), float(row["word_end"])) for row in csv.DictReader(io.StringIO(text))]


def _times_of_json(text: str) -> list[tuple[float, float]]:
    return [(float(start), float(end)) for _, start, end in json.loads(text)]


def _times_of_lrc(text: str) -> list[tuple[float, float]]:
    return [(word.start, word.end) for word in read_lrc(text).words]


TIMES: dict[str, Callable[[str], list[tuple[float, float]]]] = {
    ".csv": _times_of_csv,
    ".json": _times_of_json,
    ".lrc": _times_of_lrc,
}


def _read_utf8(root: Path, name: str) -> str:
    try:
        return inside(root, name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: save it as UTF-8") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
