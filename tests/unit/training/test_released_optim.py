import math

import torch

from jukebox_pl.training.released_optim import ReleasedAdam, released_rate


def test_the_first_step_is_the_formula():
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    parameter.grad = torch.tensor([0.5])
    ReleasedAdam([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.2).step()
    mean, square = 0.05, 0.0025
    expected = 2.0 - 0.1 * math.sqrt(0.01) / 0.1 * (mean / (math.sqrt(square) + 1e-3) + 0.2 * 2.0)
    torch.testing.assert_close(parameter.data, torch.tensor([expected]))


def test_it_finds_a_minimum_and_survives_its_state():
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
