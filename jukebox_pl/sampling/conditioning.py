"""Conditioning over time: the blends and the schedule of a request, as labels of windows."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.models.conditioners import Conditioning
from jukebox_pl.models.prior import Prior
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import Blend, Labels, Section, Song, SongRequest, is_number


class Segment(NamedTuple):
    """What holds from a sample of the request on: songs that differ in artist and genres alone, and each one's weight.

    `text` is the part of the song over which the lyrics are spread; it begins at sample `text_begin` of the song.
    """

    begin: int
    songs: tuple[Song, ...]
    weights: tuple[float, ...]
    text: Song
    text_begin: int

    def labels(self, labeller: Labeller, offset: int, duration: int) -> list[Labels]:
        """Of the window [offset, offset + duration) in samples of the song, one for each of the blended songs."""
        lyrics = torch.tensor(labeller.lyric_window(self.text, offset - self.text_begin, duration), dtype=torch.long)
        return [labeller.labels(song, offset, duration)._replace(lyrics=lyrics) for song in self.songs]


class ConditioningSchedule(NamedTuple):
    """All that a request conditions on: its segments over time, and the sample of the song at which it begins."""

    segments: tuple[Segment, ...]
    offset: int

    def at(self, sample: int) -> Segment:
        """What holds at a sample of the request."""
        return self.segments[bisect_right([segment.begin for segment in self.segments], sample) - 1]

    @classmethod
    def of(cls, request: SongRequest, sample_rate: int) -> ConditioningSchedule:
        """Raises UserError for weights that are none and for sections out of order."""
        starts = [section.start_seconds for section in request.schedule]
        edges = [0.0, *starts, request.seconds]
        if not all(map(is_number, starts)) or not all(before < after for before, after in pairwise(edges)):
            raise UserError(f"sections must begin one after the other, between 0 and {request.seconds} s, found {starts}")
        total = request.total_seconds or request.offset_seconds + request.seconds
        song = Song("", round(total * sample_rate), sample_rate)
        section = Section(0.0, request.artist, request.genres, request.lyrics)
        sections = [section, *request.schedule]
        # Lyrics are spread from where they are new to where others are, in seconds of the song: the first ones from its
        # very beginning, which may lie before the request's, the last ones to its end.
        new_lyrics = [section.start_seconds for section in sections if section.lyrics is not None]
        edges = [0.0, *(request.offset_seconds + seconds for seconds in new_lyrics[1:]), total]
        segments = []
        for changes in sections:
            section = replace(section, **{name: value for name, value in vars(changes).items() if value is not None})
            part = bisect_right(new_lyrics, section.start_seconds) - 1
            begin, end = (round(seconds * sample_rate) for seconds in edges[part : part + 2])
            text = replace(song, duration=max(end - begin, 1), lyrics=section.lyrics or "")
            segments.append(Segment(round(section.start_seconds * sample_rate), *blended(section, song), text, begin))
        return cls(tuple(segments), round(request.offset_seconds * sample_rate))


def blended(section: Section, song: Song) -> tuple[tuple[Song, ...], tuple[float, ...]]:
    """The pure songs of a section, every artist with every choice of genres, and their weights."""
    genres: dict[tuple[str, ...], float]
    artists = shares(section.artist, "artist") if isinstance(section.artist, Mapping) else {section.artist or "": 1.0}
    if isinstance(section.genres, Mapping):
        genres = {(name,): share for name, share in shares(section.genres, "genre").items()}
    else:
        genres = {section.genres or (): 1.0}
    pairs = list(product(artists.items(), genres.items()))
    songs = tuple(replace(song, artist=artist, genres=names) for (artist, _), (names, _) in pairs)
    return songs, tuple(first * second for (_, first), (_, second) in pairs)


def shares(blend: Blend, what: str) -> dict[str, float]:
    """Weights that sum to 1. Raises UserError when there are none or one of them is not above zero."""
    for name, weight in blend.items():
        if not is_number(weight) or not 0 < weight < math.inf:
            raise UserError(f"the weight of {what} {name!r} must be a number above zero, found {weight!r}")
    if not blend:
        raise UserError(f"a blend of {what}s needs at least one name, as in {{'NAME': 1.0}}")
    total = sum(blend.values())
    return {name: weight / total for name, weight in blend.items()}


def condition(
    prior: Prior,
    labels: Sequence[Sequence[Labels]],
    weights: Sequence[Sequence[float]],
    upper: Tensor | None,
    device: torch.device,
) -> Conditioning:
    """One window of B songs as a prior is conditioned on it: for each the labels of the songs blended in it, and their
    weights; `upper` [B, T / factor].

    A blend mixes the embeddings of the first position, which are linear in artist and genres; the rest is the same for
    every song in it.
    """
    counts = [len(blend) for blend in labels]
    rows = torch.arange(len(labels), device=device).repeat_interleave(torch.tensor(counts, device=device))
    flat = Labels.stack([one for blend in labels for one in blend]).to(device)
    cond = prior.condition(flat, None if upper is None else upper[rows])
    if max(counts) == 1 or cond.start is None:
        return cond
    mixed = [  # summed in one order, not by a product of matrices: a song beside others gets the same bits as alone
        torch.stack([weight * part for weight, part in zip(row, start, strict=True)]).sum(0)
        for row, start in zip(weights, cond.start.split(counts), strict=True)
    ]
    firsts = torch.tensor([0, *counts[:-1]], device=device).cumsum(0)
    return cond.items(firsts)._replace(start=torch.stack(mixed))
