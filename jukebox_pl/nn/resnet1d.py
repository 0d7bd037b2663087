"""Dilated residual convolutions over time, the body of the VQ-VAE and of the upsamplers' conditioner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)

POSITIONS_AT_ONCE = 4096  # a megabyte at width 64


def module_list(parts: Iterable[Part]) -> Sequence[Part]:
    """An nn.ModuleList that keeps the type of its elements."""
    return cast(Sequence[Part], nn.ModuleList(parts))


def zero_init(layer: Part) -> Part:
    """Weights and bias at zero: a residual branch that ends in this layer starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Conv1d(nn.Conv1d):
    """Sampling and encoding on a CPU take to_ncw for an to_nchw one pixel high, channels last: oneDNN is faster at those."""

    def forward(self, x: Tensor) -> Tensor:
        if not inference_on_cpu(x):
            return super().forward(x)
        if self.kernel_size == (1,):
            return F.linear(x.transpose(1, 2), self.weight.squeeze(2), self.bias).transpose(1, 2)
        shape = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        return to_ncw(F.conv2d(to_nchw(x), to_nchw(self.weight), self.bias, *shape))


class ConvTranspose1d(nn.ConvTranspose1d):
    """As Conv1d."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not inference_on_cpu(x):
            return super().forward(x)
        return to_ncw(F.conv_transpose2d(to_nchw(x), to_nchw(self.weight), self.bias, (1, *self.stride), (0, *self.padding)))


def inference_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def to_nchw(x: Tensor) -> Tensor:
    """[B, C, T] to [B, C, 1, T] with its channels side by side in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def to_ncw(x: Tensor) -> Tensor:
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

    def write(self, x: Tensor, out: Tensor) -> Tensor:
        """`forward` into `out`, so many positions at once that what lies in between stays in a processor's cache."""
        weight = to_nchw(self.dilated.weight)
        for start in range(0, x.shape[2], POSITIONS_AT_ONCE):
            here = slice(start, start + POSITIONS_AT_ONCE)
            hidden = F.conv2d(self._seen_from(x, here), weight, self.dilated.bias, dilation=(1, *self.dilated.dilation))
            torch.add(x[..., here], self.pointwise(to_ncw(hidden).relu_()), alpha=self.scale, out=out[..., here])
        return out

    def _seen_from(self, x: Tensor, here: slice) -> Tensor:
        """The to_nchw that the dilated convolution reads to write `here`: after ReLU, with zeros beyond the ends of x."""
        length, (reach,) = x.shape[2], self.dilated.dilation
        first, end = here.start - reach, min(here.stop, length) + reach
        rows = x[..., max(first, 0) : end].transpose(1, 2)
        padded = F.pad(rows, (0, 0, max(-first, 0), max(end - length, 0)))
        return to_nchw(padded.relu_().transpose(1, 2))


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

    def forward(self, x: Tensor) -> Tensor:
        if not inference_on_cpu(x):
            return super().forward(x)
        buffers = torch.empty_like(x), torch.empty_like(x)  # memory fresh for every block would cost as much as its sums
        for block, out in zip(cast(Iterable[ResidualBlock], self), cycle(buffers), strict=False):
            x = block.write(x, out)
        return x
