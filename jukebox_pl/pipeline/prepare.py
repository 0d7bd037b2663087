"""The first stage of every recipe: there are shards to train on, made here where that is what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from jukebox_pl.catalog.growing import GROWN_FROM, fingerprint
from jukebox_pl.catalog.prepare import changes_of, prepare
from jukebox_pl.catalog.settings import PrepareSettings
from jukebox_pl.catalog.shards import CATALOG_FILE, TRAIN, Catalog
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.stage_folder import Stage, StageResult, say
from jukebox_pl.report.terminal import print_catalog, showing_progress, tell_report
from jukebox_pl.training.loggers import first_rank

GROW = (
    "data.grow=true takes it in: only what is new or changed is decoded and encoded; trained stages keep their weights, and "
    "go on from them with a larger stages.NAME.max_steps, or in recipe=finetune"
)


class CatalogStage(Stage):
    """Shards at `path`, a folder or a URL: those that are there, or made from the songs at `songs`, which `source` may
    first write. What `source` writes cannot crash a decoder, so it is decoded in this process. With `grow` a run takes in
    songs that have come, changed or gone since it began.
    """

    grows = True
    makes = "catalog"

    def __init__(
        self,
        path: str,
        songs: str | None = None,
        source: DictConfig | None = None,
        grow: bool = False,
        **settings: Any,
    ):
        self.path, self.songs, self.source, self.grow = path, songs, source, grow
        self.settings = ({"workers": 0} if source else {}) | settings

    def made_outside(self) -> list[Path]:
        written = [Path(self.source["folder"])] if self.source and "folder" in self.source else []
        return [Path(self.path), *written] if self.songs or self.source else []

    def output(self, folder: Path) -> str:
        return self.path

    def complete(self, result: StageResult) -> bool:
        """Raises UserError when the shards are not those that the run began with, nor grown from them."""
        if self.made_outside() and not (Path(self.path) / CATALOG_FILE).exists():
            return False  # deleted, to be made again
        catalog = Catalog.load(self.path)
        if (now := fingerprint(catalog)) != result.fingerprint:
            if result.fingerprint not in catalog.prepared.get(GROWN_FROM, ()):
                raise UserError(
                    f"{self.path} holds other songs than this run began with ({result.fingerprint} -> {now}); "
                    "give the shards it began with, or choose another run_dir"
                )
            if not self.grow:
                raise UserError(f"{self.path} has grown since this run began: {GROW}, or choose another run_dir")
            return False
        if self.songs and not self.source and first_rank():
            return self._rests()
        return True

    def _rests(self) -> bool:
        """Whether the songs are those that the shards were made from, or what else they are is only said."""
        try:
            changes = changes_of(self._to_prepare(self.songs))
        except UserError as error:  # the shards have all that is needed
            say(f"the songs are not looked at again ({error}); this run goes on with its shards")
            return True
        if any(changes) and not self.grow:
            say(f"{self.songs} has changed since {self.path} was made: {changes}. This run goes on without that; {GROW}")
        return not (any(changes) and self.grow)

    def _to_prepare(self, songs: Any) -> PrepareSettings:
        return PrepareSettings(catalog=Path(songs), out=Path(self.path), **self.settings)

    def run(self, folder: Path) -> StageResult:
        songs = instantiate(self.source) if self.source else self.songs
        if songs:
            console, settings = Console(stderr=True, highlight=False), self._to_prepare(songs)
            with showing_progress(console) as show:
                prepared = prepare(settings, show, on_report=lambda report: tell_report(console, settings.out, report))
            if not self.source:
                print_catalog(console, prepared)
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
