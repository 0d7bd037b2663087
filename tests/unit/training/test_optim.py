"""The ways to train: which optimizer they make and what becomes of the rate."""

import copy
import math
import sys
from types import ModuleType

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import AdamW

from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.training.optim import AdamW8bitOptim, MuonOptim, OptimConfig, ReleasedAdam, ReleasedOptim, released_rate


def rates(config, steps, known=-1):
    optimizer, schedule = config.build(torch.nn.Linear(1, 1), known)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize(("kind", "optimizer"), [(OptimConfig, AdamW), (ReleasedOptim, ReleasedAdam)])
def test_a_config_makes_its_optimizer_with_its_settings(kind, optimizer):
    config = instantiate(
        {
            "_target_": f"{kind.__module__}.{kind.__name__}",
            "lr": 1.5e-4,
            "betas": [0.9, 0.925],
            "weight_decay": 0.002,
        }
    )
    made, _ = config.build(torch.nn.Linear(1, 1))
    group = made.param_groups[0]
    assert isinstance(made, optimizer)
    assert (group["initial_lr"], group["betas"], group["weight_decay"]) == (1.5e-4, (0.9, 0.925), 0.002)


def test_the_rate_of_adamw_rises_to_full_and_falls_from_there():
    assert rates(OptimConfig(lr=1.0, warmup=4), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(OptimConfig(lr=1.0, warmup=1, decay=4), 7) == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_the_rate_falls_to_zero_at_the_end_of_the_training_wherever_that_is():
    config = OptimConfig(lr=1.0, warmup=2, warmdown=4)
    assert rates(config, 7, known=7) == [0.5, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert rates(config, 9, known=9) == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    with pytest.raises(UserError, match="warmdown=4: expected a training that ends"):
        rates(config, 1)


def test_the_released_rate_rises_from_zero_and_falls_when_told():
    assert rates(ReleasedOptim(lr=1.0, warmup=4), 6) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates(ReleasedOptim(lr=1.0, warmup=1, decay=4, decay_from=2), 7) == [0.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_the_first_released_step_moves_nothing():
    layer = torch.nn.LayerNorm(3, bias=False)
    parameter = layer.weight
    optimizer, schedule = ReleasedOptim(lr=1.0, warmup=2, weight_decay=0.1).build(layer)
    moved = []
    for _ in range(2):
        parameter.grad = torch.ones(3)
        optimizer.step()
        schedule.step()
        moved.append(not parameter.data.equal(torch.ones(3)))
    assert moved == [False, True]


def test_the_first_step_of_the_released_adam_is_the_formula():
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    parameter.grad = torch.tensor([0.5])
    ReleasedAdam([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.2).step()
    mean, square = 0.05, 0.0025
    expected = 2.0 - 0.1 * math.sqrt(0.01) / 0.1 * (mean / (math.sqrt(square) + 1e-3) + 0.2 * 2.0)
    torch.testing.assert_close(parameter.data, torch.tensor([expected]))


def test_the_released_adam_finds_a_minimum_and_survives_its_state():
    parameter = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    optimizer = ReleasedAdam([parameter], lr=0.1)
    for step in range(300):
        if step == 150:
            saved, optimizer = optimizer.state_dict(), ReleasedAdam([parameter], lr=0.1)
            optimizer.load_state_dict(saved)
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    assert parameter.abs().max() < 0.05


def test_the_rate_rises_from_zero_and_falls_as_asked():
    assert [released_rate(step) for step in (0, 50, 100, 10**6)] == [0.0, 0.5, 1.0, 1.0]
    assert released_rate(2500, gamma=0.5, decay=1000) == 0.25
    assert [released_rate(step, linear_from=500, decay=200) for step in (500, 600, 700)] == [1.0, 0.5, 0.0]


def small_prior():
    torch.manual_seed(0)
    return Prior(7, Transformer(8, 2, "RC", ctx=8, block=4))


def give_gradients(model, step):
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model, reference = small_prior(), small_prior()
    optimizer, _ = MuonOptim(lr=1e-2, warmup=1, weight_decay=0.1).build(model)
    adamw, _ = OptimConfig(lr=1e-2, warmup=1, weight_decay=0.1).build(reference)
    before = copy.deepcopy(model.state_dict())
    for each, steps in ((model, optimizer), (reference, adamw)):
        give_gradients(each, 0)
        steps.step()
    hidden = {"attention.qkv.weight", "attention.out.weight", "mlp.0.weight", "mlp.2.weight"}
    for (name, mine), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
        by_muon = name.startswith("transformer.blocks.") and name.split(".", 3)[3] in hidden
        assert mine.equal(theirs) != by_muon
        if by_muon:  # an orthogonal step, 0.2 large in the mean as one of AdamW is
            change = (mine - before[name] * (1 - 1e-2 * 0.1)) / 1e-2
            sizes = torch.linalg.svdvals(change.detach()) / (0.2 * math.sqrt(max(change.shape)))
            assert 0.4 < sizes.min() <= sizes.max() < 1.6


def test_muon_goes_on_from_its_state():
    def moved(saved_at):
        model = small_prior()
        optimizer, _ = MuonOptim(lr=1e-2).build(model)
        for step in range(4):
            if step == saved_at:
                saved, (optimizer, _) = copy.deepcopy(optimizer.state_dict()), MuonOptim(lr=1e-2).build(model)
                optimizer.load_state_dict(saved)
            give_gradients(model, step)
            optimizer.step()
        return model.state_dict()

    through, stopped = moved(None), moved(2)
    assert all(tensor.equal(stopped[name]) for name, tensor in through.items())


def test_muon_refuses_a_network_without_a_transformer():
    with pytest.raises(UserError, match="MuonOptim is for transformers, a Conv1d has none"):
        MuonOptim().build(torch.nn.Conv1d(1, 1, 1))


def test_eight_bits_need_bitsandbytes(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(UserError, match=r"pip install 'jukebox_pl\[8bit\]'"):
        AdamW8bitOptim().build(small_prior())
    installed = ModuleType("bitsandbytes.optim")
    installed.AdamW8bit = lambda *settings: AdamW(*settings)  # takes the same, in the same order
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", installed)
    made, _ = AdamW8bitOptim(lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95)).build(small_prior())
    assert (made.defaults["betas"], made.defaults["weight_decay"]) == ((0.9, 0.95), 0.1)
