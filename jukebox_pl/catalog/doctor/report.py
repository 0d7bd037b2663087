"""What the doctor says of a catalog, as records."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from jukebox_pl.catalog.doctor.checks import Finding
from jukebox_pl.catalog.doctor.duplicates import Duplicate, group
from jukebox_pl.catalog.doctor.examine import Checkup
from jukebox_pl.catalog.doctor.standards import SIZES, SUNG_SIZES, Size, Standards, judge
from jukebox_pl.catalog.shards import Skipped

KEPT, WARNED = "kept", "kept with warning"


@dataclass(frozen=True)
class Chart:
    """A song that is kept. Of its lyrics there are the numbers: `characters`, `words`, and how many of these have times."""

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
    checkup: Checkup
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        return WARNED if self.findings else KEPT

    def to_json(self) -> dict[str, Any]:
        """Without the fingerprint, which tells a reader nothing."""
        checkup = self.checkup.to_json()
        del checkup["fingerprint"]
        findings = [finding._asdict() for finding in self.findings]
        return {"verdict": self.verdict} | vars(self) | {"checkup": checkup, "findings": findings}


class Share(NamedTuple):
    """The songs with one label, `name` "" those without. A song of several genres counts in each."""

    name: str
    songs: int
    seconds: float


class Spellings(NamedTuple):
    """Names of a `label` that differ in case, blanks or Unicode form only; are they `merged` to one by training?"""

    label: str
    names: tuple[str, ...]
    merged: bool


class Letter(NamedTuple):
    """A character, how often it occurs in the lyrics and in how many songs."""

    character: str
    times: int
    songs: int


@dataclass(frozen=True)
class Report:
    """`labels` tells artist, genre, language and license. `letters` are the characters of all lyrics, `unknown` those of
    them that each of some vocabularies lacks.
    """

    standards: Standards
    charts: tuple[Chart, ...]
    skipped: tuple[Skipped, ...]
    duplicates: tuple[Duplicate, ...]
    labels: dict[str, tuple[Share, ...]]
    spellings: tuple[Spellings, ...]
    letters: tuple[Letter, ...]
    unknown: dict[str, tuple[Letter, ...]]

    @property
    def seconds(self) -> float:
        return sum(chart.checkup.seconds for chart in self.charts)

    @property
    def unique_seconds(self) -> float:
        """Of recordings that are there more than once the longest counts."""
        lengths = {chart.id: chart.checkup.seconds for chart in self.charts}
        groups = [[lengths[id] for id in ids] for ids in group(self.duplicates)]
        return self.seconds - sum(sum(copies) - max(copies) for copies in groups)

    @property
    def sung(self) -> list[Chart]:
        return [chart for chart in self.charts if chart.characters]

    @property
    def sung_seconds(self) -> float:
        return sum(chart.checkup.seconds for chart in self.sung)

    @property
    def size(self) -> Size:
        """What the music is enough for."""
        return judge(self.unique_seconds / 3600, SIZES)

    @property
    def sung_size(self) -> Size:
        """What the music with lyrics is enough for."""
        return judge(self.sung_seconds / 3600, SUNG_SIZES)

    @property
    def sample_rates(self) -> Counter[int]:
        return Counter(chart.checkup.sample_rate for chart in self.charts)

    @property
    def findings(self) -> Counter[str]:
        """How many songs have each kind of finding."""
        return Counter(kind for chart in self.charts for kind in {finding.kind for finding in chart.findings})

    def to_json(self) -> dict[str, Any]:
        """Everything as what JSON knows, the sums first."""
        return {
            "seconds": self.seconds,
            "unique_seconds": self.unique_seconds,
            "sung_seconds": self.sung_seconds,
            "size": self.size._asdict(),
            "sung_size": self.sung_size._asdict(),
            "sample_rates": {str(rate): songs for rate, songs in self.sample_rates.items()},
            "findings": self.findings,
            "labels": {label: _records(shares) for label, shares in self.labels.items()},
            "spellings": _records(self.spellings),
            "letters": _records(self.letters),
            "unknown": {name: _records(letters) for name, letters in self.unknown.items()},
            "duplicates": _records(self.duplicates),
            "skipped": list(self.skipped),
            "charts": [chart.to_json() for chart in self.charts],
            "standards": asdict(self.standards),
        }


def _records(tuples: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [each._asdict() for each in tuples]
