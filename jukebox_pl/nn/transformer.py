"""The sparse transformer: blocks of attention and MLP, one letter of `pattern` a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jukebox_pl.nn.attention import CrossAttention, SelfAttention
from jukebox_pl.nn.cache import KVCache, LayerCache
from jukebox_pl.nn.resnet1d import module_list, zero_init

CROSS = "X"
LETTERS = {**{letter: p.__name__ for letter, p in SelfAttention.patterns.items()}, CROSS: "CrossAttention"}


def expand_pattern(pattern: str) -> str:
    """ "RCP*2 + D" to "RCPRCPD". Raises ValueError on an unknown letter."""
    parts = re.findall(r"([A-Za-z]+)\s*(?:\*\s*(\d+))?", pattern)
    letters = "".join(part * int(times or 1) for part, times in parts)
    unknown = sorted(set(letters) - set(LETTERS))
    if unknown or not letters:
        known = ", ".join(f"{letter} {name}" for letter, name in LETTERS.items())
        raise ValueError(f"attention pattern {pattern!r} has unknown letters {unknown}; known are {known}")
    return letters


class LayerNorm(nn.LayerNorm):
    """Always computed in float32."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == self.weight.dtype == torch.float32:
            return super().forward(x)
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps).to(x.dtype)


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


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
        self.blocks = module_list(self._block(letter) for letter in self.pattern)
        self._initialize()

    def _block(self, letter: str) -> Block:
        attention: SelfAttention | CrossAttention
        if letter == CROSS:
            attention = CrossAttention(self.width, self.attn_width, self.heads)
        else:
            pattern = SelfAttention.patterns[letter](self.ctx, self.block, self.prefix)
            attention = SelfAttention(self.width, self.attn_width, self.heads, pattern)
        return Block(self.width, self.mlp_width, attention)

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02 * self.init_scale)
                nn.init.zeros_(module.bias)
        for letter, block in zip(self.pattern, self.blocks, strict=True):
            if letter == CROSS:
                zero_init(block.attention.out)
                zero_init(block.mlp[-1])

    def new_cache(self) -> KVCache:
        return KVCache(len(self.blocks))

    @property
    def dtype(self) -> torch.dtype:
        """What the dense layers compute in; x and `states` are cast to it."""
        return next(self.blocks[0].mlp.parameters()).dtype

    def forward(self, x: Tensor, states: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """x [B, T, W]; with a cache, x continues what the cache has seen. `states` [B, L, W] are read by X layers."""
        if cache is None:
            return self._layers(x, states)
        done = [self._continue(piece, states, cache) for piece in self._pieces(x, cache.position)]
        return done[0] if len(done) == 1 else torch.cat(done, dim=1)

    def step(self, x: Tensor, cache: KVCache, position: Tensor) -> Tensor:
        """x [B, T, W] of one row from `position` (0-dim, above 0) on; whoever steps counts the positions."""
        return self._layers(x, None, cache, position)

    def activations(self, x: Tensor, layer: int, states: Tensor | None = None) -> Tensor:
        """What goes into a layer, counted from 0; with `layer` the number of layers, what comes out: [B, T, W]."""
        x, states = x.to(self.dtype), None if states is None else states.to(self.dtype)
        for i in range(layer):
            x = self.blocks[i](x, states)
        return x

    def _pieces(self, x: Tensor, position: int) -> Iterator[Tensor]:
        """A start goes through as a whole; a continuation row by row, as the patterns' `step` asks."""
        if position == 0:
            yield x
            return
        start = 0
        while start < x.shape[1]:
            end = min(start + self.block - (position + start) % self.block, x.shape[1])
            yield x[:, start:end]
            start = end

    def _continue(self, x: Tensor, states: Tensor | None, cache: KVCache) -> Tensor:
        position = torch.full((), cache.position, device=x.device) if cache.position else None
        cache.position += x.shape[1]
        return self._layers(x, states, cache, position)

    def _layers(
        self, x: Tensor, states: Tensor | None, cache: KVCache | None = None, position: Tensor | None = None
    ) -> Tensor:
        x, states = x.to(self.dtype), None if states is None else states.to(self.dtype)
        for i, block in enumerate(self.blocks):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, states, use_reentrant=False)
            else:
                x = block(x, states, cache.layers[i] if cache else None, position)
        return x
