"""What a form asks for and what its values mean. Every mistake is a UserError that names the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jukebox_pl.errors import UserError
from jukebox_pl.types import SamplingParams, SongRequest


class Field(NamedTuple):
    """A number that a form asks for."""

    label: str
    hint: str
    least: float = 0.0
    most: float = math.inf
    whole: bool = False

    def read(self, value: object, where: str = "") -> Any:
        """Raises UserError for anything but a number within the limits."""
        if isinstance(value, int | float) and self.least <= value <= self.most and math.isfinite(value):
            return int(value) if self.whole else float(value)
        limits = f"of at least {self.least:g}" if math.isinf(self.most) else f"from {self.least:g} to {self.most:g}"
        found = "nothing" if value in (None, "") else value
        raise UserError(f"{self.label}{where}: expected a number {limits}, found {found}")


SECONDS = Field("Seconds", "how much to sing", 0.001)
TOTAL = Field("Whole song", "seconds; 0: this is all of it")
OFFSET = Field("Starts at", "second of the whole song")
SEED = Field("Seed", "the same seed, the same song", most=2**53, whole=True)
LEVEL_FIELDS = {
    "temperature": Field("Temperature", "lower is tamer", 0.01, 100.0),
    "top_k": Field("Top k", "0: off", most=2**31, whole=True),
    "top_p": Field("Top p", "0: off", most=1.0),
    "hop_fraction": Field("Hop fraction", "larger is faster", 0.001, 1.0),
}


def request_of(artist: Any, genres: Any, lyrics: Any, seconds: object, total: object, offset: object) -> SongRequest:
    """Texts may be None. Names are left to the models, which know them."""
    return SongRequest(
        artist=str(artist or ""),
        genres=tuple(map(str, genres or ())),
        lyrics=str(lyrics or ""),
        seconds=SECONDS.read(seconds),
        total_seconds=TOTAL.read(total or 0) or None,
        offset_seconds=OFFSET.read(offset),
    )


def params_of(values: Sequence[object], others: SamplingParams) -> SamplingParams:
    """From the LEVEL_FIELDS of every level in one row, the bottom level first; what is not asked is as in `others`."""
    columns: dict[str, Any] = {}
    for place, (name, field) in enumerate(LEVEL_FIELDS.items()):
        column = values[place :: len(LEVEL_FIELDS)]
        columns[name] = tuple(field.read(value, f" of level {level}") for level, value in enumerate(column))
    return replace(others, **columns)
