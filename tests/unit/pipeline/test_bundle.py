"""What a bundle lists, and which head of its top prior follows the lyrics."""

import errno
import os
import shutil

import pytest
import torch
from small_run import NAMES, TIMES, UPPER, VQVAE, prior, save_random, with_lyrics

from jukebox_pl import checkpoints
from jukebox_pl.evaluation.lyric_attention import LyricHeads
from jukebox_pl.pipeline import bundle
from jukebox_pl.pipeline.bundle import BundleStage


@pytest.fixture
def run_dir(code_shards, tmp_path, monkeypatch):
    """Models of a run with lyrics, in the folders of their stages."""
    save_random(tmp_path / "vqvae/model", VQVAE, seed=0)
    for level, place in enumerate([UPPER, UPPER, TIMES]):
        save_random(tmp_path / f"prior_{level}/model", prior(names=NAMES, place=place), seed=level)
    save_random(tmp_path / "lyrics_prior/model", with_lyrics(prior(names=NAMES, place=TIMES)), seed=3)
    shutil.copytree(code_shards, tmp_path / "codes/shards")
    monkeypatch.setattr(LyricHeads, "follows", lambda heads, head: True)  # nothing is trained here
    return tmp_path


def bundle_of(run_dir, top, shards):
    stages = {0: ["prior_0"], 1: ["prior_1"], 2: [top, "prior_2"]}
    BundleStage(str(shards), "vqvae", stages).run(run_dir / "bundle")
    return checkpoints.load_bundle(run_dir)


def test_the_head_that_follows_the_lyrics_is_found_once(run_dir, code_shards, monkeypatch):
    head = bundle_of(run_dir, "lyrics_prior", code_shards).lyrics_head
    assert head.level == 2
    assert (head.layer, head.head) in [(3, 0), (3, 1)]
    monkeypatch.setattr(bundle, "find_lyrics_head", None)  # cheap to make again
    assert bundle_of(run_dir, "lyrics_prior", code_shards).lyrics_head == head


def test_a_bundle_is_one_folder_that_is_copied_alone(run_dir, code_shards, tmp_path_factory):
    bundle_of(run_dir, "lyrics_prior", code_shards)
    weights = "lyrics_prior/model/model.safetensors"
    assert (run_dir / "bundle" / weights).samefile(run_dir / weights)  # no room is taken
    elsewhere = tmp_path_factory.mktemp("another machine") / "my bundle"
    shutil.copytree(run_dir / "bundle", elsewhere)
    expected = {name: tensor.clone() for name, tensor in checkpoints.load_bundle(run_dir).priors[2].state_dict().items()}
    shutil.rmtree(run_dir / "lyrics_prior")
    moved = checkpoints.load_bundle(elsewhere)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in moved.priors[2].state_dict().items())
    assert not list(elsewhere.rglob("*.part"))


def test_a_bundle_stays_whole_when_a_stage_trains_on_and_follows_it(run_dir, code_shards):
    bundle_of(run_dir, "lyrics_prior", code_shards)
    save_random(run_dir / "lyrics_prior/model", with_lyrics(prior(names=NAMES, place=TIMES)), seed=9)
    checkpoints.load_bundle(run_dir / "bundle")  # as it was
    bundle_of(run_dir, "lyrics_prior", code_shards)
    names = [folder / "lyrics_prior/model" for folder in (run_dir, run_dir / "bundle")]
    assert checkpoints.fingerprint(names[0]) == checkpoints.fingerprint(names[1])
    assert bundle_of(run_dir, "lyrics_prior", code_shards)  # and again, over what is there


def test_where_a_disk_has_no_links_models_are_copied(run_dir, code_shards, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    bundle_of(run_dir, "lyrics_prior", code_shards)
    assert checkpoints.load_bundle(run_dir / "bundle").lyrics_head


def test_another_prior_has_another_head_or_none(run_dir, code_shards):
    assert bundle_of(run_dir, "lyrics_prior", code_shards).lyrics_head
    assert bundle_of(run_dir, "no_such_stage", code_shards).lyrics_head is None


def test_without_its_codes_a_run_still_has_a_bundle(run_dir, code_shards):
    shutil.rmtree(run_dir / "codes")
    assert bundle_of(run_dir, "lyrics_prior", code_shards).lyrics_head is None


def test_a_head_that_follows_nothing_is_not_noted(run_dir, code_shards, monkeypatch):
    monkeypatch.setattr(LyricHeads, "follows", lambda heads, head: False)
    assert bundle_of(run_dir, "lyrics_prior", code_shards).lyrics_head is None
