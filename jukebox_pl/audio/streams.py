"""Sound files of others, decoded to their end in blocks. What a header says of the length is passed on, never believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import av
import mutagen
import numpy as np
import soundfile
from av.container import InputContainer
from mutagen.mp3 import MP3, BitrateMode
from mutagen.wave import WAVE

from jukebox_pl.audio.kinds import kind_of_file
from jukebox_pl.errors import UserError

LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000  # telephones have 8,000; above are damaged headers
MOST_CHANNELS = 64
FRAMES_AT_ONCE = 65_536
# Writers that cannot go back, as into a pipe, leave such a length in the header of a WAV file.
OPEN_BYTES = 0x7FFF_0000
COUNTED = (1, 3, 6, 7, 0xFFFE)  # formats of WAV, PCM above all, in which the bytes tell the samples

# FFmpeg's demuxer for each kind. It is named because FFmpeg, left to guess, would also open playlists that lead elsewhere.
DEMUXERS = {
    "wav": "wav",
    "w64": "w64",
    "aiff": "aiff",
    "svx": "iff",
    "caf": "caf",
    "au": "au",
    "voc": "voc",
    "nist": "nistsphere",
    "mp3": "mp3",
    "mp2": "mp3",
    "mp1": "mp3",
    "aac": "aac",
    "flac": "flac",
    "ogg": "ogg",
    "matroska": "matroska",
    "mp4": "mov",
    "asf": "asf",
    "avi": "avi",
    "flv": "flv",
    "rm": "rm",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "wavpack": "wv",
    "ape": "ape",
    "tta": "tta",
    "tak": "tak",
    "musepack": "mpc",
    "musepack8": "mpc8",
    "dsf": "dsf",
    "dff": "iff",
    "amr": "amr",
    "ac3": "ac3",
    "eac3": "eac3",
    "dts": "dts",
}
# Kinds whose header tells the length, and not the size of the file; of the others FFmpeg guesses it.
TELL_LENGTH = ("flac", "mp4", "matroska", "asf", "wavpack", "ape", "tta", "aiff", "caf", "w64", "dsf")


@dataclass
class SoundStream:
    """Sound that can be read once. `speakers` names the channel of each row, "FL" for front left, "" where none is said.

    `told_seconds` is the length that the header tells, None where it tells none. `blocks` gives float32 [C, n], in
    [-1, 1] where full scale is 1; after the last, `damaged` is how many of its packets could not be decoded.
    """

    kind: str
    rate: int
    speakers: tuple[str, ...]
    told_seconds: float | None
    blocks: Iterator[np.ndarray]
    damaged: int = 0


@contextmanager
def open_sound(path: Path) -> Iterator[SoundStream]:
    """The sound of a file, by its content, whatever its name. Raises UserError, also while its blocks are read.

    Pictures and video are passed over, and no other file is opened.
    """
    with open_regular(path) as file:
        if not file.read(1):
            raise UserError("the file is empty (0 bytes)")
        kind = kind_of_file(file)
        with _by_ffmpeg(file, kind) if kind else _by_libsndfile(file, path) as stream:
            if not LOWEST_RATE <= stream.rate <= HIGHEST_RATE:
                expected = f"expected {LOWEST_RATE} to {HIGHEST_RATE}"
                raise UserError(f"{stream.rate} samples a second, {expected}: its header is damaged, or it is no music")
            if not 1 <= len(stream.speakers) <= MOST_CHANNELS:
                raise UserError(f"{len(stream.speakers)} channels, expected 1 to {MOST_CHANNELS}")
            yield stream


def open_regular(path: Path) -> BinaryIO:
    """Raises UserError where there is no regular file: a FIFO would wait for its writer, and a device never end."""
    try:
        if path.exists() and not path.is_file():
            raise UserError("Is a directory" if path.is_dir() else "it is no regular file")
        return open(path, "rb")
    except (OSError, ValueError) as error:
        raise UserError(getattr(error, "strerror", None) or str(error)) from error


def decode(path: Path) -> tuple[np.ndarray, int]:
    """The whole sound [C, T] of a file and its rate. Raises UserError."""
    with open_sound(path) as stream:
        blocks = [np.empty((len(stream.speakers), 0), np.float32), *stream.blocks]
        return np.concatenate(blocks, axis=1), stream.rate


def regroup(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same sound [C, T] in blocks of `size` samples; the last may be shorter."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(each.shape[1] for each in waiting) >= size:
            joined = np.concatenate(waiting, axis=1)
            whole = joined.shape[1] // size * size
            yield from (joined[:, start : start + size] for start in range(0, whole, size))
            waiting = [joined[:, whole:]]
    if waiting and (last := np.concatenate(waiting, axis=1)).shape[1]:
        yield last


def cut(blocks: Iterable[np.ndarray], start: int, length: int) -> Iterator[np.ndarray]:
    """The part of sound [C, T] in blocks that begins at sample `start`; nothing behind it is asked for."""
    place = 0
    for block in blocks:
        yield block[:, max(start - place, 0) : max(start + length - place, 0)]
        place += block.shape[1]
        if place >= start + length:
            return


@contextmanager
def _by_libsndfile(file: BinaryIO, path: Path) -> Iterator[SoundStream]:
    """Old formats that have no signature of ours."""
    file.seek(0)
    try:  # by its descriptor: by its name libsndfile would take anything called .raw
        sound = soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise UserError(f"damaged, or not a {path.suffix} file at all (libsndfile: {error.error_string})") from error
    with sound:
        yield SoundStream(sound.format.lower(), sound.samplerate, ("",) * sound.channels, None, _read_blocks(sound))


def _read_blocks(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    try:
        while len(block := sound.read(FRAMES_AT_ONCE, "float32", always_2d=True)):
            yield block.T
    except soundfile.LibsndfileError as error:
        raise UserError(f"damaged (libsndfile: {error.error_string})") from error


@contextmanager
def _by_ffmpeg(file: BinaryIO, kind: str) -> Iterator[SoundStream]:
    told = told_seconds(file, kind)
    file.seek(0)
    options = {"protocol_whitelist": "none", "codec_whitelist": _audio_codecs()}
    try:
        with av.open(file, "r", format=DEMUXERS[kind], options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UserError(f"a {kind} file without sound")
            source = container.streams.audio[0]
            if source.codec_context is None:
                raise UserError(f"a {kind} file whose codec is not known")
            if kind == "flac":  # has checksums; without them damage would be heard as noise
                source.codec_context.options = {"err_detect": "crccheck+explode"}
            if kind in TELL_LENGTH and source.duration and source.time_base:
                told = float(source.duration * source.time_base)
            elif kind in TELL_LENGTH and container.duration and not container.streams.video:  # which may be longer
                told = container.duration / av.time_base
            stream = SoundStream(kind, 0, (), told, iter(()))
            frames = _frames(container, source, stream)
            first = next(frames, None)
            like = first or source.codec_context
            stream.rate, layout = like.sample_rate, like.layout
            stream.speakers = tuple("" if each.name == "NONE" else each.name for each in layout.channels)
            if first:
                stream.blocks = _blocks(chain([first], frames), layout, stream.rate)
            yield stream
    except av.FFmpegError as error:
        raise UserError(f"damaged, or no {kind} file after all (FFmpeg: {error.strerror})") from error


def told_seconds(file: BinaryIO, kind: str) -> float | None:
    """What the tags and headers of MP3 and WAV files tell of their length, where they do."""
    file.seek(0)
    try:
        if kind == "mp3":
            mp3: Any = MP3(file)
            tagged = [float(frame.text[0]) / 1000 for frame in (mp3.tags or {}).values() if frame.FrameID == "TLEN"]
            counted = mp3.info.length if mp3.info.bitrate_mode is not BitrateMode.UNKNOWN else 0.0
            return counted or max(tagged, default=0.0) or None
        if kind == "wav":
            info: Any = WAVE(file).info
            known = info.audio_format in COUNTED and 0 < info.length * info.bitrate / 8 < OPEN_BYTES
            return info.length if known else None
    except (mutagen.MutagenError, ValueError, TypeError, LookupError, ZeroDivisionError):
        pass
    return None


@cache
def _audio_codecs() -> str:
    """The decoders of sound: FFmpeg, which looks into every stream of a file, meets no picture with another one."""
    return ",".join(filter(_decodes_audio, sorted(av.codecs_available)))


def _decodes_audio(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except ValueError:
        return False


def _frames(container: InputContainer, source: av.AudioStream, stream: SoundStream) -> Iterator[av.AudioFrame]:
    """All that can be decoded. Damage counts where sound follows on it: tags and rubbish behind the last packet are none."""
    failed, packets = 0, container.demux(source)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except av.InvalidDataError:
            failed += 1
            continue
        except av.FFmpegError:  # the file ends within a packet
            return
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}") from error
        if frames:
            stream.damaged, failed = stream.damaged + failed, 0
        yield from frames


def _blocks(frames: Iterable[av.AudioFrame], layout: av.AudioLayout, rate: int) -> Iterator[np.ndarray]:
    """As float32 [C, n]; where files were joined, what follows is brought to the rate and channels of the first."""
    resampler, form = None, None
    for frame in frames:
        here = frame.format.name, frame.layout.name, frame.sample_rate
        if here != form:
            yield from _arrays(resampler, None)
            resampler, form = av.AudioResampler("fltp", layout, rate), here
        frame.pts = None  # gaps in the time stamps are not filled
        yield from _arrays(resampler, frame)
    yield from _arrays(resampler, None)


def _arrays(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    for converted in resampler.resample(frame) if resampler else ():
        if converted is not None:
            yield converted.to_ndarray()
