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
        self._allocate((*k.shape[:2], pattern.slots, k.shape[3]), k)
        end = k.shape[2]
        kept = slice(pattern.min_key(end - 1), min(end, pattern.max_key))
        if kept.start < kept.stop:
            slots = pattern.slot(torch.arange(kept.start, kept.stop, device=k.device))
            self.write(slots, k[:, :, kept], v[:, :, kept])

    def write(self, slots: Tensor, k: Tensor, v: Tensor) -> None:
        """k and v [B, H, T, D] into slots [T]."""
        self.keys.index_copy_(2, slots, k)
        self.values.index_copy_(2, slots, v)

    def store(self, k: Tensor, v: Tensor) -> None:
        """Keys and values that do not change any more, those of the lyrics."""
        self._allocate(k.shape, k)
        self.keys.copy_(k)
        self.values.copy_(v)

    def _allocate(self, shape: tuple[int, ...], like: Tensor) -> None:
        allocated = self.keys.shape, self.keys.dtype, self.keys.device
        if allocated != (shape, like.dtype, like.device):
            self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)


class KVCache:
    """The caches of a transformer's layers and how many positions they have seen."""

    def __init__(self, layers: int):
        self.layers = [LayerCache() for _ in range(layers)]
        self.position = 0
