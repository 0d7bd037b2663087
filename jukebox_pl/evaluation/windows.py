"""The windows of a song that a prior is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import Labels, Song


class Window(NamedTuple):
    """Codes [1, ctx] of a level, the labels of where they stand, and the codes above [1, ctx / factor] (None at the top)."""

    codes: Tensor
    labels: Labels
    upper: Tensor | None


def song_windows(
    song: Song, codes: Sequence[Tensor], hops: Sequence[int], level: int, ctx: int, labeller: Labeller, count: int
) -> Iterator[Window]:
    """`count` windows of a level, spread evenly over a song.

    `codes` [1, N / hop] are those of the whole song at every level. Windows begin where a top code does; none where the
    song is shorter than one.
    """
    span, top = ctx * hops[level], hops[-1]  # in samples
    last_start = codes[-1].shape[1] * top - span
    if last_start < 0:
        return
    for i in range(count):
        offset = int(last_start * (i + 0.5) / count) // top * top
        here = [level_codes[:, offset // hop : (offset + span) // hop] for level_codes, hop in zip(codes, hops, strict=True)]
        labels = Labels.stack([labeller.labels(song, offset, span)])
        yield Window(here[level], labels, here[level + 1] if level + 1 < len(hops) else None)
