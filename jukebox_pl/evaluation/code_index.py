"""Which songs share a run of codes with another one, in an index that 10^8 codes fit into.

Of the songs every `step`-th grain (a run of `grain` codes) is kept, as 32 bits of its hash beside its place; of what is
looked up, all are. So no shared run of `grain + step - 1` codes is missed. The trick is BLAT's (Kent 2002); winnowing
(Schleimer et al. 2003) thins out both sides, which buys nothing where one of them is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

GRAIN, STEP = 8, 4  # codes
FEWEST_DIFFERENT = 4  # codes of a grain; below, it is silence, a held note or a trill
MOST_PLACES = 32  # of a grain that are looked at, the first ones: a loop is found all over its song
MOST_RUNS = 1000  # that are told of, the longest
FACTOR = np.uint32(0x9E3779B1)  # odd, its bits well mixed: 2^32 / golden ratio (Knuth)
HASH_BITS = np.uint64(32)
LOW_BITS = np.uint64(0xFFFFFFFF)
GRAINS_AT_ONCE = 2**20


class SharedRun(NamedTuple):
    """`length` codes from `start` of what was looked up are those from `song_start` of a song, given by its number.

    `novelty` is how many different pairs of neighbours they have: of a held note or a loop, few.
    """

    novelty: int
    length: int
    start: int
    song: int
    song_start: int


class CodeIndex:
    """Songs as codes [T] below 65536, in 2 + 8 / `step` bytes a code. Raises ValueError for a step above the grain."""

    def __init__(self, songs: Sequence[np.ndarray], grain: int = GRAIN, step: int = STEP):
        if not 0 < step <= grain:
            raise ValueError(f"step={step}: expected 1 to grain={grain}, else runs fall in between")
        self.grain, self.step = grain, step
        self.ends = np.cumsum([0, *map(len, songs)])[1:]
        self.codes = np.empty(sum(map(len, songs)), np.uint16)
        for song, end in zip(songs, self.ends, strict=True):
            self.codes[end - len(song) : end] = song
        hashes, places = hash_grains(self.codes, grain, step)
        self.keys = hashes.astype(np.uint64) << HASH_BITS
        self.keys |= (places // step).astype(np.uint64)
        self.keys.sort()

    def runs(self, codes: np.ndarray) -> list[SharedRun]:
        """The runs that codes [T] share with the songs, as long as each goes, those of most novelty first."""
        codes = codes.astype(np.uint16)
        starts, places, lengths = self._joined(*self._shared_grains(codes))
        songs = np.searchsorted(self.ends, places, side="right")
        begins = np.append(0, self.ends)[songs]
        before = self._common(codes, starts - 1, places - 1, np.minimum(starts, places - begins), -1)
        starts, places, lengths = starts - before, places - before, lengths + before
        room = np.minimum(len(codes) - starts, self.ends[songs] - places) - lengths
        lengths += self._common(codes, starts + lengths, places + lengths, room, 1)
        found = np.unique(np.stack([-lengths, starts, songs, places - begins]), axis=1)[:, :MOST_RUNS]
        earlier, runs = earlier_pairs(codes), []
        for shortness, start, song, song_start in found.T.tolist():
            novelty = int(np.count_nonzero(earlier[start : start - shortness - 1] < start))
            runs.append(SharedRun(novelty, -shortness, start, song, song_start))
        return sorted(runs, reverse=True)

    def _shared_grains(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the grains of codes [T] begin that songs have, and where they begin in `self.codes`."""
        hashes, starts = hash_grains(codes, self.grain, 1)
        order = np.argsort(hashes)  # the keys are looked up faster in their own order
        keys, starts = hashes[order].astype(np.uint64) << HASH_BITS, starts[order]
        low, high = np.searchsorted(self.keys, keys), np.searchsorted(self.keys, keys | LOW_BITS, side="right")
        counts = np.minimum(high - low, MOST_PLACES)
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = (self.keys[np.repeat(low, counts) + nth] & LOW_BITS).astype(np.int64) * self.step
        starts = np.repeat(starts, counts)
        last_songs = np.searchsorted(self.ends, places + self.grain - 1, side="right")
        same = np.searchsorted(self.ends, places, side="right") == last_songs  # no grain of two songs
        for i in range(self.grain):
            same &= self.codes[places + i] == codes[starts + i]
        return starts[same], places[same]

    def _joined(self, starts: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grains that touch or overlap at the same shift, as runs: where they begin in both, and how long they are."""
        songs = np.searchsorted(self.ends, places, side="right")
        order = np.lexsort((starts, places - starts, songs))
        starts, places, songs = starts[order], places[order], songs[order]
        breaks = (np.diff(songs) > 0) | (np.diff(places - starts) != 0) | (np.diff(starts) > self.grain)
        first, last = (np.flatnonzero(np.insert(breaks, end, True)[: len(starts)]) for end in (0, len(breaks)))
        return starts[first], places[first], starts[last] + self.grain - starts[first]

    def _common(self, codes: np.ndarray, starts: np.ndarray, places: np.ndarray, room: np.ndarray, way: int) -> np.ndarray:
        """How many codes from `starts` on are those from `places` on, each at most `room`, forward (1) or backward (-1)."""
        counts = np.zeros_like(starts)
        going = np.flatnonzero(room)
        while len(going):
            step = way * counts[going]
            going = going[codes[starts[going] + step] == self.codes[places[going] + step]]
            counts[going] += 1
            going = going[counts[going] < room[going]]
        return counts


def hash_grains(codes: np.ndarray, grain: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """32 bits [n] for every `step`-th grain of codes [T] that is no silence or held note, and where each begins."""
    hashes, places = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for start in range(0, max(len(codes) - grain + 1, 0), step * GRAINS_AT_ONCE):
        part = codes[start : start + step * GRAINS_AT_ONCE + grain - 1]
        columns = np.lib.stride_tricks.sliding_window_view(part, grain)[::step].T
        mixed, different = np.zeros(columns.shape[1], np.uint32), np.zeros(columns.shape[1], np.uint8)
        for i, column in enumerate(columns):
            mixed = (mixed ^ column) * FACTOR
            mixed ^= mixed >> np.uint32(15)
            different += ~np.any([column == earlier for earlier in columns[:i]], axis=0) if i else 1
        lively = np.flatnonzero(different >= FEWEST_DIFFERENT)
        hashes.append(mixed[lively])
        places.append(start + step * lively)
    return np.concatenate(hashes), np.concatenate(places)


def earlier_pairs(codes: np.ndarray) -> np.ndarray:
    """Where in codes [T] each pair of neighbours stood last before, [T - 1], -1 where it is new."""
    pairs = codes[:-1].astype(np.int64) << 16 | codes[1:]
    order = np.argsort(pairs, kind="stable")
    again = np.flatnonzero(np.diff(pairs[order]) == 0)
    earlier = np.full(len(pairs), -1)
    earlier[order[again + 1]] = order[again]
    return earlier


def group_codes(vectors: np.ndarray, groups: int) -> np.ndarray:
    """The group [bins] of each of a codebook's vectors [bins, dim], near ones in one, at most `groups` (Ward's linkage)."""
    return fcluster(linkage(vectors, "ward"), groups, "maxclust").astype(np.uint16) - 1
