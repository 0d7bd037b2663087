import math
import shutil
from itertools import islice
from pathlib import Path

import pytest

from datamodules import crops, loading
from datamodules.audio import AudioDataModule
from datamodules.crops import CropBatches, CropSource
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, read_shard
from jukebox_pl.errors import UserError


@pytest.fixture
def source(demo_shards):
    return CropSource(Catalog.load(demo_shards), TRAIN, 4096, lambda song: song["samples"], crops_per_song=3)


def named(cut):
    return [(crop.sample.song.id, crop.start) for crop in cut]


def batches(source, steps=7, seed=0):
    return CropBatches(source, named, batch_size=4, steps=steps, seed=seed)


def stream(loader):
    while True:
        yield from loader


def test_the_same_seed_gives_the_same_crops_and_every_pass_others(source):
    assert list(batches(source)) == list(batches(source))
    assert list(batches(source)) != list(batches(source, seed=1))
    loader = loading.CropLoader(batches(source))
    assert list(loader) != list(loader)


def test_a_pass_holds_every_song_and_every_crop_lies_inside_its_song(source):
    whole = list(source.random((0, 1), [0]))
    assert len(whole) == 3 * len(source.last_start)
    assert {id for id, _ in named(whole)} == set(source.last_start)
    assert all(0 <= crop.start <= source.last_start[crop.sample.song.id] for crop in whole)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_resumed_stream_goes_on_where_the_other_stopped(source, workers):
    whole = list(islice(stream(loading.CropLoader(batches(source), workers)), 30))
    for taken in (0, 1, 6, 7, 8, 20, 21, 22):
        resumed = loading.CropLoader(batches(source), workers, taken)
        assert list(islice(stream(resumed), 30 - taken)) == whole[taken:]


def test_one_reader_is_this_process_or_another_and_more_read_in_another_order(source):
    none, one, two = (list(loading.CropLoader(batches(source), workers)) for workers in (0, 1, 2))
    assert none == one != two


def test_a_resumed_epoch_has_only_its_remaining_batches(source):
    resumed = loading.CropLoader(batches(source), taken=5)
    assert [len(list(resumed)) for _ in range(2)] == [2, 7]


def test_an_iterator_that_was_not_used_takes_nothing(source):
    """Lightning makes two of the first epoch."""
    loader, other = loading.CropLoader(batches(source), 2), loading.CropLoader(batches(source), 2)
    iter(loader)
    assert list(loader) == list(other)


@pytest.mark.parametrize("skip", [0, 1, 7, 14, 15])
def test_what_is_skipped_is_not_read(source, monkeypatch, skip):
    monkeypatch.setattr(crops, "POOL", 3)
    whole, read = list(source.random((0, 1), [0])), []
    monkeypatch.setattr(Catalog, "read", counting(Catalog.read, read))
    rest = list(source.random((0, 1), [0], skip))
    assert named(rest) == named(whole[skip:])
    assert [crop.dropout_draws for crop in rest] == [crop.dropout_draws for crop in whole[skip:]]
    assert read == list(dict.fromkeys(read))
    assert set(read) == {source.shard_of[id] for id, _ in named(whole[skip:])}


def test_a_shard_that_vanishes_between_two_batches_is_named(demo_shards, tmp_path):
    shards = Path(shutil.copytree(demo_shards, tmp_path / "shards"))
    source = CropSource(Catalog.load(shards), TRAIN, 4096, lambda song: song["samples"], crops_per_song=3)
    stream = iter(batches(source, steps=100))
    next(stream)
    for shard in source.catalog.shards(TRAIN):
        shard.unlink()
    with pytest.raises(UserError, match=r"train/\d+.tar is gone: put it back where it was, and the same command goes on"):
        list(stream)


def counting(method, read):
    def counted(self, shard, ids=None):
        read.append(shard)
        return method(self, shard, ids)

    return counted


@pytest.mark.parametrize("readers", [2, 3])
def test_readers_share_the_songs_out(source, readers):
    shares = [{id for id, _ in named(source.random((reader, readers), [reader]))} for reader in range(readers)]
    assert set.union(*shares) == set(source.last_start)
    assert sum(map(len, shares)) == len(source.last_start)


def test_more_readers_than_songs_all_read_everything(source):
    shares = [{id for id, _ in named(source.random((reader, 50), [0]))} for reader in (0, 49)]
    assert shares == [set(source.last_start)] * 2


def test_no_reader_is_left_without_songs_by_those_that_are_too_short(demo_shards):
    catalog = Catalog.load(demo_shards)
    long = catalog.songs(TRAIN)[-2:]  # all in the last shards
    length = {song["id"]: 8192 for song in long}
    source = CropSource(catalog, TRAIN, 4096, lambda song: length.get(song["id"], 0))
    shares = [{id for id, _ in named(source.random((reader, 2), [reader]))} for reader in (0, 1)]
    assert shares == [{song["id"]} for song in long]


def test_held_out_crops_are_fixed_and_spread(demo_shards):
    source = CropSource(Catalog.load(demo_shards), HELD_OUT, 4096, lambda song: song["samples"])
    spread = list(source.spread(5))
    assert named(spread) == named(source.spread(5))
    last_start = source.last_start[spread[0].sample.song.id]
    assert [crop.start for crop in spread] == [int(last_start * part) for part in (0.1, 0.3, 0.5, 0.7, 0.9)]


@pytest.mark.parametrize("count", [5, 6, 7, 11, 12, 64])
def test_where_crops_are_no_fewer_than_songs_all_songs_are_cut_in_order(demo_shards, count):
    catalog = Catalog.load(demo_shards)
    source = CropSource(catalog, TRAIN, 4096, lambda song: song["samples"])
    assert len(source.last_start) == 5
    each = math.ceil(count / 5)
    starts = [(id, int(last * (i + 0.5) / each)) for id, last in source.last_start.items() for i in range(each)]
    assert named(source.spread(count)) == starts[:count]


def test_where_crops_are_fewer_they_come_from_songs_all_over_the_catalog(demo_shards):
    source = CropSource(Catalog.load(demo_shards), TRAIN, 4096, lambda song: song["samples"])
    ids = list(source.last_start)
    assert [id for id, _ in named(source.spread(2))] == [ids[0], ids[2]]
    assert named(source.spread(0)) == []


def test_of_a_shard_only_the_wanted_songs_are_read(demo_shards):
    catalog = Catalog.load(demo_shards)
    shard_of = catalog.shard_of(TRAIN)
    assert list(shard_of) == [song["id"] for song in catalog.songs(TRAIN)]
    for shard in catalog.shards(TRAIN):
        ids = [sample.song.id for sample in read_shard(shard)]
        assert ids == [id for id, place in shard_of.items() if place == shard]
        assert [sample.song.id for sample in read_shard(shard, {ids[-1]})] == ids[-1:]
        assert list(read_shard(shard, set())) == []


def test_windows_longer_than_every_song_are_refused(demo_shards):
    with pytest.raises(UserError, match=r"all \d songs of the train split are shorter than one window"):
        CropSource(Catalog.load(demo_shards), TRAIN, 10**9, lambda song: song["samples"])


def test_an_epoch_is_at_least_so_many_steps(demo_shards, monkeypatch):
    data = AudioDataModule(str(demo_shards), clip=4096, batch_size=1, crops_per_song=3)
    data.setup("fit")
    assert len(data.train_dataloader()) == loading.LEAST_STEPS == 100
    monkeypatch.setattr(loading, "LEAST_STEPS", 1)
    assert len(data.train_dataloader()) == 3 * len(data.train.last_start)
