"""What the doctor says of a catalog, as records. Their JSON is that of version 1: its keys are those of `doctor.json`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from jukebox_pl.catalog.doctor.checks import Finding
from jukebox_pl.catalog.doctor.duplicates import Duplicate, group
from jukebox_pl.catalog.doctor.examine import AudioStats, Measures
from jukebox_pl.catalog.doctor.standards import SIZES, SUNG_SIZES, Size, Standards, judge
from jukebox_pl.catalog.records import PassedOver, Skipped

KEPT, WARNED = "kept", "kept with warning"
LABELS = ("artist", "genre", "language", "license")
LEARNED = LABELS[:2]


@dataclass(frozen=True)
class SongFacts:
    """Which song it is. Of its lyrics there are the numbers: `characters`, `words`, and how many of these have times."""

    id: str
    path: str
    split: str
    title: str
    artist: str
    genres: tuple[str, ...]
    language: str
    license: str
    script: str
    characters: int
    words: int
    timed_words: int


@dataclass(frozen=True)
class SongReport(SongFacts):
    """A song that is kept, what was measured and what was found."""

    audio_stats: AudioStats
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        return WARNED if self.findings else KEPT

    def names(self, label: str) -> tuple[str, ...]:
        """Its names for one of LABELS, "" where it has none; it may have several genres."""
        return self.genres or ("",) if label == "genre" else (getattr(self, label),)

    def to_json(self) -> dict[str, Any]:
        """A SongRecord, of what JSON knows: without the fingerprint, which tells a reader nothing."""
        record = {"verdict": self.verdict} | vars(self)
        stats = asdict(record.pop("audio_stats"))
        del stats["fingerprint"], record["findings"]
        return record | {"checkup": stats, "findings": _records(self.findings)}


@dataclass(frozen=True)
class Share:
    """The songs with one label, `name` "" those without. A song of several genres counts in each."""

    name: str
    songs: int
    seconds: float


@dataclass(frozen=True)
class Spellings:
    """Names of a `label` that differ in case, blanks or Unicode form only; are they `merged` to one by training?"""

    label: str
    names: tuple[str, ...]
    merged: bool


@dataclass(frozen=True)
class Letter:
    """A character, how often it occurs in the lyrics and in how many songs."""

    character: str
    times: int
    songs: int


@dataclass(frozen=True)
class SongRecord(SongFacts):
    """What `doctor.json` says of a song."""

    verdict: str
    checkup: Measures
    findings: tuple[Finding, ...]


class ReportRecord(TypedDict):
    """What `doctor.json` holds, the sums first."""

    seconds: float
    unique_seconds: float
    sung_seconds: float
    size: Size
    sung_size: Size
    sample_rates: dict[str, int]
    findings: dict[str, int]
    labels: dict[str, tuple[Share, ...]]
    spellings: tuple[Spellings, ...]
    letters: tuple[Letter, ...]
    unknown: dict[str, tuple[Letter, ...]]
    duplicates: tuple[Duplicate, ...]
    skipped: tuple[Skipped, ...]
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...]
    charts: tuple[SongRecord, ...]
    standards: Standards


@dataclass(frozen=True)
class Report:
    """`labels` tells artist, genre, language and license. `letters` are the characters of all lyrics, `unknown` those of
    them that each of some vocabularies lacks.
    """

    standards: Standards
    songs: tuple[SongReport, ...]
    skipped: tuple[Skipped, ...]
    duplicates: tuple[Duplicate, ...]
    labels: dict[str, tuple[Share, ...]]
    spellings: tuple[Spellings, ...]
    letters: tuple[Letter, ...]
    unknown: dict[str, tuple[Letter, ...]]
    passed_over: tuple[PassedOver, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(song.audio_stats.seconds for song in self.songs)

    @property
    def unique_seconds(self) -> float:
        """Of recordings that are there more than once the longest counts."""
        lengths = {song.id: song.audio_stats.seconds for song in self.songs}
        groups = [[lengths[id] for id in ids] for ids in group(self.duplicates)]
        return self.seconds - sum(sum(copies) - max(copies) for copies in groups)

    @property
    def sung(self) -> list[SongReport]:
        return [song for song in self.songs if song.characters]

    @property
    def sung_seconds(self) -> float:
        return sum(song.audio_stats.seconds for song in self.sung)

    @property
    def findings(self) -> Counter[str]:
        """How many songs have each kind of finding, in the order in which they were met: the same in every run."""
        return Counter(kind for song in self.songs for kind in dict.fromkeys(finding.kind for finding in song.findings))

    def to_json(self) -> dict[str, Any]:
        """A ReportRecord, of what JSON knows."""
        rates = Counter(song.audio_stats.sample_rate for song in self.songs)
        return {
            "seconds": self.seconds,
            "unique_seconds": self.unique_seconds,
            "sung_seconds": self.sung_seconds,
            "size": asdict(judge(self.unique_seconds / 3600, SIZES)),
            "sung_size": asdict(judge(self.sung_seconds / 3600, SUNG_SIZES)),
            "sample_rates": {str(rate): songs for rate, songs in rates.items()},
            "findings": self.findings,
            "labels": {label: _records(shares) for label, shares in self.labels.items()},
            "spellings": _records(self.spellings),
            "letters": _records(self.letters),
            "unknown": {name: _records(letters) for name, letters in self.unknown.items()},
            "duplicates": _records(self.duplicates),
            "skipped": list(self.skipped),
            "passed_over": list(self.passed_over),
            "notes": list(self.notes),
            "charts": [song.to_json() for song in self.songs],
            "standards": asdict(self.standards),
        }


def _records(found: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]
