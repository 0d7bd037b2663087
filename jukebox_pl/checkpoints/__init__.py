"""Networks on disk. A config names networks of this library, or of packages that are trusted; weights are safetensors."""

from jukebox_pl.checkpoints.building import DENSE, TRUSTED, assemble, build, on_meta
from jukebox_pl.checkpoints.bundle import (
    BUNDLE,
    Bundle,
    LazyPriors,
    LyricsHead,
    inside,
    load_bundle,
    noted_head,
    read_bundle,
    save_bundle,
)
from jukebox_pl.checkpoints.folders import (
    CONFIG,
    WEIGHTS,
    fingerprint,
    load,
    load_labeller,
    outline_of,
    read_config,
    save_state,
)

__all__ = [
    "BUNDLE",
    "CONFIG",
    "DENSE",
    "TRUSTED",
    "WEIGHTS",
    "Bundle",
    "LazyPriors",
    "LyricsHead",
    "assemble",
    "build",
    "fingerprint",
    "inside",
    "load",
    "load_bundle",
    "load_labeller",
    "noted_head",
    "on_meta",
    "outline_of",
    "read_bundle",
    "read_config",
    "save_bundle",
    "save_state",
]
