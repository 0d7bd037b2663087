import pytest
import torch

from jukebox_pl.evaluation.codec import SpectralConvergence, report_levels
from jukebox_pl.models.vqvae import VQVAE


def test_half_the_sound_is_six_decibels_and_silence_none():
    audio = torch.randn(3, 1, 4096)
    for share, decibels in ((0.5, -6.02), (0.0, 0.0)):
        metric = SpectralConvergence()
        metric.update(audio, share * audio)
        assert metric.compute().item() == pytest.approx(decibels, abs=0.01)


def test_batches_add_up_to_the_whole():
    audio, recon = torch.randn(4, 1, 4096), torch.randn(4, 1, 4096)
    whole, parts = SpectralConvergence(), SpectralConvergence()
    whole.update(audio, recon)
    for i in range(4):
        parts.update(audio[i : i + 1], recon[i : i + 1])
    torch.testing.assert_close(whole.compute(), parts.compute())


def test_a_report_compares_every_level_with_silence_and_shuffled_codes():
    torch.manual_seed(0)
    vqvae = VQVAE(bins=16, code_dim=8, width=4, depth=1, multipliers=(1, 1, 1))
    for parameter in vqvae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    clips = torch.randn(2, 1, 4096)
    vqvae(clips)
    reports = report_levels(vqvae.eval(), clips)
    assert [report.level for report in reports] == [0, 1, 2]
    assert all(report.silence == pytest.approx(0.0, abs=1e-3) for report in reports)
    assert all(report.reconstruction != report.shuffled_codes for report in reports)
