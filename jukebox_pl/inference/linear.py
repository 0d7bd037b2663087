"""Linear layers for sampling: narrow copies of the weights, and on a CPU an operator that reads them at memory's speed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.inference import native

LANES = 16  # as in linear.cpp
FEW_ROWS = 32  # from here on a matrix product, which reads weights in pieces that stay in the processor's cache, is faster
PER_WORD = {torch.float32: 1, torch.bfloat16: 2, torch.int8: 4}


class StreamedLinear(nn.Module):
    """`F.linear` with weights [out, in] kept as `dtype`; x and the answer have one type.

    int8 weights have a scale an output, by which the largest becomes 127. Weights that are of that type already are
    shared, not copied.
    """

    weight: Tensor
    scale: Tensor | None

    def __init__(self, weight: Tensor, bias: nn.Parameter | None = None, dtype: torch.dtype | None = None):
        super().__init__()
        self.width, self.bias = weight.shape[1], bias
        scale: Tensor | None = None
        if dtype == torch.int8:
            scale = weight.float().abs().amax(1).clamp(min=1e-30) / 127  # a row of zeros has one too
            narrow = (weight.float() / scale[:, None]).round().to(torch.int8)
        else:
            narrow = weight.to(dtype or weight.dtype)
        fits = weight.device.type == "cpu" and narrow.dtype in PER_WORD and self.width % LANES == 0
        self.packed = weight.dtype == torch.float32 and fits and native.operators()
        self.register_buffer("weight", pack(narrow) if self.packed else narrow)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.packed and x.dtype == torch.float32 and x.numel() <= FEW_ROWS * self.width:
            return torch.ops.jukebox_pl.streamed_linear(x, self.weight, self.scale, self.bias)
        return F.linear(x, self.unpacked(x.dtype), None if self.bias is None else self.bias.to(x.dtype))

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weights [out, in] in the order and of the type that everything else expects."""
        weight = self.weight
        if self.packed:  # the way back from `pack`
            words = weight.unflatten(1, (-1, LANES, PER_WORD[weight.dtype]))
            weight = words.transpose(2, 3).flatten(1)[:, : self.width]
        weight = weight.to(dtype)
        return weight if self.scale is None else weight * self.scale.to(dtype).unsqueeze(1)


def pack(weight: Tensor) -> Tensor:
    """[out, in] as the operator reads it: each 32-bit word takes its weights from as many runs of LANES. float32 stays."""
    weight = weight.contiguous()
    if weight.dtype == torch.float32:
        return weight
    runs = PER_WORD[weight.dtype]
    padded = F.pad(weight, (0, -weight.shape[1] % (LANES * runs)))
    return padded.unflatten(1, (-1, runs, LANES)).transpose(2, 3).flatten(1).contiguous()


def stream_linears(network: nn.Module, dtype: torch.dtype | None = None) -> None:
    """Replaces every plain linear layer of a network. A subclass stays: it may compute more than its weight says."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, StreamedLinear(child.weight.detach(), child.bias, dtype))
