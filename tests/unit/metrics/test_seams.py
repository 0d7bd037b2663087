import pytest
import torch

from jukebox_pl.metrics.seams import click_ratio

SEAMS = range(1000, 40_000, 1000)


@pytest.fixture
def music():
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 44_100)
    return 0.2 * torch.nn.functional.avg_pool1d(noise, 9, 1, padding=4)[0, 0]


def test_a_sound_without_seams_is_as_rough_there_as_anywhere(music):
    assert click_ratio(music, SEAMS) == pytest.approx(1.0, abs=0.2)


def test_steps_at_the_seams_are_heard(music):
    steps = torch.zeros(44_100)
    for seam in SEAMS:
        steps[seam:] += 0.5 * (-1) ** (seam // 1000)
    assert click_ratio(music + steps, SEAMS) > 5
