"""Batches of crops out of shards: one endless, seeded stream a reader, cut into epochs, resumable at any batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import IterableDataset, get_worker_info

from jukebox_pl.catalog.shards import Catalog, Place, ShardSample, SongEntry
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

    def mine(self, share: tuple[int, int]) -> list[str]:
        """The songs of reader `share` = (which, of how many). Neighbours in the catalog lie in few shards. Where there are
        fewer songs than readers all take all, at other places."""
        which, readers = share
        ids, count = list(self.last_start), len(self.last_start)
        return ids[which * count // readers : (which + 1) * count // readers] if count >= readers else ids

    def random(self, share: tuple[int, int], seed: Sequence[int], skip: int = 0) -> Iterator[Crop]:
        """Crops at random places, of the songs of a reader, in random order, but for the first `skip`, for which no song is
        read. All that is random follows from the catalog's index."""
        rng, dropout_rng = np.random.default_rng(seed), np.random.default_rng((*seed, DRAWS))
        ids = self.mine(share)
        shards = self._shards(ids)
        rng.shuffle(shards)
        place = {shard: number for number, shard in enumerate(shards)}
        ids.sort(key=lambda id: place[self.shard_of[id]])  # a stable sort: as they lie in a shard
        drawn = self._drawn(ids, rng, dropout_rng)
        left = dict.fromkeys(ids, self.crops_per_song)
        for id, _, _ in islice(drawn, skip):
            left[id] -= 1
        samples = self._read({id for id in ids if left[id]}, shards)
        held: dict[str, ShardSample] = {}
        for id, start, dropout_draws in drawn:
            while id not in held:
                sample = next(samples)
                held[sample.song.id] = sample
            yield Crop(held[id], start, dropout_draws)
            left[id] -= 1
            if not left[id]:
                del held[id]

    def _drawn(
        self, ids: Sequence[str], rng: np.random.Generator, dropout_rng: np.random.Generator
    ) -> Iterator[tuple[str, int, tuple[float, ...]]]:
        """What `random` cuts: a song, where, and its draws; songs come in by order, and crops leave a pool by lot."""
        pool: list[tuple[str, int, tuple[float, ...]]] = []
        for id in ids:
            starts = rng.integers(0, self.last_start[id] + 1, self.crops_per_song)
            pool += [(id, int(start), tuple(dropout_rng.random(DRAWS))) for start in starts]
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
        return islice((Crop(sample, start) for sample in self.songs(starts) for start in starts[sample.song.id]), count)

    def songs(self, ids: Iterable[str]) -> Iterator[ShardSample]:
        """The songs `ids`, one shard after the other."""
        return self.catalog.samples(self.shard_of, ids)

    def _shards(self, ids: Iterable[str]) -> list[Place]:
        return list(dict.fromkeys(self.shard_of[id] for id in ids))

    def _read(self, ids: Collection[str], shards: Iterable[Place]) -> Iterator[ShardSample]:
        """The songs `ids`, one shard after the other; a shard that has none of them is not opened."""
        wanted, needed = set(ids), set(self._shards(ids))
        for shard in shards:
            if shard in needed:
                yield from self.catalog.read(shard, wanted)


class CropBatches(IterableDataset, Generic[Batch]):
    """Whole batches of random crops for one rank; `steps` batches an epoch, from the one on that it is told to `start_at`.

    What a rank takes follows from how many batches it has taken, the same on every rank, and from how many readers there
    are: so it goes on with another number of them as if there had always been as many. Passes over the songs are numbered
    and each has its own seed: what lies before is skipped unread.
    """

    def __init__(self, source: CropSource, collate: Collate[Batch], batch_size: int, steps: int, seed: int):
        self.source, self.collate = source, collate
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.taken = torch.zeros((), dtype=torch.long).share_memory_()  # workers, which live on, see it change

    def __len__(self) -> int:
        """Without a length Lightning reads one batch ahead, and a resumed run would lose it."""
        return self.steps

    def start_at(self, taken: int) -> None:
        self.taken.fill_(taken)

    def __iter__(self) -> Iterator[Batch]:
        return self._batches(int(self.taken))  # read at once: a generator would read it when the next epoch may have begun

    def _batches(self, taken: int) -> Iterator[Batch]:
        worker = get_worker_info()
        crops, left = self._reader(taken, *((worker.id, worker.num_workers) if worker else (0, 1)))
        for _ in range(left):
            yield self.collate(list(islice(crops, self.batch_size)))

    def crops_of(self, number: int, workers: int) -> list[Crop]:
        """What batch `number` of this rank is made of, where so many workers read."""
        return list(islice(self._reader(number, 0, workers)[0], self.batch_size))

    def _reader(self, taken: int, id: int, workers: int) -> tuple[Iterator[Crop], int]:
        """The crops of worker `id` after the first `taken` batches of the rank, and how many batches of the epoch it still
        makes. A DataLoader asks its workers in turn, and begins with the first."""
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        epoch, done = divmod(taken, self.steps)
        number = (id + done) % workers
        of_an_epoch, before = len(range(number, self.steps, workers)), len(range(number, done, workers))
        skip = (epoch * of_an_epoch + before) * self.batch_size
        return self._crops((rank * workers + number, world * workers), skip), of_an_epoch - before

    def _crops(self, share: tuple[int, int], skip: int) -> Iterator[Crop]:
        """The reader's endless stream of crops after the first `skip`."""
        size = len(self.source.mine(share)) * self.source.crops_per_song
        for number in count(skip // size):
            yield from self.source.random(share, (self.seed, share[0], number), max(skip - number * size, 0))
