"""The settings of `prepare`, and what each may be."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukebox_pl.audio.files import SAMPLE_RATE
from jukebox_pl.catalog.engines import STEP_SECONDS
from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.phonemes import Phonemes
from jukebox_pl.text.sections import SECTIONS, STRIP

# The settings that decide the sound of one prepared song, the word times that are found, and the shards.
OF_A_SONG = ("sample_rate", "channels", "min_seconds", "max_seconds", "sections")
OF_THE_WORDS = ("separator", "aligner")
OF_THE_CATALOG = (*OF_A_SONG, *OF_THE_WORDS, "phonemes", "held_out", "songs_per_shard")


@dataclass(frozen=True)
class PrepareSettings:
    """`catalog` is a folder or a table of songs, `out` the folder of the shards. Raises UserError on values out of range.

    `held_out` is the share of songs kept from training; `max_seconds` None keeps songs of any length. Artists and genres
    of fewer than `min_songs` songs, and those beyond the `max_names` most frequent, become `unknown`. `phonemes` is the
    language in which lyrics are spelt as they sound, None spells them as they are written. `sections` is
    what becomes of section tags such as [Verse 1] (see `sung_text`). `separator` and
    `aligner` are configs with a `_target_` (see `alignment`), None finds no word times; `trusted` names packages whose
    classes they may be. Links, and names in a table, may lead out of the catalog's folder into `trusted_roots`. `workers`
    0 stays in the calling process; a step of a song is given up after `step_seconds`.
    """

    catalog: Path
    out: Path
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    held_out: float = 0.1
    songs_per_shard: int = 16
    min_seconds: float = 1.0
    max_seconds: float | None = None
    min_songs: int = 1
    max_names: int | None = None
    phonemes: str | None = None
    sections: str = STRIP
    separator: dict[str, Any] | None = None
    aligner: dict[str, Any] | None = None
    trusted: list[str] | None = None
    trusted_roots: list[str] | None = None
    workers: int = 2
    step_seconds: float = STEP_SECONDS

    def __post_init__(self) -> None:
        rules = (
            ("out", not re.match(r"[a-z0-9]+:/", str(self.out)), "a folder; shards are read from URLs, not written to them"),
            ("sample_rate", self.sample_rate >= 1000, "at least 1000 (samples per second)"),
            ("channels", self.channels in (1, 2), "1 (mono) or 2 (stereo)"),
            ("held_out", 0 <= self.held_out < 1, "a share from 0 to less than 1"),
            ("songs_per_shard", self.songs_per_shard >= 1, "at least 1"),
            ("min_seconds", self.min_seconds >= 0, "at least 0"),
            ("max_seconds", self.max_seconds is None or self.max_seconds > self.min_seconds, "more than min_seconds"),
            ("min_songs", self.min_songs >= 1, "at least 1"),
            ("max_names", self.max_names is None or self.max_names >= 1, "at least 1, or null for all"),
            ("sections", self.sections in SECTIONS, " or ".join(SECTIONS)),
            ("separator", not self.separator or self.aligner, "null, as there is no aligner to use it"),
            ("workers", self.workers >= 0, "at least 0"),
            ("step_seconds", self.step_seconds > 0, "more than 0"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise UserError(f"{name}={getattr(self, name)}: expected {expected}")

    def spelling(self) -> Characters:
        """The vocabulary of lyrics, yet without a character. Raises UserError when it is of phonemes that cannot be had."""
        if not self.phonemes:
            return Characters("")
        spelling = Phonemes("", self.phonemes)
        spelling.normalize("a")  # asks espeak-ng now, not when all songs are decoded
        return spelling

    def only(self, names: Collection[str]) -> dict[str, Any]:
        """Some of the settings, in the order above."""
        return {name: value for name, value in vars(self).items() if name in names}
