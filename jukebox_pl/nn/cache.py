"""Keys and values of positions already computed. State belongs to whoever samples; networks keep weights only."""

from __future__ import annotations

import torch
from torch import Tensor

from jukebox_pl.nn.patterns import Pattern


class LayerCache:
    """Keys and values of one layer [B, H, slots, D], only those that its pattern reads.

    Memory is taken at the first prefill; a window of the same shape, type and device writes over the one before.
    """

    def __init__(self) -> None:
        self.keys, self.values = torch.empty(0), torch.empty(0)

    def prefill(self, pattern: Pattern, k: Tensor, v: Tensor) -> None:
        """Stores, of k and v [B, H, T, D] from position 0 on, what later positions can read."""
        shape = (*k.shape[:2], pattern.slots, k.shape[3])
        if (self.keys.shape, self.keys.dtype, self.keys.device) != (shape, k.dtype, k.device):
            self.keys, self.values = k.new_zeros(shape), k.new_zeros(shape)
        end = min(k.shape[2], pattern.max_key)
        start = max(end - pattern.slots, 0)
        slots = pattern.slot(torch.arange(start, end, device=k.device))
        self.write(slots, k[:, :, start:end], v[:, :, start:end])

    def write(self, slots: Tensor, k: Tensor, v: Tensor) -> None:
        """k and v [B, H, T, D] into slots [T]."""
        self.keys.index_copy_(2, slots, k)
        self.values.index_copy_(2, slots, v)


class KVCache:
    """The caches of a transformer's layers and how many positions they have seen."""

    def __init__(self, layers: int):
        self.layers = [LayerCache() for _ in range(layers)]
        self.position = 0
