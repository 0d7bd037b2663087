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
        first, last = max(pattern.first_kept(end - 1), position), min(end, pattern.reach)
        if first >= last:
            return
        # One position, the usual case while sampling, is a plain slice.
        single = last - first == 1
        slots = narrow(pattern.slot(first)) if single else pattern.slot(torch.arange(first, last, device=k.device))
        self.keys[:, :, slots] = k[:, :, first - position : last - position]
        self.values[:, :, slots] = v[:, :, first - position : last - position]

    def keep(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keeps keys and values that do not change any more, those of the lyrics."""
        self.keys, self.values = k, v
        return k, v


def narrow(slot: int) -> slice:
    return slice(slot, slot + 1)


class KVCache:
    """The caches of a transformer's layers and how many positions they have seen."""

    def __init__(self, layers: int):
        self.layers = [LayerCache() for _ in range(layers)]
        self.position = 0
