"""Which codes of a level are drawn in which window, and in which order: whole numbers only."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple


def windows(total: int, ctx: int, hop: int) -> Iterator[tuple[int, int]]:
    """Windows [start, end) that cover `total` codes, each `ctx` long and `hop` after the one before.

    The last is moved back to end at `total`; what is shorter than a window is one short window. Raises ValueError unless
    0 < hop <= ctx.
    """
    if not 0 < hop <= ctx:
        raise ValueError(f"windows must move on by 1 to {ctx} codes, found {hop}")
    for start in (*range(0, max(total - ctx, 0), hop), max(total - ctx, 0)):
        yield start, min(start + ctx, total)


class Span(NamedTuple):
    """Codes [first, last) to be drawn in the window [start, end), from those before them in it."""

    start: int
    end: int
    first: int
    last: int


def missing_spans(missing: Sequence[int], ctx: int, hop: int, cuts: Sequence[int] = ()) -> Iterator[Span]:
    """What is to be drawn in each window where `missing` says so, anew at every cut (ascending positions).

    A code belongs to the first window that reaches it, which sees most of what stands before it.
    """
    done = 0
    for start, end in windows(len(missing), ctx, hop):
        runs = groupby(range(max(start, done), end), key=lambda at: (missing[at], bisect_right(cuts, at)))
        for (wanted, _), run in runs:
            if wanted:
                first, *others = run
                yield Span(start, end, first, first + len(others) + 1)
        done = end


def parallel_parts(total: int, count: int, unit: int) -> tuple[list[tuple[int, int]], int]:
    """`total` codes as `count` parts [begin, end) of nearly one length, and the length of the longest.

    They begin at multiples of `unit`.
    """
    units = total // unit
    count = min(count, units)
    length = -(-units // count)
    begins = [i * (units - length) // max(count - 1, 1) * unit for i in range(count)]
    return list(zip(begins, [*begins[1:], total], strict=True)), length * unit
