"""Whether a prior uses what it is given: what it costs, in bits a code, when one conditioning is another one or missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.checkpoints import Bundle
from jukebox_pl.evaluation.prior import Window, song_windows
from jukebox_pl.evaluation.suite import Figures, SongAudio, Songs
from jukebox_pl.models.conditioners import LabelConditioner, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.text.characters import PADDING
from jukebox_pl.text.labels import EMPTY_SLOT, Labeller

USED, UNUSED, UNKNOWN = "used", "unused", "unknown"
FEWEST_SONGS = 3  # below, an interval over songs says nothing
NEGLIGIBLE_BITS = 0.005  # a code; a conditioning that cannot cost more is not used
RESAMPLES, COVERAGE = 2000, 0.95


class Swap(NamedTuple):
    """A window under another conditioning `name`; `missing`: under none."""

    name: str
    window: Window
    missing: bool = False


@dataclass(frozen=True)
class ConditioningUse:
    """For artist, genre, timing, lyrics and upper codes, as far as a level's prior has them: the mean over songs of what a
    wrong one costs, its 95 % bootstrap interval over songs, and the verdict.

    Wrong are the next name of the vocabulary, another place in the song, and the lyrics and codes of the song before; so the
    first of the songs lends only. Up to `windows` windows of each level are looked at, spread over the songs.
    """

    windows: int
    seed: int = 0

    def __call__(self, bundle: Bundle, songs: Songs) -> Figures:
        each = -(-self.windows // max(len(songs), 1))
        costs: dict[tuple[int, str, bool], list[float]] = defaultdict(list)  # one number a song
        before: dict[int, list[Window]] = {}
        for here in map(partial(all_windows, bundle, count=each), songs):
            for level, windows in here.items():
                of_song: dict[tuple[int, str, bool], list[float]] = defaultdict(list)
                prior, labeller = bundle.priors[level], bundle.labellers[level]
                for window, other in zip(windows, before.get(level, []), strict=False):
                    true = window_bits(prior, window)
                    for swap in swaps(prior, labeller, window, other):
                        of_song[level, swap.name, swap.missing].append(window_bits(prior, swap.window) - true)
                for key, values in of_song.items():
                    costs[key].append(float(np.mean(values)))
            before = here
        figures: Figures = {level: {"conditioning": {}} for level in range(len(bundle.vqvae.hops))}
        for (level, name, missing), values in costs.items():
            if missing:
                figures[level]["conditioning"][name]["missing_costs_bits"] = float(np.mean(values))
            else:
                figures[level]["conditioning"][name] = summarize(values, self.seed)
        return figures


def all_windows(bundle: Bundle, song: SongAudio, count: int) -> dict[int, list[Window]]:
    """`count` windows of a song at every level, which is encoded once for all."""
    codes = bundle.vqvae.encode_long(song.audio)
    return {level: list(song_windows(bundle, level, song, codes, count)) for level in range(len(codes))}


def window_bits(prior: Prior, window: Window) -> float:
    return bits(prior.losses(window.codes, prior.condition(window.labels, window.upper)).codes).item()


def swaps(prior: Prior, labeller: Labeller, window: Window, other: Window) -> Iterator[Swap]:
    """The window [1, ctx] under each conditioning of its prior made wrong, then missing where it can be.

    Nothing where there is no wrong one: of a single name, or where either song is without lyrics in its window.
    """
    labels, kinds = window.labels, {type(conditioner) for conditioner in prior.conditioners.values()}
    if LabelConditioner in kinds:
        if (artists := len(labeller.artists) - 1) > 1:
            yield Swap("artist", window._replace(labels=labels._replace(artist=next_name(labels.artist, artists))))
            yield Swap("artist", window._replace(labels=labels._replace(artist=labels.artist * 0)), missing=True)
        if (genres := len(labeller.genres) - 1) > 1 and (labels.genres > 0).any():
            wrong = next_name(labels.genres, genres).where(labels.genres > 0, labels.genres)
            yield Swap("genre", window._replace(labels=labels._replace(genres=wrong)))
            none = torch.full_like(labels.genres, EMPTY_SLOT)
            yield Swap("genre", window._replace(labels=labels._replace(genres=none)), missing=True)
    last_start = labels.total - labels.duration
    if TimingConditioner in kinds and (last_start > 0).all():
        elsewhere = (labels.offset + last_start // 2) % (last_start + 1)
        yield Swap("timing", window._replace(labels=labels._replace(offset=elsewhere)))
    lyrics, others = labels.lyrics, other.labels.lyrics
    if (prior.lyrics is not None or prior.prefix) and (lyrics != PADDING).any() and (others != PADDING).any():
        yield Swap("lyrics", window._replace(labels=labels._replace(lyrics=others)))
        yield Swap("lyrics", window._replace(labels=labels._replace(lyrics=lyrics * 0 + PADDING)), missing=True)
    if UpperCodesConditioner in kinds and other.upper is not None:
        yield Swap("upper", window._replace(upper=other.upper))


def next_name(ids: Tensor, names: int) -> Tensor:
    """Another of the ids 1 to `names` for each; 0 is unknown."""
    return ids % names + 1


def summarize(costs: list[float], seed: int) -> dict[str, Any]:
    """The mean of one number a song, its bootstrap interval, and what follows of it."""
    values = np.array(costs)
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(values[draws].mean(1), [tail, 1 - tail])
    verdict = UNUSED if high < NEGLIGIBLE_BITS else USED if low > 0 else UNKNOWN
    return {
        "wrong_costs_bits": float(values.mean()),
        "interval": [float(low), float(high)],
        "songs": len(values),
        "verdict": verdict if len(values) >= FEWEST_SONGS else UNKNOWN,
    }
