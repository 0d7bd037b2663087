"""The sparse transformer: blocks of attention and MLP, one letter of `pattern` a layer."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from jukebox_pl.nn.attention import CrossAttention, SelfAttention
from jukebox_pl.nn.cache import KVCache, LayerCache
from jukebox_pl.nn.patterns import CROSS, PATTERNS, expand_pattern
from jukebox_pl.nn.resnet1d import module_list, zero_init


class LayerNorm(nn.LayerNorm):
    """Always computed in float32."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == self.weight.dtype == torch.float32:
            return super().forward(x)
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps).to(x.dtype)


class QuickGELU(nn.Module):
    """The approximation of GELU (Hendrycks and Gimpel 2016, section 2) that the released models were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return TrainedQuickGELU.apply(x) if torch.is_grad_enabled() else x * torch.sigmoid(1.702 * x)


class TrainedQuickGELU(torch.autograd.Function):
    """The same to the last bit. It is silu(z) / 1.702 with z = 1.702 x, so its gradient is that of silu at z: one pass over
    memory, not five, and one tensor kept, not two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        z = 1.702 * x
        ctx.save_for_backward(z)
        return torch.sigmoid(z).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return torch.ops.aten.silu_backward(gradient, *ctx.saved_tensors)


class Block(nn.Module):
    """x + a + m with a = attention(norm(x)) and m = mlp(norm(x + a)). A cross block starts as the identity."""

    def __init__(self, width: int, mlp_width: int, attention: SelfAttention | CrossAttention):
        super().__init__()
        self.attention_norm = LayerNorm(width)
        self.attention = attention
        self.mlp_norm = LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), QuickGELU(), nn.Linear(mlp_width, width))

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: Tensor | None = None
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), states, cache, position)
        return x + self.mlp(self.mlp_norm(x))


class Transformer(nn.Module):
    """Layers of factored attention over x [B, T, width], T <= ctx.

    `pattern` names a layer a letter (D dense, R row, C column, P previous row, X cross to the lyrics, L lyrics prefix),
    `block` is the length of a row, `prefix` how many positions in front hold lyrics. The released models have
    attn_width = width / 4 and mlp_width = width. No normalisation at the end.
    """

    ctx: int
    prefix: int
    init_scale: float

    def __init__(
        self,
        width: int,
        heads: int,
        pattern: str,
        ctx: int,
        block: int,
        prefix: int = 0,
        attn_width: int | None = None,
        mlp_width: int | None = None,
        init_scale: float = 1.0,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.pattern = expand_pattern(pattern)
        self.width, self.ctx, self.block, self.prefix = width, ctx, block, prefix
        self.heads, self.attn_width, self.mlp_width = heads, attn_width or width // 4, mlp_width or width
        self.init_scale, self.checkpointing = init_scale, checkpointing
        if self.attn_width % heads:
            raise ValueError(f"attention width {self.attn_width} does not divide into {heads} heads")
        blocks = []
        for letter in self.pattern:
            attention: SelfAttention | CrossAttention
            if letter == CROSS:
                attention = CrossAttention(width, self.attn_width, heads)
            else:
                attention = SelfAttention(width, self.attn_width, heads, PATTERNS[letter](ctx, block, prefix))
            blocks.append(Block(width, self.mlp_width, attention))
        self.blocks = module_list(blocks)
        self._initialize()

    def _initialize(self) -> None:
        """Small weights, as the released models had; X layers end in zeros, so that a graft changes nothing at first."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02 * self.init_scale)
                nn.init.zeros_(module.bias)
        for letter, block in zip(self.pattern, self.blocks, strict=True):
            if letter == CROSS:
                zero_init(block.attention.out)
                zero_init(block.mlp[-1])

    @property
    def dtype(self) -> torch.dtype:
        """What the dense layers compute in; x and `states` are cast to it."""
        return next(self.blocks[0].mlp.parameters()).dtype

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: KVCache | None = None, layers: int | None = None
    ) -> Tensor:
        """x [B, T, W] through the first `layers` (all by default); X layers read `states` [B, L, W].

        With a cache, x continues what the cache has seen: a start goes through as a whole, what follows row by row, as the
        patterns' `step` asks.
        """
        if cache is None:
            return self.run(x, states, layers=layers)
        if cache.position == 0:
            cache.position = x.shape[1]
            return self.run(x, states, cache)
        done = []
        while x.shape[1]:
            row = x[:, : self.block - cache.position % self.block]
            done.append(self.run(row, None, cache, torch.full((), cache.position, device=x.device)))
            cache.position += row.shape[1]
            x = x[:, row.shape[1] :]
        return done[0] if len(done) == 1 else torch.cat(done, dim=1)

    def run(
        self,
        x: Tensor,
        states: Tensor | None,
        cache: KVCache | None = None,
        position: Tensor | None = None,
        layers: int | None = None,
    ) -> Tensor:
        """x [B, T, W] from the start, or of one row from `position` (0-dim, above 0) on; whoever steps counts them."""
        x, states = x.to(self.dtype), None if states is None else states.to(self.dtype)
        for i, block in enumerate(self.blocks):
            if i == layers:
                break
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, states, use_reentrant=False)
            else:
                x = block(x, states, cache.layers[i] if cache else None, position)
        return x
