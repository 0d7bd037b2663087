"""Attention of a sequence to itself, under a pattern, and to the lyrics. q, k, v are [B, H, T, D] throughout."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jukebox_pl.nn.cache import LayerCache
from jukebox_pl.nn.patterns import Dense, Pattern, Prefix, attend


class SelfAttention(nn.Module):
    """Attention of a sequence to itself under a pattern. `attn_width` is the width of queries, keys and values."""

    def __init__(self, width: int, attn_width: int, heads: int, pattern: Pattern):
        super().__init__()
        self.heads, self.pattern = heads, pattern
        self.qkv = nn.Linear(width, 3 * attn_width)
        self.out = nn.Linear(attn_width, width)

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: Tensor | None = None
    ) -> Tensor:
        """x [B, T, W] from the start, or, within one row, from `position` on after what the cache has seen."""
        q, k, v = split_heads(self.qkv(x), 3, self.heads)
        if cache is not None and position is not None:
            positions = position + torch.arange(x.shape[1], device=x.device)
            cache.write(self.pattern.slot(positions), k, v)
            answer = self.pattern.step(q, cache.keys, cache.values, positions)
        else:
            if cache is not None:
                cache.prefill(self.pattern, k, v)
            answer = self.pattern.full(q, k, v)
        return self.out(answer.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, states: Tensor | None = None) -> Tensor:
        """How much each position of x looks at the first ones: [B, H, T, max_key], rows sum to 1. For D and L only."""
        if not isinstance(self.pattern, Dense | Prefix):
            raise ValueError(f"only D, L and X layers look at the lyrics, this one is {type(self.pattern).__name__}")
        q, k, _ = split_heads(self.qkv(x), 3, self.heads)
        scores = q @ k[:, :, : self.pattern.max_key].transpose(-1, -2) / q.shape[-1] ** 0.5
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).tril()
        return scores.float().masked_fill(~seen, -torch.inf).softmax(-1)


class CrossAttention(nn.Module):
    """Attention of a sequence to the states of the lyrics encoder [B, L, W], all visible to all."""

    def __init__(self, width: int, attn_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, attn_width)
        self.kv = nn.Linear(width, 2 * attn_width)
        self.out = nn.Linear(attn_width, width)

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: Tensor | None = None
    ) -> Tensor:
        (q,) = split_heads(self.q(x), 1, self.heads)
        if cache is not None and position is not None:
            k, v = cache.keys, cache.values
        else:
            k, v = self._keys_values(states)
            if cache is not None:  # a slot for every state
                cache.prefill(Dense(ctx=k.shape[2], block=1, prefix=0), k, v)
        return self.out(attend(q, k, v).transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, states: Tensor | None) -> Tensor:
        """How much each position of x looks at each state: [B, H, T, L], rows sum to 1."""
        (q,) = split_heads(self.q(x), 1, self.heads)
        k, _ = self._keys_values(states)
        return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).float().softmax(-1)

    def _keys_values(self, states: Tensor | None) -> list[Tensor]:
        if states is None:
            raise ValueError(
                "an X layer reads lyrics, and this condition has none: condition the prior on labels with lyrics"
            )
        return split_heads(self.kv(states), 2, self.heads)


def split_heads(x: Tensor, parts: int, heads: int) -> list[Tensor]:
    """[B, T, parts * H * D] to so many [B, H, T, D]."""
    return [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1)]
