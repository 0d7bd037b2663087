"""Distances are zero where nothing changed, and say nothing of what they must not hear."""

import numpy as np
import pytest
import torch

from jukebox_pl.evaluation.fidelity import LEAST_POWER, log_mel, log_mel_distance, si_sdr, stft_distance

RATE = 11_025


@pytest.fixture
def music():
    torch.manual_seed(0)
    noise = torch.nn.functional.avg_pool1d(torch.randn(1, 1, RATE), 9, 1, padding=4)
    return noise * torch.linspace(0.2, 1, RATE)


def test_the_same_sound_has_no_distance(music):
    assert log_mel_distance(music, music, RATE) == 0.0
    assert stft_distance(music, music) == 0.0
    assert si_sdr(music, music) > 60


def test_more_noise_is_farther_in_every_measure(music):
    noise = torch.randn_like(music)
    noisy = [music + amount * noise for amount in (0.01, 0.1, 1.0)]
    for distance in (lambda one, two: log_mel_distance(one, two, RATE), stft_distance, lambda one, two: -si_sdr(one, two)):
        near, middle, far = (distance(music, recon) for recon in noisy)
        assert near < middle < far


def test_si_sdr_is_the_ratio_of_the_powers_whatever_the_scale(music):
    noise = torch.randn_like(music)
    noise -= (noise * music).sum() / music.square().sum() * music
    noise *= (music.square().sum() / noise.square().sum()).sqrt() / 10  # orthogonal, a hundredth of the power
    for scale in (0.1, 1.0, 7.0):
        assert si_sdr(music, scale * (music + noise)) == pytest.approx(20.0, abs=0.01)


def test_log_mel_distance_of_a_louder_sound_is_its_gain_and_of_a_loud_catalog_the_same(music):
    steady = torch.randn(1, 1, RATE)  # no band comes near the floor
    assert log_mel_distance(steady, 2 * steady, RATE) == pytest.approx(6.02, abs=0.01)
    recon = music + 0.1 * torch.randn_like(music)
    assert log_mel_distance(music, recon, RATE) == pytest.approx(log_mel_distance(9 * music, 9 * recon, RATE), rel=1e-4)


def test_phase_is_not_heard_by_mel_but_by_si_sdr(music):
    assert log_mel_distance(music, -music, RATE) == pytest.approx(0.0, abs=1e-5)
    assert si_sdr(music, music.roll(5, -1)) < 10


def test_silence_is_as_far_as_the_range_and_finite(music):
    assert 30 < log_mel_distance(music, 0 * music, RATE) <= 80
    assert np.isfinite(log_mel(0 * music, RATE)).all()
    assert np.isfinite(
        [stft_distance(0 * music, music), stft_distance(music, 0 * music), log_mel(music, 44_100).max()]
    ).all()


def test_stft_distance_of_half_the_sound_is_known():
    loud = 10 * torch.randn(1, 1, RATE)  # far above the floor of 1e-8
    assert LEAST_POWER == 1e-8
    assert stft_distance(loud, 0.5 * loud) == pytest.approx(0.5 + np.log(2), abs=1e-3)
