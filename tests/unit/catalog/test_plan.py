"""The split is a function of the ids: any order, the same plan; every song once; lyrics on both sides."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest

from jukebox_pl.catalog.plan import held_out_ids, plan
from jukebox_pl.catalog.sources import song_id


@dataclass(frozen=True)
class Listed:
    id: str
    has_lyrics: bool


def songs(sung: int, others: int) -> list[Listed]:
    return [Listed(song_id(str(i)), has_lyrics=i < sung) for i in range(sung + others)]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_the_right_number_is_held_out_with_lyrics_on_both_sides(share):
    for sung, others in itertools.product(range(8), repeat=2):
        listed = songs(sung, others)
        kept = held_out_ids(listed, share)
        n = len(listed)
        assert len(kept) == (max(1, min(round(n * share), n - 1)) if n >= 2 and share else 0)
        lyrics_kept = sum(song.id in kept for song in listed if song.has_lyrics)
        assert not share or sung < 2 or 0 < lyrics_kept < sung


def test_every_song_is_in_one_shard_whatever_the_order():
    listed = songs(5, 18)
    first = plan(listed, held_out=0.2, songs_per_shard=4)
    random.Random(0).shuffle(listed)
    assert plan(listed, held_out=0.2, songs_per_shard=4) == first
    ids = [id for shards in first.values() for shard in shards for id in shard]
    assert sorted(ids) == sorted(song.id for song in listed)
    assert {len(shard) for shard in first["train"][:-1]} == {4}
