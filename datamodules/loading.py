"""What the datamodules share: loaders over crops of a catalog's shards."""

from __future__ import annotations

import signal
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from torch.utils.data import DataLoader

from datamodules.crops import Crop, CropBatches, CropSource
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, SongEntry
from jukebox_pl.types import Song

SECONDS_TO_END = 30  # as long as a step may still want batches after a scheduler's SIGTERM
LEAST_STEPS = 100  # of an epoch: fewer would cost less than what is done between epochs


class CropLoader(DataLoader):
    """Batches of crops after the first `taken`, epoch after epoch, read by `workers` processes (0: by this one)."""

    def __init__(self, batches: CropBatches[Any], workers: int = 0, taken: int = 0):
        # Persistent, because to start a worker takes longer than to read an epoch of a small catalog.
        super().__init__(
            batches, batch_size=None, num_workers=workers, persistent_workers=workers > 0, worker_init_fn=ignore_stops
        )
        self.batches, self.taken = batches, taken

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # an iterator all the same
        self.batches.start_at(self.taken)
        for batch in super().__iter__():
            self.taken += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer counts its batches. To Lightning it says that this loader goes on where it was."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing either, though checkpoints of 0.1.0 have the states of each worker here."""


def ignore_stops(worker: int) -> None:
    """Whoever is told to stop, as a terminal or a scheduler tells every process, ends the readers when it has no more use
    for them; by SIGTERM, where they do not answer: then they have so many seconds."""
    for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_END))


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

    def setup(self, stage: str) -> None:
        self.train = CropSource(self.catalog, TRAIN, self.crop_length, self.positions, self.crops_per_song)
        self.held_out = CropSource(self.catalog, self.held_out_split, self.crop_length, self.positions)

    def train_dataloader(self) -> CropLoader:
        """An epoch is one pass over the songs, shared out among the ranks, or LEAST_STEPS batches on each; in whole steps,
        where a step accumulates the gradients of several. Goes on after as many batches as the trainer has taken."""
        trainer, crops = self.trainer, len(self.train.last_start) * self.train.crops_per_song
        world = dist.get_world_size() if dist.is_initialized() else 1
        accumulated = trainer.accumulate_grad_batches if trainer else 1
        steps = max(crops // (self.batch_size * world), LEAST_STEPS, accumulated)
        self.batches = CropBatches(self.train, self.collate, self.batch_size, steps - steps % accumulated, self.seed)
        return CropLoader(self.batches, self.workers, trainer.fit_loop.epoch_loop.total_batch_idx + 1 if trainer else 0)

    def batch(self, number: int) -> tuple[list[Song], Any]:
        """Batch `number` of this training once more, and its songs."""
        crops = self.batches.crops_of(number, max(self.workers, 1))
        return [crop.sample.song for crop in crops], self.collate(crops)

    def val_dataloader(self) -> DataLoader:
        """Batches that are cut once and kept: a validation holds its clips, not the songs they were cut from."""
        crops, batches = self.held_out.spread(self.held_out_crops), []
        while part := list(islice(crops, self.batch_size)):
            batches.append(self.collate(part))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
