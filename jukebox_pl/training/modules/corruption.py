"""A past that is partly wrong, for a prior to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jukebox_pl.errors import UserError


@dataclass(frozen=True)
class Corruption:
    """Replaces up to `spans` spans of each window, of up to `longest` codes, in what the prior reads; it still predicts what
    was there.

    It learns to look at its lyrics, since the codes before tell too well which sound goes on (for the same reason Tacotron
    drops half of what it reads of its past), and to go on from slips, which it will make when it samples. In half of the
    windows a span comes from the same window at another time, as if something else had been sung, in the others its codes
    come one by one from anywhere in the batch, which is plainly wrong. Spans should last some two characters: long enough
    that what goes on does not tell, short enough that the melody before them is still there.
    """

    spans: int = 8
    longest: int = 64

    def __post_init__(self) -> None:
        if self.spans < 1 or self.longest < 1:
            raise UserError(f"corruption: spans={self.spans}, longest={self.longest} found, expected both to be at least 1")

    def __call__(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """codes [B, T] to the past [B, T] that is read instead."""
        device, (rows, total) = codes.device, codes.shape
        lengths, starts = torch.rand(2, rows, self.spans, 1, generator=generator, device=device)
        shifts, kinds = torch.rand(2, rows, 1, generator=generator, device=device)
        lengths = lengths * min(self.longest, total)
        starts, at = starts * (total - lengths), torch.arange(total, device=device)
        replaced = ((at >= starts) & (at < starts + lengths)).any(1)
        anywhere = torch.randint(codes.numel(), codes.shape, generator=generator, device=device)
        another_time = (at + (shifts * total).long()) % total + total * torch.arange(rows, device=device)[:, None]
        others = another_time.where(kinds < 0.5, anywhere)
        return codes.flatten()[others].where(replaced, codes)
