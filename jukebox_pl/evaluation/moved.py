"""How far a tuned prior has moved from the one that it began as: on the songs it was tuned for, and on others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from jukebox_pl.evaluation.windows import Window, song_windows
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import Song

# KL in bits a code below which nothing is heard: by Pinsker's inequality at most 1 code in 17 can come out otherwise under
# the same draws, less than two versions of one recording differ by.
INAUDIBLE_BITS = 0.01


class Under(NamedTuple):
    """A prior and what labels songs for it."""

    prior: Prior
    labeller: Labeller


class Figures(NamedTuple):
    """Bits a code: what the base and the tuned prior need, and how far the second has moved (KL(base || tuned))."""

    base_bpd: float
    tuned_bpd: float
    kl: float
    songs: int


@dataclass
class Moved:
    """Is shown songs by their codes [1, T] at every level; compares two priors of one `level` on `count` windows of each."""

    base: Under
    tuned: Under
    level: int
    hops: tuple[int, ...]
    count: int = 4
    rows: list[tuple[float, float, float]] = field(default_factory=list)  # means of each song

    @torch.inference_mode()
    def add(self, song: Song, codes: list[torch.Tensor]) -> None:
        """Nothing is added where the song has no window."""
        pairs = zip(*(self._windows(song, codes, under) for under in (self.base, self.tuned)), strict=True)
        if found := [self._compare(*pair) for pair in pairs]:
            self.rows.append(tuple(np.mean(found, axis=0)))

    def figures(self) -> Figures | None:
        """The means over the songs; None where none had a window."""
        if not self.rows:
            return None
        base_bpd, tuned_bpd, kl = map(float, np.mean(self.rows, axis=0))
        return Figures(base_bpd, tuned_bpd, kl, len(self.rows))

    def _windows(self, song: Song, codes: list[torch.Tensor], under: Under) -> Iterator[Window]:
        device = next(under.prior.parameters()).device
        for window in song_windows(song, codes, self.hops, self.level, under.prior.ctx, under.labeller, self.count):
            yield window.to(device)

    def _compare(self, of_base: Window, of_tuned: Window) -> tuple[float, float, float]:
        prior = self.base.prior
        cond = prior.condition(of_base.labels, of_base.upper)
        logits = prior(of_base.codes[:, :-1], cond)  # [1, ctx, bins]
        base_bpd = bits(torch.nn.functional.cross_entropy(logits[0], of_base.codes[0]))
        prior = self.tuned.prior
        losses = prior.losses(of_tuned.codes, prior.condition(of_tuned.labels, of_tuned.upper), base=logits)
        assert losses.kl is not None
        return base_bpd.item(), bits(losses.codes).item(), max(bits(losses.kl).item(), 0.0)


def in_words(new: Figures | None, old: Figures | None) -> str:
    """One line for whoever tuned it."""
    parts = []
    for name, figures in (("new", new), ("old", old)):
        if figures:
            change = f"{figures.base_bpd:.3f} -> {figures.tuned_bpd:.3f} bits a code"
            parts.append(f"{name} songs {change}, moved by {figures.kl:.3f} ({figures.songs})")
    if new and new.kl < INAUDIBLE_BITS:
        parts.append("you will not hear this: more steps, or a higher tune.optim.lr")
    return "; ".join(parts)
