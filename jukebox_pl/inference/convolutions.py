"""Convolutions over time for inference on a CPU: the memory layout that oneDNN is fast at, and little memory in between.

Training, and any other device, computes as before: what is swapped asks at every call.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.nn.resnet1d import ResidualBlock, Resnet1D

POSITIONS_AT_ONCE = 4096  # a megabyte at width 64


def fast_convolutions(network: nn.Module) -> None:
    """Swaps the classes of a network's convolutions and residual stacks, in place; weights and their names stay.

    Only exact classes are swapped, and a stack only where all in it is plain: an adapter must not vanish.
    """
    for module in network.modules():  # a stack comes before what is in it
        if type(module) is Resnet1D:
            if all(type(part) in (Resnet1D, ResidualBlock, nn.Conv1d, FastConv1d) for part in module.modules()):
                module.__class__ = FastResnet1D
        elif type(module) is nn.Conv1d and (module.groups, module.padding_mode) == (1, "zeros") and module.padding != "same":
            module.__class__ = FastConv1d
        elif (
            type(module) is nn.ConvTranspose1d and module.groups == module.dilation[0] == 1 and not module.output_padding[0]
        ):
            module.__class__ = FastConvTranspose1d


class FastConv1d(nn.Conv1d):
    """Takes a sequence for an image one pixel high, channels last: oneDNN is faster at those."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(x)
        if self.kernel_size == (1,):
            return F.linear(x.transpose(1, 2), self.weight.squeeze(2), self.bias).transpose(1, 2)
        shape = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return to_ncw(F.conv2d(to_nchw(x), to_nchw(self.weight), self.bias, *shape))


class FastConvTranspose1d(nn.ConvTranspose1d):
    """As FastConv1d."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(x)
        return to_ncw(F.conv_transpose2d(to_nchw(x), to_nchw(self.weight), self.bias, (1, *self.stride), (0, *self.padding)))


class FastResnet1D(Resnet1D):
    """Two buffers in turn: memory fresh for every block would cost as much as its sums."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(x)
        buffers = torch.empty_like(x), torch.empty_like(x)
        for block, out in zip(cast(Iterable[ResidualBlock], self), cycle(buffers), strict=False):
            x = write_residual(block, x, out)
        return x


def write_residual(block: ResidualBlock, x: Tensor, out: Tensor) -> Tensor:
    """`block(x)` [B, C, T] into `out`, so many positions at once that what lies in between stays in a processor's cache."""
    (dilation,), length = block.dilated.dilation, x.shape[2]
    weight = to_nchw(block.dilated.weight)
    for start in range(0, length, POSITIONS_AT_ONCE):
        end = min(start + POSITIONS_AT_ONCE, length)
        # What the dilated convolution reads to write [start, end): after ReLU, with zeros beyond the ends of x.
        first, last = start - dilation, end + dilation
        rows = x[..., max(first, 0) : last].transpose(1, 2)
        padded = F.pad(rows, (0, 0, max(-first, 0), max(last - length, 0))).relu_().transpose(1, 2)
        hidden = to_ncw(F.conv2d(to_nchw(padded), weight, block.dilated.bias, dilation=(1, dilation))).relu_()
        torch.add(x[..., start:end], block.pointwise(hidden), alpha=block.scale, out=out[..., start:end])
    return out


def to_nchw(x: Tensor) -> Tensor:
    """[B, C, T] to [B, C, 1, T] with its channels side by side in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def to_ncw(x: Tensor) -> Tensor:
    """The way back; memory stays as it is."""
    return x.contiguous(memory_format=torch.channels_last).squeeze(2)
