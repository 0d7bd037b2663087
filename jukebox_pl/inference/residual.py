"""Residual stacks on a CPU, for inference and for training: an operator that keeps what a block has in between in a cache.

A block as PyTorch computes it goes through memory a dozen times, mostly of activations fresh from the system. The operator's
sums are the same, in another order.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from jukebox_pl.inference import native
from jukebox_pl.nn.resnet1d import ResidualBlock, Resnet1D

WIDTHS = (*range(16, 65, 8), 128)  # what residual.cpp can; the weights of wider blocks leave no room in a processor's cache


class Transposed(torch.autograd.Function):
    """[B, N, M] to [B, M, N], there and back an item at a time, which PyTorch does four times as fast as all at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.new_empty(x.shape[0], x.shape[2], x.shape[1])
        for item, there in zip(x, out, strict=True):
            there.copy_(item.t())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return Transposed.forward(ctx, g)


def weights(block: ResidualBlock) -> tuple[Tensor, ...]:
    """Weights and bias of the dilated and of the pointwise convolution."""
    found = block.dilated.weight, block.dilated.bias, block.pointwise.weight, block.pointwise.bias
    return cast(tuple[Tensor, ...], found)  # a block's convolutions have biases


def forward_weights(scale: float, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, ...]:
    """A block's weights as the operator multiplies by them: inputs before outputs, the scale of the branch in the last."""
    return w1.permute(2, 1, 0).contiguous(), b1, (w2.squeeze(2) * scale).t().contiguous(), b2 * scale


class FastResidualBlock(torch.autograd.Function):
    """x [B, T, C], `weights`, the dilation and the scale of the branch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dilation: int, scale: float) -> Tensor:
        y, hidden = torch.empty_like(x), x.new_empty(*x.shape[:2], len(w1))
        torch.ops.jukebox_pl.residual(x, *forward_weights(scale, w1, b1, w2, b2), dilation, y, hidden)
        ctx.save_for_backward(x, hidden, w1, w2)
        ctx.dilation, ctx.scale = dilation, scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, w1, w2 = ctx.saved_tensors
        backward_weights = w1.permute(2, 0, 1).flip(0).contiguous(), w2.squeeze(2) * ctx.scale
        gx, gw1, gb1, gw2, gb2 = torch.ops.jukebox_pl.residual_backward(
            g.contiguous(), x, hidden, *backward_weights, ctx.dilation
        )
        return gx, gw1.permute(2, 1, 0), gb1, (gw2.t() * ctx.scale).unsqueeze(2), gb2 * ctx.scale, None, None


class FastResnet1D(Resnet1D):
    """Asks at every call: any other device, precision or kind of tensor computes as before."""

    def forward(self, x: Tensor) -> Tensor:
        fits = type(x) is Tensor and x.device.type == "cpu" and x.dtype == torch.float32
        if not fits or torch.is_autocast_enabled("cpu") or not native.operators():
            return super().forward(x)
        blocks = cast(Iterable[ResidualBlock], self)
        rows = Transposed.apply(x)
        if torch.is_grad_enabled():
            for block in blocks:
                rows = FastResidualBlock.apply(rows, *weights(block), block.dilated.dilation[0], block.scale)
            return Transposed.apply(rows)
        # Two buffers in turn: memory fresh for every block would cost as much as its sums.
        buffers = torch.empty_like(rows), torch.empty_like(rows)
        for block, out in zip(blocks, cycle(buffers), strict=False):
            operands = forward_weights(block.scale, *weights(block))
            torch.ops.jukebox_pl.residual(rows, *operands, block.dilated.dilation[0], out, None)
            rows = out
        return rows.transpose(1, 2)  # channels side by side, as what `fast_convolutions` makes likes them


def is_supported(stack: Resnet1D) -> bool:
    """Whether the operator computes what the stack does, and has the instructions to be quick about it."""
    if torch.backends.cpu.get_cpu_capability() not in native.INSTRUCTIONS:
        return False
    is_plain = all(type(part) in (Resnet1D, ResidualBlock, nn.Conv1d) for part in stack.modules())
    blocks = cast(Iterable[ResidualBlock], stack)
    return is_plain and all(width in WIDTHS for block in blocks for width in block.dilated.weight.shape[:2])


def fast_residual_stacks(network: nn.Module) -> None:
    """Swaps the class of a network's residual stacks, in place; weights and their names stay.

    Only where all in a stack is plain: an adapter must not vanish.
    """
    for module in network.modules():
        if type(module) is Resnet1D and is_supported(module):
            module.__class__ = FastResnet1D
