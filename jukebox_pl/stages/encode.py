"""Encoding the catalog to codes, once: priors then train on code shards alone."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch

from jukebox_pl import audio, weights
from jukebox_pl.catalog.shards import SPLITS, Catalog, CodesInfo, ShardSample, read_shard, write_shard
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.stages.catalog import fingerprint
from jukebox_pl.stages.folders import StageResult

SECONDS_BETWEEN_LINES = 5.0


class EncodeStage:
    """Every shard at `path` through the VQ-VAE in `vqvae`. An interrupted run keeps the shards that are there."""

    alone = True

    def __init__(self, path: str, vqvae: str, device: str = "auto"):
        self.path, self.vqvae = path, vqvae
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device

    def complete(self, result: StageResult) -> bool:
        return True

    def run(self, folder: Path) -> StageResult:
        loaded = weights.load(self.vqvae)
        model = cast(VQVAE, loaded.model).to(self.device)
        catalog, out = Catalog.load(self.path), folder / "shards"
        progress = Progress(sum(len(catalog.songs(split)) for split in SPLITS))
        for split in SPLITS:
            for shard in catalog.shards(split):
                encode_shard(model, shard, out / split / shard.name, progress)
        info = CodesInfo(bins=model.bins, hops=list(model.hops), fingerprint=loaded.fingerprint)
        encoded = dataclasses.replace(catalog, folder=out, codes=info)
        encoded.save()
        return StageResult(fingerprint(encoded), {"songs": progress.total})


def encode_shard(model: VQVAE, shard: Path, out: Path, progress: Progress) -> None:
    if out.exists():
        progress.add(sum(1 for _ in read_shard(out)))
    else:
        write_shard(out, encode_songs(model, shard, progress))


def encode_songs(model: VQVAE, shard: Path, progress: Progress) -> Iterator[ShardSample]:
    for sample in read_shard(shard):
        sound, _ = audio.read(sample.audio or b"")
        mono = torch.from_numpy(sound.mean(0)).view(1, 1, -1).to(next(model.parameters()).device)
        with torch.inference_mode():
            codes = model.encode_long(mono)
        yield ShardSample(sample.song, codes=tuple(level[0].cpu().numpy().astype(np.uint16) for level in codes))
        progress.add(1)


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
