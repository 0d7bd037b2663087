"""What the datamodules share: loaders over crops of a catalog's shards."""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from datamodules.crops import Crop, CropBatches, CropSource
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, SongEntry

LEAST_STEPS = 100  # of an epoch: fewer would cost less than what is done between epochs


class ShardDataModule(pl.LightningDataModule):
    """Random crops of the training songs, and `held_out_crops` fixed ones of the held-out songs.

    Every song that is read gives `crops_per_song` crops. The trainer's own sampler must be off
    (`use_distributed_sampler=False`): the readers share the songs out themselves.
    """

    crop_length: int  # in units of the stream, as `positions` counts them

    def __init__(
        self,
        path: str,
        batch_size: int,
        crops_per_song: int = 8,
        held_out_crops: int = 32,
        workers: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        self.path, self.batch_size, self.crops_per_song = path, batch_size, crops_per_song
        self.held_out_crops, self.workers, self.seed = held_out_crops, workers, seed
        self.catalog = Catalog.load(path)
        # The training songs where none is held out: a catalog of one song still has something to show.
        self.held_out_split = HELD_OUT if self.catalog.songs(HELD_OUT) else TRAIN

    @abstractmethod
    def positions(self, song: SongEntry) -> int:
        """Length of a song in units of the stream."""

    @abstractmethod
    def collate(self, crops: list[Crop]) -> Any:
        """Crops to a batch."""

    def state_dict(self) -> dict[str, Any]:
        return {"workers": self.workers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A stream of crops that was stopped goes on with the readers it had, whatever the settings say since."""
        self.workers = state_dict["workers"]

    def setup(self, stage: str) -> None:
        self.train = CropSource(self.catalog, TRAIN, self.crop_length, self.positions, self.crops_per_song)
        self.held_out = CropSource(self.catalog, self.held_out_split, self.crop_length, self.positions)

    def train_dataloader(self) -> StatefulDataLoader:
        """An epoch is one pass over the songs, shared out among the ranks, or LEAST_STEPS batches on each."""
        crops = len(self.train.last_start) * self.train.crops_per_song
        world = dist.get_world_size() if dist.is_initialized() else 1
        steps = max(crops // (self.batch_size * world), LEAST_STEPS)
        batches = CropBatches(self.train, self.collate, self.batch_size, steps, self.seed)
        # Persistent, because a worker's copy of the dataset is the one that knows what was taken.
        return StatefulDataLoader(batches, batch_size=None, num_workers=self.workers, persistent_workers=self.workers > 0)

    def val_dataloader(self) -> DataLoader:
        """Batches that are cut once and kept: a validation holds its clips, not the songs they were cut from."""
        crops, batches = self.held_out.spread(self.held_out_crops), []
        while part := list(islice(crops, self.batch_size)):
            batches.append(self.collate(part))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
