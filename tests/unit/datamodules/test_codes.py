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


def test_mistakes_are_named(code_shards, demo_shards):
    with pytest.raises(UserError, match="holds audio, not codes"):
        CodesDataModule(str(demo_shards), level=0, ctx=64, batch_size=1)
    with pytest.raises(UserError, match="ctx=60 at level 0 is no multiple of 16"):
        CodesDataModule(str(code_shards), level=0, ctx=60, batch_size=1)
