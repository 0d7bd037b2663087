"""A catalog of 100,000 songs whose shards do not exist until they are opened: what is read depends on the batch alone."""

import io
import json
from collections import Counter

import numpy as np
import pytest

from datamodules.audio import AudioDataModule
from datamodules.codes import CodesDataModule
from jukebox_pl import audio
from jukebox_pl.catalog import urls
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, ShardSample, shard_file, write_shard
from jukebox_pl.types import Song

SONGS_PER_SHARD = 50
SHARDS = {TRAIN: 1900, HELD_OUT: 100}
SAMPLES = 4096
CODES = {"bins": 2048, "hops": [8, 32, 128], "fingerprint": "made up"}


def song_id(split, shard, place):
    return f"{split}-{shard:06d}-{place:02d}"


def split_index(split):
    ids = [song_id(split, shard, place) for shard in range(SHARDS[split]) for place in range(SONGS_PER_SHARD)]
    facts = {"samples": SAMPLES, "title": "", "artist": "", "genres": [], "lyrics": 0, "words": 0, "warnings": []}
    shards = [{"file": shard_file(split, shard), "songs": SONGS_PER_SHARD} for shard in range(SHARDS[split])]
    return {"shards": shards, "songs": [{"id": id, "path": f"{id}.wav", **facts} for id in ids]}


def index(codes):
    vocabularies = {"artists": [], "genres": [], "characters": "abc"}
    splits = {split: split_index(split) for split in SHARDS}
    facts = {"schema": 1, "sample_rate": 11025, "channels": 1, "max_duration": SAMPLES, "codes": codes}
    return json.dumps({**facts, **vocabularies, "splits": splits}).encode()


def make_shard(path, split, shard, has_codes):
    """Every sample and every code is the number of the shard."""
    if has_codes:
        content = {"codes": tuple(np.full(SAMPLES // hop, shard, np.uint16) for hop in CODES["hops"])}
    else:
        content = {"audio": audio.encode(np.full((1, SAMPLES), shard / 32767, np.float32), 11025)}
    ids = (song_id(split, shard, place) for place in range(SONGS_PER_SHARD))
    write_shard(path, (ShardSample(Song(id, SAMPLES, 11025), **content) for id in ids))
    return path.read_bytes()


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Serves made-up://audio and made-up://codes; how often each shard was opened."""
    indexes = {"audio": index(None), "codes": index(CODES)}
    opened = Counter()

    def open_made_up(url, start):
        kind, *names = url.removeprefix("made-up://").split("/")
        if names == ["catalog.json"]:
            data = indexes[kind]
        else:
            split, file = names
            opened[f"{split}/{file}"] += 1
            data = make_shard(tmp_path / "shard.tar", split, int(file.removesuffix(".tar")), kind == "codes")
        return urls.Rest(io.BytesIO(data[start:]), len(data))

    monkeypatch.setitem(urls.OPENERS, "made-up", open_made_up)
    return opened


def audio_module(**loading):
    module = AudioDataModule("made-up://audio", clip=1024, batch_size=4, **loading)
    module.setup("fit")
    return module


def test_nothing_is_opened_before_a_batch_is_wanted(opened):
    audio_module().train_dataloader()
    assert not opened


def test_the_first_training_batch_opens_one_shard(opened):
    assert next(iter(audio_module().train_dataloader())).audio.shape == (4, 1, 1024)
    assert len(opened) == 1


def test_a_validation_opens_the_shards_of_its_clips_once_and_keeps_only_clips(opened):
    loader = audio_module(held_out_crops=10).val_dataloader()
    batches = [batch.audio for batch in loader]
    assert [batch.shape[0] for batch in batches] == [4, 4, 2]
    assert all(batch.audio.untyped_storage().nbytes() == batch.audio.numel() * 4 for batch in loader.dataset)
    again = [batch.audio for batch in loader]
    assert all(a.equal(b) for a, b in zip(batches, again, strict=True))
    # Of the hundred held-out shards every tenth, and no shard twice.
    assert opened == Counter({shard_file(HELD_OUT, shard): 1 for shard in range(0, 100, 10)})


def test_loudness_is_that_of_songs_from_all_over_the_catalog(opened):
    clips = audio_module().loudness_clips(64)
    assert clips.shape == (64, 1, 1024)
    shards = (clips[:, 0, 0] * 32767).round().int().tolist()
    assert shards == [i * 1900 // 64 for i in range(64)]
    assert len(opened) == opened.total() == 64


def test_codes_are_read_in_the_same_way(opened):
    module = CodesDataModule("made-up://codes", level=1, ctx=64, batch_size=4, held_out_crops=5)
    module.setup("fit")
    assert next(iter(module.train_dataloader())).codes.shape == (4, 64)
    assert len(opened) == 1
    assert [code for batch in module.val_dataloader() for code in batch.codes[:, 0].tolist()] == [0, 20, 40, 60, 80]
    assert len(opened) == opened.total() == 6


def test_songs_of_which_one_crop_is_wanted_are_not_all_cut_at_the_same_place(opened):
    source = audio_module().held_out
    last = SAMPLES - 1024
    starts = sorted(crop.start for crop in source.spread(20))
    assert 0 <= starts[0] < last / 10
    assert 0.9 * last < starts[-1] <= last
    assert max(np.diff(starts)) < last / 10
