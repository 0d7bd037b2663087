"""What is sung in a clip: words at their samples, however fast it is played."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from datamodules.crops import Crop
from datamodules.lyrics import LyricsDataModule
from jukebox_pl.catalog.shards import Catalog, ShardSample, read_shard
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import alphabet
from jukebox_pl.types import Word

SECONDS = 2.0


@pytest.fixture
def data(demo_shards):
    made = LyricsDataModule(str(demo_shards), SECONDS, alphabet(Catalog.load(demo_shards).characters), batch_size=3)
    made.setup("fit")
    return made


@pytest.fixture
def sample(demo_shards):
    return next(read_shard(Catalog.load(demo_shards).shards("train")[0]))


def said(data, letters):
    return "".join(sorted(data.letters, key=data.letters.get)[token - 1] for token in letters.tolist() if token)


def test_a_clip_has_the_words_that_are_sung_in_it(data, sample):
    start = round(0.9 * sample.song.words[1].start * sample.song.sample_rate)
    batch = data.collate([Crop(sample, start), Crop(sample, 0)])
    assert batch.audio.shape == (2, 1, data.clip)
    for clip, offset in ((0, start), (1, 0)):
        first, last = offset / sample.song.sample_rate, (offset + data.clip) / sample.song.sample_rate
        whole = [word for word in sample.song.words if first <= word.start and word.end <= last]
        known = batch.tokens[clip].any(-1)
        assert [said(data, letters) for letters in batch.tokens[clip][known]] == [word.text for word in whole]
        expected = np.array([word[1:] for word in whole]).reshape(-1, 2) * sample.song.sample_rate - offset
        np.testing.assert_allclose(batch.spans[clip][known], expected, atol=1e-2)


def test_a_word_that_the_clip_cuts_is_there_without_letters(data, sample):
    word = sample.song.words[2]
    middle = round((word.start + word.end) / 2 * sample.song.sample_rate)
    batch = data.collate([Crop(sample, middle)])
    assert batch.spans[0, 0, 0] == 0
    assert batch.spans[0, 0, 1] == pytest.approx(word.end * sample.song.sample_rate - middle, abs=1)
    assert not batch.tokens[0, 0].any()


def test_a_word_of_unknown_letters_is_there_without_letters(data, sample):
    words = (Word("la", 0.1, 0.4), Word("日本", 0.5, 0.9))
    odd = ShardSample(dataclasses.replace(sample.song, words=words), sample.audio)
    batch = data.collate([Crop(odd, 0)])
    assert [said(data, letters) for letters in batch.tokens[0]] == ["la", ""]
    assert batch.spans[0, 1].tolist() == pytest.approx([0.5 * 11025, 0.9 * 11025])


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_a_clip_played_faster_has_its_words_earlier(data, sample, chance):
    plain, moved = (data.collate([Crop(sample, 0, (chosen, 1.0, 1.0, 1.0))]) for chosen in (1.0, chance))
    speed = math.exp(data.speed * (2 * chance - 1))
    torch.testing.assert_close(moved.spans[0, 0], plain.spans[0, 0] / speed)
    positions = (torch.arange(2000) * speed).long()
    torch.testing.assert_close(moved.audio[0, 0, :2000], plain.audio[0, 0, positions], atol=0.2, rtol=0)


def test_training_clips_change_speed_and_held_out_ones_do_not(data):
    assert {crop.dropout_draws[0] for crop in data.held_out.spread(4)} == {1.0}
    assert len({crop.dropout_draws[0] for crop, _ in zip(data.train.random((0, 1), [0]), range(8), strict=False)}) == 8


def test_clips_without_words_make_a_batch(data, sample):
    silent = ShardSample(dataclasses.replace(sample.song, words=()), sample.audio)
    batch = data.collate([Crop(silent, 0)])
    assert (batch.spans.shape, batch.tokens.shape) == ((1, 0, 2), (1, 0, 0))


@pytest.mark.parametrize("split", ["train", "held_out"])
@pytest.mark.parametrize("change", [{"words": 0}, {"aligner": "VoiceActivity"}])
def test_songs_without_word_times_that_were_given_are_refused(demo_shards, tmp_path, split, change):
    record = json.loads((demo_shards / "catalog.json").read_text())
    for song in record["splits"][split]["songs"]:
        song.update(change)
    (tmp_path / "catalog.json").write_text(json.dumps(record))
    for folder in ("train", "held_out"):
        (tmp_path / folder).symlink_to(demo_shards / folder)
    with pytest.raises(UserError, match=f"no {split} song in .* was given its word times"):
        LyricsDataModule(str(tmp_path), SECONDS, "abc", batch_size=1)
