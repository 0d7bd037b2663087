"""Which head of a prior looks at the characters that are being sung, and how closely."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from jukebox_pl.models.lyric_attention import lyric_attention, lyric_layers
from jukebox_pl.models.prior import Prior
from jukebox_pl.text.labels import Labeller, word_spans
from jukebox_pl.types import Labels, Song

Head = tuple[int, int]  # layer, head
STEADY = 0.5  # a rank correlation


class Looks(NamedTuple):
    """How one head looks at the lyrics: means over the codes at which a character is sung, of one window or of many.

    `share` of its attention within one character of the true one; how far, on average, what it attends to among the lyrics
    is from there, in `characters` and in `seconds`; all three nan where no word has a time. `monotonicity`: the rank
    correlation of where it looks with time, which needs no times.
    """

    share: float
    characters: float
    seconds: float
    monotonicity: float


@dataclass
class LyricHeads:
    """Looks of every head of a prior that can see lyrics; it is shown one song after the other."""

    prior: Prior
    labeller: Labeller
    samples_per_code: int
    windows: int = 4  # of each song, spread evenly over it
    songs: list[dict[Head, Looks]] = field(default_factory=list)

    @torch.no_grad()
    def add(self, song: Song, codes: Tensor) -> None:
        """One more song, with its codes [T]; nothing is added where no window has lyrics."""
        length = min(self.prior.ctx, len(codes))
        starts = {int((len(codes) - length) * (i + 0.5) / self.windows) for i in range(self.windows)}
        found: dict[Head, list[Looks]] = {}
        for start in sorted(starts):
            for head, looks in self._window(song, codes[start : start + length], start * self.samples_per_code):
                found.setdefault(head, []).append(looks)
        if found:
            self.songs.append({head: mean_looks(looks) for head, looks in found.items()})

    def looks(self) -> dict[Head, Looks]:
        """Of every head, means over the songs. Empty when there was no song with lyrics."""
        return {head: mean_looks(song[head] for song in self.songs) for song in self.songs[:1] for head in song}

    def best(self) -> Head | None:
        """The head that looks most at what is sung; where no word has a time, the one that goes through the text most
        steadily."""
        looks = self.looks()
        timed = any(np.isfinite(found.share) for found in looks.values())
        return max(looks, key=lambda head: looks[head].share if timed else looks[head].monotonicity, default=None)

    def follows(self, head: Head) -> bool:
        """Whether a head does what one that looks anywhere does not: by its share, without word times by its steadiness."""
        looks = self.looks()[head]
        return looks.share > 2 * self.chance if np.isfinite(looks.share) else looks.monotonicity > STEADY

    @property
    def chance(self) -> float:
        """The share of a head that looks anywhere."""
        return 3 / self.labeller.lyric_tokens

    def _window(self, song: Song, codes: Tensor, offset: int) -> Iterator[tuple[Head, Looks]]:
        """codes [T] of the window that begins at sample `offset`."""
        text, duration = self.labeller.characters.clean(song.lyrics), self.prior.ctx * self.samples_per_code
        first, last = self.labeller.lyric_span(song, offset, duration, len(text))
        if first == last:
            return
        device = next(self.prior.parameters()).device
        cond = self.prior.condition(Labels.stack([self.labeller.labels(song, offset, duration)]).to(device))
        # Column p + 1 is the first that knows token p; of the last token of a window none does.
        sung = np.array(self.labeller.sung_tokens(song, offset, duration, self.prior.ctx)[: len(codes)])
        true = np.where((sung >= 0) & (sung + 1 < self.labeller.lyric_tokens), sung + 1, -1)
        moments = (offset + (np.arange(len(codes)) + 0.5) * self.samples_per_code) / song.sample_rate
        known = np.arange(self.labeller.lyric_tokens) - (self.labeller.lyric_tokens - last) - 1
        places = character_seconds(song, self.labeller)[known.clip(0, len(text) - 1)] if song.words else 0 * known
        for layer, weights in lyric_attention(self.prior, codes[None].to(device), cond, lyric_layers(self.prior)):
            for head, attention in enumerate(weights[0].float().cpu().numpy()):
                yield (layer, head), window_looks(attention, true, moments, places)


def window_looks(attention: np.ndarray, true: np.ndarray, moments: np.ndarray, places: np.ndarray) -> Looks:
    """attention [T, L] of one head; the true column [T] of each code, -1 where nothing is sung or nobody knows; the seconds
    of codes [T] and of columns [L]."""
    columns, timed = np.arange(attention.shape[1]), true >= 0
    to_lyrics = attention / attention.sum(1, keepdims=True).clip(1e-9)  # D and L layers look at codes too
    centres = to_lyrics @ columns
    ranks = np.stack([rankdata(centres), rankdata(moments)])
    steady = float(np.corrcoef(ranks)[0, 1]) if len(moments) > 1 and np.ptp(centres) > 0 else 0.0
    if not timed.any():
        return Looks(np.nan, np.nan, np.nan, steady)
    away = np.abs(columns - true[timed, None])
    late = np.abs(places - moments[timed, None])
    share = (attention[timed] * (away <= 1)).sum(1).mean()
    characters, seconds = ((to_lyrics[timed] * far).sum(1).mean() for far in (away, late))
    return Looks(float(share), float(characters), float(seconds), steady)


def mean_looks(looks: Iterable[Looks]) -> Looks:
    """Of each number the mean of those there are."""
    columns = np.array(list(looks)).T
    return Looks(*(float(np.nanmean(column)) if np.isfinite(column).any() else np.nan for column in columns))


def character_seconds(song: Song, labeller: Labeller) -> np.ndarray:
    """The middle of the time of every character of the cleaned lyrics, those outside words between their neighbours."""
    text = labeller.characters.clean(song.lyrics)
    at: list[float] = []
    seconds: list[float] = []
    for word, (start, end) in zip(song.words, word_spans(text, song.words, labeller.characters), strict=True):
        at += range(start, end)
        seconds += [word.start + (word.end - word.start) * (i + 0.5) / (end - start) for i in range(end - start)]
    return np.interp(np.arange(len(text)), at, seconds) if at else np.zeros(len(text))


def to_figures(head: Head, looks: Looks) -> dict[str, Any]:
    return {"layer": head[0], "head": head[1], **looks._asdict()}
