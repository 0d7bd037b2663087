"""Who sings what, and when: the blends and the schedule of a request, as labels of windows."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise, product
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
    """All that a request asks for: its voices over time, and the sample of the song at which it begins."""

    voices: tuple[Segment, ...]
    offset: int

    def voice(self, sample: int) -> Segment:
        """Who sings at a sample of the request."""
        return self.voices[bisect_right([voice.begin for voice in self.voices], sample) - 1]


def script(request: SongRequest, sample_rate: int) -> ConditioningSchedule:
    """Raises UserError for weights that are none and for sections out of order."""
    total = request.total_seconds or request.offset_seconds + request.seconds
    require_order(request.schedule, request.seconds)
    sections = [Section(0.0, request.artist, request.genres, request.lyrics), *request.schedule]
    new_lyrics = [section.start_seconds for section in sections if section.lyrics is not None]
    edges = [0.0, *(request.offset_seconds + seconds for seconds in new_lyrics[1:]), total]
    song = Song("", round(total * sample_rate), sample_rate)
    voices = []
    for section in accumulate(sections, inherit):
        part = bisect_right(new_lyrics, section.start_seconds) - 1
        begin, end = (round(seconds * sample_rate) for seconds in edges[part : part + 2])
        text = replace(song, duration=max(end - begin, 1), lyrics=section.lyrics or "")
        voices.append(Segment(round(section.start_seconds * sample_rate), *blended(section, song), text, begin))
    return ConditioningSchedule(tuple(voices), round(request.offset_seconds * sample_rate))


def inherit(before: Section, section: Section) -> Section:
    """What a section leaves open stays as it was."""
    told = {name: value for name, value in vars(section).items() if value is not None}
    return replace(before, **told)


def blended(section: Section, song: Song) -> tuple[tuple[Song, ...], tuple[float, ...]]:
    """The pure songs of a section, every artist with every choice of genres, and their weights."""
    artists = shares(section.artist, "artist") if isinstance(section.artist, Mapping) else {section.artist or "": 1.0}
    genres = () if section.genres is None else section.genres
    choices = (
        {(name,): share for name, share in shares(genres, "genre").items()} if isinstance(genres, Mapping) else {genres: 1.0}
    )
    pairs = list(product(artists.items(), choices.items()))
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


def require_order(schedule: Sequence[Section], seconds: float) -> None:
    """Raises UserError unless sections begin one after the other inside a request of `seconds`."""
    starts = [section.start_seconds for section in schedule]
    if not all(map(is_number, starts)) or not all(before < after for before, after in pairwise([0.0, *starts, seconds])):
        raise UserError(f"sections must begin one after the other, between 0 and {seconds} s, found {starts}")


def condition(
    prior: Prior,
    told: Sequence[Sequence[Labels]],
    weights: Sequence[Sequence[float]],
    upper: Tensor | None,
    device: torch.device,
) -> Conditioning:
    """What a prior is told of one window of B songs: for each the labels of the songs blended in it, and their weights.

    A blend mixes the embeddings of the first position, which are linear in artist and genres; the rest is the same for
    every song in it.
    """
    counts = [len(labels) for labels in told]
    rows = torch.arange(len(told), device=device).repeat_interleave(torch.tensor(counts, device=device))
    labels = Labels.stack([one for labels in told for one in labels]).to(device)
    cond = prior.condition(labels, None if upper is None else upper[rows])
    if max(counts) == 1 or cond.start is None:
        return cond
    mixed = [weighted_sum(start, shares) for start, shares in zip(cond.start.split(counts), weights, strict=True)]
    firsts = torch.tensor([0, *counts[:-1]], device=device).cumsum(0)
    return cond.items(firsts)._replace(start=torch.stack(mixed))


def weighted_sum(parts: Tensor, weights: Sequence[float]) -> Tensor:
    return torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)
