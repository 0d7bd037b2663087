"""The patterns of factored attention (paper, appendix on the sparse transformer; Child et al. 2019). One small class each.

A sequence is read as rows of `block` positions. A pattern says which keys a query sees, which positions a cache has to
keep for that, and in which slot. q, k, v are [B, H, T, D] throughout.
"""

from __future__ import annotations

import re
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

attend = F.scaled_dot_product_attention


class Pattern:
    """What a query sees of the positions up to its own; as it stands, all of them.

    `full` answers for all positions from 0 on; `step` for queries of one row, from the slots of a cache. `positions` are
    tensors: shapes never depend on them, so one graph serves every step.
    """

    kept_rows: ClassVar[int] = 0  # a cache keeps so many rows; 0: the whole context

    def __init__(self, ctx: int, block: int, prefix: int):
        self.block = block
        self.slots = self.kept_rows * block or ctx
        self.max_key = ctx  # positions from here on are never read as keys

    def slot(self, positions: Tensor) -> Tensor:
        """Where a cache keeps positions. It holds the last ones below `max_key`, as many as it has slots."""
        return positions % self.slots

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, is_causal=True)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        keys, values = keys[:, :, : self.max_key], values[:, :, : self.max_key]
        seen = torch.arange(keys.shape[2], device=q.device) <= self.slot(positions)[:, None]
        return attend_step(q, keys, values, seen)


class Dense(Pattern):
    """Every position up to the query."""


class Prefix(Pattern):
    """Positions up to the query, of the lyrics in front and a little more.

    The released rule counts in units of the number of rows, not of their length: (prefix // rows + 1) * rows. A spare
    slot takes what comes later and is never read.
    """

    def __init__(self, ctx: int, block: int, prefix: int):
        super().__init__(ctx, block, prefix)
        rows = ctx // block
        self.max_key = min((prefix // rows + 1) * rows, ctx)
        self.slots = self.max_key + 1

    def slot(self, positions: Tensor) -> Tensor:
        return positions.clamp(max=self.max_key)

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = min(self.max_key, k.shape[2])
        k, v = k[:, :, :seen], v[:, :, :seen]
        early = attend(q[:, :, :seen], k, v, is_causal=True)
        late = attend(q[:, :, seen:], k, v)
        return torch.cat([early, late], dim=2)


class Row(Pattern):
    """Positions up to the query in its own row. The patterns after it differ in what the rows of queries attend to."""

    kept_rows = 1

    def full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        length = q.shape[2]
        # In memory they are [B, T, H, D], as a linear layer left them, and rows are views of that.
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if missing := -length % self.block:  # zeros behind the end come later than any query, so none sees them
            q, k, v = (F.pad(x, (0, 0, 0, 0, 0, missing)) for x in (q, k, v))
        answer = self.attend_rows(*(x.unflatten(1, (-1, self.block)) for x in (q, k, v)))
        return answer.flatten(1, 2)[:, :length].transpose(1, 2)

    def attend_rows(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k, v and the answer are [B, rows, block, H, D]."""
        return attend_each(q, k, v)


class Column(Row):
    """Positions up to the query in the same column of every row. Slots run down the columns: a step reads one piece."""

    def __init__(self, ctx: int, block: int, prefix: int):
        super().__init__(ctx, block, prefix)
        self.rows = -(-ctx // block)
        self.slots = self.rows * block

    def slot(self, positions: Tensor) -> Tensor:
        return positions % self.block * self.rows + positions // self.block

    def attend_rows(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return attend_each(q, k, v).transpose(1, 2)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        columns = positions % self.block
        row = positions[:1] // self.block
        keys, values = (x.unflatten(2, (self.block, self.rows)).index_select(2, columns) for x in (keys, values))
        seen = torch.arange(self.rows, device=q.device) <= row[:, None]
        return attend_step(q.unsqueeze(3), keys, values, seen).squeeze(3)


class PreviousRow(Row):
    """The whole row before the query's own; in the first row nothing, and the answer is zero."""

    kept_rows = 2

    def attend_rows(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Rows move down by one; the first reads a row of zeros, whose mean under any weights is zero.
        k, v = (F.pad(x, (0, 0, 0, 0, 0, 0, 1, -1)) for x in (k, v))
        return attend_each(q, k, v, is_causal=False)

    def step(self, q: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        row = positions[:1] // self.block
        keys, values = (x.unflatten(2, (2, -1)).index_select(2, (row + 1) % 2).squeeze(2) for x in (keys, values))
        return attend_step(q, keys, values).where(row > 0, 0.0)


def attend_each(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = True) -> Tensor:
    """`attend` within each of N sequences by itself: [B, N, T, H, D], and so the answer."""
    shape = q.shape[:2]
    q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (q, k, v))  # with five dimensions it takes its slowest kernel
    return attend(q, k, v, is_causal=is_causal).transpose(1, 2).unflatten(0, shape)


def attend_step(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
    """`attend` for the queries of a step; one alone is written out, for a compiler to make one loop of."""
    if q.shape[-2] > 1:
        return attend(q, k, v, attn_mask=seen)
    scores = (q * k).sum(-1) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1).unsqueeze(-1) * v).sum(-2, keepdim=True)


PATTERNS: dict[str, type[Pattern]] = {"D": Dense, "R": Row, "C": Column, "P": PreviousRow, "L": Prefix}
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
