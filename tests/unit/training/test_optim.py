"""The two ways to train: which optimizer they make and what becomes of the rate."""

import math

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import AdamW

from jukebox_pl.training.optim import OptimConfig, ReleasedAdam, ReleasedOptim, released_rate


def rates(config, steps):
    optimizer, schedule = config.build([torch.nn.Parameter(torch.zeros(1))])
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
    made, _ = config.build([torch.nn.Parameter(torch.zeros(1))])
    group = made.param_groups[0]
    assert isinstance(made, optimizer)
    assert (group["initial_lr"], group["betas"], group["weight_decay"]) == (1.5e-4, (0.9, 0.925), 0.002)


def test_the_rate_of_adamw_rises_to_full_and_falls_from_there():
    assert rates(OptimConfig(lr=1.0, warmup=4), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(OptimConfig(lr=1.0, warmup=1, decay=4), 7) == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_the_released_rate_rises_from_zero_and_falls_when_told():
    assert rates(ReleasedOptim(lr=1.0, warmup=4), 6) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates(ReleasedOptim(lr=1.0, warmup=1, decay=4, decay_from=2), 7) == [0.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_the_first_released_step_moves_nothing():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer, schedule = ReleasedOptim(lr=1.0, warmup=2, weight_decay=0.1).build([parameter])
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
