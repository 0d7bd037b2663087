"""Encoding the catalog to codes, once: priors then train on code shards alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch

from jukebox_pl import audio, checkpoints
from jukebox_pl.audio.augmentations import Augmentation, augment, augmented_id
from jukebox_pl.catalog.growing import fingerprint
from jukebox_pl.catalog.prepare import remove_unlisted
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
from jukebox_pl.errors import UserError
from jukebox_pl.inference.convolutions import fast_convolutions
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.pipeline.stage_folder import Stage, StageResult
from jukebox_pl.types import Song
from jukebox_pl.utils.progress import Meter, terminal_meter


class EncodeStage(Stage):
    """Every shard at `path` through the VQ-VAE in `vqvae`. An interrupted run keeps the shards that are there.

    `views` are augmentations by name: the training songs are encoded once more under each, after the song itself and
    under ids that end in the name. Raises UserError for a device that cannot compute.
    """

    grows = True
    makes = "codes"

    def __init__(self, path: str, vqvae: str, device: str = "auto", views: Mapping[str, Augmentation] | None = None):
        self.path, self.vqvae, self.augmentations = path, vqvae, dict(views or {})
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            torch.zeros(1, device=self.device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UserError(f"device={device} cannot be used: {str(error).splitlines()[0]}; leave it auto") from None

    def output(self, folder: Path) -> str:
        return str(folder / "shards")

    def run(self, folder: Path) -> StageResult:
        loaded = checkpoints.load(self.vqvae)
        model = cast(VQVAE, loaded.model).to(self.device)
        fast_convolutions(model)
        catalog, out = Catalog.load(self.path), folder / "shards"
        augmentations = {split: self.augmentations if split == TRAIN else {} for split in SPLITS}
        songs = sum(len(catalog.songs(split)) for split in SPLITS)
        total = sum(len(catalog.songs(split)) * (1 + len(augmentations[split])) for split in SPLITS)
        with terminal_meter("songs") as meter:
            encoder = Encoder(model, meter, total)
            splits = {split: encoder.encode_split(catalog, split, out, augmentations[split]) for split in SPLITS}
        info = CodesInfo(bins=model.bins, hops=list(model.hops), fingerprint=loaded.fingerprint)
        encoded = dataclasses.replace(catalog, folder=out, codes=info, splits=splits)
        encoded.save()
        remove_unlisted(encoded)
        return StageResult(fingerprint(encoded), {"songs": songs, "views": total - songs})


class Encoder:
    """Shards of sound to shards of codes, `total` songs and augmented songs in all."""

    def __init__(self, model: VQVAE, meter: Meter, total: int):
        self.model, self.meter, self.total, self.done = model, meter, total, 0

    def encode_split(self, catalog: Catalog, split: str, out: Path, augmentations: Mapping[str, Augmentation]) -> Split:
        """Makes the shards of a split that are not there yet and describes all of them for `catalog.json`."""
        entries: dict[str, SongEntry] = {song["id"]: song for song in catalog.songs(split)}
        for song in catalog.songs(split):
            for name in augmentations:
                id = augmented_id(song["id"], name)
                entries[id] = {**song, "id": id, "view": name}
        encoded: Split = {"shards": [], "songs": []}
        for shard in catalog.shards(split):
            path = out / split / shard.name
            is_new = not path.exists()
            if is_new:
                write_shard(path, self.encode_shard(catalog.read(shard), augmentations))
            songs = [sample.song for sample in read_shard(path)]
            originals = [song["id"] for song in catalog.songs_of[shard]]
            expected = [id for song in originals for id in (song, *(augmented_id(song, name) for name in augmentations))]
            if [song.id for song in songs] != expected:
                raise UserError(f"{path} does not hold the songs of {shard}; delete it, and it is made again")
            self.done += 0 if is_new else len(songs)
            encoded["shards"].append({"file": f"{split}/{shard.name}", "songs": len(songs)})
            encoded["songs"] += [{**entries[song.id], "samples": song.duration} for song in songs]
        return encoded

    def encode_shard(self, songs: Iterable[ShardSample], augmentations: Mapping[str, Augmentation]) -> Iterator[ShardSample]:
        for sample in songs:
            sound = sample.sound()
            yield self.encode_song(sound, sample.song)
            for name, augmentation in augmentations.items():
                yield self.encode_song(*augment(name, augmentation, sound, sample.song))

    @torch.inference_mode()
    def encode_song(self, sound: np.ndarray, song: Song) -> ShardSample:
        """sound [C, T] to codes uint16 [T / hop] of every level."""
        mono = torch.from_numpy(audio.downmix(sound)).view(1, 1, -1).to(next(self.model.parameters()).device)
        codes = self.model.encode_long(mono)
        self.done += 1
        self.meter.update("codes", self.done, self.total)
        return ShardSample(song, codes=tuple(level[0].cpu().numpy().astype(np.uint16) for level in codes))
