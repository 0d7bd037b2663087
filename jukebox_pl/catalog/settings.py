"""What `prepare` is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jukebox_pl.audio import SAMPLE_RATE
from jukebox_pl.errors import UserError


@dataclass(frozen=True)
class PrepareSettings:
    """`catalog` is a folder or a .csv/.jsonl file, `out` the folder of the shards. Raises UserError on values out of range.

    `held_out` is the share of songs kept from training; `max_seconds` None keeps songs of any length; `workers` 0
    decodes in the calling process.
    """

    catalog: Path
    out: Path
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    held_out: float = 0.1
    songs_per_shard: int = 16
    workers: int = 2
    min_seconds: float = 1.0
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        rules = (
            ("sample_rate", self.sample_rate >= 1000, "at least 1000 (samples per second)"),
            ("channels", self.channels in (1, 2), "1 (mono) or 2 (stereo)"),
            ("held_out", 0 <= self.held_out < 1, "a share from 0 to less than 1"),
            ("songs_per_shard", self.songs_per_shard >= 1, "at least 1"),
            ("workers", self.workers >= 0, "at least 0"),
            ("min_seconds", self.min_seconds >= 0, "at least 0"),
            ("max_seconds", self.max_seconds is None or self.max_seconds > self.min_seconds, "more than min_seconds"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise UserError(f"{name}={getattr(self, name)}: expected {expected}")

    def of_a_song(self) -> dict[str, Any]:
        """The settings that decide the sound of one prepared song."""
        names = ("sample_rate", "channels", "min_seconds", "max_seconds")
        return {name: getattr(self, name) for name in names}

    def of_the_catalog(self) -> dict[str, Any]:
        """The settings that decide the shards."""
        return {name: value for name, value in asdict(self).items() if name not in ("catalog", "out", "workers")}
