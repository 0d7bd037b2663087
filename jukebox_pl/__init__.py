"""jukebox_pl: train and sample a Jukebox hierarchy on your own songs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jukebox_pl.checkpoints import load_bundle as load_bundle
    from jukebox_pl.models.prior import Prior as Prior
    from jukebox_pl.models.vqvae import VQVAE as VQVAE
    from jukebox_pl.report.notebook import SongPage as SongPage
    from jukebox_pl.sampling.sampler import Sampler as Sampler
    from jukebox_pl.sampling.streaming import AudioChunk as AudioChunk
    from jukebox_pl.types import SampledSong as SampledSong
    from jukebox_pl.types import SamplingParams as SamplingParams
    from jukebox_pl.types import Section as Section
    from jukebox_pl.types import SongRequest as SongRequest

HOMES = {
    "AudioChunk": "sampling.streaming",
    "Prior": "models.prior",
    "SampledSong": "types",
    "VQVAE": "models.vqvae",
    "Sampler": "sampling.sampler",
    "SamplingParams": "types",
    "Section": "types",
    "SongPage": "report.notebook",
    "SongRequest": "types",
    "load_bundle": "checkpoints",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    """Imported when first used: processes that only decode songs start without the networks."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
