"""Work for several processes, as torchrun starts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def share(items: Sequence[Item], rank: int, world: int) -> list[Item]:
    """The items of process `rank` out of `world`. Each item goes to one of them: what is named by item never collides."""
    if not 0 <= rank < world:
        raise ValueError(f"expected a rank below {world}, found {rank}")
    return list(items[rank::world])
