"""Dilated residual convolutions over time, the body of the VQ-VAE and of the upsamplers' conditioner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)


def module_list(parts: Iterable[Part]) -> Sequence[Part]:
    """An nn.ModuleList that keeps the type of its elements."""
    return cast(Sequence[Part], nn.ModuleList(parts))


def zero_init(layer: Part) -> Part:
    """Weights and bias at zero: a residual branch that ends in this layer starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Conv1d(nn.Conv1d):
    """Sampling and encoding on a CPU take sound for an image one pixel high, channels last: oneDNN is faster at those."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_grad_enabled():
            return super().forward(x)
        if self.kernel_size == (1,):
            return F.linear(x.transpose(1, 2), self.weight.squeeze(2), self.bias).transpose(1, 2)
        shape = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return sound(F.conv2d(image(x), image(self.weight), self.bias, *shape))


class ConvTranspose1d(nn.ConvTranspose1d):
    """As Conv1d."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if x.is_cuda or torch.is_grad_enabled():
            return super().forward(x)
        return sound(F.conv_transpose2d(image(x), image(self.weight), self.bias, (1, *self.stride), (0, *self.padding)))


def image(x: Tensor) -> Tensor:
    """[B, C, T] to [B, C, 1, T] with its channels side by side in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def sound(x: Tensor) -> Tensor:
    """The way back; memory stays as it is."""
    return x.contiguous(memory_format=torch.channels_last).squeeze(2)


class ResidualBlock(nn.Module):
    """x + scale * (ReLU, conv 3 with dilation, ReLU, conv 1). x [B, width, T]."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float = 1.0):
        super().__init__()
        self.dilated = Conv1d(width, hidden, 3, padding=dilation, dilation=dilation)
        self.pointwise = Conv1d(hidden, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.pointwise(self.dilated(x.relu()).relu_()), alpha=self.scale)


class Resnet1D(nn.Sequential):
    """`depth` residual blocks with dilations growth ** (i mod cycle); `reverse` puts the widest first.

    The released VQ-VAE grows by 3 without a cycle and reverses its decoders; the released conditioners cycle every 8
    blocks and, at the middle level, scale each branch by 1/sqrt(depth).
    """

    def __init__(
        self,
        width: int,
        depth: int,
        growth: int = 3,
        cycle: int | None = None,
        reverse: bool = False,
        scale: float = 1.0,
        multiplier: float = 1.0,
    ):
        dilations = [growth ** (i % (cycle or depth)) for i in range(depth)]
        ordered = reversed(dilations) if reverse else dilations
        super().__init__(*(ResidualBlock(width, int(multiplier * width), d, scale) for d in ordered))
        self.reach = sum(dilations)
