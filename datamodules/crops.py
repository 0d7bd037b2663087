"""Batches of crops out of shards: one endless, seeded stream a reader, cut into epochs, resumable at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch.distributed as dist
from torch.utils.data import IterableDataset, get_worker_info

from jukebox_pl.catalog.shards import TRAIN, Catalog, ShardSample, SongEntry, read_shard
from jukebox_pl.catalog.urls import Place
from jukebox_pl.errors import UserError

Batch = TypeVar("Batch")
CHANCES = 4
POOL = 256  # crops that wait to be drawn: neighbours in a batch come from different songs


class Crop(NamedTuple):
    """A song and where to cut it, in the units of the stream; `dropout_draws` in [0, 1) decide all else that is random."""

    sample: ShardSample
    start: int
    dropout_draws: tuple[float, ...] = (1.0,) * CHANCES


Collate = Callable[[list[Crop]], Batch]
Positions = Callable[[SongEntry], int]


class CropSource:
    """Which songs of a split are long enough, and their crops of `length` units."""

    def __init__(self, catalog: Catalog, split: str, length: int, positions: Positions, crops_per_song: int = 1):
        self.length, self.crops_per_song = length, crops_per_song
        songs = catalog.songs(split)
        self.room = {song["id"]: positions(song) - length for song in songs if positions(song) >= length}
        self.shard_of = dict(places(catalog, split))
        if songs and not self.room:
            longest = max(songs, key=positions)
            raise UserError(
                f"{catalog.folder}: all {len(songs)} songs of the {split} split are shorter than one window: the longest, "
                f"{longest['path']}, has {positions(longest)} of the {length} units that are needed (samples, or codes of "
                f"the top level); prepare longer songs or choose a smaller window (clip, or ctx)"
            )

    def random(self, share: tuple[int, int], seed: Sequence[int]) -> Iterator[Crop]:
        """Crops at random places, of the songs that fall to reader `share` = (which, of how many), in random order."""
        rng, dropout_rng = np.random.default_rng(seed), np.random.default_rng((*seed, CHANCES))
        pool: list[Crop] = []
        for sample in self._songs(share, rng):
            starts = rng.integers(0, self.room[sample.song.id] + 1, self.crops_per_song)
            pool += [Crop(sample, int(start), tuple(dropout_rng.random(CHANCES))) for start in starts]
            while len(pool) > POOL:
                yield pool.pop(rng.integers(len(pool)))
        rng.shuffle(pool)
        yield from pool

    def spread(self, count: int) -> list[Crop]:
        """At least `count` crops, evenly spread over all songs and the inside of each: the same ones every time."""
        each = -(-count // max(len(self.room), 1))
        samples = self._songs((0, 1), None)
        return [Crop(s, int(self.room[s.song.id] * (i + 0.5) / each)) for s in samples for i in range(each)]

    def _songs(self, share: tuple[int, int], rng: np.random.Generator | None) -> Iterator[ShardSample]:
        which, readers = share
        ids, count = list(self.room), len(self.room)
        # A stretch of songs touches few shards. Fewer songs than readers: all take all, at other places.
        mine = ids[which * count // readers : (which + 1) * count // readers] if count >= readers else ids
        shards = list(dict.fromkeys(self.shard_of[id] for id in mine))
        if rng is not None:
            rng.shuffle(shards)
        wanted = set(mine)
        yield from (sample for shard in shards for sample in read_shard(shard) if sample.song.id in wanted)


def places(catalog: Catalog, split: str) -> Iterator[tuple[str, Place]]:
    """Every song's id and the shard that holds it."""
    songs = iter(catalog.songs(split))
    for path, shard in zip(catalog.shards(split), catalog.splits[split]["shards"], strict=True):
        yield from ((song["id"], path) for song in islice(songs, shard["songs"]))


class CropBatches(IterableDataset, Generic[Batch]):
    """Whole batches of random crops for one rank; `steps` batches an epoch.

    The state is the number of batches taken so far, the same on every rank, so Lightning may restore rank 0's
    everywhere. Passes over the songs are numbered and each has its own seed: resuming skips whole passes unread.
    """

    def __init__(self, source: CropSource, collate: Collate[Batch], batch_size: int, steps: int, seed: int):
        self.source, self.collate = source, collate
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.taken = 0

    def __len__(self) -> int:
        """Without a length Lightning reads one batch ahead, and a resumed run would lose it."""
        return self.steps

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        mine = len(range(number, self.steps, workers))
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        crops = self._crops((rank * workers + number, world * workers), self.taken * self.batch_size)
        for _ in range(mine - self.taken % mine):
            batch = list(islice(crops, self.batch_size))
            self.taken += 1
            yield self.collate(batch)

    def _crops(self, share: tuple[int, int], skip: int) -> Iterator[Crop]:
        """The reader's endless stream of crops after the first `skip`."""
        number = 0
        size: int | None = None
        while True:
            if size and skip >= size:
                number, skip = number + skip // size, skip % size
            count = 0
            for count, crop in enumerate(self.source.random(share, (self.seed, share[0], number)), start=1):
                if count > skip:
                    yield crop
            skip, size, number = max(skip - count, 0), count, number + 1


def epoch_steps(source: CropSource, batch_size: int, at_least: int = 100) -> int:
    """Batches that an epoch has on each rank: one pass over the songs, but not so few that epochs cost more than steps."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    return max(len(source.room) * source.crops_per_song // (batch_size * world), at_least)


def require_split(catalog: Catalog, split: str) -> str:
    """`split` where it has songs, else the training songs: a catalog of one song still has something to show."""
    return split if catalog.songs(split) else TRAIN
