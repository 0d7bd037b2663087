import pytest

from jukebox_pl.sampling.sharing import share


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_item_goes_to_one_process_and_nobody_does_two_more_than_another(world):
    songs = [f"song {i}" for i in range(7)]
    shares = [share(songs, rank, world) for rank in range(world)]
    assert sorted(song for part in shares for song in part) == songs
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("rank", [-1, 2])
def test_ranks_outside_the_world_are_refused(rank):
    with pytest.raises(ValueError, match=f"a rank below 2, found {rank}"):
        share(["song"], rank, 2)
