"""Which stretches of a level are sampled in which order: whole numbers only."""

from __future__ import annotations

from collections.abc import Iterator


def windows(total: int, ctx: int, hop: int, done: int = 0) -> Iterator[tuple[int, int]]:
    """Windows [start, end) that cover `total` codes, each `ctx` long and `hop` after the one before.

    The last is moved back to end at `total`; what is shorter than a window is one short window. Windows whose codes are
    all among the first `done` are left out. Raises ValueError unless 0 < hop <= ctx.
    """
    if not 0 < hop <= ctx:
        raise ValueError(f"windows must move on by 1 to {ctx} codes, found {hop}")
    starts = [*range(0, max(total - ctx, 0), hop), max(total - ctx, 0)]
    for start in starts:
        end = min(start + ctx, total)
        if end > done:
            yield start, end
