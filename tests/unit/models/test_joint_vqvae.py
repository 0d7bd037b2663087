import pytest
import torch

from jukebox_pl.models.joint_vqvae import JointVQVAE


@pytest.fixture
def vqvae():
    torch.manual_seed(0)
    model = JointVQVAE(bins=32, code_dim=8, width=8, depth=2)
    for name, parameter in model.named_parameters():
        if "pointwise" in name:  # at zero, as they start, the residual stacks have no gradient behind them
            torch.nn.init.normal_(parameter, std=0.2)
    model(torch.randn(2, 1, 4096))
    return model


def test_codes_and_sound_have_the_lengths_of_the_hops(vqvae):
    audio, codes = torch.randn(2, 1, 4096), vqvae.eval().encode(torch.randn(2, 1, 4096))
    assert vqvae.hops == (8, 32, 128)
    assert [found.shape for found in codes] == [(2, 512), (2, 128), (2, 32)]
    for level in range(3):
        assert vqvae.decode(codes[level:], level).shape == audio.shape


def test_forward_decodes_what_encode_says_of_a_level_and_those_above(vqvae):
    audio = torch.randn(2, 1, 4096)
    output, codes = vqvae.eval()(audio), vqvae.encode(audio)
    for level, recon in enumerate(output.recons):
        assert codes[level].equal(output.codes[level])
        torch.testing.assert_close(vqvae.decode(codes[level:], level), recon, rtol=1e-4, atol=1e-5)


def test_all_parts_learn_from_the_sound_of_all_levels_and_nothing_from_that_of_fewer(vqvae):
    output = vqvae(torch.randn(2, 1, 4096))
    output.recons[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in vqvae.parameters())
    assert [recon.requires_grad for recon in output.recons] == [True, False, False]


def test_codebooks_start_by_kmeans(vqvae):
    torch.manual_seed(1)
    audio, other = torch.randn(4, 1, 4096), JointVQVAE(bins=32, code_dim=8, width=8, depth=2)
    assert other(audio, quantize=False).stats == [None, None, None]
    other.start_codebooks(audio, 4096)
    for codebook, hop in zip(other.codebooks, other.hops, strict=True):
        assert codebook.counts.sum().item() == pytest.approx(4096 / hop)
        assert codebook.updates > 0
