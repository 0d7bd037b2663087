"""Counts over all songs of a catalog: labels, their spellings, the characters of the lyrics."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from jukebox_pl.catalog.doctor.report import Chart, Letter, Share, Spellings
from jukebox_pl.text.characters import normalize
from jukebox_pl.text.labels import UNKNOWN, fold

LABELS: dict[str, Callable[[Chart], Sequence[str]]] = {
    "artist": lambda chart: (chart.artist,),
    "genre": lambda chart: chart.genres or ("",),
    "language": lambda chart: (chart.language,),
    "license": lambda chart: (chart.license,),
}
LEARNED = ("artist", "genre")


def count_labels(charts: Iterable[Chart], names_of: Callable[[Chart], Sequence[str]]) -> tuple[Share, ...]:
    """The share of each name, as vocabularies tell them apart, the one with most music first."""
    shares: dict[str, Share] = {}
    for chart in charts:
        for name in names_of(chart):
            key = fold(name) if fold(name) != UNKNOWN else ""
            was = shares.get(key, Share(name if key else "", 0, 0.0))
            shares[key] = Share(was.name, was.songs + 1, was.seconds + chart.checkup.seconds)
    return tuple(sorted(shares.values(), key=lambda share: (-share.seconds, share.name)))


def find_spellings(charts: Iterable[Chart]) -> Iterator[Spellings]:
    """Names of artists and genres that a reader would take for one."""
    spelt: dict[tuple[str, str], set[str]] = defaultdict(set)
    for chart in charts:
        for label in LEARNED:
            for name in LABELS[label](chart):
                spelt[label, fold(unicodedata.normalize("NFKC", name))].add(name)
    for (label, _), names in spelt.items():
        if len(names) > 1:
            yield Spellings(label, tuple(sorted(names)), merged=len({fold(name) for name in names}) == 1)


class LetterCount:
    """Counts the characters of one text after the other, as vocabularies built from a catalog see them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.songs: Counter[str] = Counter()

    def add(self, text: str) -> None:
        found = Counter(normalize(text))
        self.counts.update(found)
        self.songs.update(found.keys())

    def counted(self) -> tuple[Letter, ...]:
        """The most frequent first."""
        return tuple(Letter(letter, count, self.songs[letter]) for letter, count in self.counts.most_common())
