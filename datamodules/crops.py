"""Batches of crops out of shards: one endless, seeded stream a reader, cut into epochs, resumable at any batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch.distributed as dist
from torch.utils.data import IterableDataset, get_worker_info

from jukebox_pl.catalog.shards import Catalog, ShardSample, SongEntry
from jukebox_pl.errors import UserError

Batch = TypeVar("Batch")
DRAWS = 4
POOL = 256  # crops that wait to be drawn: neighbours in a batch come from different songs
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2  # its multiples, modulo 1, lie evenly in [0, 1) however many are taken


class Crop(NamedTuple):
    """A song and where to cut it, in the units of the stream; `dropout_draws` in [0, 1) decide all else that is random."""

    sample: ShardSample
    start: int
    dropout_draws: tuple[float, ...] = (1.0,) * DRAWS  # below no dropout rate: nothing is left out


Collate = Callable[[list[Crop]], Batch]
Positions = Callable[[SongEntry], int]


class CropSource:
    """Which songs of a split are long enough, and their crops of `length` units.

    What is known of the songs comes from the catalog's index: a shard is opened only for the songs that are read from it.
    """

    def __init__(self, catalog: Catalog, split: str, length: int, positions: Positions, crops_per_song: int = 1):
        self.catalog, self.length, self.crops_per_song = catalog, length, crops_per_song
        songs = catalog.songs(split)
        self.last_start = {song["id"]: positions(song) - length for song in songs if positions(song) >= length}
        self.shard_of = catalog.shard_of(split)
        if songs and not self.last_start:
            longest = max(songs, key=positions)
            raise UserError(
                f"{catalog.folder}: all {len(songs)} songs of the {split} split are shorter than one window: the longest, "
                f"{longest['path']}, has {positions(longest)} of the {length} units that are needed (samples, or codes of "
                f"the top level); prepare longer songs or choose a smaller window (clip, or ctx)"
            )

    def random(self, share: tuple[int, int], seed: Sequence[int]) -> Iterator[Crop]:
        """Crops at random places, of the songs that fall to reader `share` = (which, of how many), in random order."""
        rng, dropout_rng = np.random.default_rng(seed), np.random.default_rng((*seed, DRAWS))
        which, readers = share
        ids, count = list(self.last_start), len(self.last_start)
        # Neighbours in the catalog lie in few shards. Fewer songs than readers: all take all, at other places.
        mine = ids[which * count // readers : (which + 1) * count // readers] if count >= readers else ids
        pool: list[Crop] = []
        for sample in self._read(mine, rng):
            starts = rng.integers(0, self.last_start[sample.song.id] + 1, self.crops_per_song)
            pool += [Crop(sample, int(start), tuple(dropout_rng.random(DRAWS))) for start in starts]
            while len(pool) > POOL:
                yield pool.pop(rng.integers(len(pool)))
        rng.shuffle(pool)
        yield from pool

    def spread(self, count: int) -> Iterator[Crop]:
        """`count` crops spread evenly over the songs and over the inside of songs: the same ones every time.

        The songs are chosen before one is read. Where there are more than `count`, each chosen one is cut once, some near
        their start and some near their end; otherwise all are cut equally often, in order, until `count` crops are there.
        """
        ids = list(self.last_start)
        if len(ids) > count:
            chosen = [ids[i * len(ids) // count] for i in range(count)]
            starts = {id: [int(self.last_start[id] * ((i + 0.5) * GOLDEN_RATIO % 1))] for i, id in enumerate(chosen)}
        else:
            each = -(-count // max(len(ids), 1))
            starts = {id: [int(self.last_start[id] * (i + 0.5) / each) for i in range(each)] for id in ids}
        crops = (Crop(sample, start) for sample in self._read(starts) for start in starts[sample.song.id])
        return islice(crops, count)

    def _read(self, ids: Collection[str], rng: np.random.Generator | None = None) -> Iterator[ShardSample]:
        """The songs `ids`, one shard after the other, the shards in random order where `rng` is given."""
        wanted, shards = set(ids), list(dict.fromkeys(self.shard_of[id] for id in ids))
        if rng is not None:
            rng.shuffle(shards)
        for shard in shards:
            yield from self.catalog.read(shard, wanted)


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
            self.taken += 1  # before the yield: a state asked for between batches counts the one that was handed out
            yield self.collate(batch)

    def _crops(self, share: tuple[int, int], skip: int) -> Iterator[Crop]:
        """The reader's endless stream of crops after the first `skip`."""
        number = 0
        size: int | None = None  # crops of a pass, known once one was read
        while True:
            if size and skip >= size:
                number, skip = number + skip // size, skip % size
            count = 0
            for count, crop in enumerate(self.source.random(share, (self.seed, share[0], number)), start=1):
                if count > skip:
                    yield crop
            skip, size, number = max(skip - count, 0), count, number + 1
