"""What helps a prior to follow its lyrics: attention that is guided, a past that is not quite true."""

import pytest
import torch
from unit.training.modules.test_modules import FAST, PRIOR, codes, fit, lyrics_config

from jukebox_pl import checkpoints
from jukebox_pl.errors import UserError
from jukebox_pl.models.losses import attention_loss
from jukebox_pl.training.modules.corruption import Corruption
from jukebox_pl.training.modules.lyrics_prior import GuidedAttention, LyricsPriorModule
from jukebox_pl.training.modules.prior import PriorModule


def test_attention_is_right_on_the_first_state_that_knows_the_token():
    sung = torch.tensor([[0, 1, -1, 3]])  # of four tokens; no state knows the last, nothing is sung at the third code
    weights = torch.zeros(1, 4, 4)
    weights[0, 0, 1] = weights[0, 1, 2] = 1.0
    assert attention_loss(weights, sung) == 0
    assert attention_loss(weights.roll(1, -1), sung) > 10
    assert attention_loss(weights, torch.full_like(sung, -1)) == 0


def test_a_guide_fades():
    guide = GuidedAttention(weight=0.4, hold=10, decay=10)
    assert [guide.at(step) for step in (0, 10, 15, 20, 99)] == [0.4, 0.4, pytest.approx(0.2), 0, 0]


def test_a_guided_head_looks_at_what_is_sung(code_shards, tmp_path):
    torch.manual_seed(0)
    data = codes(code_shards, 2, lyric_tokens=16)
    guide = GuidedAttention(weight=1.0, hold=100, decay=1)
    model = checkpoints.build(lyrics_config(len(data.labeller.characters)))
    module = LyricsPriorModule(model, optim=FAST, guided_attention=guide)
    _, _, logged = fit(module, data, 60, tmp_path)
    assert "train/guided_attention" in logged
    batch = next(iter(data.train_dataloader()))
    cond, weights = module.model.condition(batch.labels), []
    attention = module.model.transformer.blocks[3].attention
    attention.register_forward_hook(lambda layer, inputs, _: weights.append(layer.weights(*inputs[:2])[:, 0]))
    module.model(batch.codes[:, :-1], cond)
    even = torch.full_like(weights[0], 1 / 16)
    assert attention_loss(weights[0], batch.sung) < 0.92 * attention_loss(even, batch.sung)


def test_without_a_guide_nothing_is_watched(code_shards):
    data = codes(code_shards, 2, lyric_tokens=16)
    module = LyricsPriorModule(checkpoints.build(lyrics_config(len(data.labeller.characters))), optim=FAST)
    assert not any(part._forward_hooks for part in module.model.modules())


def test_spans_of_the_past_are_replaced_and_the_seed_decides():
    truth = torch.arange(40000).reshape(100, 400)
    past = Corruption(spans=3, longest=50)(truth, torch.Generator().manual_seed(3))
    assert past.equal(Corruption(spans=3, longest=50)(truth, torch.Generator().manual_seed(3)))
    assert (past != truth).float().mean() == pytest.approx(3 * 25 / 400, abs=0.03)  # less where spans overlap
    edges = (past != truth).int().diff(dim=1).abs().sum(1)  # a code may be replaced by itself, hardly ever
    assert edges.float().mean() < 2 * 3 + 0.1
    assert set(past.flatten().tolist()) <= set(truth.flatten().tolist())


def test_half_of_the_spans_are_of_the_same_song_at_another_time():
    truth = torch.arange(40000).reshape(100, 400)
    past = Corruption(spans=1, longest=200)(truth, torch.Generator().manual_seed(3))
    steady = 0
    for row, was in zip(past, truth, strict=True):
        found = row[row != was]
        steady += (
            len(found) > 2 and (found // 400 == was[0] // 400).all() and (found.diff() % 400 == 1).float().mean() > 0.97
        )
    assert 35 <= steady <= 65


def test_a_prior_learns_beside_a_corrupted_past(code_shards, tmp_path):
    torch.manual_seed(0)
    module = PriorModule(checkpoints.build(PRIOR), FAST, corruption=Corruption(2, 8))
    before, after, _ = fit(module, codes(code_shards, 2), 30, tmp_path)
    assert after["val/bpd"] < before["val/bpd"] - 1
    with pytest.raises(UserError, match=r"corruption: spans=0, longest=8"):
        Corruption(0, 8)
