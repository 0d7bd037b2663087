"""Factored attention (paper, appendix on the sparse transformer; Child et al. 2019). One small class a pattern.

A sequence is read as rows of `block` positions. A pattern says which keys a query sees, which positions a cache has to
keep for that, and in which slot. q, k, v are [B, H, T, D] throughout.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.nn.cache import LayerCache

attend = F.scaled_dot_product_attention
Position = TypeVar("Position", int, Tensor)


class Pattern(Protocol):
    """`whole` answers for all positions from 0 on; `step` for queries of one row, from slots a cache kept."""

    slots: int
    reach: int  # positions from here on are never read as keys

    def slot(self, position: Position) -> Position: ...

    def first_kept(self, end: int) -> int:
        """The first position before `end` that a query at or after `end` may read."""
        ...

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor: ...


class Dense:
    """Every position up to the query."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.slots = self.reach = ctx

    def slot(self, position: Position) -> Position:
        return position

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, is_causal=True)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        end = position + q.shape[2]
        return attend_aligned(q, keys[:, :, :end], values[:, :, :end])


class Prefix:
    """Positions up to the query, of the lyrics in front and a little more.

    The released rule counts in units of the number of rows, not of their length: (prefix // rows + 1) * rows.
    """

    def __init__(self, ctx: int, block: int, prefix: int):
        rows = ctx // block
        self.slots = self.reach = min((prefix // rows + 1) * rows, ctx)

    def slot(self, position: Position) -> Position:
        return position

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = min(self.slots, k.shape[2])
        early = attend(q[:, :, :seen], k[:, :, :seen], v[:, :, :seen], is_causal=True)
        late = attend(q[:, :, seen:], k[:, :, :seen], v[:, :, :seen])
        return torch.cat([early, late], dim=2)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        early = max(self.slots - position, 0)
        end = min(position + q.shape[2], self.slots)
        parts = [attend_aligned(q[:, :, :early], keys[:, :, :end], values[:, :, :end])] if early else []
        if early < q.shape[2]:
            parts.append(attend(q[:, :, early:], keys, values))
        return torch.cat(parts, dim=2)


class Row:
    """Positions up to the query in its own row."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block = self.slots = block
        self.reach = ctx

    def slot(self, position: Position) -> Position:
        return position % self.block

    def first_kept(self, end: int) -> int:
        return end // self.block * self.block

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rq, rk, rv = (in_rows(x, self.block) for x in (q, k, v))
        return out_of_rows(attend(rq, rk, rv, is_causal=True), q.shape[2])

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        end = position % self.block + q.shape[2]
        return attend_aligned(q, keys[:, :, :end], values[:, :, :end])


class Column:
    """Positions up to the query in the same column of every row. Slots run down the columns: a step reads one piece."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.rows = block, -(-ctx // block)
        self.slots = self.rows * block
        self.reach = ctx

    def slot(self, position: Position) -> Position:
        return position % self.block * self.rows + position // self.block

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cq, ck, cv = (in_rows(x, self.block).transpose(2, 3) for x in (q, k, v))
        return out_of_rows(attend(cq, ck, cv, is_causal=True).transpose(2, 3), q.shape[2])

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        row, column = divmod(position, self.block)
        keys, values = (x.unflatten(2, (self.block, self.rows)) for x in (keys, values))
        here = slice(column, column + q.shape[2])
        return attend(q.unsqueeze(3), keys[:, :, here, : row + 1], values[:, :, here, : row + 1]).squeeze(3)


class PreviousRow:
    """The whole row before the query's own; in the first row nothing, and the answer is zero."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.slots, self.reach = block, 2 * block, ctx

    def slot(self, position: Position) -> Position:
        return position % self.slots

    def first_kept(self, end: int) -> int:
        return max(end // self.block - 1, 0) * self.block

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (F.pad(in_rows(x, self.block), (0, 0, 0, 0, 1, 0))[:, :, :-1] for x in (k, v))
        return out_of_rows(attend(in_rows(q, self.block), k, v), q.shape[2])

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        row = position // self.block
        if row == 0:
            return torch.zeros_like(q)
        start = (row - 1) % 2 * self.block
        return attend(q, keys[:, :, start : start + self.block], values[:, :, start : start + self.block])


def in_rows(x: Tensor, block: int) -> Tensor:
    """[B, H, T, D] to [B, H, rows, block, D], zeros behind the end: later than any query, so never seen by one."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % block)).unflatten(2, (-1, block))


def out_of_rows(x: Tensor, length: int) -> Tensor:
    return x.flatten(2, 3)[:, :, :length]


def attend_aligned(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of the last positions: query i of n sees all but the last n - 1 - i keys."""
    if q.shape[2] == 1:
        return attend(q, k, v)
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - q.shape[2])
    return attend(q, k, v, attn_mask=mask)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself under a pattern. `attn_width` is the width of queries, keys and values."""

    patterns: ClassVar[dict[str, type]] = {"D": Dense, "R": Row, "C": Column, "P": PreviousRow, "L": Prefix}

    def __init__(self, width: int, attn_width: int, heads: int, pattern: Pattern):
        super().__init__()
        self.heads, self.pattern = heads, pattern
        self.qkv = nn.Linear(width, 3 * attn_width)
        self.out = nn.Linear(attn_width, width)

    def forward(self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: int = 0) -> Tensor:
        """x [B, T, W] at `position` on; with a cache, T > 1 at position > 0 must stay within one row."""
        q, k, v = (in_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        if cache is not None:
            cache.write(self.pattern, k, v, position)
        if cache is None or position == 0:
            answer = self.pattern.whole(q, k, v)
        else:
            answer = self.pattern.step(q, cache.keys, cache.values, position)
        return self.out(out_of_heads(answer))

    def weights(self, x: Tensor, states: Tensor | None = None) -> Tensor:
        """How much each position of x looks at the first ones: [B, H, T, slots], rows sum to 1. For D and L only."""
        if not isinstance(self.pattern, Dense | Prefix):
            raise ValueError("only D, L and X layers look at the lyrics")
        q, k = (in_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1)[:2])
        scores = q @ k[:, :, : self.pattern.slots].transpose(-1, -2) / q.shape[-1] ** 0.5
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

    def forward(self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: int = 0) -> Tensor:
        states = require_states(states)
        q = in_heads(self.q(x), self.heads)
        if cache is None or position == 0:
            k, v = (in_heads(part, self.heads) for part in self.kv(states).chunk(2, dim=-1))
        if cache is not None:
            k, v = cache.keep(k, v) if position == 0 else (cache.keys, cache.values)
        return self.out(out_of_heads(attend(q, k, v)))

    def weights(self, x: Tensor, states: Tensor | None) -> Tensor:
        """How much each position of x looks at each state: [B, H, T, L], rows sum to 1."""
        states = require_states(states)
        q, k = in_heads(self.q(x), self.heads), in_heads(self.kv(states).chunk(2, dim=-1)[0], self.heads)
        return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).float().softmax(-1)


def require_states(states: Tensor | None) -> Tensor:
    if states is None:
        raise ValueError("an X layer reads lyrics, and this condition has none: condition the prior on labels with lyrics")
    return states


def in_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def out_of_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)
