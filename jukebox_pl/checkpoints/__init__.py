"""Networks on disk. A config names networks of this library, or of packages that are trusted; weights are safetensors."""

from jukebox_pl.checkpoints.building import DENSE, TRUSTED, assemble, build, on_meta
from jukebox_pl.checkpoints.bundle import BUNDLE, Bundle, LazyPriors, LyricsHead, inside, load_bundle, save_bundle
from jukebox_pl.checkpoints.folders import (
    CONFIG,
    WEIGHTS,
    fingerprint,
    load,
    load_labeller,
    require_fitting,
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
    "on_meta",
    "require_fitting",
    "save_bundle",
    "save_state",
]
