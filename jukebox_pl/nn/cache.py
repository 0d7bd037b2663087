"""Keys and values of positions already computed. State belongs to whoever samples; networks keep weights only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jukebox_pl.nn.attention import Pattern


class LayerCache:
    """Keys and values of one layer [B, H, slots, D]; allocated at the first write, never grown."""

    keys: Tensor
    values: Tensor

    def write(self, pattern: Pattern, k: Tensor, v: Tensor, position: int) -> None:
        """Keeps, of k and v [B, H, T, D] at `position` on, what later positions can read."""
        if position == 0:
            self.keys, self.values = (x.new_zeros(*x.shape[:2], pattern.slots, x.shape[3]) for x in (k, v))
        end = position + k.shape[2]
        first = max(pattern.first_kept(end - 1), position)
        slots = pattern.slot(torch.arange(first, end, device=k.device))
        start = first - position
        self.keys[:, :, slots] = k[:, :, start : start + len(slots)]
        self.values[:, :, slots] = v[:, :, start : start + len(slots)]

    def keep(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keeps keys and values that do not change any more, those of the lyrics."""
        self.keys, self.values = k, v
        return k, v


class KVCache:
    """The caches of a transformer's layers and how many positions they have seen."""

    def __init__(self, layers: int):
        self.layers = [LayerCache() for _ in range(layers)]
        self.position = 0
