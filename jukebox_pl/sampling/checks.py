"""What can be wrong with a request, found before anything is sampled."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from jukebox_pl.errors import UserError
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.conditioning import ConditioningSchedule
from jukebox_pl.sampling.levels import MISSING, Level
from jukebox_pl.text.labels import Labeller
from jukebox_pl.types import SongRequest, is_number

MOST_SECONDS = 86_400.0  # a day: longer songs, and places beyond, are a slip of the pen


def require_times(requests: Sequence[SongRequest], least: float) -> float:
    """The length of all requests in seconds.

    Raises UserError when they differ or are below `least`, one code of the top, and for a place that is none in a song.
    """
    for request in requests:
        require_number("seconds", request.seconds, least)
        require_number("offset_seconds", request.offset_seconds, 0.0)
        if request.total_seconds is not None:
            require_number("total_seconds", request.total_seconds, request.offset_seconds + least)
        for value in (request.seconds, request.offset_seconds, request.total_seconds or 0.0):
            if value > MOST_SECONDS:
                raise UserError(f"{value:g} seconds of a song: expected at most {MOST_SECONDS:g}, a day")
    lengths = {request.seconds for request in requests}
    if len(lengths) != 1:
        raise UserError(f"songs sampled side by side have one length, found {sorted(lengths)} seconds")
    return lengths.pop()


def require_number(name: str, value: float, least: float, most: float = sys.float_info.max) -> float:
    """Raises UserError unless a value lies in [least, most]."""
    if not is_number(value) or not least <= value <= most:
        limits = f"from {least:.3g} to {most:.3g}" if most < sys.float_info.max else f"of at least {least:.3g}"
        raise UserError(f"{name}={value!r}: expected a number {limits}")
    return value


def require_seeds(seeds: Sequence[int], songs: int) -> None:
    """Raises UserError unless there is a whole number from 0 on for every song."""
    if len(seeds) != songs or any(seed != int(seed) or seed < 0 for seed in seeds):
        raise UserError(f"expected a seed of 0 or more for each of {songs} songs, found {list(seeds)}")


def require_names(schedule: ConditioningSchedule, labeller: Labeller) -> None:
    """Raises UserError for an artist or a genre that the models do not know."""
    for segment in schedule.segments:
        for song in segment.songs:
            labeller.artists.require(song.artist, "artist")
            for genre in song.genres:
                labeller.genres.require(genre, "genre")


def require_levels(levels: Collection[int], known: Collection[int]) -> set[int]:
    """Raises UserError when there is none, or one that is not known."""
    if not levels or not set(levels) <= set(known):
        raise UserError(f"levels {sorted(levels)}: expected some of {sorted(known)}, 0 is the bottom")
    return set(levels)


def require_codes(codes: Mapping[int, Tensor], songs: int, levels: int, bins: int) -> None:
    """Raises UserError unless codes [songs, T] of each level are what a VQ-VAE of so many levels and codes makes."""
    for level, given in codes.items():
        if level not in range(levels):
            raise UserError(f"codes of level {level} were given; these models have levels 0 to {levels - 1}")
        if given.is_floating_point() or given.dim() != 2 or len(given) != songs:
            found = f"{given.dtype} {list(given.shape)}"
            raise UserError(f"codes of level {level}: expected integers [{songs}, T], found {found}")
        low, high = (int(given.long().min()), int(given.long().max())) if given.numel() else (0, 0)
        if not MISSING <= low <= high < bins:
            raise UserError(f"codes of level {level} must lie in [0, {bins}), found {low} to {high}: of another VQ-VAE?")


def require_room(codes: Mapping[int, Tensor], hops: Sequence[int], samples: int, sample_rate: int) -> None:
    """Raises UserError when codes [B, T] last longer than the request of `samples`, or than those above them."""
    room, holder = samples, "the request"
    for level in range(len(hops) - 1, -1, -1):
        length = codes[level].shape[1] * hops[level] if level in codes else 0
        if length > room:
            found, expected = length / sample_rate, room / sample_rate
            raise UserError(f"codes of level {level} last {found:.3f} s, {holder} only {expected:.3f} s: cut them")
        room, holder = length, f"those of level {level}"


def require_whole(number: int, level: Level) -> Level:
    """Raises UserError when codes are missing of a level that is not sampled."""
    if missing := int(level.missing().sum()):
        raise UserError(f"level {number} misses {missing} of {level.end} codes: give them all, or sample it too")
    return level


def warn_of_length(prior: Prior, schedules: Sequence[ConditioningSchedule]) -> None:
    """Warns of a song longer than any that the prior has seen: its timing goes on as at the end of the longest."""
    song = max((schedule.segments[0].songs[0] for schedule in schedules), key=lambda song: song.duration)
    if song.duration > (longest := longest_learned(prior)):
        rate = song.sample_rate
        warnings.warn(
            f"a song of {song.duration / rate:.1f} s: this model has learned from songs of up to {longest / rate:.1f} s",
            stacklevel=2,
        )


def longest_learned(prior: Prior) -> float:
    """Samples of the longest song that a prior has learned from, infinite where it does not know."""
    return min((getattr(each, "max_duration", math.inf) for each in prior.conditioners.values()), default=math.inf)
