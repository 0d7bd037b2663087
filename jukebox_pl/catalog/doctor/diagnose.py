"""From songs and what was measured of them to a report on the catalog. It takes one pass and stops no song."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from jukebox_pl.catalog.doctor import scripts
from jukebox_pl.catalog.doctor.census import LABELS, LetterCount, count_labels, find_spellings
from jukebox_pl.catalog.doctor.checks import SAME_LYRICS, SAME_RECORDING, Finding, Patient, findings
from jukebox_pl.catalog.doctor.duplicates import Duplicate, find_duplicates, group
from jukebox_pl.catalog.doctor.report import Chart, Report
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.catalog.shards import Skipped
from jukebox_pl.text.characters import RELEASED

ALPHABETS = {"released v3": RELEASED["v3"]}
SHORTEST_TEXT = 40  # letters and digits; shorter texts are alike by chance

Charts = dict[str, Chart]
Groups = Sequence[Sequence[str]]


def diagnose(
    patients: Iterable[Patient],
    standards: Standards,
    skipped: Sequence[Skipped] = (),
    alphabets: Mapping[str, str] = ALPHABETS,
) -> Report:
    """`alphabets` are the characters of vocabularies to compare the lyrics with, by name.

    `skipped` is only passed on, and after the last of `patients`: it may grow while they go by.
    """
    intake = Intake()
    for patient in patients:
        intake.add(patient, standards)
    duplicates, letters = find_duplicates(intake.fingerprints), intake.letters.counted()
    charts = with_relations(intake.charts, duplicates, list(intake.texts.values())).values()
    return Report(
        standards=standards,
        charts=tuple(charts),
        skipped=tuple(skipped),
        duplicates=tuple(duplicates),
        labels={label: count_labels(charts, names_of) for label, names_of in LABELS.items()},
        spellings=tuple(find_spellings(charts)),
        letters=letters,
        unknown={name: tuple(each for each in letters if each.character not in known) for name, known in alphabets.items()},
    )


class Intake:
    """What is kept of each song until all are known, by id: the lyrics are not."""

    def __init__(self) -> None:
        self.charts: Charts = {}
        self.fingerprints: dict[str, str] = {}
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.letters = LetterCount()

    def add(self, patient: Patient, standards: Standards) -> None:
        id, lyrics = patient.song.id, patient.song.lyrics
        self.charts[id] = chart_of(patient, standards)
        self.fingerprints[id] = patient.checkup.fingerprint
        self.letters.add(lyrics)
        if key := text_key(lyrics):
            self.texts[key].append(id)


def chart_of(patient: Patient, standards: Standards) -> Chart:
    song = patient.song
    return Chart(
        id=song.id,
        path=patient.path,
        split=patient.split,
        title=song.title,
        artist=song.artist,
        genres=song.genres,
        language=song.language,
        license=song.license,
        script=next(iter(scripts.shares(song.lyrics)), ""),
        characters=len(song.lyrics),
        words=len(song.lyrics.split()),
        timed_words=len(song.words),
        checkup=patient.checkup._replace(fingerprint=""),
        findings=tuple(findings(patient, standards)),
    )


def text_key(lyrics: str) -> str:
    """The same for texts that differ in case, signs and blanks only, "" for short ones."""
    letters = "".join(filter(str.isalnum, lyrics.casefold()))
    return hashlib.sha256(letters.encode()).hexdigest() if len(letters) >= SHORTEST_TEXT else ""


def with_relations(charts: Charts, duplicates: Sequence[Duplicate], texts: Groups) -> Charts:
    """The charts with findings on what a song has in common with others."""
    found = defaultdict(list)
    for id, finding in (*same_recordings(charts, duplicates), *same_lyrics(charts, texts, group(duplicates))):
        found[id].append(finding)
    return {id: replace(chart, findings=(*chart.findings, *found[id])) for id, chart in charts.items()}


def same_recordings(charts: Charts, duplicates: Iterable[Duplicate]) -> Iterator[tuple[str, Finding]]:
    for pair in duplicates:
        first, second = charts[pair.first], charts[pair.second]
        across = f", one in {first.split} and one in {second.split}" if first.split != second.split else ""
        for chart, other in ((first, second), (second, first)):
            yield chart.id, Finding(SAME_RECORDING, f"shares {pair.shared_seconds:.0f} s with {other.path}{across}")


def same_lyrics(charts: Charts, texts: Groups, recordings: Groups) -> Iterator[tuple[str, Finding]]:
    """Of songs that are different recordings."""
    recording = {id: place for place, ids in enumerate(recordings) for id in ids}
    for ids in texts:
        for id in ids:
            here = recording.get(id, id)
            other = next((other for other in ids if recording.get(other, other) != here), None)
            if other is not None:
                yield id, Finding(SAME_LYRICS, f"its lyrics are those of {charts[other].path}")
