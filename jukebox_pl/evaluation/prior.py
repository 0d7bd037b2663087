"""How well each prior foresees the codes of songs, in bits per dim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.suite import Figures, SongAudio, Songs
from jukebox_pl.models.losses import bits
from jukebox_pl.types import Labels


class Window(NamedTuple):
    """Codes [1, ctx] of a level, the labels of where they stand, and the codes above [1, ctx / factor] (None at the top)."""

    codes: Tensor
    labels: Labels
    upper: Tensor | None


@dataclass(frozen=True)
class BitsPerDim:
    """Mean over up to `windows` windows of each level, spread evenly over the songs and over each; None where none fits."""

    windows: int

    def __call__(self, bundle: Bundle, songs: Songs) -> Figures:
        each = -(-self.windows // max(len(songs), 1))
        losses: dict[int, list[Tensor]] = {level: [] for level in range(len(bundle.vqvae.hops))}
        for of_song in map(partial(song_losses, bundle, count=each), songs):
            for level, found in of_song.items():
                losses[level] += found
        return {
            level: {"bpd": bits(torch.stack(found[: self.windows]).mean()).item() if found else None}
            for level, found in losses.items()
        }


def song_losses(bundle: Bundle, song: SongAudio, count: int) -> dict[int, list[Tensor]]:
    """The loss of every level's prior on each of its `count` windows of a song, which is encoded once for all."""
    codes = bundle.vqvae.encode_long(song.audio)
    losses = {}
    for level in range(len(codes)):
        prior, windows = bundle.priors[level], song_windows(bundle, level, song, codes, count)
        losses[level] = [prior.losses(here, prior.condition(labels, upper)).codes for here, labels, upper in windows]
    return losses


def song_windows(bundle: Bundle, level: int, song: SongAudio, codes: list[Tensor], count: int) -> Iterator[Window]:
    """`count` windows of a level, spread evenly over a song.

    `codes` [1, N / hop] are those of the whole song at every level. Windows begin where a top code does; none where the
    song is shorter than one.
    """
    prior, hops = bundle.priors[level], bundle.vqvae.hops
    span, top = prior.ctx * hops[level], hops[-1]  # in samples
    last_start = song.audio.shape[-1] - span
    if last_start < 0:
        return
    for i in range(count):
        offset = int(last_start * (i + 0.5) / count) // top * top
        here = [level_codes[:, offset // hop : (offset + span) // hop] for level_codes, hop in zip(codes, hops, strict=True)]
        labels = Labels.stack([bundle.labellers[level].labels(song.song, offset, span)])
        yield Window(here[level], labels, here[level + 1] if level + 1 < len(hops) else None)
