"""The patterns of factored attention (paper, appendix on the sparse transformer; Child et al. 2019). One small class each.

A sequence is read as rows of `block` positions. A pattern says which keys a query sees, which positions a cache has to
keep for that, and in which slot. q, k, v are [B, H, T, D] throughout.
"""

from __future__ import annotations

import re
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

attend = F.scaled_dot_product_attention


class Pattern(Protocol):
    """`full` answers for all positions from 0 on; `step` for queries of one row, from slots a cache kept.

    `position`, of the first query, is a 0-dim tensor: shapes never depend on it, so one graph serves every step.
    """

    slots: int
    max_key: int  # positions from here on are never read as keys

    def slot(self, positions: Tensor) -> Tensor: ...

    def min_key(self, end: int) -> int:
        """The first position before `end` that a query at or after `end` may read."""
        ...

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor: ...


class Dense:
    """Every position up to the query."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.slots = self.max_key = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions

    def min_key(self, end: int) -> int:
        return 0

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, is_causal=True)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys, values, positions_from(position, q))


class Prefix:
    """Positions up to the query, of the lyrics in front and a little more.

    The released rule counts in units of the number of rows, not of their length: (prefix // rows + 1) * rows. A spare
    slot takes what comes later and is never read.
    """

    def __init__(self, ctx: int, block: int, prefix: int):
        rows = ctx // block
        self.max_key = min((prefix // rows + 1) * rows, ctx)
        self.slots = self.max_key + 1

    def slot(self, positions: Tensor) -> Tensor:
        return positions.clamp(max=self.max_key)

    def min_key(self, end: int) -> int:
        return 0

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = min(self.max_key, k.shape[2])
        early = attend(q[:, :, :seen], k[:, :, :seen], v[:, :, :seen], is_causal=True)
        late = attend(q[:, :, seen:], k[:, :, :seen], v[:, :, :seen])
        return torch.cat([early, late], dim=2)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys[:, :, : self.max_key], values[:, :, : self.max_key], positions_from(position, q))


class Row:
    """Positions up to the query in its own row."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block = self.slots = block
        self.max_key = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.block

    def min_key(self, end: int) -> int:
        return end // self.block * self.block

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rq, rk, rv = (split_rows(x, self.block) for x in (q, k, v))
        return merge_rows(attend(rq, rk, rv, is_causal=True), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        return attend_up_to(q, keys, values, positions_from(position % self.block, q))


class Column:
    """Positions up to the query in the same column of every row. Slots run down the columns: a step reads one piece."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.rows = block, -(-ctx // block)
        self.slots = self.rows * block
        self.max_key = ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.block * self.rows + positions // self.block

    def min_key(self, end: int) -> int:
        return 0

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cq, ck, cv = (split_rows(x, self.block).transpose(1, 2) for x in (q, k, v))
        return merge_rows(attend(cq, ck, cv, is_causal=True).transpose(1, 2), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        columns = positions_from(position % self.block, q)
        keys, values = (x.unflatten(2, (self.block, self.rows)).index_select(2, columns) for x in (keys, values))
        return attend_up_to(q.unsqueeze(3), keys, values, position[None] // self.block).squeeze(3)


class PreviousRow:
    """The whole row before the query's own; in the first row nothing, and the answer is zero."""

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block, self.slots, self.max_key = block, 2 * block, ctx

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.slots

    def min_key(self, end: int) -> int:
        return max(end // self.block - 1, 0) * self.block

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Rows move down by one; the first reads a row of zeros, whose mean under any weights is zero.
        k, v = (F.pad(split_rows(x, self.block), (0, 0, 0, 0, 1, 0))[:, :-1] for x in (k, v))
        return merge_rows(attend(split_rows(q, self.block), k, v), q)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> Tensor:
        row = position[None] // self.block
        keys, values = (x.unflatten(2, (2, -1)).index_select(2, (row + 1) % 2).squeeze(2) for x in (keys, values))
        return attend_step(q, keys, values).where(row > 0, 0.0)


def split_rows(x: Tensor, block: int) -> Tensor:
    """[B, H, T, D] to [B * H, rows, block, D], zeros behind the end: later than any query, so never seen by one.

    Four dimensions, because with more `attend` falls back on its slowest kernel.
    """
    return F.pad(x, (0, 0, 0, -x.shape[2] % block)).flatten(0, 1).unflatten(1, (-1, block))


def merge_rows(rows: Tensor, like: Tensor) -> Tensor:
    """The way back, to the shape of `like` [B, H, T, D]."""
    return rows.flatten(1, 2)[:, : like.shape[2]].unflatten(0, like.shape[:2])


def positions_from(position: Tensor, q: Tensor) -> Tensor:
    """The positions [T] of queries [B, H, T, D] of which the first is at `position`."""
    return position + torch.arange(q.shape[2], device=q.device)


def attend_up_to(q: Tensor, k: Tensor, v: Tensor, last: Tensor) -> Tensor:
    """Attention of queries [.., T, D] to slots [.., S, D], of which each sees those up to its `last` [T]."""
    return attend_step(q, k, v, torch.arange(k.shape[-2], device=q.device) <= last[:, None])


def attend_step(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
    """`attend` for the queries of a step; one alone is written out, for a compiler to make one loop of."""
    if q.shape[-2] > 1:
        return attend(q, k, v, attn_mask=seen)
    scores = (q * k).sum(-1) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1).unsqueeze(-1) * v).sum(-2, keepdim=True)


PATTERNS: dict[str, type] = {"D": Dense, "R": Row, "C": Column, "P": PreviousRow, "L": Prefix}
CROSS = "X"
LETTERS = {letter: pattern.__name__ for letter, pattern in PATTERNS.items()} | {CROSS: "CrossAttention"}
MAX_LAYERS = 4096  # far beyond any network: what is longer is a slip of the pen, and is refused before memory is taken
TERM = re.compile(r"([A-Za-z]+|\))(?:\s*\*\s*([0-9]+))?|\S")  # letters or the end of a group, with their times; + or (


def expand_pattern(pattern: str) -> str:
    """ "RCP*2 + (R + D)*2" to "RCPRCPRDRD": terms joined by +, each letters or a group in brackets, and * its times.

    Raises ValueError, which names the letters and the place, for anything else and for more than MAX_LAYERS layers.
    """
    known = ", ".join(f"{letter} {name}" for letter, name in LETTERS.items())
    rule = f"expected terms such as RCP*24 or (RC + P)*8, joined by +, of the letters {known}"
    groups, complete = [""], False  # the layers of each open group, the outermost first; whether a term has just ended
    for match in TERM.finditer(pattern):
        word, times = match[1] or match[0], int(match[2] or 1)
        if word == "(" and not complete:
            groups.append("")
        elif word == "+" and complete:
            complete = False
        elif complete == (word == ")") and match[1] and (word != ")" or len(groups) > 1):
            if unknown := sorted(set(word) - {*LETTERS, ")"}):
                raise ValueError(f"attention pattern {pattern!r} has unknown letters {unknown}; known are {known}")
            layers = groups.pop() if word == ")" else word
            if len(groups[-1]) + len(layers) * times > MAX_LAYERS:
                raise ValueError(f"attention pattern {pattern!r} has more than {MAX_LAYERS} layers")
            groups[-1] += layers * times
            complete = True
        else:
            raise ValueError(f"attention pattern {pattern!r}: {word!r} at character {match.start()}; {rule}")
    if not complete or len(groups) > 1 or not groups[0]:
        raise ValueError(f"attention pattern {pattern!r} ends too early; {rule}")
    return groups[0]
