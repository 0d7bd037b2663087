from itertools import islice

import pytest
import torch

from datamodules.codes import CodesDataModule
from jukebox_pl.errors import UserError


@pytest.mark.parametrize("level", [0, 1, 2])
def test_windows_hold_the_codes_the_codes_above_and_where_they_start(code_shards, level):
    data = CodesDataModule(str(code_shards), level=level, ctx=64, lyric_tokens=8, batch_size=4)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    start = batch.labels.offset // (8, 32, 128)[level]
    expected = (start[:, None] + torch.arange(64) + level) % 16
    assert batch.codes.equal(expected)
    assert batch.labels.duration.tolist() == [64 * (8, 32, 128)[level]] * 4
    if level == 2:
        assert batch.upper is None
    else:
        assert batch.upper.equal((start[:, None] // 4 + torch.arange(16) + level + 1) % 16)


def test_windows_start_where_a_top_code_does(code_shards):
    data = CodesDataModule(str(code_shards), level=0, ctx=64, batch_size=16)
    data.setup("fit")
    assert (next(iter(data.train_dataloader())).labels.offset % 128 == 0).all()


def test_workers_change_the_order_but_not_what_a_window_is(code_shards):
    data = CodesDataModule(str(code_shards), level=1, ctx=64, batch_size=4, workers=2)
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert len(batches) == 100
    for batch in batches:
        start = batch.labels.offset // 32
        assert batch.codes.equal((start[:, None] + torch.arange(64) + 1) % 16)


@pytest.mark.parametrize(("seconds", "top_codes"), [(1e-6, 1), (3.5 * 128 / 11025, 3), (1000.0, 4)])
def test_a_crop_is_the_beginning_of_a_window_that_keeps_its_labels(code_shards, seconds, top_codes):
    data = CodesDataModule(str(code_shards), level=1, ctx=16, lyric_tokens=8, batch_size=4, crop_seconds=seconds)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    length = 4 * top_codes
    start = batch.labels.offset // 32
    assert batch.codes.equal((start[:, None] + torch.arange(length) + 1) % 16)
    assert batch.upper.shape == (4, top_codes)
    assert batch.sung.shape == batch.codes.shape
    assert batch.labels.duration.tolist() == [16 * 32] * 4


def test_mistakes_are_named(code_shards, demo_shards):
    with pytest.raises(UserError, match="holds audio, not codes"):
        CodesDataModule(str(demo_shards), level=0, ctx=64, batch_size=1)
    with pytest.raises(UserError, match="ctx=60 at level 0 is no multiple of 16"):
        CodesDataModule(str(code_shards), level=0, ctx=60, batch_size=1)
    with pytest.raises(UserError, match="crop_seconds=0: expected a number above zero"):
        CodesDataModule(str(code_shards), level=0, ctx=64, batch_size=1, crop_seconds=0)


def labels_of_windows(code_shards, **options):
    """Artist, genres and lyrics of 400 windows of one reader."""
    data = CodesDataModule(str(code_shards), level=2, ctx=64, lyric_tokens=8, batch_size=4, **options)
    data.setup("fit")
    batches = list(data.train_dataloader())
    return [
        torch.cat([getattr(batch.labels, name) for batch in batches]) for name in ("artist", "genres", "lyrics", "offset")
    ]


def test_labels_are_left_out_together_and_one_by_one(code_shards):
    with_all = labels_of_windows(code_shards)
    artist, genres, lyrics, offset = labels_of_windows(code_shards, label_dropout=0.2)
    assert offset.equal(with_all[3])  # the windows stay the same
    missing = torch.stack([artist == 0, (genres < 0).all(1), (lyrics == 0).all(1) & (with_all[2] > 0).any(1)], dim=1)
    kept = ~missing
    assert artist[kept[:, 0]].equal(with_all[0][kept[:, 0]])
    assert lyrics[kept[:, 2]].equal(with_all[2][kept[:, 2]])
    shares = missing.float().mean(0)
    assert (shares[:2] - 0.36).abs().max() < 0.07  # 1 - 0.8 * 0.8
    assert 0.15 < missing[:, :2].all(1).float().mean() < 0.32  # 0.2 together + 0.8 * 0.2 * 0.2 by chance


def test_held_out_windows_keep_their_labels(code_shards):
    data = CodesDataModule(str(code_shards), level=2, ctx=64, batch_size=4, label_dropout=1.0)
    data.setup("fit")
    assert all((batch.labels.artist > 0).all() for batch in data.val_dataloader())
    assert all((batch.labels.artist == 0).all() for batch in data.train_dataloader())


def test_batches_with_lyrics_say_what_is_sung(code_shards):
    silent, telling = (
        CodesDataModule(str(code_shards), level=2, ctx=64, lyric_tokens=tokens, batch_size=4, label_dropout=0.5)
        for tokens in (0, 16)
    )
    for data in (silent, telling):
        data.setup("fit")
    assert next(iter(silent.train_dataloader())).sung is None
    batches = list(islice(telling.train_dataloader(), 20))
    codes, lyrics, sung = (
        torch.cat(parts) for parts in zip(*((b.codes, b.labels.lyrics, b.sung) for b in batches), strict=True)
    )
    assert sung.shape == codes.shape
    assert (sung[(lyrics == 0).all(1)] == -1).all()  # what is left out is not sung
    rows, columns = torch.where(sung >= 0)
    assert (lyrics[rows, sung[rows, columns]] > 0).all()
    assert len(rows) > 500
