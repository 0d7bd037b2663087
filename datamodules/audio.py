"""Sound for the VQ-VAE: audio shards to AudioBatch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.crops import Crop
from datamodules.loading import ShardDataModule
from jukebox_pl import audio
from jukebox_pl.catalog.shards import ShardSample, SongEntry
from jukebox_pl.types import AudioBatch


class DecodedSongs:
    """Songs decoded to mono, the last used ones kept up to `limit` bytes: a small catalog is decoded once."""

    def __init__(self, limit: int = 512 * 2**20):
        self.limit, self.size = limit, 0
        self.songs: OrderedDict[str, np.ndarray] = OrderedDict()

    def __call__(self, sample: ShardSample) -> np.ndarray:
        """The mean of a song's channels as int16 [T], half the memory of floats. Raises UserError where it is damaged."""
        key = sample.song.id
        if key not in self.songs:
            self.songs[key] = (audio.downmix(sample.sound()) * 32767).round().astype(np.int16)
            self.size += self.songs[key].nbytes
            while self.size > self.limit and len(self.songs) > 1:
                self.size -= self.songs.popitem(last=False)[1].nbytes
        self.songs.move_to_end(key)
        return self.songs[key]


class AudioDataModule(ShardDataModule):
    """Clips of `clip` samples; a song shorter than that is left out."""

    def __init__(self, path: str, clip: int, **loading: Any):
        super().__init__(path, **loading)
        self.clip = self.crop_length = clip
        self.decoded = DecodedSongs()

    def positions(self, song: SongEntry) -> int:
        return song["samples"]

    def collate(self, crops: list[Crop]) -> AudioBatch:
        """To audio [B, 1, clip] in [-1, 1]."""
        clips = [self.decoded(crop.sample)[crop.start : crop.start + self.clip] for crop in crops]
        return AudioBatch(torch.from_numpy(np.stack(clips)).float().div(32767).unsqueeze(1))

    def loudness_clips(self, count: int = 64) -> Tensor:
        """Clips [count, 1, N] spread over the training songs, by which losses are scaled."""
        # One by one: a crop holds its whole song, a clip does not.
        return torch.cat([self.collate([crop]).audio for crop in self.train.spread(count)])
