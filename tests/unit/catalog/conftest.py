"""Songs made of noise, a few seconds long, and catalogs of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jukebox_pl import audio
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.sources import Source

RATE = 8_000
MakeSong = Callable[..., Path]
Settings = Callable[..., PrepareSettings]


@pytest.fixture
def make_song(tmp_path) -> MakeSong:
    """make_song("A/b.flac", seconds=2.0): noise, another for every name, in the folder `songs`."""

    def make(name: str, seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> Path:
        rng = np.random.default_rng(list(name.encode(errors="surrogateescape")))
        noise = rng.uniform(-0.5, 0.5, (channels, round(seconds * rate))).astype(np.float32)
        return audio.write(tmp_path / "songs" / name, noise, rate)

    return make


@pytest.fixture
def settings(tmp_path) -> Settings:
    """settings(out="other", held_out=0.5): small and in this process unless told otherwise."""

    def make(catalog: str = "songs", out: str = "out", **changes) -> PrepareSettings:
        defaults = {"sample_rate": RATE, "workers": 0, "songs_per_shard": 2, "held_out": 0.3}
        return PrepareSettings(tmp_path / catalog, tmp_path / out, **(defaults | changes))

    return make


@pytest.fixture
def source(tmp_path, make_song):
    """source({"a.txt": "la"}, lyrics="a.txt"): one song, and these files in its folder."""
    make_song("a.flac")

    def make(files: dict[str, str], **fields: str) -> Source:
        for name, text in files.items():
            (tmp_path / "songs" / name).write_text(text, encoding="utf-8")
        return Source("id", tmp_path / "songs", "a.flac", **fields)

    return make
