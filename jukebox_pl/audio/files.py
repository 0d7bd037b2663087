"""Sound in and out: numpy float32 [C, T] in [-1, 1], soundfile for files, soxr for rates."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jukebox_pl.utils.files import replacing, write_atomic

SAMPLE_RATE = 44_100
FRAMES_AT_ONCE = 65_536
FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS"}


def read(source: str | Path | bytes, start: int = 0, frames: int = -1) -> tuple[np.ndarray, int]:
    """Reads `frames` samples from `start`: audio [C, T] and its rate. Raises soundfile.LibsndfileError."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    audio, rate = soundfile.read(file, frames=frames, start=start, dtype="float32", always_2d=True)
    return np.ascontiguousarray(audio.T), rate


def resample(audio: np.ndarray, rate: int, target: int) -> np.ndarray:
    """[C, T] at `rate` to [C, T'] at `target` (soxr, high quality)."""
    return audio if rate == target else np.ascontiguousarray(soxr.resample(audio.T, rate, target).T, dtype=np.float32)


def resampled(blocks: Iterable[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """The same of sound [C, n] that comes in blocks: together they are what `resample` makes of the whole."""
    if rate == target:
        yield from blocks
        return
    stream, channels = None, 0
    for block in blocks:
        if stream is None:
            channels = len(block)
            stream = soxr.ResampleStream(rate, target, channels, dtype="float32")
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if stream:
        yield stream.resample_chunk(np.empty((0, channels), np.float32), last=True).T


def downmix(audio: np.ndarray) -> np.ndarray:
    """[C, T] to mono [T]: the mean of the channels."""
    return audio.mean(axis=0)


def to_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """[C, T] to [channels, T]: mono is the mean, stereo from mono is a copy."""
    return audio if audio.shape[0] == channels else np.repeat(downmix(audio)[None], channels, axis=0)


def encode(audio: np.ndarray, rate: int, format: str = "flac") -> bytes:
    """The bytes of a file holding audio [C, T], clipped to [-1, 1], 16 bits (Vorbis for ogg)."""
    buffer = io.BytesIO()
    frames = np.clip(audio, -1.0, 1.0).T
    with soundfile.SoundFile(buffer, "w", rate, audio.shape[0], FORMATS[format], format=format.upper()) as file:
        # libsndfile 1.2 overruns its stack on one long write of Vorbis.
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            file.write(frames[start : start + FRAMES_AT_ONCE])
    return buffer.getvalue()


def write(path: str | Path, audio: np.ndarray, rate: int) -> Path:
    """Writes audio [C, T] by the ending of `path`: wav, flac or ogg. Raises KeyError on another ending."""
    path = Path(path)
    write_atomic(path, encode(audio, rate, path.suffix.lstrip(".").lower()))
    return path


@contextmanager
def writing_flac(path: Path, rate: int, channels: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Takes blocks of audio [C, n]: in the end there is the file that `encode` makes of the whole, or none.

    Raises OSError where the disk refuses it.
    """
    with replacing(path) as beside:
        try:
            with soundfile.SoundFile(beside, "w", rate, channels, FORMATS["flac"], format="FLAC") as file:
                yield lambda block: file.write(np.clip(block, -1.0, 1.0).T)
        except soundfile.LibsndfileError as error:
            raise OSError(f"libsndfile: {error.error_string}") from error


def append(path: str | Path, audio: np.ndarray) -> None:
    """Adds audio [C, T] to a WAV file that is whole at any moment: the header that counts the samples is written last."""
    with soundfile.SoundFile(path, "r+") as file:
        file.seek(0, soundfile.SEEK_END)
        file.write(np.clip(audio, -1.0, 1.0).T)
