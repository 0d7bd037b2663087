"""The sound of a song: decoded, measured, mixed, resampled and stored, in blocks: memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jukebox_pl.audio.files import resampled, writing_flac
from jukebox_pl.audio.mix import mix_matrix
from jukebox_pl.audio.streams import SoundStream, open_sound, regroup
from jukebox_pl.catalog.doctor.examine import AudioStats, Examiner
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.errors import UserError

SECONDS_MISSING = 0.5  # encoders pad and decoders trim: an MP3 may come out a few frames of 26 ms shorter than its header
HIGHEST_PEAK = 32.0  # 30 dB above full scale, which no mix reaches: numbers without a scale
AUDIBLE = 0.5 / 32767  # what 16 bits round to more than zero
LAST_PAGE_BYTES = 65_536 + 512  # as long as a page of Ogg can be


class LoadedSound(NamedTuple):
    """What became of a file: its length in samples at the new rate, what was measured, what is worth a word."""

    samples: int
    audio_stats: AudioStats
    warnings: tuple[str, ...]


class _Silent(UserError):
    """`loudest` is the channel that could be heard alone, None where all are silent."""

    def __init__(self, loudest: int | None):
        super().__init__("silent, every sample is zero in 16 bits")
        self.loudest = loudest


def load_sound(path: Path, settings: PrepareSettings, out: Path | None = None) -> LoadedSound:
    """Reads a file to its end and writes it, as the settings want it, as FLAC of 16 bits to `out` if that is given.

    Raises UserError when it is unreadable, short, long or silent, and OSError naming `out` where that cannot be written.
    """
    try:
        return _convert(path, settings, out)
    except _Silent as silent:
        if silent.loudest is None:
            raise
        loaded = _convert(path, settings, out, silent.loudest)
        warning = f"its channels cancel to silence: channel {silent.loudest + 1} was taken alone"
        return loaded._replace(warnings=(*loaded.warnings, warning))


def _convert(path: Path, settings: PrepareSettings, out: Path | None, alone: int | None = None) -> LoadedSound:
    writing = writing_flac(out, settings.sample_rate, settings.channels) if out else nullcontext(_forget)
    with writing as write, open_sound(path) as stream:
        channels = len(stream.speakers)
        examiner = Examiner(stream.rate, channels)
        matrix = mix_matrix(stream.speakers, settings.channels)
        if alone is not None:
            matrix = np.tile(np.eye(channels, dtype=np.float32)[alone], (settings.channels, 1))
        mixed = (matrix @ block for block in _examined(stream, examiner, settings))
        samples, peak = 0, 0.0
        for block in resampled(mixed, stream.rate, settings.sample_rate):
            write(block)
            samples, peak = samples + block.shape[1], max(peak, float(np.abs(block).max(initial=0.0)))
        if peak < AUDIBLE:  # asked of the result: channels may cancel, and hiss above the new Nyquist frequency is gone
            audible = examiner.peak >= AUDIBLE and channels > 1 and alone is None
            loud = examiner.powers >= 0.99 * examiner.powers.max()
            raise _Silent(int(loud.argmax()) if audible else None)
        return LoadedSound(samples, examiner.stats(), tuple(_warnings(path, stream, samples / settings.sample_rate)))


def _forget(block: np.ndarray) -> None:
    """Where it is only examined."""


def _examined(stream: SoundStream, examiner: Examiner, settings: PrepareSettings) -> Iterator[np.ndarray]:
    """The blocks of a stream, measured before they are resampled, which hides the bandwidth and rounds off what was clipped.

    Raises UserError for what is no sound, and after the last for what is too short or too long.
    """
    most = settings.max_seconds * stream.rate if settings.max_seconds is not None else float("inf")
    samples = 0
    for block in regroup(stream.blocks, examiner.block):
        samples += block.shape[1]
        if not np.isfinite(block).all():
            raise UserError("holds NaN or infinite samples")
        if (peak := float(np.abs(block).max())) > HIGHEST_PEAK:
            raise UserError(f"samples of up to {peak:g}, expected -1 to 1 (full scale): scale it and write it again")
        if samples <= most:
            examiner.add(block)
            yield block
    seconds = samples / stream.rate
    if seconds < settings.min_seconds:
        raise UserError(f"{seconds:.2f} s long, less than min_seconds={settings.min_seconds:g}")
    if samples > most:
        raise UserError(f"{seconds:.2f} s long, more than max_seconds={settings.max_seconds:g}")
    if not samples:
        raise UserError("holds no sound")


def _warnings(path: Path, stream: SoundStream, seconds: float) -> Iterator[str]:
    """Where the length is not what the header tells, where something could not be decoded, and how it was mixed."""
    missing = 0.01 if stream.kind == "flac" else SECONDS_MISSING
    if stream.told_seconds and stream.told_seconds - seconds > missing:
        yield f"cut short: {seconds:.1f} s of the {stream.told_seconds:.1f} s that its header tells"
    elif stream.told_seconds and seconds - stream.told_seconds > SECONDS_MISSING:
        yield f"{seconds:.1f} s long, where its header tells {stream.told_seconds:.1f} s: all of it was read"
    if stream.kind == "ogg" and not ends_with_last_page(path):  # no header tells its length
        yield f"cut short: it ends after {seconds:.1f} s without its last page"
    # A lost packet of a lossy file lasts 26 ms, and where files were joined there is one.
    if stream.damaged > (0 if stream.kind == "flac" else 1):
        yield f"damaged: {stream.damaged} packets within its {seconds:.1f} s could not be decoded"
    if len(stream.speakers) > 2:
        yield f"its {len(stream.speakers)} channels were mixed down as ITU-R BS.775 has it, without the LFE"


def ends_with_last_page(path: Path) -> bool:
    """Whether the last page of an Ogg file is whole and says that it is the last."""
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - LAST_PAGE_BYTES, 0))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) > 26 and bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(lengths)
