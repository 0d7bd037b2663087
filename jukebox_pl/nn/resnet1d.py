"""Dilated residual convolutions over time, the body of the VQ-VAE and of the upsamplers' conditioner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import torch
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


class ResidualBlock(nn.Module):
    """x + scale * (ReLU, conv 3 with dilation, ReLU, conv 1). x [B, width, T]."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float = 1.0):
        super().__init__()
        self.dilated = nn.Conv1d(width, hidden, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(hidden, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.pointwise(self.dilated(x.relu()).relu_()), alpha=self.scale)


class Resnet1D(nn.Sequential):
    """`depth` residual blocks with dilations dilation_growth ** (i mod cycle); `reverse` puts the widest first.

    The released VQ-VAE grows by 3 without a cycle and reverses its decoders; the released conditioners cycle every 8
    blocks and, at the middle level, scale each branch by 1/sqrt(depth). `receptive_field` is what a position sees to each
    side of itself.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        dilation_growth: int = 3,
        cycle: int | None = None,
        reverse: bool = False,
        scale: float = 1.0,
        multiplier: float = 1.0,
    ):
        dilations = [dilation_growth ** (i % (cycle or depth)) for i in range(depth)]
        ordered = reversed(dilations) if reverse else dilations
        super().__init__(*(ResidualBlock(width, int(multiplier * width), d, scale) for d in ordered))
        self.receptive_field = sum(dilations)
