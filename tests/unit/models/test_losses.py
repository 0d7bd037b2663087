"""What the losses of the VQ-VAE compute, and what they leave out."""

import pytest
import torch

from jukebox_pl.models import losses
from jukebox_pl.models.losses import SINGLE, Bandwidth, VQVAELoss, WaveformLoss

MEASURED = torch.tensor([0.3, 0.07, 13.1])  # float32, as the training module keeps them


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(2, 1, 4096), torch.randn(2, 1, 4096, requires_grad=True)


@pytest.fixture
def spectra(monkeypatch):
    """The resolutions at which a spectral loss was computed."""
    computed, original = [], losses.spectral_loss

    def record(audio, recon, resolution=SINGLE):
        computed.append(resolution)
        return original(audio, recon, resolution)

    monkeypatch.setattr(losses, "spectral_loss", record)
    return computed


def all_weighed(loss, audio, recon, commit, bandwidth):
    """Every component, weight 0 or not, as a sum of products: how the loss was computed before any was left out."""
    l1, l2 = (audio - recon).abs().mean() / bandwidth.l1, (audio - recon).square().mean() / bandwidth.l2
    linf = (audio - recon).square().flatten(1).topk(2048, dim=1).values.mean() / bandwidth.l2
    spectral = losses.spectral_loss(audio, recon)
    multispectral = torch.stack([losses.spectral_loss(audio, recon, resolution) for resolution in losses.MULTI]).mean()
    terms = [
        loss.waveform.l1 * l1 + loss.waveform.l2 * l2 + loss.waveform.linf * linf,
        loss.spectral * (spectral / bandwidth.spec),
        loss.multispectral * (multispectral / bandwidth.spec),
        loss.commit * commit,
    ]
    return torch.stack(terms).sum()


def test_a_spectral_loss_of_weight_zero_costs_no_transform_in_training(pair, spectra):
    parts = VQVAELoss().components(*pair, torch.tensor(0.1), Bandwidth())
    assert SINGLE not in spectra
    assert parts.keys() == {"recons", "multispectral", "commit"}
    VQVAELoss(spectral=1.0, multispectral=0.0).components(*pair, torch.tensor(0.1), Bandwidth())
    assert spectra[3:] == [SINGLE]


@torch.no_grad()
def test_without_gradients_every_component_is_reported(pair, spectra):
    parts = VQVAELoss(multispectral=0.0).components(*pair, torch.tensor(0.1), Bandwidth())
    assert list(parts) == ["recons", "spectral", "multispectral", "commit"]
    assert SINGLE in spectra


@pytest.mark.parametrize(
    "loss",
    [VQVAELoss(), VQVAELoss(spectral=0.5), VQVAELoss(WaveformLoss(1, 0, 0)), VQVAELoss(WaveformLoss(0, 0, 1), 1.0, 0.0)],
    ids=str,
)
def test_what_is_left_out_changes_no_bit_of_loss_or_gradient(pair, loss):
    audio, recon = pair
    commit = torch.tensor(0.37)
    expected = all_weighed(loss, audio, recon, commit, Bandwidth(*MEASURED.tolist()))
    found = loss.weigh(loss.components(audio, recon, commit, Bandwidth(*MEASURED.tolist())))
    assert found.equal(expected)
    (one,), (other,) = torch.autograd.grad(expected, recon), torch.autograd.grad(found, recon)
    assert one.equal(other)
    with torch.no_grad():
        assert loss.weigh(loss.components(audio, recon, commit, Bandwidth(*MEASURED.tolist()))).equal(expected)


def test_bandwidths_as_tensors_change_no_bit(pair):
    loss, commit = VQVAELoss(WaveformLoss(0.3, 1, 0.02), spectral=0.5), torch.tensor(0.1)
    parts = [loss.components(*pair, commit, Bandwidth(*values)) for values in (MEASURED.tolist(), MEASURED)]
    for name in parts[0]:
        assert parts[0][name].equal(parts[1][name])
    gradients = [torch.autograd.grad(loss.weigh(part), pair[1])[0] for part in parts]
    assert gradients[0].equal(gradients[1])
