"""Sound in and out. `audio.read(...)` is how the rest of the library says it."""

from jukebox_pl.audio.files import (
    FORMATS,
    SAMPLE_RATE,
    append,
    downmix,
    encode,
    read,
    resample,
    resampled,
    to_channels,
    write,
    writing_flac,
)
from jukebox_pl.audio.kinds import kind_of
from jukebox_pl.audio.streams import decode, open_sound

__all__ = [
    "FORMATS",
    "SAMPLE_RATE",
    "append",
    "decode",
    "downmix",
    "encode",
    "kind_of",
    "open_sound",
    "read",
    "resample",
    "resampled",
    "to_channels",
    "write",
    "writing_flac",
]
