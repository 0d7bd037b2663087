"""Sound in and out. `audio.read(...)` is how the rest of the library says it."""

from jukebox_pl.audio.files import (
    FORMATS,
    FRAMES_AT_ONCE,
    SAMPLE_RATE,
    append,
    encode,
    read,
    resample,
    to_channels,
    write,
)

__all__ = ["FORMATS", "FRAMES_AT_ONCE", "SAMPLE_RATE", "append", "encode", "read", "resample", "to_channels", "write"]
