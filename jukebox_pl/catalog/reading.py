"""One song: its sound, tags, lyrics and word times, from a `Source` to a `Prepared`. Raises UserError with the reason."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
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
from jukebox_pl.catalog.shards import store
from jukebox_pl.catalog.sources import Source, inside
from jukebox_pl.catalog.word_times.lrc import read_lrc
from jukebox_pl.errors import UserError
from jukebox_pl.types import Song, Word

Parsed = TypeVar("Parsed")
# What tells the length of the whole file; mutagen guesses that of an MP3 without a Xing header, and of AAC.
HEADERS_WITH_LENGTH = (MPEGInfo, StreamInfo, WaveStreamInfo, MP4Info)
SECONDS_MISSING = 0.5  # encoders pad and decoders trim: an MP3 may come out a few frames of 26 ms shorter than its header
# The demuxer is named because ffmpeg, left to guess, would also open playlists that lead to other files.
FFMPEG_DEMUXERS = {".m4a": "mov", ".aac": "aac"}


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
        song, stats = self.song and self.song.to_json(), self.audio_stats and self.audio_stats._asdict()
        record = {"song": song, "reason": self.reason, "warnings": self.warnings, "checkup": stats}
        store(path, json.dumps(record).encode())

    @classmethod
    def load(cls, path: Path) -> Prepared:
        record = json.loads(path.read_bytes())
        song, stats = record["song"], record["checkup"]
        return cls(
            song and Song.from_json(song),
            record["reason"],
            tuple(record["warnings"]),
            stats and AudioStats(**stats),
        )


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
    stats = examine(sound, rate)  # before resampling, which hides the bandwidth and rounds off what was clipped
    sound = audio.resample(audio.to_channels(sound, settings.channels), rate, settings.sample_rate)
    if not sound.any():  # asked last: two channels may cancel, and hiss above the new Nyquist frequency is gone
        raise UserError("silent, every sample is zero")
    return sound, stats


def decode(path: Path) -> tuple[np.ndarray, int]:
    """The sound [C, T] of a file and its rate: libsndfile, or ffmpeg for what that cannot read. Raises UserError."""
    readable: Path | bytes = path
    if demuxer := FFMPEG_DEMUXERS.get(path.suffix.lower()):
        program = shutil.which("ffmpeg")
        if not program:
            raise UserError(f"{path.suffix} needs ffmpeg, which is not installed: install it or convert the file")
        source = ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{path}", "-map", "0:a:0"]
        # AU is a format whose header may leave the length open, as a pipe demands.
        target = ["-map_metadata", "-1", "-f", "au", "-c:a", "pcm_f32be", "pipe:1"]
        done = subprocess.run([program, "-v", "error", "-nostdin", *source, *target], capture_output=True)
        if done.returncode:
            complaints = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise UserError(f"ffmpeg cannot read it ({complaints[-1]})")
        readable = done.stdout
    try:
        return audio.read(readable)
    except soundfile.LibsndfileError as error:
        raise UserError(f"damaged, or not a {path.suffix} file at all (libsndfile: {error.error_string})") from error


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


def missing_sound(path: Path, info: mutagen.StreamInfo | None, seconds: float) -> Iterator[str]:
    """A warning where a file of `seconds` is the beginning of a longer one: decoders say nothing of that."""
    if isinstance(info, HEADERS_WITH_LENGTH) and getattr(info, "bitrate_mode", None) is not BitrateMode.UNKNOWN:
        if info.length - seconds > SECONDS_MISSING:
            yield f"cut short: {seconds:.1f} s of the {info.length:.1f} s that its header tells"
    elif isinstance(info, OggVorbisInfo | OggOpusInfo):  # its header tells no length, its last page that it is the last
        try:
            with open(path, "rb") as file:
                page = OggPage.find_last(file, info.serial)
        except (mutagen.MutagenError, EOFError):
            page = None
        if page is None or not page.last:
            yield f"cut short: it ends after {seconds:.1f} s without its last page"


def read_text(source: Source) -> tuple[str, tuple[Word, ...], tuple[str, ...]]:
    """Lyrics, times of their words, and a warning for each of the two that had to be left out.

    Lyrics in an LRC file bring the times of their words, where no other file has them.
    """
    lyrics = ""
    words: tuple[Word, ...] = ()
    warnings: list[str] = []
    is_lrc = Path(source.lyrics).suffix.lower() == ".lrc"
    try:
        if source.lyrics:
            lyrics = read_file(source.root, source.lyrics, (lambda text: read_lrc(text).lyrics) if is_lrc else str)
    except (UserError, OSError) as error:
        warnings.append(f"lyrics left out: {error}")
    try:
        if name := source.words or (source.lyrics if is_lrc else ""):
            words = read_words(source.root, name, lyrics)
    except (UserError, OSError) as error:
        warnings.append(f"word times left out: {error}")
    return lyrics, words, tuple(warnings)


def read_words(root: Path, name: str, lyrics: str) -> tuple[Word, ...]:
    """One Word per word of the lyrics, as split at white space, with the times of the file `name` in seconds."""
    parse = TIMES.get(Path(name).suffix.lower())
    if parse is None:
        raise UserError(f"{name} is none of {', '.join(TIMES)}")
    texts, times = lyrics.split(), read_file(root, name, parse)
    if len(texts) != len(times):
        raise UserError(f"{name} has times for {len(times)} words, the lyrics have {len(texts)}")
    if not all(0 <= start <= end < math.inf for start, end in times):  # false for NaN, too
        raise UserError(f"{name} has a word that does not end after it starts")
    return tuple(Word(text, start, end) for text, (start, end) in zip(texts, times, strict=True))


def read_file(root: Path, name: str, parse: Callable[[str], Parsed]) -> Parsed:
    """What `parse` makes of the text of a file of the catalog. Raises UserError, naming the file."""
    try:
        text = inside(root, name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: save it as UTF-8") from error
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    try:
        return parse(text)
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} cannot be read: {error if isinstance(error, UserError) else repr(error)}") from error


# Files of word times by their ending: their text to the (start, end) of each word in seconds.
TIMES: dict[str, Callable[[str], list[tuple[float, float]]]] = {
    ".csv": lambda text: [(float(row["word_start"]), float(row["word_end"])) for row in csv.DictReader(io.StringIO(text))],
    ".json": lambda text: [(float(start), float(end)) for _, start, end in json.loads(text)],
    ".lrc": lambda text: [(word.start, word.end) for word in read_lrc(text).words],
}
