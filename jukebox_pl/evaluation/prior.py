"""How well each prior foresees the codes of songs, in bits per dim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.suite import Figures, SongAudio, Songs
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.losses import bits
from jukebox_pl.types import Labels


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
    return {
        level: [
            bundle.priors[level].losses(here, cond).codes for here, cond in song_windows(bundle, level, song, codes, count)
        ]
        for level in range(len(codes))
    }


def song_windows(
    bundle: Bundle, level: int, song: SongAudio, codes: list[Tensor], count: int
) -> Iterator[tuple[Tensor, Conditioning]]:
    """`count` windows of codes [1, ctx] of a level and their conditioning, spread evenly over a song.

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
        upper = here[level + 1] if level + 1 < len(hops) else None
        yield here[level], prior.condition(labels, upper)
