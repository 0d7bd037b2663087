import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from jukebox_pl.inference.convolutions import FastConv1d, FastConvTranspose1d, fast_convolutions
from jukebox_pl.models.vqvae import VQVAE
from jukebox_pl.nn.resnet1d import Resnet1D


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 6, 4, 2, 1), nn.Conv1d(1, 6, 3, padding=1), nn.Conv1d(4, 6, 1), nn.ConvTranspose1d(4, 6, 4, 2, 1)],
    ids=str,
)
def test_a_convolution_is_the_same_with_and_without_gradients(layer):
    x = torch.randn(2, layer.in_channels, 40)
    expected = layer(x).detach()
    fast_convolutions(layer)
    assert type(layer) in (FastConv1d, FastConvTranspose1d)
    assert layer(x).equal(expected)
    with torch.no_grad():
        assert_close(layer(x), expected, atol=1e-6, rtol=0)


def test_a_network_keeps_its_weights_their_names_and_what_it_trains():
    torch.manual_seed(0)
    plain = VQVAE(bins=8, code_dim=4, width=4, depth=2, multipliers=(1, 1, 1)).eval()
    fast = copy.deepcopy(plain)
    for _ in range(2):  # swapping again changes nothing
        fast_convolutions(fast)
    kinds = {type(part) for part in fast.modules()}
    assert {FastConv1d, FastConvTranspose1d} <= kinds
    assert not kinds & {nn.Conv1d, nn.ConvTranspose1d}
    assert plain.state_dict().keys() == fast.state_dict().keys()
    audio = torch.randn(1, 1, 512)
    for one, other in zip(plain(audio).recons, fast(audio).recons, strict=True):
        assert one.equal(other)


class Adapter(nn.Conv1d):
    """Whose answer is not that of its weights alone."""

    def forward(self, x):
        return super().forward(x) + 1


@torch.no_grad()
def test_a_subclass_stays_what_it_is_and_its_stack_goes_through_it():
    stack, x = Resnet1D(16, 2), torch.randn(1, 16, 20)
    stack[1].dilated = Adapter(16, 16, 3, padding=3, dilation=3)
    expected = stack(x)
    fast_convolutions(stack)
    assert type(stack[1].dilated) is Adapter
    assert_close(stack(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 4, 3, groups=2),
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(4, 4, 3, padding="same"),
        nn.ConvTranspose1d(4, 4, 4, 2, 1, output_padding=1),
        nn.ConvTranspose1d(4, 4, 4, 2, 1, dilation=2),
    ],
    ids=str,
)
@torch.no_grad()
def test_other_convolutions_compute_what_they_did(layer):
    x = torch.randn(1, 4, 20)
    expected = layer(x)
    fast_convolutions(layer)
    assert_close(layer(x), expected, atol=1e-6, rtol=0)
