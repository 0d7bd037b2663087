"""Whether a prior uses what it is given: what it costs, in bits a code, when one conditioning is another one or missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from jukebox_pl.evaluation.intervals import FEWEST_SONGS, interval
from jukebox_pl.evaluation.windows import Window
from jukebox_pl.models.conditioners import LabelConditioner, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.losses import bits
from jukebox_pl.models.prior import Prior
from jukebox_pl.text.characters import PADDING
from jukebox_pl.text.labels import Labeller, without

USED, UNUSED, UNKNOWN = "used", "unused", "unknown"
NEGLIGIBLE_BITS = 0.005  # a code; a conditioning that cannot cost more is not used


class Swap(NamedTuple):
    """A window under another conditioning `name`; `missing`: under none."""

    name: str
    window: Window
    missing: bool = False


@dataclass
class PriorUse:
    """How well a prior foresees songs, and what it uses of what it is given; it is shown one song's windows after the other.

    Wrong are the next name of the vocabulary, another place in the song, and the lyrics and codes of the song before; so the
    first of the songs lends only.
    """

    prior: Prior
    labeller: Labeller
    seed: int = 0
    bits: list[float] = field(default_factory=list)  # mean of each song, of one code
    windows: int = 0
    costs: dict[tuple[str, bool], list[float]] = field(default_factory=lambda: defaultdict(list))  # a number a song
    before: Sequence[Window] = ()

    def add(self, windows: Sequence[Window]) -> None:
        """The windows of one more song; nothing is added where it has none."""
        if not windows:
            return
        true = [window_bits(self.prior, window) for window in windows]
        self.bits.append(float(np.mean(true)))
        self.windows += len(windows)
        of_song: dict[tuple[str, bool], list[float]] = defaultdict(list)
        for window, other, its_bits in zip(windows, self.before, true, strict=False):
            for swap in swaps(self.prior, self.labeller, window, other):
                of_song[swap.name, swap.missing].append(window_bits(self.prior, swap.window) - its_bits)
        for key, values in of_song.items():
            self.costs[key].append(float(np.mean(values)))
        self.before = windows

    def figures(self) -> dict[str, Any]:
        """`bpd` (None where no window fits into a song) and, by name, what each `conditioning` costs and the verdict."""
        conditioning = {name: summarize(self.costs[name, False], self.seed) for name in conditionings(self.prior)}
        for (name, missing), values in self.costs.items():
            if missing:
                conditioning[name]["missing_costs_bits"] = float(np.mean(values))
        bpd = None
        if self.bits:
            value, bounds = interval(self.bits, self.seed)
            bpd = {"value": value, "interval": bounds, "windows": self.windows, "songs": len(self.bits)}
        return {"bpd": bpd, "conditioning": conditioning}


def window_bits(prior: Prior, window: Window) -> float:
    return bits(prior.losses(window.codes, prior.condition(window.labels, window.upper)).codes).item()


def conditionings(prior: Prior) -> list[str]:
    """The names of all that a prior is given."""
    kinds = {type(conditioner) for conditioner in prior.conditioners.values()}
    return [
        *(["artist", "genre"] if LabelConditioner in kinds else []),
        *(["timing"] if TimingConditioner in kinds else []),
        *(["lyrics"] if prior.lyrics is not None or prior.prefix else []),
        *(["upper"] if UpperCodesConditioner in kinds else []),
    ]


def swaps(prior: Prior, labeller: Labeller, window: Window, other: Window) -> Iterator[Swap]:
    """The window [1, ctx] under each conditioning of its prior made wrong, then missing where it can be.

    Nothing where there is no wrong one: of a single name, or where either song is without lyrics in its window.
    """
    labels, names = window.labels, conditionings(prior)
    if "artist" in names:
        if (artists := len(labeller.artists) - 1) > 1:
            yield Swap("artist", window._replace(labels=labels._replace(artist=next_name(labels.artist, artists))))
            yield Swap("artist", window._replace(labels=without(labels, "artist")), missing=True)
        if (genres := len(labeller.genres) - 1) > 1 and (labels.genres > 0).any():
            wrong = next_name(labels.genres, genres).where(labels.genres > 0, labels.genres)
            yield Swap("genre", window._replace(labels=labels._replace(genres=wrong)))
            yield Swap("genre", window._replace(labels=without(labels, "genres")), missing=True)
    last_start = labels.total - labels.duration
    if "timing" in names and (last_start > 0).all():
        elsewhere = (labels.offset + last_start // 2) % (last_start + 1)
        yield Swap("timing", window._replace(labels=labels._replace(offset=elsewhere)))
    lyrics, others = labels.lyrics, other.labels.lyrics
    if "lyrics" in names and (lyrics != PADDING).any() and (others != PADDING).any():
        yield Swap("lyrics", window._replace(labels=labels._replace(lyrics=others)))
        yield Swap("lyrics", window._replace(labels=without(labels, "lyrics")), missing=True)
    if "upper" in names and other.upper is not None:
        yield Swap("upper", window._replace(upper=other.upper))


def next_name(ids: Tensor, names: int) -> Tensor:
    """Another of the ids 1 to `names` for each; 0 is unknown."""
    return ids % names + 1


def summarize(costs: Sequence[float], seed: int) -> dict[str, Any]:
    """The mean of one number a song, its bootstrap interval, and what follows of it; None for both where there is none."""
    if not costs:
        return {"wrong_costs_bits": None, "interval": None, "songs": 0, "verdict": UNKNOWN}
    mean, (low, high) = interval(costs, seed)
    verdict = UNUSED if high < NEGLIGIBLE_BITS else USED if low > 0 else UNKNOWN
    return {
        "wrong_costs_bits": mean,
        "interval": [low, high],
        "songs": len(costs),
        "verdict": verdict if len(costs) >= FEWEST_SONGS else UNKNOWN,
    }


def in_words(conditioning: Mapping[str, Mapping[str, Any]]) -> str:
    """`artist not used, genre used (+0.013 bits), lyrics cannot tell with 2 songs`; "" of a prior that is given nothing."""

    def phrase(name: str, verdict: str, cost: float | None, songs: int) -> str:
        if verdict == USED:
            return f"{name} used ({cost:+.3f} bits)"
        if verdict == UNUSED:
            return f"{name} not used"
        return f"{name} cannot tell" + (f" with {songs} song{'s' * (songs > 1)}" if songs else "")

    return ", ".join(
        phrase(name, found["verdict"], found["wrong_costs_bits"], found["songs"]) for name, found in conditioning.items()
    )
