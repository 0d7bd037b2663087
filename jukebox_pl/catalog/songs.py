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
from typing import NamedTuple

import mutagen
import numpy as np
import soundfile

from jukebox_pl import audio
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.sources import Source, inside
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

# The demuxer is named because ffmpeg, left to guess, would also open playlists that lead to other files.
FFMPEG_DEMUXERS = {".m4a": "mov", ".aac": "aac"}


class LoadedSong(NamedTuple):
    """A song ready to be stored: its sound [C, T] at `song.sample_rate`; `warnings` tell what was left out."""

    song: Song
    sound: np.ndarray
    warnings: tuple[str, ...]


def load_song(source: Source, settings: PrepareSettings) -> LoadedSong:
    """Raises UserError when the sound cannot be used; unusable lyrics or word times are left out with a warning."""
    sound = load_sound(inside(source.root, source.path), settings)
    lyrics, words, warnings = read_text(source)
    labels = {"title": source.title, "artist": source.artist, "genre": source.genre}
    labels |= read_tags(source.root / source.path) if source.tagged else {}
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
    return LoadedSong(song, sound, warnings)


def load_sound(path: Path, settings: PrepareSettings) -> np.ndarray:
    """The sound [C, T] of a file as the settings want it. Raises UserError when it is unreadable, short, long or silent."""
    if path.stat().st_size == 0:
        raise UserError("the file is empty (0 bytes)")
    sound, rate = decode(path)
    seconds = sound.shape[1] / rate
    if seconds < settings.min_seconds:
        raise UserError(f"{seconds:.2f} s long, less than min_seconds={settings.min_seconds:g}")
    if settings.max_seconds is not None and seconds > settings.max_seconds:
        raise UserError(f"{seconds:.2f} s long, more than max_seconds={settings.max_seconds:g}")
    if not np.isfinite(sound).all():
        raise UserError("holds NaN or infinite samples")
    sound = audio.resample(audio.to_channels(sound, settings.channels), rate, settings.sample_rate)
    if not sound.any():
        raise UserError("silent, every sample is zero")
    return sound


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


def read_tags(path: Path) -> dict[str, str]:
    """Those of title, artist and genre that the file's tags tell; WAV files are taken to have none."""
    try:
        tags = mutagen.File(path, easy=True) or {}
        found = {name: ";".join(tags.get(name) or ()) for name in ("title", "artist", "genre")}
    except (mutagen.MutagenError, ValueError, TypeError):
        return {}
    return {name: text for name, text in found.items() if text.strip()}


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
    return _read_utf8(source.root, source.lyrics) if source.lyrics else ""


def read_words(source: Source, lyrics: str) -> tuple[Word, ...]:
    """One Word per word of the lyrics, as split at white space, with the times of the words file in seconds."""
    if not source.words:
        return ()
    texts, times = lyrics.split(), _read_times(source.root, source.words)
    if len(texts) != len(times):
        raise UserError(f"{source.words} has times for {len(times)} words, the lyrics have {len(texts)}")
    if not all(0 <= start <= end < math.inf for start, end in times):
        raise UserError(f"{source.words} has a word that does not end after it starts")
    return tuple(Word(text, start, end) for text, (start, end) in zip(texts, times, strict=True))


def _read_times(root: Path, name: str) -> list[tuple[float, float]]:
    reader = TIMES.get(Path(name).suffix.lower())
    if reader is None:
        raise UserError(f"{name} is none of {', '.join(TIMES)}")
    try:
        return reader(_read_utf8(root, name))
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{name} cannot be read: {error!r}") from error


def _times_of_csv(text: str) -> list[tuple[float, float]]:
    return [(float(row["word_start"]), float(row["word_end"])) for row in csv.DictReader(io.StringIO(text))]


def _times_of_json(text: str) -> list[tuple[float, float]]:
    return [(float(start), float(end)) for _, start, end in json.loads(text)]


TIMES: dict[str, Callable[[str], list[tuple[float, float]]]] = {".csv": _times_of_csv, ".json": _times_of_json}


def _read_utf8(root: Path, name: str) -> str:
    try:
        return inside(root, name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: save it as UTF-8") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
