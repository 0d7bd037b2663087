"""The sound of a song: decoded, measured, resampled. Raises UserError with the reason where it cannot be used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
from jukebox_pl.errors import UserError

# What tells the length of the whole file; mutagen guesses that of an MP3 without a Xing header, and of AAC.
HEADERS_WITH_LENGTH = (MPEGInfo, StreamInfo, WaveStreamInfo, MP4Info)
SECONDS_MISSING = 0.5  # encoders pad and decoders trim: an MP3 may come out a few frames of 26 ms shorter than its header
# The demuxer is named because ffmpeg, left to guess, would also open playlists that lead to other files.
FFMPEG_DEMUXERS = {".m4a": "mov", ".aac": "aac"}


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
