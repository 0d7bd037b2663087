"""The first stage of every recipe: there are shards to train on, made here where that is what was asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from jukebox_pl.catalog.prepare import prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, TRAIN, Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.report.catalog_page import write_doctor_page
from jukebox_pl.report.terminal import showing_progress


class CatalogStage(Stage):
    """Shards at `path`, a folder or a URL: those that are there, or made from the songs at `songs`, which `source` may
    first write. What `source` writes cannot crash a decoder, so it is decoded in this process.
    """

    def __init__(self, path: str, songs: str | None = None, source: DictConfig | None = None, **settings: Any):
        self.path, self.songs, self.source = path, songs, source
        self.settings = ({"workers": 0} if source else {}) | settings

    def complete(self, result: StageResult) -> bool:
        """Raises UserError when the shards are not those that the run began with."""
        if (now := fingerprint(Catalog.load(self.path))) != result.fingerprint:
            raise UserError(
                f"{self.path} holds other songs than this run began with ({result.fingerprint} -> {now}); "
                "give the shards it began with, or choose another run_dir"
            )
        return True

    def run(self, folder: Path) -> StageResult:
        songs = instantiate(self.source) if self.source else self.songs
        if songs:
            settings = PrepareSettings(catalog=Path(songs), out=Path(self.path), **self.settings)
            with showing_progress(Console(stderr=True)) as show:
                prepare(settings, show, on_report=lambda report: write_doctor_page(settings.out, report))
        catalog = Catalog.load(self.path)
        if not catalog.songs(TRAIN):
            raise UserError(f"{self.path} has no songs to train on; prepare a catalog with at least one usable song")
        entries = [song for split in catalog.splits for song in catalog.songs(split)]
        summary = {
            "songs": len(entries),
            "hours": sum(song["samples"] for song in entries) / catalog.sample_rate / 3600,
            "artists": len(catalog.artists),
            "with lyrics": sum(song["lyrics"] > 0 for song in entries),
        }
        return StageResult(fingerprint(catalog), summary)


def fingerprint(catalog: Catalog) -> str:
    """Names what is in the shards of a catalog."""
    return hashlib.sha256((catalog.folder / CATALOG_FILE).read_bytes()).hexdigest()[:16]
