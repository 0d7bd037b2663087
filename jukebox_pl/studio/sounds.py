"""Recordings that the page plays and that are no songs of the session: clips of visitors, songs as far as they are sung."""

from __future__ import annotations

import secrets
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import NamedTuple

import numpy as np

from jukebox_pl import audio
from jukebox_pl.errors import UserError

BARS = 400  # of a waveform
LONGEST_CLIP = 1200.0  # seconds; longer is no clip, and would take minutes to decode
PLAYED_RATE = 22_050  # of a clip as it is played back: enough to choose a stretch by ear
KEPT = 200


class Sound(NamedTuple):
    """`original` is the file as it was uploaded; `peaks` are 0 to 100, BARS of them."""

    file: Path
    seconds: float
    peaks: list[int]
    original: Path | None = None


class Sounds:
    """Files of a folder of their own, found by tokens that nobody can guess; the oldest are forgotten."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="jukebox_pl_")
        self._kept: OrderedDict[str, Sound] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, token: str) -> Sound:
        """Raises KeyError for what is not there."""
        with self._lock:
            return self._kept[token]

    def once(self, key: str, make: Callable[[], tuple[np.ndarray, int]]) -> str:
        """The token of the audio [1, N] and its rate that is made for a key, once."""
        with self._lock:
            if key not in self._kept:
                self._keep(key, *make())
            return key

    def clip(self, upload: Path, most_bytes: int) -> str:
        """The token of a recording to go on from. Raises UserError where it is none, too large or too long."""
        try:
            if (size := upload.stat().st_size) > most_bytes:
                raise UserError(f"{size / 2**20:.0f} MB, at most {most_bytes / 2**20:.0f} MB are taken")
            sound, rate = played(upload)
        except (UserError, OSError) as error:
            raise UserError(f"this clip cannot be used: {error}") from None
        token = secrets.token_urlsafe(12)
        original = Path(self._folder.name) / f"{token}.clip"
        shutil.copyfile(upload, original)
        with self._lock:
            self._keep(token, sound, rate, original)
            return token

    def close(self) -> None:
        self._folder.cleanup()

    def _keep(self, token: str, sound: np.ndarray, rate: int, original: Path | None = None) -> None:
        file = audio.write(Path(self._folder.name) / f"{secrets.token_hex(12)}.wav", sound, rate)
        self._kept[token] = Sound(file, sound.shape[1] / rate, peaks(sound), original)
        while len(self._kept) > KEPT:
            _, forgotten = self._kept.popitem(last=False)
            for path in (forgotten.file, forgotten.original):
                if path:
                    path.unlink(missing_ok=True)


def played(path: Path) -> tuple[np.ndarray, int]:
    """Mono sound [1, N] and its rate. Raises UserError for what is no sound, holds none, or is longer than LONGEST_CLIP."""
    with audio.open_sound(path) as stream:
        rate, most = min(stream.rate, PLAYED_RATE), f"at most {LONGEST_CLIP / 60:g} minutes are taken: cut it first"
        if (stream.told_seconds or 0.0) > LONGEST_CLIP:
            raise UserError(f"{(stream.told_seconds or 0.0) / 60:.0f} minutes, {most}")
        blocks, length = [np.empty((1, 0), np.float32)], 0
        for block in audio.resampled((audio.to_channels(block, 1) for block in stream.blocks), stream.rate, rate):
            blocks.append(block)
            length += block.shape[1]
            if length > LONGEST_CLIP * rate:
                raise UserError(f"longer than {LONGEST_CLIP / 60:g} minutes, {most}")
    sound = np.concatenate(blocks, axis=1)
    if not sound.size or not np.isfinite(sound).all():
        raise UserError("there is no sound in it")
    return sound, rate


def peaks(sound: np.ndarray) -> list[int]:
    """The loudest sample of each of BARS parts of audio [1, N], the loudest of all being 100."""
    mono = np.abs(sound[0])
    parts = [float(part.max()) for part in np.array_split(mono, min(BARS, max(len(mono), 1))) if len(part)]
    loudest = max(parts, default=0.0) or 1.0
    return [round(100 * part / loudest) for part in parts]
