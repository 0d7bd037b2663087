"""Sound in and out. `audio.read(...)` is how the rest of the library says it."""

from jukebox_pl.audio.files import (
    FORMATS,
    SAMPLE_RATE,
    append,
    downmix,
    encode,
    read,
    resample,
    to_channels,
    write,
)

__all__ = [
    "FORMATS",
    "SAMPLE_RATE",
    "append",
    "downmix",
    "encode",
    "read",
    "resample",
    "to_channels",
    "write",
]
