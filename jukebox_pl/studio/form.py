"""What a form asks for and what its values mean. Every mistake is a UserError that names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from jukebox_pl.checkpoints import STRONGEST
from jukebox_pl.errors import UserError
from jukebox_pl.types import Blend, SamplingParams, SongRequest

MOST_BLENDED = 4  # names in one blend; as many weights are on the page
EVEN = 50  # the weight of a name until another is given


class Field(NamedTuple):
    """A number that a form asks for."""

    label: str
    hint: str
    least: float = 0.0
    most: float = math.inf
    whole: bool = False

    def read(self, value: object, where: str = "") -> Any:
        """Raises UserError for anything but a number within the limits."""
        is_in = isinstance(value, int | float) and self.least <= value <= self.most and math.isfinite(value)
        if isinstance(value, int | float) and is_in and (not self.whole or value == int(value)):
            return int(value) if self.whole else float(value)
        limits = f"of at least {self.least:g}" if math.isinf(self.most) else f"from {self.least:g} to {self.most:g}"
        found = "nothing" if value in (None, "") else f"{value!s:.40}"
        kind = "a whole number" if self.whole else "a number"
        raise UserError(f"{self.label}{where}: expected {kind} {limits}, found {found}")


@dataclass(frozen=True)
class Limits:
    """What one visitor may ask for. `upload_mb`: of a clip; `waiting`: jobs of one visitor in the line."""

    seconds: float = 600.0
    candidates: int = 8
    upload_mb: int = 100
    waiting: int = 10

    @property
    def seconds_field(self) -> Field:
        return SECONDS._replace(most=self.seconds)

    @property
    def candidates_field(self) -> Field:
        return Field("Takes", "to choose from", 1, self.candidates, whole=True)


SECONDS = Field("Seconds", "how much to sing", 0.001)
TOTAL = Field("Whole song", "seconds; 0: this is all of it", most=86_400)
OFFSET = Field("Starts at", "second of the whole song", most=86_400)
SEED = Field("Seed", "repeats a song", most=2**53, whole=True)
WEIGHT = Field("Weight", "its share of the blend", 1, 100)
STRENGTH = Field("Strength", "0: as if the adapter were not there; 1: as trained", -STRONGEST, STRONGEST)
MOMENT = Field("Playhead", "second of the song")
BEGIN, END = Field("From", "second of the clip"), Field("To", "second of the clip")
LEVEL_FIELDS = {
    "temperature": Field("Temperature", "lower is tamer", 0.01, 100.0),
    "top_k": Field("Top k", "0: off", most=2**31, whole=True),
    "top_p": Field("Top p", "0: off", most=1.0),
    "hop_fraction": Field("Hop fraction", "larger is faster", 0.001, 1.0),
    "guidance": Field("Guidance", "1: off; above, the words count for more", most=100.0),
}


def blend_of(names: object, weights: Sequence[object], what: str) -> tuple[str, ...] | Blend:
    """The names alone where all weigh the same, else each one's weight. Raises UserError for too many."""
    chosen = list(dict.fromkeys(map(str, names if isinstance(names, list | tuple) else [names] if names else [])))
    if len(chosen) > MOST_BLENDED:
        raise UserError(f"{what}: expected at most {MOST_BLENDED}, found {len(chosen)}")
    shares = {name: WEIGHT.read(weight, f" of {name}") for name, weight in zip(chosen, weights, strict=False)}
    return tuple(chosen) if len(set(shares.values())) < 2 else shares


def weights_of(given: str | tuple[str, ...] | Blend) -> tuple[list[str], list[int]]:
    """The names of a blend, and MOST_BLENDED weights for a form: the heaviest 100, or all EVEN."""
    if not isinstance(given, Mapping):
        return [name for name in ([given] if isinstance(given, str) else given) if name], [EVEN] * MOST_BLENDED
    heaviest = max(given.values(), default=1.0)
    weights = [max(round(100 * weight / heaviest), 1) for weight in given.values()]
    if len(set(weights)) == 1:
        weights = [EVEN] * len(weights)
    return list(given), (weights + [EVEN] * MOST_BLENDED)[:MOST_BLENDED]


def request_of(
    artists: object,
    artist_weights: Sequence[object],
    genres: object,
    genre_weights: Sequence[object],
    lyrics: object,
    seconds: object,
    total: object,
    offset: object,
    limits: Limits | None = None,
) -> SongRequest:
    """Several artists are a blend; genres of equal weight a song that has them all, of others a blend, too.

    What is not chosen may be None. Names are left to the models, which know them.
    """
    artist = blend_of(artists, artist_weights, "Artist")
    if isinstance(artist, tuple):
        artist_request: str | Blend = dict.fromkeys(artist, 1.0) if len(artist) > 1 else "".join(artist)
    else:
        artist_request = artist
    return SongRequest(
        artist=artist_request,
        genres=blend_of(genres, genre_weights, "Genres"),
        lyrics=str(lyrics or ""),
        seconds=(limits or Limits()).seconds_field.read(seconds),
        total_seconds=TOTAL.read(total or 0) or None,
        offset_seconds=OFFSET.read(offset),
    )


def params_of(values: Sequence[object], others: SamplingParams) -> SamplingParams:
    """From the LEVEL_FIELDS of every level in one row, the bottom level first; what is not asked is as in `others`.

    One value where all levels have the same, as `sample` takes it: the same song has one name.
    """
    columns: dict[str, Any] = {}
    for place, (name, field) in enumerate(LEVEL_FIELDS.items()):
        column = values[place :: len(LEVEL_FIELDS)]
        read = tuple(field.read(value, f" of level {level}") for level, value in enumerate(column))
        columns[name] = read[0] if len(set(read)) == 1 else read
    return replace(others, **columns)
