"""Encoding the catalog to codes, once: priors then train on code shards alone."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch

from jukebox_pl import audio, checkpoints
from jukebox_pl.audio.augmentations import View, make_view, view_id
from jukebox_pl.catalog.shards import (
    SPLITS,
    TRAIN,
    Catalog,
    CodesInfo,
    ShardSample,
    SongEntry,
    Split,
    read_shard,
    write_shard,
)
from jukebox_pl.catalog.urls import Place
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.prepare import fingerprint
from jukebox_pl.pipeline.stage_folder import StageResult
from jukebox_pl.types import Song

SECONDS_BETWEEN_LINES = 5.0


class EncodeStage:
    """Every shard at `path` through the VQ-VAE in `vqvae`. An interrupted run keeps the shards that are there.

    `views` of the training songs are encoded behind each of them, under names that end in theirs.
    """

    alone = True

    def __init__(self, path: str, vqvae: str, device: str = "auto", views: Mapping[str, View] | None = None):
        self.path, self.vqvae, self.views = path, vqvae, dict(views or {})
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device

    def complete(self, result: StageResult) -> bool:
        return True

    def run(self, folder: Path) -> StageResult:
        loaded = checkpoints.load(self.vqvae)
        model = cast(VQVAE, loaded.model).to(self.device)
        fast_convolutions(model)
        catalog, out = Catalog.load(self.path), folder / "shards"
        views = {split: self.views if split == TRAIN else {} for split in SPLITS}
        progress = Progress(sum(len(catalog.songs(split)) * (1 + len(views[split])) for split in SPLITS))
        encoder = Encoder(model, progress)
        splits = {split: encoder.encode_split(catalog, split, out, views[split]) for split in SPLITS}
        info = CodesInfo(bins=model.bins, hops=list(model.hops), fingerprint=loaded.fingerprint)
        encoded = dataclasses.replace(catalog, folder=out, codes=info, splits=splits)
        encoded.save()
        songs = sum(len(catalog.songs(split)) for split in SPLITS)
        return StageResult(fingerprint(encoded), {"songs": songs, "views": progress.total - songs})


class Encoder:
    """Shards of sound to shards of codes."""

    def __init__(self, model: VQVAE, progress: Progress):
        self.model, self.progress = model, progress

    def encode_split(self, catalog: Catalog, split: str, out: Path, views: Mapping[str, View]) -> Split:
        encoded: Split = {"shards": [], "songs": []}
        entries = entries_of(catalog.songs(split), views)
        for shard in catalog.shards(split):
            songs = self.encode_shard(shard, out / split / shard.name, views)
            encoded["shards"].append({"file": f"{split}/{shard.name}", "songs": len(songs)})
            encoded["songs"] += [{**entries[song.id], "samples": song.duration} for song in songs]
        return encoded

    def encode_shard(self, shard: Place, out: Path, views: Mapping[str, View]) -> list[Song]:
        """Makes the shard unless it is there; returns the songs and views in it."""
        if not out.exists():
            write_shard(out, self.encode_songs(shard, views))
            return [sample.song for sample in read_shard(out)]
        songs = [sample.song for sample in read_shard(out)]
        self.progress.add(len(songs))
        return songs

    def encode_songs(self, shard: Place, views: Mapping[str, View]) -> Iterator[ShardSample]:
        for sample in read_shard(shard):
            sound, _ = audio.read(sample.audio or b"")
            yield self.encode_song(sound, sample.song)
            for name, view in views.items():
                yield self.encode_song(*make_view(name, view, sound, sample.song))

    def encode_song(self, sound: np.ndarray, song: Song) -> ShardSample:
        mono = torch.from_numpy(sound.mean(0)).view(1, 1, -1).to(next(self.model.parameters()).device)
        with torch.inference_mode():
            codes = self.model.encode_long(mono)
        self.progress.add(1)
        return ShardSample(song, codes=tuple(level[0].cpu().numpy().astype(np.uint16) for level in codes))


def entries_of(songs: list[SongEntry], views: Mapping[str, View]) -> dict[str, SongEntry]:
    """What `catalog.json` says of the songs and of their views, by id."""
    seen: dict[str, SongEntry] = {song["id"]: song for song in songs}
    for song in songs:
        for name in views:
            id = view_id(song["id"], name)
            seen[id] = {**song, "id": id, "view": name}
    return seen


class Progress:
    """A line every few seconds: songs done and time to go."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.started = self.said = time.monotonic()

    def add(self, songs: int) -> None:
        self.done += songs
        now = time.monotonic()
        if now - self.said > SECONDS_BETWEEN_LINES:
            self.said = now
            left = (now - self.started) / self.done * (self.total - self.done)
            print(f"codes: {self.done}/{self.total} songs, {left:.0f} s to go", file=sys.stderr, flush=True)
