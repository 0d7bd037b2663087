"""Convolutions over time for inference on a CPU, in the memory layout that oneDNN is fast at.

Training, and any other device, computes as before: what is swapped asks at every call.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.inference.residual import fast_residual_stacks


def fast_convolutions(network: nn.Module) -> None:
    """Swaps the classes of a network's convolutions and residual stacks, in place; weights and their names stay.

    Only exact classes are swapped: an adapter must not vanish.
    """
    fast_residual_stacks(network)
    for module in network.modules():
        if type(module) is nn.Conv1d and (module.groups, module.padding_mode) == (1, "zeros") and module.padding != "same":
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


def to_nchw(x: Tensor) -> Tensor:
    """[B, C, T] to [B, C, 1, T] with its channels side by side in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def to_ncw(x: Tensor) -> Tensor:
    """The way back; memory stays as it is."""
    return x.contiguous(memory_format=torch.channels_last).squeeze(2)
