"""Factored attention (paper, appendix on the sparse transformer; Child et al. 2019). One small class a pattern.

A sequence is read as rows of `block` positions. A pattern says which keys a query sees, which positions a cache has to
keep for that, and in which slot. q, k, v are [B, H, T, D] throughout.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_pl.nn.cache import LayerCache

attend = F.scaled_dot_product_attention


class Pattern(Protocol):
    """`whole` answers for all positions from 0 on; `step` for queries of one row, from slots a cache kept.

    `position`, of the first query, is a 0-dim tensor: shapes never depend on it, so one graph serves every step.
    """

    slots: int
    reach: int  # positions from here on are never read as keys

    def slot(self, positions: Tensor) -> Tensor: ...

    def first_kept(self, end: int) -> int:
        """The first position before `end` that a query at or after `end` may read."""
        ...

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor: ...


class Dense:
    """Every position up to the query."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.slots = self.reach = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, is_causal=True)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys, values, spread(position, q))


class Prefix:
    """Positions up to the query, of the lyrics in front and a little more.

    The released rule counts in units of the number of rows, not of their length: (prefix // rows + 1) * rows. A spare
    slot takes what comes later and is never read.
    """

    def __init__(self, ctx: int, block: int, prefix: int):
        rows = ctx // block
        self.reach = min((prefix // rows + 1) * rows, ctx)
        self.slots = self.reach + 1

    def slot(self, positions: Tensor) -> Tensor:
        return positions.clamp(max=self.reach)

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = min(self.reach, k.shape[2])
        early = attend(q[:, :, :seen], k[:, :, :seen], v[:, :, :seen], is_causal=True)
        late = attend(q[:, :, seen:], k[:, :, :seen], v[:, :, :seen])
        return torch.cat([early, late], dim=2)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys[:, :, : self.reach], values[:, :, : self.reach], spread(position, q))


class Row:
    """Positions up to the query in its own row."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block = self.slots = block
        self.reach = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.block

    def first_kept(self, end: int) -> int:
        return end // self.block * self.block

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rq, rk, rv = (in_rows(x, self.block) for x in (q, k, v))
        return out_of_rows(attend(rq, rk, rv, is_causal=True), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys, values, spread(position % self.block, q))


class Column:
    """Positions up to the query in the same column of every row. Slots run down the columns: a step reads one piece."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.rows = block, -(-ctx // block)
        self.slots = self.rows * block
        self.reach = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.block * self.rows + positions // self.block

    def first_kept(self, end: int) -> int:
        return 0

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cq, ck, cv = (in_rows(x, self.block).transpose(1, 2) for x in (q, k, v))
        return out_of_rows(attend(cq, ck, cv, is_causal=True).transpose(1, 2), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        columns = spread(position % self.block, q)
        keys, values = (x.unflatten(2, (self.block, self.rows)).index_select(2, columns) for x in (keys, values))
        return attend_up_to(q.unsqueeze(3), keys, values, position[None] // self.block).squeeze(3)


class PreviousRow:
    """The whole row before the query's own; in the first row nothing, and the answer is zero."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.slots, self.reach = block, 2 * block, ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.slots

    def first_kept(self, end: int) -> int:
        return max(end // self.block - 1, 0) * self.block

    def whole(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (F.pad(in_rows(x, self.block), (0, 0, 0, 0, 1, 0))[:, :-1] for x in (k, v))
        return out_of_rows(attend(in_rows(q, self.block), k, v), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        row = position[None] // self.block
        keys, values = (x.unflatten(2, (2, -1)).index_select(2, (row + 1) % 2).squeeze(2) for x in (keys, values))
        return attend_few(q, keys, values).where(row > 0, 0.0)


def in_rows(x: Tensor, block: int) -> Tensor:
    """[B, H, T, D] to [B * H, rows, block, D], zeros behind the end: later than any query, so never seen by one.

    Four dimensions, because with more `attend` falls back on its slowest kernel.
    """
    return F.pad(x, (0, 0, 0, -x.shape[2] % block)).flatten(0, 1).unflatten(1, (-1, block))


def out_of_rows(rows: Tensor, like: Tensor) -> Tensor:
    return rows.flatten(1, 2)[:, : like.shape[2]].unflatten(0, like.shape[:2])


def spread(position: Tensor, q: Tensor) -> Tensor:
    """The positions [T] of queries [B, H, T, D] of which the first is at `position`."""
    return position + torch.arange(q.shape[2], device=q.device)


def attend_up_to(q: Tensor, k: Tensor, v: Tensor, last: Tensor) -> Tensor:
    """Attention of queries [.., T, D] to slots [.., S, D], of which each sees those up to its `last` [T]."""
    return attend_few(q, k, v, torch.arange(k.shape[-2], device=q.device) <= last[:, None])


def attend_few(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
    """`attend` for the queries of a step; one alone is written out, for a compiler to make one loop of."""
    if q.shape[-2] > 1:
        return attend(q, k, v, attn_mask=seen)
    scores = (q * k).sum(-1) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1).unsqueeze(-1) * v).sum(-2, keepdim=True)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself under a pattern. `attn_width` is the width of queries, keys and values."""

    patterns: ClassVar[dict[str, type]] = {"D": Dense, "R": Row, "C": Column, "P": PreviousRow, "L": Prefix}

    def __init__(self, width: int, attn_width: int, heads: int, pattern: Pattern):
        super().__init__()
        self.heads, self.pattern = heads, pattern
        self.qkv = nn.Linear(width, 3 * attn_width)
        self.out = nn.Linear(attn_width, width)

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, position: Tensor | None = None
    ) -> Tensor:
        """x [B, T, W] from the start, or, within one row, from `position` on after what the cache has seen."""
        q, k, v = (in_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(out_of_heads(self._answer(q, k, v, cache, position)))

    def _answer(self, q: Tensor, k: Tensor, v: Tensor, cache: LayerCache | None, position: Tensor | None) -> Tensor:
        if cache is None:
            return self.pattern.whole(q, k, v)
        if position is None:
            cache.start(self.pattern, k, v)
            return self.pattern.whole(q, k, v)
        cache.write(self.pattern.slot(spread(position, k)), k, v)
        return self.pattern.step(q, cache.keys, cache.values, position)

    def weights(self, x: Tensor, states: Tensor | None = None) -> Tensor:
        """How much each position of x looks at the first ones: [B, H, T, reach], rows sum to 1. For D and L only."""
        if not isinstance(self.pattern, Dense | Prefix):
            raise ValueError("only D, L and X layers look at the lyrics")
        q, k = (in_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1)[:2])
        scores = q @ k[:, :, : self.pattern.reach].transpose(-1, -2) / q.shape[-1] ** 0.5
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
        q = in_heads(self.q(x), self.heads)
        if cache is not None and position is not None:
            return self.out(out_of_heads(attend(q, cache.keys, cache.values)))
        k, v = (in_heads(part, self.heads) for part in self.kv(require_states(states)).chunk(2, dim=-1))
        if cache is not None:
            cache.keep(k, v)
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
