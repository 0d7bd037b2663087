import pytest
import torch

from jukebox_pl.evaluation.seams import click_ratio, flux_ratio, spectral_flux

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


def test_a_sound_that_stays_what_it_is_changes_no_more_at_seams(music):
    assert flux_ratio(music, SEAMS) == pytest.approx(1.0, abs=0.1)


def test_another_sound_after_every_seam_is_heard():
    time = torch.arange(44_100) / 44_100
    tones = torch.stack([torch.sin(2 * torch.pi * pitch * time) for pitch in (440, 587)])
    sound = tones[(torch.arange(44_100) // 5000) % 2, torch.arange(44_100)]
    assert flux_ratio(sound, range(5000, 44_100, 5000)) > 2
    assert flux_ratio(sound, range(2500, 44_100, 5000)) < 0.5


def test_flux_is_zero_for_a_steady_tone_and_one_between_different_ones():
    tone = torch.sin(2 * torch.pi * torch.arange(4096) * 8 / 1024)
    other = torch.sin(2 * torch.pi * torch.arange(4096) * 100 / 1024)
    sound = torch.cat([tone, other])
    steady, changed = spectral_flux(sound, [2048, 4096])
    assert steady == pytest.approx(0.0, abs=1e-3)
    assert changed == pytest.approx(1.0, abs=0.05)
    assert spectral_flux(sound, [0, 2048, 8192]).equal(steady.view(1))
