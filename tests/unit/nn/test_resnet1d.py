import pytest
import torch
from torch.testing import assert_close

from jukebox_pl.nn import resnet1d
from jukebox_pl.nn.resnet1d import Conv1d, ConvTranspose1d, Resnet1D

STACKS = {
    "one block": {"depth": 1},
    "dilations beyond a stretch": {"depth": 5, "reverse": True},
    "cycled, scaled, widened": {"depth": 4, "cycle": 2, "scale": 0.5, "multiplier": 2},
}


@pytest.fixture(params=STACKS)
def stack(request, monkeypatch):
    monkeypatch.setattr(resnet1d, "POSITIONS_AT_ONCE", 50)
    torch.manual_seed(0)
    return Resnet1D(8, **STACKS[request.param])


@pytest.mark.parametrize("length", [1, 50, 333])
def test_stretches_joined_are_what_training_computes(stack, length):
    x = torch.randn(2, 8, length)
    expected, before = stack(x).detach(), x.clone()
    with torch.no_grad():
        assert_close(stack(x), expected, atol=1e-5, rtol=0)
        assert_close(stack(x.mT.contiguous().mT), expected, atol=1e-5, rtol=0)
    assert x.equal(before)


@torch.no_grad()
def test_stretches_of_a_batch_are_those_of_its_items(stack):
    x = torch.randn(3, 8, 120)
    assert_close(stack(x), torch.cat([stack(item) for item in x.split(1)]), atol=1e-6, rtol=0)


@torch.no_grad()
def test_stretches_work_in_lower_precision(stack):
    x = torch.randn(1, 8, 120)
    expected = stack(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(stack(x).float(), expected, atol=0.1, rtol=0.1)
    assert_close(stack.bfloat16()(x.bfloat16()).float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    "layer", [Conv1d(4, 6, 4, 2, 1), Conv1d(1, 6, 3, padding=1), Conv1d(4, 6, 1), ConvTranspose1d(4, 6, 4, 2, 1)], ids=str
)
def test_a_convolution_is_the_same_with_and_without_gradients(layer):
    x = torch.randn(2, layer.in_channels, 40)
    expected = layer(x).detach()
    with torch.no_grad():
        assert_close(layer(x), expected, atol=1e-6, rtol=0)
