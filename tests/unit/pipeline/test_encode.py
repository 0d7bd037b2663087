"""The catalog as codes: what is in the shards, after any number of kills."""

import multiprocessing
import random
import time

import pytest
import torch

from jukebox_pl import checkpoints
from jukebox_pl.audio.augmentations import Shift, Tempo
from jukebox_pl.catalog.shards import HELD_OUT, TRAIN, Catalog, read_shard
from jukebox_pl.errors import UserError
from jukebox_pl.pipeline.encode import EncodeStage

CONFIG = {
    "_target_": "jukebox_pl.models.vqvae.VQVAE",
    "downs": [3, 2, 2],
    "strides": [2, 2, 2],
    "bins": 16,
    "code_dim": 4,
    "width": 2,
    "depth": 1,
}


@pytest.fixture(scope="module")
def vqvae(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vqvae")
    model = checkpoints.build(CONFIG)
    for level in model.levels:
        level.codebook.codes.normal_(std=0.1)
    checkpoints.save_state(folder, model.state_dict(), CONFIG)
    return folder


@pytest.fixture
def stage(demo_shards, vqvae):
    views = {"later": Shift(), "slow": Tempo(0.9)}
    return EncodeStage(str(demo_shards), str(vqvae), device="cpu", views=views)


def bytes_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_training_songs_have_their_views_behind_them(stage, demo_shards, tmp_path):
    result = stage.run(tmp_path)
    before, after = Catalog.load(demo_shards), Catalog.load(tmp_path / "shards")
    for split, each in ((TRAIN, 3), (HELD_OUT, 1)):
        read = [sample.song for shard in after.shards(split) for sample in read_shard(shard)]
        assert [song.id for song in read] == [entry["id"] for entry in after.songs(split)]
        assert [song.duration for song in read] == [entry["samples"] for entry in after.songs(split)]
        assert len(read) == each * len(before.songs(split))
        assert all(len(s.codes[2]) == s.song.duration // 128 for path in after.shards(split) for s in read_shard(path))
    assert [entry.get("view") for entry in after.songs(TRAIN)[:3]] == [None, "later", "slow"]
    assert result.summary == {"songs": 6, "views": 2 * len(before.songs(TRAIN))}


def test_killed_at_random_moments_is_never_killed(stage, tmp_path):
    started = time.monotonic()
    stage.run(tmp_path / "whole")
    takes = time.monotonic() - started
    rng, fork = random.Random(0), multiprocessing.get_context("fork")
    for _ in range(10):
        process = fork.Process(target=stage.run, args=(tmp_path / "killed",))
        process.start()
        time.sleep(rng.uniform(0, takes / 3))
        process.kill()
        process.join()
    stage.run(tmp_path / "killed")
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_a_shard_of_an_interrupted_run_that_lost_its_songs_is_named(stage, tmp_path):
    stage.run(tmp_path)
    shard = next((tmp_path / "shards/train").glob("*.tar"))
    shard.write_bytes(bytes(10_240))
    with pytest.raises(UserError, match=rf"{shard.name} does not hold the songs of .*; delete it, and it is made again"):
        stage.run(tmp_path)
