"""How sure a mean over songs is: the percentile bootstrap (Efron and Tibshirani, 1993), with songs drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES, COVERAGE = 2000, 0.95
FEWEST_SONGS = 3  # below, an interval over songs says nothing


def interval(values: Sequence[float], seed: int) -> tuple[float, list[float]]:
    """The mean of one number a song, and its 95 % bootstrap interval [low, high].

    Of one song it has no width, which is no certainty. Raises ValueError when there is no number.
    """
    if not len(values):
        raise ValueError("an interval needs a number of at least one song, found none")
    array = np.asarray(values, dtype=float)
    draws = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(array[draws].mean(1), [tail, 1 - tail])
    return float(array.mean()), [float(low), float(high)]


def interval_of(
    statistic: Callable[..., float], sizes: Sequence[int], seed: int, resamples: int = RESAMPLES
) -> tuple[float, list[float]]:
    """Any figure of one or more sets of songs, and its 95 % interval: the normal bootstrap, 1.96 deviations to each side.

    `statistic` takes, for each set, how many times each of its songs counts: once, or as often as it was drawn. Percentiles
    would lie beside a figure that depends on how many songs are different, for of the songs drawn a third are repetitions.
    """
    rng = np.random.default_rng(seed)
    drawn = [statistic(*(rng.multinomial(size, np.full(size, 1 / size)) for size in sizes)) for _ in range(resamples)]
    value, margin = statistic(*(np.ones(size) for size in sizes)), 1.96 * np.nanstd(drawn)
    return float(value), [float(value - margin), float(value + margin)]


def figure(found: tuple[float, list[float]]) -> dict[str, Any]:
    """A mean and its interval as they stand in evaluation.json."""
    return dict(zip(("value", "interval"), found, strict=True))


def shown(value: float, bounds: Sequence[float], songs: int, digits: int = 3, sign: str = "") -> str:
    """A mean and its interval as a cell of a table: `4.138 [4.101, 4.170]`; of too few songs the mean alone."""
    mean, low, high = (f"{number:{sign}.{digits}f}" for number in (value, *bounds))
    return f"{mean} [{low}, {high}]" if songs >= FEWEST_SONGS else mean
