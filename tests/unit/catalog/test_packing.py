"""The split is a function of the ids: any order, the same plan; every song once; lyrics on both sides."""

from __future__ import annotations

import itertools
import random

import pytest

from jukebox_pl.catalog.packing import held_out_ids, plan
from jukebox_pl.catalog.sources import song_id


def songs(sung: int, others: int) -> dict[str, bool]:
    """Ids, and whether there are lyrics."""
    return {song_id(str(i)): i < sung for i in range(sung + others)}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_the_right_number_is_held_out_with_lyrics_on_both_sides(share):
    for sung, others in itertools.product(range(8), repeat=2):
        listed = songs(sung, others)
        kept = held_out_ids(listed, share)
        n = len(listed)
        assert len(kept) == (max(1, min(round(n * share), n - 1)) if n >= 2 and share else 0)
        lyrics_kept = sum(listed[id] for id in kept)
        assert not share or sung < 2 or 0 < lyrics_kept < sung


def test_every_song_is_in_one_shard_whatever_the_order():
    listed = songs(5, 18)
    first = plan(listed, held_out=0.2, songs_per_shard=4)
    shuffled = list(listed.items())
    random.Random(0).shuffle(shuffled)
    assert plan(dict(shuffled), held_out=0.2, songs_per_shard=4) == first
    ids = [id for shards in first.values() for shard in shards for id in shard]
    assert sorted(ids) == sorted(listed)
    assert {len(shard) for shard in first["train"][:-1]} == {4}
