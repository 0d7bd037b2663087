"""The end of a fine-tune: how far every prior has moved from the bundle, on the new songs and on the old ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jukebox_pl import audio, checkpoints
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog
from jukebox_pl.checkpoints import ADAPTER, Bundle
from jukebox_pl.errors import UserError
from jukebox_pl.evaluation.moved import Figures, Moved, Under, in_words
from jukebox_pl.evaluation.windows import evenly
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.stage_folder import Stage, StageResult, say
from jukebox_pl.report.comparison_page import write_comparison_page
from jukebox_pl.sampling.sampler import Sampler
from jukebox_pl.types import SamplingParams, Song, SongRequest
from jukebox_pl.utils.files import write_json

FILE = "moved.json"
PARAMS = SamplingParams()


class MovedStage(Stage):
    """Compares the run's priors with those of `init_from` on up to `songs` held-out songs of the catalog at `path` and of
    that at `old_data`, if one is given: shards of sound or of codes that the bundle was trained on. `windows` of each song.

    For the ear both make a song of `seconds` from each of the `seeds`, under the first artist and genre of the new songs,
    down to the level `lowest`; without seeds there is no page.
    """

    def __init__(
        self,
        init_from: str,
        path: str,
        old_data: str | None = None,
        songs: int = 8,
        windows: int = 4,
        seeds: Sequence[int] = (),
        seconds: float = 6.0,
        lowest: int = 0,
    ):
        self.init_from, self.path, self.old_data = init_from, path, old_data
        self.songs, self.windows = songs, windows
        self.seeds, self.seconds, self.lowest = list(seeds), seconds, lowest
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = torch.bfloat16 if self.device == "cuda" else torch.float32  # two priors are in memory at once

    def complete(self, result: StageResult) -> bool:
        return False  # cheap, and the run may have been trained on since

    def run(self, folder: Path) -> StageResult:
        """Raises UserError when the old songs have another sample rate."""
        base = checkpoints.load_bundle(self.init_from, at_once=False, dtype=self.dtype)
        tuned = tuned_bundle(folder.parent, self.init_from, self.dtype)
        catalogs = {name: Catalog.load(path) for name, path in {"new": self.path, "old": self.old_data}.items() if path}
        for catalog in catalogs.values():
            if catalog.sample_rate != base.sample_rate:
                expected = f"{self.init_from} was trained on {base.sample_rate}"
                raise UserError(f"{catalog.folder} has {catalog.sample_rate} samples a second, {expected}")
        songs = {name: list(coded_songs(catalog, base.vqvae, self.songs)) for name, catalog in catalogs.items()}
        found = {level: self._figures(level, base, tuned, songs) for level in sorted(base.priors, reverse=True)}
        lines = [
            f"level {level}: {in_words(figures['new'], figures.get('old')) or 'no song fills a window'}"
            for level, figures in found.items()
        ]
        for line in lines:
            say(line)
        rows = {level: {name: f._asdict() for name, f in of.items() if f} for level, of in found.items()}
        write_json(folder / FILE, rows)
        page = {"page": str(self._page(folder, base, tuned, lines))} if self.seeds else {}
        return StageResult(str(rows), page)

    def _page(self, folder: Path, base: Bundle, tuned: Bundle, lines: list[str]) -> Path:
        catalog, top, songs = Catalog.load(self.path), max(base.priors), {}
        for name, bundle in {"before": base, "after": tuned}.items():
            labeller = bundle.labellers[top]
            artists = [artist for artist in catalog.artists[:1] if labeller.artists.id(artist)]
            genres = tuple(genre for genre in catalog.genres[:1] if all(labeller.genres.ids(genre)))
            request = SongRequest("".join(artists), genres, seconds=self.seconds)
            networks = bundle.vqvae, bundle.priors, bundle.labellers
            sampler = Sampler(*networks, bundle.sample_rate, self.device, keep=False)
            levels = range(self.lowest, top + 1)
            songs[name] = sampler.sample_batch([request] * len(self.seeds), PARAMS, self.seeds, levels=levels)
        return write_comparison_page(folder, songs, f"{Path(self.init_from).name}, before and after", lines)

    def _figures(self, level: int, base: Bundle, tuned: Bundle, songs: dict[str, Any]) -> dict[str, Figures | None]:
        """Of the songs by name; both priors of one level are in memory."""
        pair = [Under(bundle.priors[level].to(self.device), bundle.labellers[level]) for bundle in (base, tuned)]
        figures = {}
        for name, coded in songs.items():
            moved = Moved(pair[0], pair[1], level, base.vqvae.hops, self.windows)
            for song, codes in coded:
                moved.add(song, codes)
            figures[name] = moved.figures()
        return figures


def tuned_bundle(run_dir: Path, init_from: str, dtype: torch.dtype) -> Bundle:
    """What a fine-tune has made: a bundle of its own, or an adapter of the one it began from."""
    if (run_dir / checkpoints.BUNDLE).exists():
        return checkpoints.load_bundle(run_dir, at_once=False, dtype=dtype)
    adapter = checkpoints.read_adapter(run_dir / ADAPTER)
    use = checkpoints.AdapterUse(adapter, dict.fromkeys(map(int, adapter.record.levels), 1.0))
    return checkpoints.load_bundle(init_from, at_once=False, dtype=dtype, adapters=[use])


@torch.inference_mode()
def coded_songs(catalog: Catalog, vqvae: VQVAE, count: int) -> Iterator[tuple[Song, list[Tensor]]]:
    """Up to `count` held-out songs, or training songs where none is, with their codes [1, T] at every level."""
    split = HELD_OUT if catalog.songs(HELD_OUT) else TRAIN
    hop, ids = vqvae.hops[-1], [song["id"] for song in evenly(catalog.songs(split), count)]
    for sample in catalog.samples(catalog.shard_of(split), ids):
        if sample.codes:
            yield sample.song, [torch.from_numpy(codes.astype(np.int64))[None] for codes in sample.codes]
        else:
            sound = torch.from_numpy(audio.downmix(sample.sound())).view(1, 1, -1)
            yield sample.song, vqvae.encode_long(sound[..., : sound.shape[-1] // hop * hop])
