import copy

import pytest
import torch
from torch.testing import assert_close

from jukebox_pl.inference import native
from jukebox_pl.inference.residual import WIDTHS, FastResnet1D, fast_residual_stacks
from jukebox_pl.nn.resnet1d import Resnet1D

STACKS = {
    "one block": {"width": 16, "depth": 1},
    "dilations beyond a tile": {"width": 24, "depth": 5, "reverse": True},
    "cycled and scaled": {"width": 40, "depth": 4, "cycle": 2, "scale": 0.5},
    "narrow in the middle": {"width": 64, "depth": 2, "multiplier": 0.25},
    "wide in the middle": {"width": 64, "depth": 2, "multiplier": 2},
}


@pytest.fixture(scope="module", autouse=True)
def _operators():
    if not native.operators() or torch.backends.cpu.get_cpu_capability() not in native.INSTRUCTIONS:
        pytest.skip("no C++ compiler, or a processor that stacks are not swapped on")


@pytest.fixture(params=STACKS)
def stacks(request):
    """A stack as PyTorch computes it, and the same one swapped."""
    torch.manual_seed(0)
    plain = Resnet1D(**STACKS[request.param])
    fast = copy.deepcopy(plain)
    fast_residual_stacks(fast)
    assert type(fast) is FastResnet1D
    return plain, fast


@pytest.fixture(params=[1, 2], ids="threads {}".format)
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def answer_and_gradients(stack, x):
    x = x.clone().requires_grad_()
    y = stack(x)
    loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()
    return [y.detach(), *torch.autograd.grad(loss, [x, *stack.parameters()])]


@pytest.mark.parametrize("length", [1, 5, 96, 333])
def test_answer_and_gradients_are_those_of_pytorch(stacks, threads, length):
    plain, fast = stacks
    x = torch.randn(3, plain[0].dilated.in_channels, length)
    (expected, *gradients), (found, *others) = answer_and_gradients(plain, x), answer_and_gradients(fast, x)
    assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for gradient, other in zip(gradients, others, strict=True):  # a ReLU near zero may be rounded to either side
        assert float((gradient - other).norm() / gradient.norm()) < 0.02


def test_what_is_in_memory_in_another_order_gives_the_same_bits(stacks):
    _, fast = stacks
    x = torch.randn(2, fast[0].dilated.in_channels, 120)
    for one, other in zip(answer_and_gradients(fast, x), answer_and_gradients(fast, x.mT.contiguous().mT), strict=True):
        assert one.equal(other)


@torch.no_grad()
def test_a_batch_is_its_items_and_a_slice_that_of_the_whole_to_the_last_bit(stacks):
    _, fast = stacks
    x, reach = torch.randn(3, fast[0].dilated.in_channels, 900), fast.receptive_field
    whole = fast(x)
    assert whole.equal(torch.cat([fast(item) for item in x.split(1)]))
    assert fast(x[..., 50:])[..., reach:].equal(whole[..., 50 + reach :])


@torch.no_grad()
def test_gradients_or_none_the_answer_is_the_same(stacks):
    _, fast = stacks
    x = torch.randn(2, fast[0].dilated.in_channels, 120)
    before = x.clone()
    with torch.enable_grad():
        expected = fast(x).detach()
    assert fast(x).equal(expected)
    assert x.equal(before)


def test_other_precisions_compute_what_they_did(stacks):
    plain, fast = stacks
    x = torch.randn(1, plain[0].dilated.in_channels, 120)
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(x).equal(plain(x))
    assert fast.double()(x.double()).equal(plain.double()(x.double()))


def test_without_a_compiler_the_stack_is_the_plain_one(stacks, monkeypatch):
    plain, fast = stacks
    monkeypatch.setattr(native, "operators", lambda: False)
    x = torch.randn(1, plain[0].dilated.in_channels, 120)
    assert fast(x).equal(plain(x))


def test_without_wide_vectors_a_stack_stays_plain(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    stack = Resnet1D(16, 1)
    fast_residual_stacks(stack)
    assert type(stack) is Resnet1D


@pytest.mark.parametrize("width", [8, 12, 72, 256])
def test_widths_that_the_operator_cannot_stay_plain(width):
    stack = Resnet1D(width, 1)
    fast_residual_stacks(stack)
    assert width not in WIDTHS
    assert type(stack) is Resnet1D
