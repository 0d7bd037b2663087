"""Networks on disk. A config names networks of this library, or of packages that are trusted; weights are safetensors."""

from jukebox_pl.checkpoints.adapters import (
    ADAPTER,
    STRONGEST,
    Adapter,
    AdapterUse,
    TrainedLevel,
    read_adapter,
    save_adapter,
    with_tables_for,
)
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
from jukebox_pl.checkpoints.records import LevelAdapter

__all__ = [
    "ADAPTER",
    "BUNDLE",
    "CONFIG",
    "DENSE",
    "STRONGEST",
    "TRUSTED",
    "WEIGHTS",
    "Adapter",
    "AdapterUse",
    "Bundle",
    "LazyPriors",
    "LevelAdapter",
    "LyricsHead",
    "TrainedLevel",
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
    "read_adapter",
    "read_bundle",
    "read_config",
    "save_adapter",
    "save_bundle",
    "save_state",
    "with_tables_for",
]
