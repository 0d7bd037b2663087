"""Which song goes to which shard of which split: decided by the songs' ids before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jukebox_pl.catalog.shards import HELD_OUT, TRAIN


class Planned(Protocol):
    """What a plan needs to know of a song."""

    @property
    def id(self) -> str: ...

    @property
    def has_lyrics(self) -> bool: ...


def plan(songs: Sequence[Planned], held_out: float, songs_per_shard: int) -> dict[str, list[list[str]]]:
    """The ids of each shard of each split. Ids are hashes, so their order is a shuffle that every run repeats."""
    kept = held_out_ids(songs, held_out)
    ids = sorted(song.id for song in songs)
    splits = {TRAIN: [id for id in ids if id not in kept], HELD_OUT: [id for id in ids if id in kept]}
    return {split: _cut(members, songs_per_shard) for split, members in splits.items()}


def held_out_ids(songs: Sequence[Planned], share: float) -> set[str]:
    """The `share` of the songs with the lowest ids, at least one and never all; with and without lyrics in proportion.

    Of two songs with lyrics, one at least is held out and one is not.
    """
    with_lyrics = {song.id for song in songs if song.has_lyrics}  # asks the disk, once a song
    sung, others = sorted(with_lyrics), sorted({song.id for song in songs} - with_lyrics)
    if share == 0 or len(songs) < 2:
        return set()
    wanted = _between(1, round(len(songs) * share), len(songs) - 1)
    wanted_sung = round(wanted * len(sung) / len(songs))
    if len(sung) >= 2:
        wanted_sung = _between(1, wanted_sung, len(sung) - 1)
    return set(sung[:wanted_sung] + others[: wanted - wanted_sung])


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _cut(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
