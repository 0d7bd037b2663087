"""The two ways to train: which optimizer they make and what becomes of the rate."""

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import AdamW

from jukebox_pl.training.optim import OptimConfig, ReleasedOptim
from jukebox_pl.training.released_optim import ReleasedAdam


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
